"""A real Linphone without a screen: fetches its configuration, registers, calls, plays and records files."""

from __future__ import annotations

import array
import math
import os
import pty
import shutil
import struct
import subprocess
import time
import wave
from collections.abc import Callable
from pathlib import Path

from control_plane.adapters.phones.tones import is_heard

PROGRAM = "linphonec"
PACKAGE = "linphone-cli"
READY_S = 20.0
_INSTALL_S = 300.0
_LOOK_AGAIN_S = 0.02
_RATE = 8000
_WAV_HEADER = 44
_TAIL = 2400
"""Samples."""


def why_not() -> str:
    """What keeps a Linphone from running here; "": nothing. Installs one where that is ours to do."""
    if shutil.which(PROGRAM) is not None:
        return ""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"{PROGRAM} is not installed: 'sudo apt-get install {PACKAGE}' on a Debian that has it"
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE]):
        quiet, command = subprocess.DEVNULL, ["apt-get", *arguments]
        subprocess.run(command, env=env, stdout=quiet, stderr=quiet, check=False, timeout=_INSTALL_S)
    if shutil.which(PROGRAM) is not None:
        return ""
    return f"apt-get has no {PACKAGE} here: it is in Debian 12"


def write_tone(path: Path, hz: float, seconds: float) -> None:
    """A WAV file with a sine, 8 kHz and 16 bits."""
    samples = (round(8000 * math.sin(2 * math.pi * hz * n / _RATE)) for n in range(int(seconds * _RATE)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))


class Linphone:
    """One installation, in a home of its own; `authority` is the one it trusts.

    It answers calls by itself. What it says on its console is `said`.
    """

    def __init__(self, home: Path, authority: Path, address: str) -> None:
        self._home = home
        self._configuration = home / "linphonerc"
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._keyboard = -1
        self.recording = home / "heard.wav"
        # Without these the core never starts, and does not say so (5.1.65).
        for folder in (".local/share/linphone", ".config/linphone"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(
            f"[sip]\nroot_ca={authority}\n\n[misc]\nconfig-uri={address}\n\n[net]\nmtu=1300\n"
        )

    @property
    def configuration(self) -> str:
        """What it has stored for its next start."""
        return self._configuration.read_text()

    @property
    def said(self) -> str:
        """Its console, since the last start."""
        return (self._home / f"console-{self._starts}").read_text(errors="replace")

    @property
    def log(self) -> str:
        """Its log, since the last start."""
        path = self._home / f"log-{self._starts}"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start it; it fetches, and registers by what it got."""
        self._starts += 1
        # At a terminal it goes on between two commands, at a pipe it waits for the next one.
        self._keyboard, console_end = pty.openpty()
        with (self._home / f"console-{self._starts}").open("wb") as console:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    "-a",
                    "-c",
                    str(self._configuration),
                    "-d",
                    "6",
                    "-l",
                    str(self._home / f"log-{self._starts}"),
                ],
                stdin=console_end,
                stdout=console,
                stderr=console,
                env=os.environ | {"HOME": str(self._home)},
                cwd=self._home,
            )
        os.close(console_end)

    def speak(self, tone: Path) -> None:
        """Files for microphone and loudspeaker; it forgets them when it takes in a configuration."""
        self.tell("soundcard use files")
        self.tell(f"play {tone}")
        self.tell(f"record {self.recording}")

    def hears(self, hz: float) -> bool:
        """Whether the end of its recording is this tone; the file is being written."""
        samples = array.array("h")
        data = self.recording.read_bytes()[_WAV_HEADER:] if self.recording.exists() else b""
        samples.frombytes(data[: len(data) // 2 * 2])
        return len(samples) > _TAIL and is_heard(samples[-_TAIL:], _RATE, hz)

    def tell(self, command: str) -> None:
        """Type a command."""
        os.write(self._keyboard, f"{command}\n".encode())

    def until(
        self, condition: Callable[[], bool], what: str, poll: Callable[[], None] = lambda: None
    ) -> None:
        """Return once `condition` holds; `poll` keeps others going meanwhile."""
        deadline = time.monotonic() + READY_S
        while not condition():
            assert self._process is not None and self._process.poll() is None, f"it ended: {self.said}"
            assert time.monotonic() < deadline, f"not within {READY_S:g} s: {what}\n{self.said[-3000:]}"
            poll()
            time.sleep(_LOOK_AGAIN_S)

    def stop(self) -> None:
        """Quit, so that it stores its configuration; killed when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self.tell("quit")
        try:
            self._process.wait(READY_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._keyboard)
