"""`python -m provisioning_server`: run in the foreground, or print DHCP hints."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import logging.handlers
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address

from provisioning_server.dhcp import Dialect, hints
from provisioning_server.errors import ServerError
from provisioning_server.serve import serve
from provisioning_server.settings import Settings, read_settings

LOG_BYTES = 10_000_000
LOGS_KEPT = 3
COLLECT_AFTER = (50_000, 20, 10)
"""Looking for garbage costs; a request leaves next to none behind that counting references does not find."""


def log_to(settings: Settings, to_file: bool) -> None:
    """Logs to stderr, or to a file of its own that is rotated."""
    handler: logging.Handler = logging.StreamHandler()
    if to_file:
        settings.own_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = settings.own_dir / "provisioning.log"
        handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOGS_KEPT)
        path.chmod(0o600)
    handler.setFormatter(logging.Formatter("%(asctime)s level=%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # They would say what clients do wrong, at a line each.
    for chatty in ("uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until told to stop; 1 and one sentence when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m provisioning_server", description=__doc__)
    parser.set_defaults(do=_run)
    parser.add_argument("--log-to-file", action="store_true", help="log to provisioning.log, not to stderr")
    parser.add_argument("--version-word", default="", help="one word that says what runs, for who starts us")
    commands = parser.add_subparsers(title="other commands")
    tell = commands.add_parser("dhcp-hints", help="print what a DHCP server should tell handsets")
    tell.set_defaults(do=_dhcp_hints)
    tell.add_argument("--for", dest="dialect", choices=list(Dialect), default=Dialect.DNSMASQ, type=Dialect)
    tell.add_argument(
        "--url", help="where handsets fetch, ending in / (default: where this server is reached)"
    )
    tell.add_argument(
        "--tftp", type=IPv4Address, metavar="ADDRESS", help="our TFTP server, where there is one"
    )
    given = parser.parse_args(arguments)
    try:
        given.do(given)
    except ServerError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    return 0


def _run(given: argparse.Namespace) -> None:
    settings = read_settings()
    log_to(settings, given.log_to_file)
    gc.set_threshold(*COLLECT_AFTER)
    asyncio.run(serve(settings, given.version_word))


def _dhcp_hints(given: argparse.Namespace) -> None:
    url = given.url or f"{read_settings().base_url}/e/"
    sys.stdout.write(hints(given.dialect, url, given.tftp))


if __name__ == "__main__":
    sys.exit(main())
