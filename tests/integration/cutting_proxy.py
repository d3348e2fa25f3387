"""A wire to AMI that can be cut at a chosen action, before it reaches Asterisk or after it was done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

LOOPBACK = "127.0.0.1"
_READ_BYTES = 65536
_END = b"\r\n\r\n"
_WRITES = (
    b"Action: DBPut",
    b"Action: DBDel",
    b"Action: UpdateConfig",
    b"Action: CreateConfig",
    b"Action: Reload",
)
"""Actions that change something; a cut at any of the others is a cut before the next of these."""


class Cut(Enum):
    """Which side of the action the wire breaks at."""

    BEFORE = "before"  # Asterisk never gets it
    AFTER = "after"  # Asterisk does it, and its answer is lost


class CuttingProxy:
    """Relays AMI; counts what the client writes and breaks the connection at one of these actions, once."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._cut_at: int | None = None
        self._side = Cut.BEFORE
        self._swallowing = False
        self.actions = 0
        self.port = 0

    def arm(self, action: int, side: Cut) -> None:
        """Cut at this many writing actions from now (1: the next)."""
        self.actions, self._cut_at, self._side = 0, action, side

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
                self.actions += frame.startswith(_WRITES)
                if self.actions != self._cut_at:
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
