"""The command line of a machine with the demo in its database and no node behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_plane.cli.app import execute


class Machine:
    """A state directory with the demo, and its command line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""

    def ok(self, *arguments: str) -> str:
        assert execute(arguments) == 0, self._capsys.readouterr().err
        return self._capsys.readouterr().out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output, for commands whose code is an answer; `said` is what was said beside it."""
        code = execute(arguments)
        out, self.said = self._capsys.readouterr()
        return code, out

    def refused(self, *arguments: str) -> str:
        """The one sentence that says why."""
        assert execute(arguments) == 1
        said = self._capsys.readouterr()
        assert said.err.startswith("error: ")
        assert len(said.err.strip().splitlines()) == 1
        return said.err
