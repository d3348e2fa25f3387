"""HTTP as an attacker writes it: bytes on a socket, bytes back."""

from __future__ import annotations

import asyncio
import re

from tests.provisioning import Server

DEADLINE_S = 10.0


async def exchange(server: Server, request: bytes, *, tls: bool = True) -> bytes:
    """Everything that comes back until the server closes, or falls silent after a whole answer."""
    port = server.settings.https_port if tls else server.settings.http_port
    reader, writer = await asyncio.open_connection(
        server.settings.host, port, ssl=server.trust if tls else None
    )
    try:
        writer.write(request)
        async with asyncio.timeout(DEADLINE_S):
            return await _answer(reader)
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError) as exc:
        return exc.partial if isinstance(exc, asyncio.IncompleteReadError) else b""
    length = re.search(rb"content-length: (\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


def get(path: str | bytes, *headers: str, host: str = "x") -> bytes:
    """A GET whose path is sent as it is."""
    raw = path if isinstance(path, bytes) else path.encode("latin-1")
    lines = [b"GET " + raw + b" HTTP/1.1", f"Host: {host}".encode(), *(h.encode("latin-1") for h in headers)]
    return b"\r\n".join([*lines, b"", b""])


def status(answer: bytes) -> int:
    """0 when there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def without_chance(answer: bytes) -> bytes:
    """An answer without what differs from one to the next whoever asks: the time and the nonce."""
    return re.sub(rb'nonce="[^"]*"|date: [^\r]*', b"-", answer)
