"""Everything that runs, put together: listeners, journal, certificates, timers."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from provisioning_server import pidfile
from provisioning_server.access import Access
from provisioning_server.app import Application, Context
from provisioning_server.certificates import CA_FILE, Certificates
from provisioning_server.connections import HttpListener, Places
from provisioning_server.errors import ServerError, StoreUnavailable
from provisioning_server.files import PublishedFile, published_file
from provisioning_server.guard import Guard
from provisioning_server.journal import Journal
from provisioning_server.login import Logins
from provisioning_server.pnp import Responder
from provisioning_server.settings import PREFIX, Settings
from provisioning_server.store import PublishedStore
from provisioning_server.tftp import TftpServer
from provisioning_server.uploads import Inbox

logger = logging.getLogger(__name__)

PID_FILE = "provisioning.pid"
_LOOK_S = 1.0
"""How soon a store that was put in place of another is noticed."""
_RENEW_S = 6 * 3600.0


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """A server that answers while the block runs.

    Raises:
        ServerError: a port is taken, or a file cannot be read or written.
    """
    _make_own_dir(settings)
    certificates = Certificates(settings)
    if settings.https_port or settings.legacy_tls_port:
        await asyncio.to_thread(certificates.prepare)
    store, journal = PublishedStore(settings.store_path), Journal(settings.journal_path)
    async with contextlib.AsyncExitStack() as stack:
        await journal.open()
        stack.push_async_callback(journal.close)
        stack.callback(store.close)
        extra = _own_files(certificates)
        context = _context(settings, store, journal, extra)
        app, access = Application(context), context.access
        works = [listener.run() for listener in _listeners(settings, app, certificates)]
        works += [journal.run(), _watch(store), _renew(certificates)]
        if settings.tftp_port:
            works.append(await _tftp(settings, store, journal, extra))
        if settings.pnp:
            works.append(await Responder(settings, access.is_expected).opened())
        await stack.enter_async_context(_all_running(works))
        yield


async def serve(settings: Settings, version: str = "") -> None:
    """Runs until SIGTERM or SIGINT; requests in flight are answered.

    Raises:
        ServerError: it cannot start, or it runs already.
    """
    _make_own_dir(settings)
    lock = pidfile.hold(settings.own_dir / PID_FILE, version)
    try:
        _allow_files(settings.connections)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        async with running(settings):
            pidfile.say(lock, version, settings.base_url)
            logger.info("event=started url=%s store=%s", settings.base_url, settings.store_path)
            await stopping.wait()
        logger.info("event=stopped")
    finally:
        os.close(lock)


def _make_own_dir(settings: Settings) -> None:
    try:
        settings.own_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ServerError(
            f"{settings.own_dir} cannot be made ({exc.strerror}): set {PREFIX}STATE_DIR to a directory"
            " you may write."
        ) from exc


def _guard(settings: Settings) -> Guard:
    return Guard(settings.guesses_per_minute, settings.macs_per_minute, settings.guesses_per_minute_overall)


def _own_files(certificates: Certificates) -> dict[str, PublishedFile]:
    """Common files that nobody needs to publish: our authority's certificate."""
    ca = certificates.ca_pem
    if not ca:
        return {}
    etag = hashlib.sha256(ca).hexdigest()
    return {CA_FILE: published_file(CA_FILE, ca, "application/x-x509-ca-cert", etag)}


def _context(
    settings: Settings, store: PublishedStore, journal: Journal, extra: dict[str, PublishedFile]
) -> Context:
    logins, guard = Logins(), _guard(settings)
    return Context(
        store=store,
        journal=journal,
        logins=logins,
        guard=guard,
        access=Access(store, journal, logins, guard, extra),
        inbox=Inbox(settings, store, journal),
        trusted_proxies=settings.trusted_proxies,
        log_requests=settings.log_requests,
    )


def _listeners(settings: Settings, app: Application, certificates: Certificates) -> list[HttpListener]:
    places = Places(settings)
    wanted: list[tuple[str, int, ssl.SSLContext | None]] = [("http", settings.http_port, None)]
    if settings.https_port:
        wanted.append(("https", settings.https_port, certificates.context()))
    if settings.legacy_tls_port:
        wanted.append(("legacy_tls", settings.legacy_tls_port, certificates.context(legacy=True)))
    listeners = []
    for name, port, context in wanted:
        if port:
            sock = bound(settings.host, port, socket.SOCK_STREAM, f"{name.upper()}_PORT")
            listeners.append(HttpListener(app, sock, settings, places, context))
            logger.info("event=listening what=%s address=%s port=%d", name, settings.host, port)
    return listeners


async def _tftp(
    settings: Settings, store: PublishedStore, journal: Journal, extra: dict[str, PublishedFile]
) -> Coroutine[Any, Any, None]:
    """Opens the TFTP port; what is returned serves until cancelled."""
    # Who forges a source address must not be able to use up somebody's guesses over HTTP.
    guard = _guard(settings)
    server = TftpServer(settings, Access(store, journal, Logins(), guard, extra), guard, journal)
    sock = bound(settings.host, settings.tftp_port, socket.SOCK_DGRAM, "TFTP_PORT")
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, sock=sock)
    logger.info("event=listening what=tftp address=%s port=%d", settings.host, settings.tftp_port)
    return server.run()


def bound(host: str, port: int, kind: socket.SocketKind, setting: str) -> socket.socket:
    """A socket bound to an address and port.

    Raises:
        ServerError: it cannot be; the text names the setting that mends it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    if kind is socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise ServerError(
            f"{host} port {port} cannot be used ({exc.strerror}): free it, or set {PREFIX}{setting}"
            f" or {PREFIX}HOST."
        ) from exc
    return sock


@asynccontextmanager
async def _all_running(works: Sequence[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs the works while the block runs; the first that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _watch(store: PublishedStore) -> None:
    missing = False
    while True:
        store.reopen_if_replaced()
        try:
            store.refresh()
            missing = False
        except StoreUnavailable as exc:
            if not missing:
                logger.warning("event=no_store reason=%r", str(exc))
            missing = True
        await asyncio.sleep(_LOOK_S)


async def _renew(certificates: Certificates) -> None:
    while True:
        await asyncio.sleep(_RENEW_S)
        try:
            await asyncio.to_thread(certificates.prepare)
        except ServerError as exc:
            logger.error("event=certificate reason=%r", str(exc))


def _allow_files(connections: int) -> None:
    """As many open files as connections need, as far as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 1024
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
