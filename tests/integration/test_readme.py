"""The README's first session, typed word by word: every command runs and prints what the README shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.session import ROOT, Terminal, lab_session, matches

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

DRIFT_FOUND = 2


@dataclass(frozen=True)
class Typed:
    """One command of the README and the lines shown below it."""

    line: str
    shown: tuple[str, ...]


def session() -> list[Typed]:
    """The commands of the README's `console` blocks, in order."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    typed: list[Typed] = []
    for raw in "".join(blocks).splitlines():
        if raw.startswith("$ "):
            typed.append(Typed(raw[2:], ()))
        else:
            typed[-1] = Typed(typed[-1].line, (*typed[-1].shown, raw))
    return typed


@pytest.fixture
def terminal(asterisk_image: str, tmp_path: Path) -> Iterator[Terminal]:
    with lab_session(tmp_path, asterisk_image=asterisk_image) as terminal:
        yield terminal


def missing(shown: tuple[str, ...], printed: list[str]) -> str | None:
    """The first shown line that was not printed after those before it."""
    rest = iter(printed)
    return next((line for line in shown if not any(matches(line, found) for found in rest)), None)


def test_the_first_session_can_be_followed_word_by_word(terminal: Terminal) -> None:
    typed = session()
    assert len(typed) > 15
    terminal.ok("lab", "up")  # `make run` without following the log
    for command in typed:
        # The README's lab has the default name; this one has its own.
        line = command.line.replace("wirechief-lab-node", f"wirechief-{terminal.settings.instance}-node")
        said = terminal.type(line)
        expected = DRIFT_FOUND if line == "wirechief drift" else 0
        assert said.code == expected, f"$ {line}\n{said.out}{said.err}"
        lost = missing(command.shown, said.out.splitlines())
        assert lost is None, f"$ {line}\ndid not print: {lost}\nbut:\n{said.out}{said.err}"
