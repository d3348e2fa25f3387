"""What holds for every command: help for each option, JSON from whatever is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from control_plane.cli.app import whole

READING = ("List ", "Show ", "Print ")
LIVE = {"lab log"}
"""Goes on until it is stopped."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, nested in command.commands.items():
            yield from commands(nested, (*path, name))
    else:
        yield " ".join(path), command


ALL = dict(commands(whole()))


def test_every_reading_command_has_json() -> None:
    reading = {name: c for name, c in ALL.items() if c.help.startswith(READING) and name not in LIVE}
    assert len(reading) > 20
    assert [n for n, c in reading.items() if "--json" not in {o for p in c.params for o in p.opts}] == []


def test_every_list_and_show_is_a_reading_command() -> None:
    named = {
        name for name in ALL if name.split()[-1] in ("list", "show", "status") or name.startswith("show ")
    }
    assert [name for name in named if not ALL[name].help.startswith(READING)] == []


def test_every_command_and_every_option_says_what_it_is() -> None:
    assert [name for name, command in ALL.items() if not command.help] == []
    silent = [(n, p.name) for n, c in ALL.items() for p in c.params if not p.help and p.name != "help"]
    assert silent == []
