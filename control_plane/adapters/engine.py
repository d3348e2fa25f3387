"""The container engine, by its command line, and one Asterisk in a container.

Knows nothing of which Asterisks a lab has. Blocking: call it from a thread where an event loop runs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from control_plane.errors import LabError

ASTERISK_UID = 5060  # fixed in the image, see docker/asterisk/Dockerfile
_OPEN_FILES = 65536  # a call takes 10 file descriptors
_COMMAND_S = 60.0
_STOP_S = 10  # Asterisk ends calls and commits AstDB well within this
_MOUNTS = {
    "etc": "/etc/asterisk",
    "db": "/var/lib/asterisk/db",
    "spool": "/var/spool/asterisk",
    "log": "/var/log/asterisk",
}
_LABEL = "wirechief.start"
_PREFIX = "bootstrap: "


class ContainerState(StrEnum):
    """Whether an Asterisk's container is there and runs."""

    ABSENT = "absent"
    STOPPED = "stopped"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and port an Asterisk must be able to take, and the setting that changes it."""

    address: str
    port: int
    protocol: str  # "UDP" or "TCP"
    setting: str
    address_setting: str


@dataclass(frozen=True, slots=True)
class AsteriskContainer:
    """What is needed to run one Asterisk: its files, mounted directories and listeners."""

    name: str
    image: str
    directory: Path
    files: Mapping[str, str]
    seeded: frozenset[str]
    listeners: Sequence[Listener]
    environment: Mapping[str, str]


def docker(*arguments: str) -> str:
    """What the engine prints for one command.

    Raises:
        LabError: there is no engine, it does not answer, or it refuses; with the engine's own reason.
    """
    if shutil.which("docker") is None:
        raise LabError("There is no container engine on this machine: run docker/bootstrap once as root.")
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise LabError(
            f"The container engine did not answer within {_COMMAND_S:g} s: restart it and try again."
        ) from exc
    if done.returncode != 0:
        raise _refusal(arguments, done.stderr)
    return done.stdout.strip()


def _refusal(arguments: Sequence[str], stderr: str) -> LabError:
    reason = stderr.strip().splitlines()[0] if stderr.strip() else "no reason given"
    if "Cannot connect to the Docker daemon" in stderr:
        return LabError("The container engine is not running: run docker/bootstrap as root to start it.")
    if "No such image" in stderr:
        return LabError(
            f"The image {arguments[-1]} is not on this machine: build it with docker/bootstrap, "
            "or set WIRECHIEF_ASTERISK_IMAGE to one that is."
        )
    if "permission denied" in stderr:
        return LabError(
            "This user may not talk to the container engine: run as root, or join the group docker."
        )
    return LabError(f"The container engine refused '{arguments[0]}': {reason}")


def image_name(bootstrap: Path) -> str:
    """The name the Asterisk image of this source tree has or would get; builds nothing, needs no engine."""
    _require_clone(bootstrap)
    done = subprocess.run([str(bootstrap), "--image"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(_sentence(done.stderr))
    return done.stdout.strip()


def make_image(bootstrap: Path, report: Callable[[str], None]) -> str:
    """The name of the Asterisk image, after making the machine ready for it; progress goes to `report`.

    Raises:
        LabError: the machine cannot be made ready; the sentence names the remedy.
    """
    _require_clone(bootstrap)
    last = "docker/bootstrap failed."
    with subprocess.Popen(
        [str(bootstrap)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        output, errors = process.stdout, process.stderr
        for line in errors or ():
            last = line
            report(line.strip().removeprefix(_PREFIX))
        image = output.read().split() if output else []
    if process.returncode != 0 or not image:
        raise LabError(_sentence(last))
    return image[-1]


def _require_clone(bootstrap: Path) -> None:
    if not bootstrap.exists():
        raise LabError(
            "The Asterisk image can only be built from a clone of wirechief: "
            "run docker/bootstrap there and set WIRECHIEF_ASTERISK_IMAGE to the name it prints."
        )


def _sentence(text: str) -> str:
    lines = text.strip().splitlines() or ["docker/bootstrap failed."]
    sentence = lines[-1].removeprefix(_PREFIX)
    return sentence[:1].upper() + sentence[1:]


def container_state(name: str) -> ContainerState:
    """Whether the container exists and runs; raises LabError without an engine."""
    states = docker("ps", "--all", "--filter", f"name=^/{name}$", "--format", "{{.State}}")
    if not states:
        return ContainerState.ABSENT
    return ContainerState.RUNNING if states == "running" else ContainerState.STOPPED


def start_digests(container: AsteriskContainer) -> dict[str, str]:
    """What a container is started from -> digest; a difference means it needs a restart to take it up."""
    parts = {name: text for name, text in container.files.items() if name not in container.seeded}
    parts["the image"] = container.image
    parts["the environment"] = json.dumps(dict(container.environment), sort_keys=True)
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in sorted(parts.items())}


def changed_since_start(container: AsteriskContainer) -> tuple[str, ...]:
    """What differs from the running container's start: names of files, "the image", "the environment"."""
    label = docker("inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', container.name)
    then: dict[str, str] = json.loads(label or "{}")
    now = start_digests(container)
    return tuple(sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)))


def create(container: AsteriskContainer) -> None:
    """Writes the files and starts the container; returns before Asterisk has booted.

    Raises:
        LabError: a port is taken, an address is not this machine's, or the engine refuses.
    """
    for listener in container.listeners:
        require_free(listener)
    write_files(container)
    try:
        _run(container, ("--ulimit", f"nofile={_OPEN_FILES}:{_OPEN_FILES}"))
    except LabError as exc:
        if "rlimit" not in str(exc):
            raise
        # An engine without CAP_SYS_RESOURCE: its own limit is the most there is.
        remove(container.name)
        _run(container, ())


def _run(container: AsteriskContainer, limits: Sequence[str]) -> None:
    owner = f"uid={_owner()},gid={_owner_group()}"
    mounts = [f"--volume={container.directory / name}:{target}" for name, target in _MOUNTS.items()]
    docker(
        "run",
        "--detach",
        "--pull=never",
        f"--name={container.name}",
        f"--label={_LABEL}={json.dumps(start_digests(container))}",
        "--network=host",
        "--init",
        "--restart=on-failure:5",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--user={_owner()}:{_owner_group()}",
        "--tmpfs=/tmp",
        f"--tmpfs=/run/asterisk:{owner},mode=0750",
        "--log-opt=max-size=10m",
        "--log-opt=max-file=3",
        *limits,
        *(f"--env={name}={value}" for name, value in container.environment.items()),
        *mounts,
        container.image,
    )


def _owner() -> int:
    """Asterisk never runs as root: a user runs it as themselves, root as the image's own user."""
    return os.getuid() or ASTERISK_UID


def _owner_group() -> int:
    return os.getgid() or ASTERISK_UID


def write_files(container: AsteriskContainer) -> tuple[str, ...]:
    """Makes the mounted directories hold the container's files; returns the names written.

    Seeded files are written when absent and never again. Everything is for Asterisk's user alone.

    Raises:
        LabError: the directory cannot be written.
    """
    written = []
    try:
        for name in _MOUNTS:
            _own(container.directory / name, 0o700, make=True)
        for name, text in container.files.items():
            path = container.directory / "etc" / name
            if path.exists() and (name in container.seeded or path.read_text() == text):
                continue
            path.touch(mode=0o600)
            path.write_text(text)
            _own(path, 0o600)
            written.append(name)
    except OSError as exc:
        raise _unwritable(exc) from exc
    return tuple(written)


def seed_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Makes these files of Asterisk's in a directory, unless one of them is there: then none is touched.

    Raises:
        LabError: the directory cannot be written.
    """
    if any((directory / name).exists() for name in files):
        return
    try:
        _own(directory, 0o700, make=True)
        for name, content in files.items():
            path = directory / name
            path.touch(mode=0o600)
            path.write_bytes(content)
            _own(path, 0o600)
    except OSError as exc:
        raise _unwritable(exc) from exc


def _unwritable(exc: OSError) -> LabError:
    return LabError(
        f"{exc.filename} cannot be written ({exc.strerror}): "
        "set WIRECHIEF_STATE_DIR to a directory you may write."
    )


def _own(path: Path, mode: int, *, make: bool = False) -> None:
    if make:
        path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    if os.getuid() == 0:
        os.chown(path, ASTERISK_UID, ASTERISK_UID)


def require_free(listener: Listener) -> None:
    """Raises LabError, with the setting that mends it, when the address and port cannot be taken."""
    kind = socket.SOCK_DGRAM if listener.protocol == "UDP" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if listener.protocol == "TCP":
            # As Asterisk does: connections of a former run that linger do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.address, listener.port))
            if listener.protocol == "TCP":
                probe.listen(1)
        except OSError as exc:
            raise LabError(_why_not(listener, exc)) from exc


def _why_not(listener: Listener, exc: OSError) -> str:
    where = f"{listener.address} port {listener.port} ({listener.protocol})"
    setting, address_setting = f"WIRECHIEF_{listener.setting}", f"WIRECHIEF_{listener.address_setting}"
    match exc.errno:
        case errno.EADDRINUSE:
            return f"{where} is taken by another program: stop that, or set {setting} to another port."
        case errno.EADDRNOTAVAIL:
            return f"{listener.address} is no address of this machine: set {address_setting} to one that is."
        case errno.EACCES:
            return f"{where} needs root: run as root, or set {setting} to 1024 or above."
        case _:
            return f"{where} cannot be used ({exc.strerror}): set {setting} to another port."


def remove(name: str) -> None:
    """Stops and removes a container, calls included; no error when there is none."""
    if container_state(name) is ContainerState.RUNNING:
        docker("stop", "--time", str(_STOP_S), name)
    if container_state(name) is not ContainerState.ABSENT:
        docker("rm", "--force", name)


def log_tail(name: str, lines: int = 5) -> str:
    """The last lines the container printed, for the person who must find out why it failed."""
    done = subprocess.run(
        ["docker", "logs", "--tail", str(lines), name],
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    return (done.stdout + done.stderr).strip()
