"""The control plane process: API and everything that runs behind it, in one event loop.

`python -m control_plane.asgi` (or `wirechief serve`) runs it in the foreground. SIGTERM and SIGINT end it in
order: no new requests, those in flight are answered, the push under way is finished or left for later.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import logging.handlers
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from control_plane.adapters.engine import Listener, require_free
from control_plane.adapters.passwords import Argon2Passwords
from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts
from control_plane.api.nodes import NodePorts
from control_plane.bootstrap.plane import ControlPlane, running
from control_plane.bootstrap.process import version
from control_plane.bootstrap.reach import provisioning_warning
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.errors import ControlPlaneError
from control_plane.service.handset_preview import HandsetSource
from control_plane.service.logins import Logins
from control_plane.service.warnings import ModelFindings

logger = logging.getLogger(__name__)

LOG_BYTES = 10_000_000
LOGS_KEPT = 3
COLLECT_AFTER = (50_000, 20, 10)
"""Objects made until Python looks for garbage cycles, and how rarely it looks at old ones. A model of 10 000
extensions is many objects and no cycle: with the defaults, looking takes a fifth of a first push."""
GRACE_S = 5
"""How long requests in flight may take when the process is told to stop."""


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again, and the process would end before it closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def application(plane: ControlPlane) -> FastAPI:
    """The ASGI application over a running control plane."""
    wiring, settings = plane.wiring, plane.wiring.settings
    node = NodePorts(
        plane.reconciler,
        plane.guard,
        plane.outbox,
        plane.link,
        ModelFindings(plane.store),
        plane.observer,
    )
    ports = ApiPorts(
        store=plane.store,
        token=wiring.secrets.api_token,
        sip=wiring.sip_address,
        tasks=plane.store,
        clock=wiring.clock,
        nudge=plane.nudge,
        logins=Logins(plane.store, plane.store.sessions, Argon2Passwords(), wiring.clock),
        nodes={settings.node: node},
        policy=wiring.number_policy,
        handsets=plane.provisioning,
        publisher=plane.publisher,
        follow_up=plane.follow_up,
        sealed=wiring.uploads,
        handset_source=HandsetSource(plane.provisioning.published, wiring.place),
    )
    return create_app(ports)


async def serve(wiring: Wiring) -> None:
    """Runs the control plane until SIGTERM or SIGINT.

    Raises:
        LabError: it runs already, or its port is taken.
        StoreError: the database cannot be used.
    """
    settings = wiring.settings
    wiring.pid_file.hold(version(wiring))
    require_free(Listener(settings.api_host, settings.api_port, "TCP", "API_PORT", "API_HOST"))
    async with running(wiring) as plane:
        config = uvicorn.Config(
            application(plane),
            host=settings.api_host,
            port=settings.api_port,
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
        logger.info("the control plane listens on %s", wiring.api_url)
        warning = provisioning_warning(wiring.settings)
        if warning is not None:
            logger.warning("%s", warning)
        await server.serve()
    logger.info("the control plane has ended")


def log_to(path: Path) -> None:
    """Logs to a file that is rotated, or to stderr where that is a terminal or a service manager's pipe."""
    handler: logging.Handler
    if sys.stderr.isatty() or not _is(sys.stderr.fileno(), path):
        handler = logging.StreamHandler()
    else:
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _is(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one at `path`."""
    with contextlib.suppress(OSError):
        return path.samefile(f"/proc/self/fd/{descriptor}")
    return False


def main() -> int:
    """Runs until told to stop; 1 and one sentence when it cannot start."""
    gc.set_threshold(*COLLECT_AFTER)
    try:
        wiring = wire()
        log_to(wiring.log_file)
        asyncio.run(serve(wiring))
    except ControlPlaneError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
