"""Locks between processes, as advisory locks on files: the kernel drops them when their holder dies."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from control_plane.errors import LabError, PlanError

LOOKED_AT_S = 0.5
"""A command that asks whether we run holds the lock for a moment; who runs holds it for good."""
PUSH_DEADLINE_S = 60.0
"""A first push of 10 000 extensions takes a few seconds."""
_LOOK_AGAIN_S = 0.005


def exclusive_on(state_dir: Path, node: str) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Makes the lock that keeps other processes from pushing to `node` at the same time."""
    path = state_dir / f"push-{node}.lock"

    @asynccontextmanager
    async def exclusive() -> AsyncIterator[None]:
        descriptor = _open(path, os.O_CREAT)
        try:
            await _acquire(descriptor, node)
            yield
        finally:
            os.close(descriptor)  # which releases it

    return exclusive


async def _acquire(descriptor: int, node: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PUSH_DEADLINE_S
    while not try_lock(descriptor):
        if loop.time() > deadline:
            raise PlanError(
                f"Another process has been pushing to node {node} for {PUSH_DEADLINE_S:g} s: "
                "end it, or wait and try again."
            )
        await asyncio.sleep(_LOOK_AGAIN_S)


def _open(path: Path, flags: int = 0) -> int:
    """Raises: FileNotFoundError, LabError (it cannot be used)."""
    try:
        return os.open(path, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise LabError(
            f"{path} cannot be used ({exc.strerror}): run this as the user it "
            "belongs to, or make it writable."
        ) from exc


def try_lock(descriptor: int) -> bool:
    """Takes the exclusive lock of an open file; False when another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _process_namespace() -> str:
    """Names the set of processes among which our number is ours; "" where the system has no such thing."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116 - as the open files beside it
    except OSError:
        return ""


class PidFile:
    """Names the process that serves a state directory, and proves that it lives: the control plane, unless
    another file and `title` are given.

    The lock on the file counts and not the number in it, so a file that a crash left behind is no obstacle
    and a number that another program got meanwhile is never taken for ours.
    """

    def __init__(
        self, state_dir: Path, name: str = "control-plane.pid", title: str = "The control plane"
    ) -> None:
        self.path = state_dir / name
        self.title = title
        self._descriptor: int | None = None

    def hold(self, version: str = "") -> None:
        """Be the running process until this process ends; `version` tells others what runs, in one word.

        Raises:
            LabError: another one is, or the file cannot be used.
        """
        descriptor = _open(self.path, os.O_CREAT)
        deadline = time.monotonic() + LOOKED_AT_S
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                self.require_free()
                raise LabError(f"{self.path} is locked by another process: try again.")
            time.sleep(_LOOK_AGAIN_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {_process_namespace() or '-'} {version}\n".encode(), 0)
        self._descriptor = descriptor  # open, and so locked, until this process ends

    def running(self) -> int | None:
        """The process that runs now; None when none does."""
        words = self._words()
        return int(words[0]) if words and words[0].isdigit() else None

    def version(self) -> str:
        """What the running process said it runs; "" when none runs or it said nothing."""
        words = self._words()
        return words[2] if len(words) > 2 else ""

    def url(self) -> str:
        """Where the running process said it answers; "" when it does not yet or says nothing of it."""
        words = self._words()
        return words[3] if len(words) > 3 else ""

    def require_in_sight(self) -> None:
        """Raises LabError when the running process is in a container: its number is another process here."""
        words = self._words()
        if len(words) > 1 and words[1] != (_process_namespace() or "-"):
            raise LabError(
                f"{self.title} of {self.path.parent} runs in a container: stop it there, "
                "as with 'docker compose down'."
            )

    def _words(self) -> list[str]:
        """Number and namespace of the running process; nothing when none runs."""
        try:
            descriptor = _open(self.path)
        except FileNotFoundError:
            return []
        try:
            return [] if try_lock(descriptor) else os.pread(descriptor, 400, 0).decode().split()
        finally:
            os.close(descriptor)

    def require_free(self) -> None:
        """Raises LabError when a process runs the control plane already."""
        pid = self.running()
        if pid is not None:
            raise LabError(
                f"{self.title} of {self.path.parent} runs already (process {pid}): "
                "stop it with 'wirechief lab down' first."
            )
