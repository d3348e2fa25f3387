"""Lists from files: how they are read, and how the report of an import is shown."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from control_plane.cli.output import print_json, say, table
from control_plane.errors import InvalidField
from control_plane.service.csv_lists import HasOutcome, ImportReport, LineOutcome


def read_list(file: str) -> str:
    """The text of a file; "-" is standard input. Raises: InvalidField."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as exc:
        raise InvalidField(file, f"cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidField(file, "is not UTF-8 text: save the list as CSV in UTF-8") from None


def print_report(
    report: ImportReport[HasOutcome], lines: Sequence[Mapping[str, Any]], as_json: bool, **more: Any
) -> None:
    """The report as JSON with `more`, or the lines that were not simply added and a count.

    `lines` are those of the report, each with "line", "text", "outcome" and "why".
    """
    outcomes = {outcome.value: report.count(outcome) for outcome in LineOutcome}
    if as_json:
        print_json({"applied": report.applied, **outcomes, "lines": lines, **more})
        return
    odd = [line for line in lines if line["outcome"] != LineOutcome.ADDED.value]
    if odd:
        rows = ((str(x["line"]), x["text"], x["outcome"], x["why"] or "") for x in odd)
        table("", ("line", "text", "outcome", "why"), rows)
    counted = ", ".join(f"{count} {name}" for name, count in outcomes.items())
    say(f"{counted}. {'Saved.' if report.applied else 'Nothing was saved.'}")


def require_taken(report: ImportReport[HasOutcome], dry_run: bool) -> None:
    """End with 1 when a list was kept out by lines that were refused."""
    if report.count(LineOutcome.REFUSED) and not report.applied and not dry_run:
        raise typer.Exit(1)
