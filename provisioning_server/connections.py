"""TCP connections: how many, how slow, how large. Everything a client could hold on to has an end.

uvicorn speaks HTTP; what it leaves open is closed here: connections are counted before TLS, and handshake,
header, body and answer each have their deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import time
from collections import Counter
from email.utils import formatdate
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from provisioning_server.certificates import identity_of
from provisioning_server.guard import network_of
from provisioning_server.settings import Settings

logger = logging.getLogger(__name__)

GRACE_S = 5.0
"""How long requests in flight may take when the server is told to stop."""
_FLUSH_S = 5.0
"""How long a client may take to read the last bytes of an answer after which we close."""
_BODY_SLACK = 65_536
"""What is still read of a body that is too large, so that the client sees our answer and not a reset."""
_OUT_OF_FILES_S = 0.1
_BACKLOG = 2048
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Places:
    """How many connections there are, overall and per network."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.connections
        # All of a proxy's connections come from one address.
        self._per_network = (
            settings.connections if settings.trusted_proxies else settings.connections_per_address
        )
        self._taken: Counter[str] = Counter()
        self.total = 0

    def take(self, address: str) -> bool:
        """Whether there is room for one more from this address; it is counted then."""
        network = network_of(address)
        if self.total >= self._limit or self._taken[network] >= self._per_network:
            return False
        self._taken[network] += 1
        self.total += 1
        return True

    def give_back(self, address: str) -> None:
        """One less."""
        network = network_of(address)
        self.total -= 1
        self._taken[network] -= 1
        if not self._taken[network]:
            del self._taken[network]


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with deadlines and sizes."""

    def __init__(
        self, config: Config, state: ServerState, settings: Settings, places: Places, address: str
    ) -> None:
        super().__init__(config, state, {"cut": self._cut})
        self.access_log = False  # its lines have paths with tokens
        self._settings = settings
        self._places: Places | None = places
        self._address = address
        self._unparsed = 0
        self._header_left = settings.header_bytes
        self._body_left = settings.upload_bytes + _BODY_SLACK
        self._in_header = True
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None and self._settings.client_ca_file is not None:
            self.app_state["identity"] = identity_of(
                transport.get_extra_info("peercert"), tls.getpeercert(binary_form=True)
            )
        self._due(self._settings.header_s)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._due(None)
        self.give_back()

    def give_back(self) -> None:
        """Give up this connection's place, once."""
        places, self._places = self._places, None
        if places is not None:
            places.give_back(self._address)

    def data_received(self, data: bytes) -> None:
        if self._in_header:
            self._unparsed += len(data)
            if self._unparsed > self._settings.header_bytes and b"\r\n\r\n" not in data:
                self._end_with(_TOO_LARGE)
                return
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_header = True
        self._unparsed = 0
        self._header_left = self._settings.header_bytes
        self._body_left = self._settings.upload_bytes + _BODY_SLACK
        if self.cycle is not None and self.cycle.response_complete:
            self._due(self._settings.header_s)

    def on_url(self, url: bytes) -> None:
        self._header_left -= len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_left -= len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._header_left < 0:
            raise ValueError("the header is too large")  # which is answered with 400
        self._in_header = False
        self._due(self._settings.request_s)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_left -= len(body)
        if self._body_left < 0:
            self._end_with(b"")
            return
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._due(None)
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(_FLUSH_S, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.loop.call_later(_FLUSH_S, self.transport.abort)

    def _due(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._too_late) if seconds is not None else None

    def _too_late(self) -> None:
        self._end_with(_TOO_SLOW if self._in_header else b"")

    def _end_with(self, last_words: bytes) -> None:
        """Close, after a word when no answer is under way."""
        if self.transport.is_closing():
            return
        if last_words and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(last_words)
        self.transport.close()
        self.loop.call_later(_FLUSH_S if last_words else 0, self.transport.abort)

    def _cut(self) -> None:
        self.transport.abort()


class HttpListener:
    """One port: accepts, counts, shakes hands, and hands over to HTTP."""

    def __init__(
        self,
        app: Any,
        sock: socket.socket,
        settings: Settings,
        places: Places,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._socket = sock
        self._settings = settings
        self._places = places
        self._context = context
        self._state = ServerState()
        self._config = Config(
            app,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=max(1, round(settings.keep_alive_s)),
        )
        self._config.load()
        self._hands: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves until cancelled, then lets requests in flight end."""
        self._socket.listen(_BACKLOG)
        ticking = asyncio.create_task(self._tick())
        try:
            await self._accept()
        finally:
            self._socket.close()
            ticking.cancel()
            await self._drain()

    async def _tick(self) -> None:
        while True:
            self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
            await asyncio.sleep(1)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._socket)
            except OSError as exc:
                if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    logger.error("event=no_more_files connections=%d", self._places.total)
                    await asyncio.sleep(_OUT_OF_FILES_S)
                continue
            address = str(peer[0])
            if not self._places.take(address):
                connection.close()
                continue
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self._shake_hands(connection, address))
            self._hands.add(task)
            task.add_done_callback(self._hands.discard)

    async def _shake_hands(self, connection: socket.socket, address: str) -> None:
        protocol = BoundedProtocol(self._config, self._state, self._settings, self._places, address)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=self._settings.header_s if self._context else None,
            )
        except (OSError, asyncio.CancelledError):  # an ssl.SSLError is an OSError
            connection.close()
            protocol.give_back()

    async def _drain(self) -> None:
        for task in self._hands:
            task.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = time.monotonic() + GRACE_S
        while self._state.tasks and time.monotonic() < deadline:
            await asyncio.wait(set(self._state.tasks), timeout=deadline - time.monotonic())
        for connection in list(self._state.connections):
            connection.transport.abort()
