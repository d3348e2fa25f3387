"""A wire to AMI that can be cut at a chosen action, before it reaches Asterisk or after it was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum
from itertools import groupby
from operator import itemgetter

LOOPBACK = "127.0.0.1"
_READ_BYTES = 65536
_END = b"\r\n\r\n"
_WRITES = {
    b"DBPut": (b"Family", b"Key"),
    b"DBDel": (b"Family", b"Key"),
    b"UpdateConfig": (b"SrcFilename", b"DstFilename"),
    b"CreateConfig": (b"Filename",),
    b"Reload": (b"Module",),
}
"""Actions that change something, and the headers that say what; a cut at any of the others is a cut before
the next of these."""

Write = tuple[bytes, ...]
"""A writing action: its name and what it writes to."""


class Cut(Enum):
    """Which side of the action the wire breaks at."""

    BEFORE = "before"  # Asterisk never gets it
    AFTER = "after"  # Asterisk does it, and its answer is lost


class CuttingProxy:
    """Relays AMI; notes what the client writes and breaks the connection at one of these actions, once."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._cut_at: int | None = None
        self._side = Cut.BEFORE
        self._swallowing = False
        self.writes: list[Write] = []
        self.port = 0

    def arm(self, action: int, side: Cut) -> None:
        """Cut at this many writing actions from now (1: the next)."""
        self.writes, self._cut_at, self._side = [], action, side

    @property
    def armed(self) -> bool:
        return self._cut_at is not None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[CuttingProxy]:
        """Relay connections to `port` as long as the block runs."""
        server = await asyncio.start_server(self._relay, LOOPBACK, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer_reader, peer_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        self._swallowing = False
        answers = asyncio.create_task(self._answers(peer_reader, writer))
        try:
            await self._actions(reader, peer_writer, answers)
        finally:
            answers.cancel()
            writer.close()
            peer_writer.close()
            await asyncio.wait([answers])

    async def _actions(
        self, reader: asyncio.StreamReader, peer: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> None:
        while True:
            with suppress(ConnectionError):
                try:
                    frame = await reader.readuntil(_END)
                except asyncio.IncompleteReadError:
                    return
                self.writes.extend(_written(frame))
                if len(self.writes) != self._cut_at:
                    peer.write(frame)
                    continue
                self._cut_at = None
                if self._side is Cut.AFTER:
                    self._swallowing = True
                    peer.write(frame)
                    await asyncio.wait([answers], timeout=5)  # ends with Asterisk's answer
            return

    async def _answers(self, peer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await peer.read(_READ_BYTES):
                if self._swallowing:
                    return
                writer.write(data)
            writer.close()


def _written(frame: bytes) -> Iterator[Write]:
    """The action of a frame, when it writes."""
    headers = dict(line.split(b": ", 1) for line in frame.splitlines() if b": " in line)
    action = headers[b"Action"]
    if action in _WRITES:
        yield action, *(headers[name] for name in _WRITES[action])


def telling_places(writes: Sequence[Write]) -> list[int]:
    """Which of `writes` to cut at, counted from 1: all but those in the middle of a row of equal ones.

    A file that is staged in dozens of batches differs at the first, between two, and at the last of them.
    """
    places = []
    for _, run in groupby(enumerate(writes, start=1), key=itemgetter(1)):
        numbers = [number for number, _ in run]
        places.extend(sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]}))
    return places
