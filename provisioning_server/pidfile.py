"""Which process serves a state directory, as an advisory lock that the kernel drops when its holder dies.

The file holds number, process namespace, a word about what runs and our URL. The control plane's own begins
the same, so it can show and stop us.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from provisioning_server.errors import ServerError

_LOOKED_AT_S = 0.5
"""Who asks whether we run holds the lock for a moment; who runs holds it for good."""
_LOOK_AGAIN_S = 0.005


def hold(path: Path, version: str) -> int:
    """Be the running process until the returned descriptor is closed.

    Raises:
        ServerError: another one is, or the file cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise ServerError(f"{path} cannot be written ({exc.strerror}): make it writable.") from exc
    deadline = time.monotonic() + _LOOKED_AT_S
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise ServerError(f"A provisioning server of {path.parent} runs already: stop it first.")
        time.sleep(_LOOK_AGAIN_S)
    say(descriptor, version)
    return descriptor


def say(descriptor: int, version: str, url: str = "") -> None:
    """Write what runs into the file that is held; `url` once it answers there."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {_namespace() or '-'} {version or '-'} {url}\n".encode(), 0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return ""
