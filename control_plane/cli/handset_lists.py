"""`wirechief handset import`: handsets from a list."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.handsets import handset_app, only
from control_plane.cli.lists import print_report, read_list, require_taken
from control_plane.cli.output import JsonOption
from control_plane.service.handset_import import HandsetReport, import_handsets


@handset_app.command("import")
def handset_import(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="CSV with mac,model,site,label,extension; - for standard input."),
    ],
    org: Annotated[
        str | None, typer.Option("--org", help="Organisation; not needed where there is one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Set up the good lines although others are refused.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Set up the handsets of a list, with a report of each line that is not simply added."""
    wiring = wire()
    report, revision = run(_import(wiring, read_list(file), org, dry_run=dry_run, partial=partial))
    force = await_force(wiring, revision) if report.applied else {}
    lines = [asdict(line) | {"outcome": line.outcome.value} for line in report.lines]
    print_report(report, lines, as_json, **force)
    if force and not as_json:
        say_force(revision, force)
    require_taken(report, dry_run)


async def _import(
    wiring: Wiring, text: str, org: str | None, *, dry_run: bool, partial: bool
) -> tuple[HandsetReport, int]:
    async with wiring.store() as store:
        where = only(org, (await store.snapshot()).model.organisations, "--org")
        report = await import_handsets(store, by(), where, text, dry_run=dry_run, partial=partial)
        return report, await store.revision()
