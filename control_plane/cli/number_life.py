"""`wirechief number allocate`, `activate` and on: what can be done with a number in its life."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import run
from control_plane.cli.numbers import (
    COLUMNS,
    NumberArgument,
    Step,
    change_number,
    number_app,
    number_as_dict,
    number_row,
)
from control_plane.cli.options import OrgOption, SiteOption
from control_plane.cli.output import JsonOption, print_json, table
from control_plane.cli.references import outside_number, site_named
from control_plane.domain.entities import PhoneNumber
from control_plane.service import allocation, number_life
from control_plane.service.numbers import patch_number
from control_plane.service.writing import Saved


@number_app.command("allocate")
def number_allocate(
    org: OrgOption,
    first: Annotated[
        str | None, typer.Argument(metavar="FIRST", help="A number, or the first of a range.")
    ] = None,
    last: Annotated[str | None, typer.Argument(metavar="LAST", help="The last of a range.")] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", min=1, max=allocation.RANGE_MAX, help="So many free ones instead."),
    ] = None,
    site: SiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Allocate numbers of a site to an organisation: one, a range, or so many free ones; all or none."""
    done = run(_allocate(wire(), org, site, (first, last, count)))
    if as_json:
        print_json([number_as_dict(number) for number in done])
        return
    table("", COLUMNS, (number_row(number) for number in done))


async def _allocate(
    wiring: Wiring, org: str, site: str | None, wanted: tuple[str | None, str | None, int | None]
) -> tuple[PhoneNumber, ...]:
    first, last, count = wanted
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        asked: dict[str, object] = {"org": org}
        if first is not None:
            asked["first"] = outside_number(model, first)
            asked["last"] = outside_number(model, last or first)
        if count is not None:
            asked["count"] = count
        where = site_named(model, site)
        return await allocation.allocate_some(store, by(), wiring.number_policy, where, asked)


def _policy_step(use_case: Callable[..., Awaitable[Saved[PhoneNumber]]], *arguments: object) -> Step:
    policy = wire().number_policy
    return lambda store, e164: use_case(store, by(), policy, e164, *arguments)


@number_app.command("activate")
def number_activate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Put a RESERVED number into service; needs a free voice service."""
    change_number(number, _policy_step(number_life.activate_number), as_json=as_json)


@number_app.command("deactivate")
def number_deactivate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take an unassigned number out of service; its settings stay."""
    change_number(number, _policy_step(number_life.deactivate_number), as_json=as_json)


@number_app.command("assign")
def number_assign(
    number: NumberArgument,
    person: Annotated[str, typer.Argument(help="A person of the number's organisation.")],
    as_json: JsonOption = False,
) -> None:
    """Assign an ACTIVE number to a person, whose name it then bears."""
    change_number(number, _policy_step(number_life.assign_number, person), as_json=as_json)


@number_app.command("unassign")
def number_unassign(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take a number from its person; its name stays."""
    change_number(number, _policy_step(number_life.unassign_number), as_json=as_json)


@number_app.command("deallocate")
def number_deallocate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take a number from its organisation, with everything it was set to."""
    change_number(number, _policy_step(number_life.deallocate_number), as_json=as_json)


@number_app.command("reset-pin")
def number_reset_pin(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Set the PIN of a number to its default PIN, and unlock it."""
    change_number(number, _policy_step(number_life.reset_pin), as_json=as_json)


def _set(number: str, changes: dict[str, object], as_json: bool) -> None:
    change_number(number, _policy_step(patch_number, changes), as_json=as_json)


@number_app.command("name")
def number_name(
    number: NumberArgument,
    label_1: Annotated[str, typer.Argument(metavar="LABEL1", help="The first part of the name.")],
    label_2: Annotated[str, typer.Argument(metavar="LABEL2", help="The second part.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Give a number its two-part name, shown in lists and on its phones (R48)."""
    _set(number, {"label_1": label_1, "label_2": label_2}, as_json)


@number_app.command("nominate")
def number_nominate(
    number: NumberArgument,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the nomination back.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Nominate a number as the main number of its organisation at its site (R8)."""
    _set(number, {"main": not withdraw}, as_json)


@number_app.command("lock")
def number_lock(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Keep a number from being allocated to another organisation (R33)."""
    _set(number, {"allocation_lock": True}, as_json)


@number_app.command("unlock")
def number_unlock(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Let a number be allocated again."""
    _set(number, {"allocation_lock": False}, as_json)


@number_app.command("softphone")
def number_softphone(
    number: NumberArgument,
    off: Annotated[bool, typer.Option("--off", help="Take it away again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let the person of an active and assigned number use a softphone (R29)."""
    _set(number, {"softphone": not off}, as_json)
