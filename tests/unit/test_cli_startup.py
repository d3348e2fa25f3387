"""What a command imports before it starts: only what it needs, and help and completion next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory

from control_plane.cli.app import whole
from control_plane.cli.commands import COMMANDS
from control_plane.store.migrate import known_schemas
from control_plane.store.upgrade import migrations
from tests.databases import migrated_file
from tests.documents import ROOT

WEB = {"fastapi", "starlette", "uvicorn", "control_plane.api.app"}
LIGHT = {"control_plane", "control_plane.errors", "control_plane.cli"} | {
    f"control_plane.cli.{name}" for name in ("app", "commands", "output")
}
"""Of the control plane, what names a command and says what is wrong with it."""

_PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
"""


def run(work: str, **environment: str) -> tuple[str, set[str]]:
    """What a new interpreter writes that does `work`, and the modules it has imported by its end."""
    told = subprocess.run(
        [sys.executable, "-c", _PROGRAM + work],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return told.stdout, set(json.loads(told.stderr.splitlines()[-1]))


def ours(imported: set[str]) -> set[str]:
    return {name for name in imported if name.partition(".")[0] == "control_plane"}


def command(*arguments: str) -> str:
    return f"from control_plane.cli.app import execute; execute({list(arguments)!r})"


def test_help_lists_every_command_and_imports_none() -> None:
    written, imported = run(command("--help"), COLUMNS="200")
    missing = [n for n, listed in COMMANDS.items() if f"│ {n} " not in written or listed.says not in written]
    assert missing == []
    assert ours(imported) == LIGHT
    assert imported & {"sqlalchemy", "alembic", "panoramisk"} == set()


def test_completion_of_a_command_imports_none() -> None:
    asked = {"_WIRECHIEF_COMPLETE": "complete_bash", "COMP_WORDS": "wirechief or", "COMP_CWORD": "1"}
    written, imported = run(command(), **asked)
    assert written.split() == ["organisation"]
    assert ours(imported) == LIGHT
    assert imported & {"sqlalchemy", "alembic", "panoramisk"} == set()


def test_completion_within_a_group_knows_its_commands() -> None:
    asked = {"_WIRECHIEF_COMPLETE": "complete_bash", "COMP_WORDS": "wirechief number all", "COMP_CWORD": "2"}
    assert run(command(), **asked)[0].split() == ["allocate"]


def test_no_command_waits_for_the_web_framework_to_be_imported() -> None:
    """It took a third of the time of every command; only the control plane's process needs it."""
    imported = run("from control_plane.cli.app import whole; whole()")[1]
    assert "control_plane.cli.trunks" in imported
    assert imported & WEB == set()


def test_who_only_asks_the_control_plane_imports_no_database() -> None:
    imported = run("import control_plane.cli.calls, control_plane.cli.security")[1]
    assert imported & {"sqlalchemy", "alembic", "panoramisk"} == set()


def test_a_database_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    program = (
        "import asyncio\n"
        "from control_plane.adapters.clock import SystemClock\n"
        "from control_plane.store import open_store\n"
        "async def read():\n"
        f"    store = await open_store({str(migrated_file(tmp_path / 'w.db'))!r}, SystemClock())\n"
        "    print(await store.revision())\n"
        "    await store.close()\n"
        "asyncio.run(read())"
    )
    written, imported = run(program)
    assert (written.split(), "sqlalchemy" in imported, "alembic" in imported) == (["0"], True, False)


def test_the_schemas_known_by_name_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(migrations())
    assert known_schemas() == tuple(sorted(script.revision for script in scripts.walk_revisions()))
    assert known_schemas()[-1] == scripts.get_current_head()


def test_what_is_listed_is_what_there_is_in_the_words_of_each() -> None:
    real: Mapping[str, Any] = whole().commands
    assert list(real) == list(COMMANDS)
    first = {name: command.help.partition("\n\n")[0].replace("\n", " ") for name, command in real.items()}
    assert first == {name: listed.says for name, listed in COMMANDS.items()}


def test_the_modules_listed_are_those_that_hold_the_command() -> None:
    """So a group is the same whichever other commands were imported."""
    for name, command in whole().commands.items():
        parts = getattr(command, "commands", {name: command}).values()
        held = {part.callback.__module__.removeprefix("control_plane.cli.") for part in parts}
        assert (name, held) == (name, set(COMMANDS[name].modules))
