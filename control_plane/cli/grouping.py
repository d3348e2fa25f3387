"""`wirechief group ...`, `main-number ...`, and their `show` and `set`: call groups and main numbers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change
from control_plane.cli.assignments import parse
from control_plane.cli.changing import set_app
from control_plane.cli.options import DryRunOption, FittingOrgOption, FittingSiteOption
from control_plane.cli.output import JsonOption, facts, print_json, say, table
from control_plane.cli.previewing import preview_change
from control_plane.cli.references import group_id, place_id
from control_plane.cli.showing import show_app
from control_plane.domain.entities import Entity
from control_plane.domain.groups import CallGroup, Destination, MainNumber, Strategy
from control_plane.domain.model import Model
from control_plane.service import groups, main_numbers
from control_plane.service.preview import preview_group, preview_main_number
from control_plane.store import SqlStore

group_app = group("group")
main_app = group("main-number")

GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="A call group: 300, or acme/300.")]
Assignments = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME=VALUE...",
        help="Such as in_hours.kind=group in_hours.target=300 hours='mon-fri 09:00-17:30'.",
    ),
]
MAIN_FIXED = ("org", "site")


# --- call groups


@show_app.command("groups")
def show_groups(as_json: JsonOption = False) -> None:
    """List all call groups."""
    model = run(read_model(wire()))
    found = [model.call_groups[ident] for ident in sorted(model.call_groups)]
    if as_json:
        print_json([group.model_dump(mode="json") for group in found])
        return
    columns = ("group", "label", "strategy", "members", "otherwise")
    rows = (_group_row(group) for group in found)
    table("", columns, rows, none="No call group: 'wirechief group add' makes one.")


def _group_row(group: CallGroup) -> tuple[str, ...]:
    return (
        f"{group.org}/{group.key}",
        group.label,
        group.strategy.value,
        ", ".join(group.members),
        _shown(group.otherwise),
    )


def _shown(destination: Destination | None) -> str:
    if destination is None:
        return "nothing"
    some = f" (only {', '.join(destination.members)})" if destination.members else ""
    return f"{destination.kind.value} {destination.target}{some}"


@show_app.command("group")
def show_group(group: GroupArgument, as_json: JsonOption = False) -> None:
    """Show a call group."""
    model = run(read_model(wire()))
    found = model.call_groups[group_id(model, group)]
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    facts(
        f"call group {found.org}/{found.key}",
        {
            "label": found.label,
            "site": found.site,
            "members": ", ".join(found.members) or "none",
            "strategy": found.strategy.value,
            "a member rings for": f"{found.ring_timeout_s} s",
            "members in turn for": f"{found.total_ring_s} s at most",
            "otherwise": _shown(found.otherwise),
        },
    )


@set_app.command("group")
def set_group(
    group: GroupArgument,
    assignments: Assignments,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change settings of a call group, such as members=101,102 strategy=sequential otherwise=none."""
    changes = parse(assignments, CallGroup)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_group(
                store, by(), group_id(model, group), changes, handsets
            ),
            as_json,
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await groups.patch_group(store, by(), group_id(model, group), changes)).entity

    apply_change(change, as_json)


@group_app.command("add")
def group_add(
    key: Annotated[str, typer.Argument(help="Its Group Key, 2 to 5 digits.")],
    member: Annotated[
        list[str] | None, typer.Option("--member", help="An extension. Repeatable, in this order.")
    ] = None,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="Who rings when.")] = Strategy.RING_ALL,
    label: Annotated[str, typer.Option("--label", help="What it is called.")] = "",
    org: FittingOrgOption = None,
    site: FittingSiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a call group; its Group Key is dialled like an extension."""

    async def change(store: SqlStore, model: Model) -> Entity:
        where = place_id(_homes(model), "organisation at one site", org, site)
        values: dict[str, object] = {"org": where[0], "site": where[1], "key": key, "label": label}
        values |= {"members": tuple(member or ()), "strategy": strategy}
        return (await groups.create_group(store, by(), values)).entity

    apply_change(change, as_json)


def _homes(model: Model) -> set[tuple[str, str]]:
    """Where organisations are: by what they have there."""
    return set(model.occupancies) | {(e.org, e.site) for e in model.extensions.values()}


@group_app.command("remove")
def group_remove(group: GroupArgument, as_json: JsonOption = False) -> None:
    """Remove a call group that no calls are sent to."""

    async def change(store: SqlStore, model: Model) -> None:
        await groups.delete_group(store, by(), group_id(model, group))

    apply_change(change, as_json)


# --- main numbers


def _main_as_dict(model: Model, main: MainNumber) -> dict[str, Any]:
    return {**main.model_dump(mode="json"), "time_zone": model.sites[main.site].time_zone}


@show_app.command("main-numbers")
def show_main_numbers(as_json: JsonOption = False) -> None:
    """List the main numbers and what calls to them meet."""
    model = run(read_model(wire()))
    found = [model.main_numbers[key] for key in sorted(model.main_numbers)]
    if as_json:
        print_json([_main_as_dict(model, main) for main in found])
        return
    for main in found:
        facts(
            f"main number of {main.org} at {main.site}",
            {
                "number": main.e164,
                "business hours": f"{', '.join(main.hours) or 'none'} ({model.sites[main.site].time_zone})",
                "holidays": ", ".join(main.holidays) or "none",
                "in business hours": _shown(main.in_hours),
                "outside of them": _shown(main.out_of_hours),
                "if not answered": f"{_shown(main.if_not_answered)}, after {main.ring_timeout_s} s",
            },
        )
    if not found:
        say("No main number is set up.")


@set_app.command("main-number")
def set_main_number(
    assignments: Assignments,
    org: FittingOrgOption = None,
    site: FittingSiteOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change what calls to a main number meet: hours, holidays, destinations."""
    changes = parse(assignments, MainNumber, MAIN_FIXED)

    def key(model: Model) -> tuple[str, str]:
        return place_id(model.main_numbers, "main number", org, site)

    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_main_number(store, by(), key(model), changes, handsets),
            as_json,
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await main_numbers.patch_main_number(store, by(), key(model), changes)).entity

    apply_change(change, as_json)


@main_app.command("add")
def main_number_add(
    assignments: Assignments,
    org: FittingOrgOption = None,
    site: FittingSiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set up the nominated main number; in_hours and out_of_hours are needed."""
    values = parse(assignments, MainNumber, MAIN_FIXED)

    async def change(store: SqlStore, model: Model) -> Entity:
        nominated = {(n.org, n.site) for n in model.numbers.values() if n.main and n.org is not None}
        where = place_id(nominated, "nominated main number", org, site)
        wanted = {**values, "org": where[0], "site": where[1]}
        return (await main_numbers.create_main_number(store, by(), wanted)).entity

    apply_change(change, as_json)


@main_app.command("remove")
def main_number_remove(
    org: FittingOrgOption = None, site: FittingSiteOption = None, as_json: JsonOption = False
) -> None:
    """Take the group features away; the number stays nominated, and calls to it reach nothing."""

    async def change(store: SqlStore, model: Model) -> None:
        key = place_id(model.main_numbers, "main number", org, site)
        await main_numbers.delete_main_number(store, by(), key)

    apply_change(change, as_json)
