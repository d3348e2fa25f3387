"""What commands print: tables and trees for people, JSON for programs, one sentence for an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

MACHINE_WIDTH = 160
"""Columns where the output is no terminal: wide enough that no cell is cut."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def console(*, stderr: bool = False) -> Console:
    """A console for the stream as it is now; tests replace the streams."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else MACHINE_WIDTH, highlight=False)


def say(text: str) -> None:
    """One line for a person; nothing in it is taken for markup."""
    console().print(Text(text), soft_wrap=True)


def progress(text: str) -> None:
    """One line of progress, on stderr so that output stays clean."""
    console(stderr=True).print(Text(text, style="dim"), soft_wrap=True)


def complain(text: str) -> None:
    """The one sentence of an error, on stderr."""
    line = Text("error: ", style="bold red")
    console(stderr=True).print(line.append(text, style="default"), soft_wrap=True)


def print_json(value: object) -> None:
    """`value` as indented JSON on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, none: str = "") -> None:
    """A table; cells are plain text. `none` is said instead where there is no row."""
    rows = list(rows)
    if none and not rows:
        say(none)
        return
    made = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console().print(made)


def facts(title: str, values: Mapping[str, str]) -> None:
    """Names and values, one a line."""
    made = Table(title=title or None, title_justify="left", show_header=False, box=None, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in values.items():
        made.add_row(name, Text(value))
    console().print(made)


def yes_no(value: bool) -> str:
    return "yes" if value else "no"
