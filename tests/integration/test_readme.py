"""The README's first session, typed word by word: every command runs and prints what the README shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.session import ROOT, Terminal, failures_explained, lab_session, missing, typed_in, with_sip_log

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

DRIFT_FOUND = 2


@pytest.fixture
def terminal(asterisk_image: str, tmp_path: Path) -> Iterator[Terminal]:
    with lab_session(tmp_path, asterisk_image=asterisk_image) as terminal:
        yield terminal


def test_the_first_session_can_be_followed_word_by_word(terminal: Terminal) -> None:
    typed = typed_in((ROOT / "README.md").read_text())
    assert len(typed) > 15
    terminal.ok("lab", "up")  # `make run` without following the log
    with failures_explained(terminal):
        for command in typed:
            # The README's lab has the default name; this one has its own.
            line = command.line.replace("wirechief-lab-node", f"wirechief-{terminal.settings.instance}-node")
            said = terminal.type(with_sip_log(line))
            expected = DRIFT_FOUND if line == "wirechief drift" else 0
            assert said.code == expected, f"$ {line}\n{said.out}{said.err}"
            lost = missing(command.shown, said.out.splitlines())
            assert lost is None, f"$ {line}\ndid not print: {lost}\nbut:\n{said.out}{said.err}"
