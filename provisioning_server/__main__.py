"""`python -m provisioning_server`: run in the foreground, or print DHCP hints."""

from __future__ import annotations

import argparse
import asyncio
import logging
import logging.handlers
import sys
from collections.abc import Sequence

from provisioning_server.errors import ServerError
from provisioning_server.serve import serve
from provisioning_server.settings import Settings, read_settings

LOG_BYTES = 10_000_000
LOGS_KEPT = 3


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
    parser.add_argument("--log-to-file", action="store_true", help="log to provisioning.log, not to stderr")
    parser.add_argument("--version-word", default="", help="one word that says what runs, for who starts us")
    given = parser.parse_args(arguments)
    try:
        settings = read_settings()
        log_to(settings, given.log_to_file)
        asyncio.run(serve(settings, given.version_word))
    except ServerError as exc:
        sys.stderr.write(f"error: {exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
