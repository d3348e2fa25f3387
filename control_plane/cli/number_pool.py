"""`wirechief number add`, `add-range`, `import` and `remove`: the pool of a site."""

from __future__ import annotations

from typing import Annotated

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import run
from control_plane.cli.applying import apply_change
from control_plane.cli.lists import print_report, read_list, require_taken
from control_plane.cli.numbers import NumberArgument, change_number, number_app
from control_plane.cli.options import SiteOption
from control_plane.cli.output import JsonOption, say
from control_plane.cli.references import outside_number, site_named
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.service import pool
from control_plane.service.numbers import create_number, delete_number
from control_plane.service.writing import Saved
from control_plane.store import SqlStore


@number_app.command("add")
def number_add(
    number: NumberArgument,
    site: SiteOption = None,
    main: Annotated[bool, typer.Option("--main", help="Nominate it as a main number.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a number the carrier has provisioned into the pool of a site."""

    async def step(store: SqlStore, e164: str) -> Saved[PhoneNumber]:
        where = site_named((await store.snapshot()).model, site)
        return await create_number(store, by(), {"e164": e164, "site": where, "main": main})

    change_number(number, step, as_json=as_json)


@number_app.command("add-range")
def number_add_range(first: NumberArgument, last: NumberArgument, site: SiteOption = None) -> None:
    """Put every number from FIRST to LAST into the pool of a site, or none."""
    made, where = run(_add_range(wire(), first, last, site))
    say(f"Added {len(made)} numbers to the pool of {where}: {made[0].e164} to {made[-1].e164}.")


async def _add_range(
    wiring: Wiring, first: str, last: str, site: str | None
) -> tuple[tuple[PhoneNumber, ...], str]:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        where = site_named(model, site)
        ends = (outside_number(model, first), outside_number(model, last))
        return await pool.add_range(store, by(), where, *ends), where


@number_app.command("import")
def number_import(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV, one number a line; - for standard input.")
    ],
    site: SiteOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Add the good lines although others are refused.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a list of numbers into the pool of a site, with a report of each line that is not simply added."""
    report = run(_import(wire(), read_list(file), site, dry_run=dry_run, partial=partial))
    lines = [
        {"line": x.line, "text": x.text, "outcome": x.outcome.value, "number": x.number, "why": x.why}
        for x in report.lines
    ]
    print_report(report, lines, as_json)
    require_taken(report, dry_run)


async def _import(
    wiring: Wiring, text: str, site: str | None, *, dry_run: bool, partial: bool
) -> pool.NumberReport:
    async with wiring.store() as store:
        where = site_named((await store.snapshot()).model, site)
        return await pool.import_numbers(store, by(), where, text, dry_run=dry_run, partial=partial)


@number_app.command("remove")
def number_remove(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take a number that belongs to nobody out of the pool."""

    async def change(store: SqlStore, model: Model) -> None:
        await delete_number(store, by(), outside_number(model, number))

    apply_change(change, as_json)
