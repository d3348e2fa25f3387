"""A door between the control plane and AMI: shut for a while, or slammed in the middle of something."""

from __future__ import annotations

import asyncio
from contextlib import suppress

LOOPBACK = "127.0.0.1"
_READ_BYTES = 65536


class AmiGate:
    """Relays AMI from a port of its own; belongs to the loop it was opened in."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slam_at: bytes | None = None
        self.port = 0
        self.slammed = 0

    async def open(self) -> None:
        """Let connections through, at the same port as before."""
        self._server = await asyncio.start_server(self._relay, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections, and break those there are."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        self._break()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def slam_at(self, text: str) -> None:
        """Break all connections, once, when the client sends `text`: Asterisk gets it, its answer is lost."""
        self._slam_at = text.encode()

    def _break(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer_reader, peer_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, peer_writer}
        pumps = {
            asyncio.create_task(self._pump(reader, peer_writer)),
            asyncio.create_task(self._pump(peer_reader, writer)),
        }
        self._tasks |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, peer_writer):
            end.close()
        await asyncio.wait(pumps)
        self._tasks -= pumps
        self._writers -= {writer, peer_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_READ_BYTES):
                writer.write(data)
                if self._slam_at is not None and self._slam_at in data:
                    self._slam_at = None
                    self.slammed += 1
                    await writer.drain()
                    self._break()
                    return
