"""The command `wirechief`: its groups, its version, and what becomes of an error."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, TypeVar

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from control_plane.cli.commands import COMMANDS
from control_plane.cli.output import complain, say
from control_plane.errors import ControlPlaneError, UnknownEntity, Unreachable

T = TypeVar("T")


class _Commands(TyperGroup):
    """Lists every command without importing any; imports the modules of the one that is called.

    The one place where something is imported late: together the commands need a second of processor time,
    which neither help nor completion nor another command has to spend.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        known = self.commands
        self.commands = {
            name: known.get(name) or TyperCommand(name, help=listed.says) for name, listed in COMMANDS.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command `args` call; its modules are imported by now."""
        if args[0] in COMMANDS:
            _import(args[0])
            self.commands = typer.main.get_group(app).commands
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="wirechief",
    cls=_Commands,
    help="Control plane for Asterisk: one model, planned changes, pushed without a reload, proven by calls.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def group(name: str) -> typer.Typer:
    """The group of commands that is listed by this name, ready to take its commands."""
    made = typer.Typer(no_args_is_help=True, help=COMMANDS[name].says)
    app.add_typer(made, name=name)
    return made


def _import(name: str) -> None:
    for module in COMMANDS[name].modules:
        import_module(f"control_plane.cli.{module}")


def whole() -> TyperGroup:
    """The command with all its commands in earnest, for who describes or checks them."""
    for name in COMMANDS:
        _import(name)
    return typer.main.get_group(app)


def program_version() -> str:
    """The installed version; "unknown" when run from a tree that is not installed."""
    try:
        return version("wirechief")
    except PackageNotFoundError:
        return "unknown"


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"wirechief {program_version()}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Settings come from the environment (WIRECHIEF_...); docs/settings.md lists them."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs the asynchronous part of a command."""
    return asyncio.run(work)


def main() -> None:
    """The entry point: runs one command and exits with its code; an error is one sentence and exit 1."""
    # What a command reports it prints; the log is for the control plane process.
    logging.basicConfig(level=logging.CRITICAL)
    sys.exit(execute(sys.argv[1:]))


LISTED_BY = {
    "account": "account list",
    "call group": "show groups",
    "extension": "show extensions",
    "handset": "handset list",
    "handset model": "handset models",
    "main number": "show main-numbers",
    "number": "number list",
    "organisation": "organisation list",
    "person": "person list",
    "site": "site list",
    "task": "task list",
    "token": "token list",
    "trunk": "trunk list",
    "voice service": "service list",
}
"""The command that says what there is of a kind."""


def sentence_of(error: ControlPlaneError) -> str:
    """What an error says to a person at the command line, with the remedy where the error itself has none."""
    if isinstance(error, Unreachable) and "wirechief" not in str(error):
        return f"{error} 'wirechief lab status' says what runs; 'wirechief lab up' starts what does not."
    if isinstance(error, UnknownEntity) and error.kind in LISTED_BY:
        return f"{error} 'wirechief {LISTED_BY[error.kind]}' says what there is."
    return str(error)


def execute(arguments: Sequence[str]) -> int:
    """Runs one command; its exit code."""
    try:
        code = app(list(arguments), prog_name="wirechief", standalone_mode=False)
    except ControlPlaneError as exc:
        complain(sentence_of(exc))
        return 1
    except TyperException as exc:
        # Some rules come through pydantic, which says so.
        message = getattr(exc, "format_message", exc.__str__)().replace(": Value error, ", ": ")
        if message:
            complain(f"{message} ('wirechief --help' and 'wirechief COMMAND --help' say what is possible.)")
        return 1
    except KeyboardInterrupt:
        return 130
    return code if isinstance(code, int) else 0
