"""`wirechief number list`: the numbers that are looked for, for people, as JSON or as CSV (R38-R45)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import run
from control_plane.cli.numbers import number_app, number_as_dict, status_text, warnings_text
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.domain.entities import NumberStatus
from control_plane.domain.model import Model
from control_plane.errors import InvalidField
from control_plane.plan.tasks import Subject
from control_plane.service.number_export import csv_pieces
from control_plane.service.number_index import NumberIndex
from control_plane.service.number_list import (
    Assigned,
    NumberPage,
    NumberRow,
    Order,
    Query,
    exported,
    page,
    rows,
)
from control_plane.service.rules import require_search_enabled
from control_plane.service.tasks import in_progress

LIMIT = 100
_COLUMNS = ("number", "status", "organisation", "site", "extension", "assignment", "devices", "warnings")

Moving = frozenset[Subject]


@number_app.command("list")
def number_list(
    site: Annotated[str | None, typer.Option("--site", help="Only numbers of this site.")] = None,
    org: Annotated[str | None, typer.Option("--org", help="Only numbers of this organisation.")] = None,
    status: Annotated[
        NumberStatus | None, typer.Option("--status", help="Only numbers of this status.")
    ] = None,
    assignment: Annotated[
        Assigned, typer.Option("--assignment", help="Only numbers assigned to a person, or to nobody.")
    ] = Assigned.ALL,
    search: Annotated[
        str, typer.Option("--search", help="Part of a number, in any notation: 020 7183, +44 20, 8750.")
    ] = "",
    order: Annotated[Order, typer.Option("--order", help="What the list is ordered by.")] = Order.NUMBER,
    descending: Annotated[bool, typer.Option("--descending", help="The last first.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = LIMIT,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the whole list to this file, main numbers first.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List numbers; what is asked for is combined."""
    query = Query(org, site, status, assignment, None, search, order, descending)
    if csv is not None:
        count = run(_export(wire(), query, csv))
        say(f"{count} numbers written to {csv}.")
        return
    found, shown = run(_listed(wire(), query, limit))
    if as_json:
        print_json([_as_dict(row) for row in shown])
        return
    table("", _COLUMNS, map(_row, shown), none="No such number.")
    say(_summary(found, len(shown)))


async def _look(wiring: Wiring, query: Query) -> tuple[Model, NumberIndex, Moving]:
    async with wiring.store() as store:
        index = NumberIndex(store)
        model = await index.follow()
        require_search_enabled(model, query.org, query.search)
        return model, index, await in_progress(store, {})


async def _listed(wiring: Wiring, query: Query, limit: int) -> tuple[NumberPage, list[NumberRow]]:
    model, index, moving = await _look(wiring, query)
    found = page(index.entries(query.org), query, limit=limit, after=None)
    return found, list(rows(model, found.numbers, moving))


async def _export(wiring: Wiring, query: Query, path: Path) -> int:
    model, index, moving = await _look(wiring, query)
    numbers = exported(index.entries(query.org), query)
    _write(path, csv_pieces(rows(model, numbers, moving)))
    return len(numbers)


def _write(path: Path, pieces: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
    except OSError as exc:
        raise InvalidField("--csv", f"{path} cannot be written: {exc.strerror}") from None


def _as_dict(row: NumberRow) -> dict[str, Any]:
    return {
        **number_as_dict(row.number),
        "devices": list(row.devices),
        "warnings": [warning.value for warning in row.warnings],
    }


def _row(row: NumberRow) -> tuple[str, ...]:
    number = row.number
    return (
        f"{number.e164}{' (main)' if number.main else ''}",
        status_text(number),
        number.org or "",
        number.site,
        number.extension or "",
        row.assignment.text if number.org else "",
        ", ".join(row.devices),
        warnings_text(row.warnings),
    )


def _summary(found: NumberPage, shown: int) -> str:
    counts = [f"{found.statuses[s]} {s.value.upper()}" for s in NumberStatus if found.statuses.get(s)]
    more = f"The first {shown} of {found.count}; --limit and --csv show more. " if shown < found.count else ""
    return f"{more}Statuses without filters: {', '.join(counts) or 'none'}."
