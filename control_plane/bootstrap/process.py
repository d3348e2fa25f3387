"""The control plane as a process of its own: started detached, found again, stopped."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from control_plane.adapters.engine import Listener, require_free
from control_plane.bootstrap.locks import PidFile
from control_plane.bootstrap.wiring import Wiring
from control_plane.errors import LabError

SERVE = ("-m", "control_plane.asgi")
STOP_S = 20.0
"""Stopping hangs up nothing: it waits for requests in flight and the push under way."""
_LOOK_AGAIN_S = 0.05
_TAIL_LINES = 5
_PACKAGES = str(Path(__file__).parents[2])


def command_line() -> list[str]:
    """The program and arguments that run the control plane in the foreground."""
    return [sys.executable, *SERVE]


def environment() -> dict[str, str]:
    """This process's environment, with the same code on the path however it came onto ours."""
    others = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([_PACKAGES, *others])}


def version(wiring: Wiring) -> str:
    """One word that changes with the code, the templates and the settings a control plane would run with."""
    return fingerprint(wiring.settings.model_dump_json(), "control_plane", "asterisk_templates")


def fingerprint(settings: str, *folders: str) -> str:
    """One word that changes with settings and with the code and data in these packages."""
    running = hashlib.sha256(settings.encode())
    for folder in folders:
        for path in sorted(Path(_PACKAGES, folder).rglob("*")):
            if path.suffix in {".py", ".j2", ".sql"}:
                status = path.stat()
                running.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return running.hexdigest()[:16]


def start_detached(wiring: Wiring) -> subprocess.Popen[bytes]:
    """Starts the control plane so that it outlives this process and its terminal.

    Raises:
        LabError: its port is taken, or its log cannot be written.
    """
    settings = wiring.settings
    require_free(Listener(settings.api_host, settings.api_port, "TCP", "API_PORT", "API_HOST"))
    return detached(command_line(), wiring.log_file, environment())


def detached(command: list[str], log_file: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts a program that outlives this process and its terminal, its output appended to a log.

    Raises:
        LabError: the log cannot be written.
    """
    try:
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise LabError(f"{log_file} cannot be written ({exc.strerror}): make it writable.") from exc
    with os.fdopen(descriptor, "ab") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            start_new_session=True,
        )


def require_alive(process: subprocess.Popen[bytes], wiring: Wiring) -> None:
    """Raises LabError with the end of its log when the control plane that was started has ended.

    Unless another runs: somebody else may have started one at the same moment.
    """
    if process.poll() is not None and wiring.pid_file.running() is None:
        raise LabError(
            f"The control plane ended at once. The end of {wiring.log_file}:\n{tail(wiring.log_file)}"
        )


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log; "" when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def stop(wiring: Wiring) -> bool:
    """Ends the control plane of the state directory; False when none ran.

    Raises:
        LabError: it does not end, belongs to another user, or runs in a container.
    """
    return end(wiring.pid_file)


def end(pid_file: PidFile) -> bool:
    """Ends the process that holds this file; False when none does.

    Raises:
        LabError: it does not end, belongs to another user, or runs in a container.
    """
    pid = pid_file.running()
    if pid is None:
        return False
    pid_file.require_in_sight()
    deadline = time.monotonic() + STOP_S
    try:
        os.kill(pid, signal.SIGTERM)
        while pid_file.running() == pid:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += STOP_S
            time.sleep(_LOOK_AGAIN_S)
    except ProcessLookupError:
        return True
    except PermissionError as exc:
        raise LabError(
            f"{pid_file.title} (process {pid}) belongs to another user: stop it as that user or as root."
        ) from exc
    return True
