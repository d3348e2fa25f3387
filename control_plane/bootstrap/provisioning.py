"""The provisioning server as a process of its own beside the control plane: started, shown, stopped.

Nothing of its code is used here: it is a program that is run, and a file in which it says where it answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path

from control_plane.bootstrap import process
from control_plane.bootstrap.locks import PidFile
from control_plane.bootstrap.reach import provisioning_host
from control_plane.bootstrap.wiring import Wiring
from control_plane.errors import LabError

READY_S = 20.0
"""Keys and certificates are made at the first start."""
PREFIX = "WIRECHIEF_PROVISIONING_"
_LOOK_AGAIN_S = 0.05


def pid_file(wiring: Wiring) -> PidFile:
    """Which provisioning server serves the state directory."""
    return PidFile(_directory(wiring), "provisioning.pid", "The provisioning server")


def log_file(wiring: Wiring) -> Path:
    """Its log."""
    return _directory(wiring) / "provisioning.log"


def authority(wiring: Wiring) -> tuple[Path, Path] | None:
    """Certificate and key of the authority it made; None where its certificate is from elsewhere."""
    certificate, key = (_directory(wiring) / "tls" / name for name in ("ca.crt", "ca.key"))
    return (certificate, key) if certificate.exists() and key.exists() else None


def _directory(wiring: Wiring) -> Path:
    return wiring.state_dir / "provisioning"


def environment(wiring: Wiring) -> dict[str, str]:
    """Its environment: ours, on the control plane's state directory and, unless told, its address."""
    given = process.environment()
    given.setdefault(f"{PREFIX}HOST", provisioning_host(wiring.settings))
    return given | {f"{PREFIX}STATE_DIR": str(wiring.state_dir)}


def version(wiring: Wiring) -> str:
    """One word that changes with the code and the settings it would run with."""
    settings = {name: value for name, value in environment(wiring).items() if name.startswith(PREFIX)}
    return process.fingerprint(json.dumps(settings, sort_keys=True), "provisioning_server")


def start(wiring: Wiring) -> bool:
    """Makes it run with our code and settings; False when it did. Returns when it answers.

    Raises:
        LabError: it does not start; with the end of its log.
    """
    running = pid_file(wiring)
    wanted = version(wiring)
    if running.running() is not None:
        if running.version() == wanted:
            return False
        process.end(running)
    _directory(wiring).mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "provisioning_server", "--log-to-file", "--version-word", wanted]
    _wait_until_ready(wiring, process.detached(command, log_file(wiring), environment(wiring)))
    return True


def stop(wiring: Wiring) -> bool:
    """Ends it; False when none ran.

    Raises:
        LabError: it does not end, belongs to another user, or runs in a container.
    """
    return process.end(pid_file(wiring))


class Dialect(StrEnum):
    """Whose configuration a snippet is for, as the program names it."""

    DNSMASQ = "dnsmasq"
    ISC = "isc"
    KEA = "kea"


def dhcp_hints(wiring: Wiring, dialect: Dialect, url: str | None, tftp: IPv4Address | None) -> str:
    """What a DHCP server should tell handsets, as the provisioning server's own program says it.

    Raises:
        LabError: its settings or the URL are wrong; its sentence says how.
    """
    command = [sys.executable, "-m", "provisioning_server", "dhcp-hints", "--for", dialect.value]
    command += [] if url is None else [f"--url={url}"]
    command += [] if tftp is None else [f"--tftp={tftp}"]
    done = subprocess.run(
        command,
        env=environment(wiring),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=READY_S,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:]
        raise LabError("".join(last).removeprefix("error: ") or "The provisioning server's program failed.")
    return done.stdout


def _wait_until_ready(wiring: Wiring, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while not pid_file(wiring).url():
        if started.poll() is not None:
            last = process.tail(log_file(wiring)).splitlines()[-1:]
            raise LabError(f"The provisioning server ended at once: {' '.join(last).removeprefix('error: ')}")
        if time.monotonic() > deadline:
            started.terminate()
            raise LabError(
                f"The provisioning server did not answer within {READY_S:g} s: see {log_file(wiring)}."
            )
        time.sleep(_LOOK_AGAIN_S)
