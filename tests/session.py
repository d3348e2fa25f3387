"""A person at a terminal: a lab of its own, and commands in it as they are typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from control_plane.cli.app import execute
from control_plane.settings import Settings
from tests.lab import own_settings

ROOT = Path(__file__).parents[1]
COMMAND_S = 120.0
"""The image is made before, so the longest is a call that nobody takes."""

SIP_LOGS = "sip"
TAIL_LINES = 60
NEWEST_LOGS = 3
_SIP_MESSAGE = re.compile(r"^[^\n]*\b[TR]X \d+ bytes .*?^--end msg--$", re.DOTALL | re.MULTILINE)
_ASIDE = re.compile(r"\b(REGISTER|OPTIONS)/")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Terminal:
    """Runs command lines with a lab's settings, in a directory of its own."""

    settings: Settings
    directory: Path
    environment: Mapping[str, str]

    def type(self, line: str) -> Said:
        """Run a command line as a shell would."""
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.directory,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str) -> Said:
        """Run `wirechief` with these arguments.

        In this process, which saves a second of processor time each, where the command leaves nothing
        behind that outlives it.
        """
        if arguments[:1] == ("serve",) or arguments[:2] == ("lab", "up"):
            return self.type(shlex.join(["wirechief", *arguments]))
        with self._as_environment(), redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            code = execute(arguments)
        return Said(code, out.getvalue(), err.getvalue())

    @contextmanager
    def _as_environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def ok(self, *arguments: str) -> Said:
        """Run `wirechief` and require that it succeeds."""
        said = self.run(*arguments)
        assert said.code == 0, f"wirechief {shlex.join(arguments)}: {said}"
        return said


def terminal_for(settings: Settings, directory: Path) -> Terminal:
    """A terminal where `wirechief` is on the path and the settings are in the environment."""
    programs = directory / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    script = programs / "wirechief"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m control_plane.cli "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHIEF_")}
    environment = inherited | {
        f"WIRECHIEF_{name.upper()}": _as_text(getattr(settings, name)) for name in settings.model_fields_set
    }
    environment["PATH"] = f"{programs}{os.pathsep}{inherited['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    return Terminal(settings, directory, environment)


def _as_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | list | tuple) else str(value)


@contextmanager
def lab_session(directory: Path, **explicit: object) -> Iterator[Terminal]:
    """A lab nobody else uses, not up yet; down when the block ends, whatever happens."""
    settings = own_settings(directory / "state", **explicit)
    terminal = terminal_for(settings, directory)
    try:
        yield terminal
    finally:
        terminal.run("lab", "down")


def with_sip_log(line: str) -> str:
    """A command line as it is typed where `failures_explained`: a real call leaves its SIP messages."""
    return f"{line} --sip-log {SIP_LOGS}" if line.startswith("wirechief call ") else line


@contextmanager
def failures_explained(terminal: Terminal) -> Iterator[None]:
    """What fails in the block says what phones and Asterisk said last, and where all of it is kept.

    That is the terminal's directory: the node's and the carrier's logs, and the SIP logs in SIP_LOGS.
    """
    try:
        yield
    except Exception as exc:
        for name in ("node", "carrier"):
            path = terminal.directory / f"{name}.log"
            with path.open("wb") as log:
                command = ["docker", "logs", f"wirechief-{terminal.settings.instance}-{name}"]
                subprocess.run(command, stdout=log, stderr=log, timeout=COMMAND_S, check=False)
            told = [line for line in _lines(path) if " SECURITY[" not in line]
            exc.add_note(_end(path, told))
        logs = sorted((terminal.directory / SIP_LOGS).glob("*.log"), key=lambda path: path.stat().st_mtime)
        for path in logs[-NEWEST_LOGS:]:
            exc.add_note(_end(path, _sip_messages(path)))
        raise


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()


def _sip_messages(path: Path) -> list[str]:
    """The lines of the messages in a phone's log, those of its calls where it has any.

    The log has much of the library's own between them.
    """
    messages = _SIP_MESSAGE.findall("\n".join(_lines(path)))
    of_calls = [message for message in messages if not _ASIDE.search(message.partition("\n")[0])]
    return [line for message in of_calls or messages for line in message.splitlines() if line]


def _end(path: Path, lines: list[str]) -> str:
    return "\n".join([f"--- the end of {path} ---", *lines[-TAIL_LINES:]])


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a document and the lines shown below it."""

    line: str
    shown: tuple[str, ...]


def typed_in(text: str) -> list[Typed]:
    """The commands of the `console` blocks of `text`, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    typed: list[Typed] = []
    for raw in "".join(blocks).splitlines():
        if raw.startswith("$ "):
            typed.append(Typed(raw[2:], ()))
        else:
            typed[-1] = Typed(typed[-1].line, (*typed[-1].shown, raw))
    return typed


def missing(shown: Iterable[str], printed: Iterable[str]) -> str | None:
    """The first shown line that was not printed after those before it."""
    rest = iter(printed)
    return next((line for line in shown if not any(matches(line, found) for found in rest)), None)


def matches(expected: str, line: str) -> bool:
    """Whether a line of output is what a document shows; `...` stands for anything, blanks for blanks."""
    words = [r"\S+" if word == "..." else _word(word) for word in expected.split()]
    pattern = r"\s+".join(".*" if word == r"\S+" else word for word in words)
    pattern = pattern.replace(r"\s+.*\s+", r"\s.*\s").replace(r"\s+.*", r"\s.*").replace(r".*\s+", r".*")
    return re.fullmatch(rf"\s*{pattern}\s*", line) is not None


def _word(word: str) -> str:
    return ".*".join(re.escape(part) for part in word.split("..."))
