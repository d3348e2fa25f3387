"""`wirechief number ...`: the pool of a site, and the life of a number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import app, by, run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.lists import print_report, read_list, require_taken
from control_plane.cli.output import JsonOption, facts, print_json, say, table, yes_no
from control_plane.cli.references import outside_number
from control_plane.domain.assignment import assignment_of
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.errors import InvalidField
from control_plane.service import allocation, number_life, pool
from control_plane.service.number_reading import details_of
from control_plane.service.numbers import create_number, patch_number
from control_plane.service.writing import Saved
from control_plane.store import SqlStore

number_app = typer.Typer(no_args_is_help=True, help="Phone numbers: the pool of a site, and their life.")
app.add_typer(number_app, name="number")

NumberArgument = Annotated[
    str, typer.Argument(metavar="NUMBER", help="E.164 with +, or as written in the country of the sites.")
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Site; not needed where there is one.")]
OrgOption = Annotated[str, typer.Option("--org", help="Organisation.")]

Step = Callable[[SqlStore, str], Awaitable[Saved[PhoneNumber]]]


def site_named(model: Model, site: str | None) -> str:
    """The site, or the only one there is.

    Raises:
        InvalidField: it has to be named.
    """
    if site is not None:
        return site
    if len(model.sites) != 1:
        raise InvalidField("--site", f"must be one of {', '.join(sorted(model.sites)) or 'none: create one'}")
    return next(iter(model.sites))


def number_as_dict(number: PhoneNumber) -> dict[str, Any]:
    """A number for JSON, without its default PIN."""
    found: dict[str, Any] = number.model_dump(mode="json", exclude={"default_pin", "pin_failures"})
    assignment = assignment_of(number)
    found["assignment"] = {"kind": assignment.kind.value, "text": assignment.text}
    return found


def status_text(number: PhoneNumber) -> str:
    """The status as people read it, and where PENDING leads."""
    status = number.status.value.upper()
    return status if number.pending_to is None else f"{status} (becoming {number.pending_to.value.upper()})"


def _row(number: PhoneNumber) -> tuple[str, ...]:
    return (
        f"{number.e164}{' (main)' if number.main else ''}",
        status_text(number),
        number.org or "",
        number.extension or "",
        assignment_of(number).text if number.org else "",
        "locked" if number.allocation_lock else "",
    )


_COLUMNS = ("number", "status", "organisation", "extension", "assignment", "")


def _change(text: str, step: Step, *, as_json: bool) -> None:
    """Carry out one step of one number, wait until it is in force, and show what became of it."""
    wiring = wire()
    e164, version, changed = run(_stepped(wiring, text, step))
    force = await_force(wiring, version) if changed else {"in_force": True, "took_ms": 0.0}
    number = run(read_model(wiring)).numbers[e164]
    if as_json:
        print_json({"number": number_as_dict(number), "revision": version, **force})
        return
    table("", _COLUMNS, [_row(number)])
    if changed:
        say_force(version, force)
    else:
        say("Nothing changed: the number is like that already.")


async def _stepped(wiring: Wiring, text: str, step: Step) -> tuple[str, int, bool]:
    async with wiring.store() as store:
        e164 = outside_number((await store.snapshot()).model, text)
        before = await store.revision()
        saved = await step(store, e164)
        return e164, saved.version, saved.version > before


@number_app.command("show")
def number_show(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Show all details of a number (R46)."""
    model = run(read_model(wire()))
    details = details_of(model, outside_number(model, number))
    found = details.number
    if as_json:
        print_json(
            {
                **number_as_dict(found),
                "in_service": details.in_service,
                "devices": list(details.devices),
                "voicemail": details.voicemail,
                "forwarding_to": list(details.forwarding_to),
                "do_not_disturb": details.do_not_disturb,
                "restricted": details.restricted,
            }
        )
        return
    until = f" until {found.cooldown_until:%Y-%m-%d %H:%M} UTC" if found.cooldown_until else ""
    facts(
        f"number {found.e164}",
        {
            "status": f"{_row(found)[1]}{until}",
            "site": found.site,
            "organisation": found.org or "none",
            "extension": found.extension or "none",
            "main number": yes_no(found.main),
            "assignment": details.assignment.text,
            "in service": yes_no(details.in_service),
            "devices": ", ".join(details.devices) or "none",
            "softphone": yes_no(found.softphone),
            "voicemail": yes_no(details.voicemail),
            "forwarding": ", ".join(details.forwarding_to) or "off",
            "do not disturb": yes_no(details.do_not_disturb),
            "restricted": yes_no(details.restricted),
            "number lock": "locked: cannot be allocated" if found.allocation_lock else "no",
            "PIN lock": "locked: reset the PIN" if found.pin_locked else "no",
        },
    )


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

    _change(number, step, as_json=as_json)


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
    table("", _COLUMNS, (_row(number) for number in done))


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


def _policy_step(
    use_case: Callable[..., Awaitable[Saved[PhoneNumber]]], *arguments: object
) -> Callable[[SqlStore, str], Awaitable[Saved[PhoneNumber]]]:
    policy = wire().number_policy
    return lambda store, e164: use_case(store, by(), policy, e164, *arguments)


@number_app.command("activate")
def number_activate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Put a RESERVED number into service; needs a free voice service."""
    _change(number, _policy_step(number_life.activate_number), as_json=as_json)


@number_app.command("deactivate")
def number_deactivate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take an unassigned number out of service; its settings stay."""
    _change(number, _policy_step(number_life.deactivate_number), as_json=as_json)


@number_app.command("assign")
def number_assign(
    number: NumberArgument,
    person: Annotated[str, typer.Argument(help="A person of the number's organisation.")],
    as_json: JsonOption = False,
) -> None:
    """Assign an ACTIVE number to a person, whose name it then bears."""
    _change(number, _policy_step(number_life.assign_number, person), as_json=as_json)


@number_app.command("unassign")
def number_unassign(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take a number from its person; its name stays."""
    _change(number, _policy_step(number_life.unassign_number), as_json=as_json)


@number_app.command("deallocate")
def number_deallocate(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Take a number from its organisation, with everything it was set to."""
    _change(number, _policy_step(number_life.deallocate_number), as_json=as_json)


@number_app.command("reset-pin")
def number_reset_pin(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Set the PIN of a number to its default PIN, and unlock it."""
    _change(number, _policy_step(number_life.reset_pin), as_json=as_json)


def _set(number: str, changes: dict[str, object], as_json: bool) -> None:
    _change(number, _policy_step(patch_number, changes), as_json=as_json)


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
