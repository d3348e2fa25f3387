"""`wirechief number ...`: one number, shown, and as its commands change it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Any

import typer

from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import group, run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.output import JsonOption, facts, print_json, say, table, yes_no
from control_plane.cli.references import outside_number
from control_plane.domain.assignment import assignment_of
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.service.number_list import RowWarning, row
from control_plane.service.number_reading import details_of
from control_plane.service.numbers import require_number
from control_plane.service.tasks import in_progress
from control_plane.service.writing import Saved
from control_plane.store import SqlStore

number_app = group("number")

NumberArgument = Annotated[
    str, typer.Argument(metavar="NUMBER", help="E.164 with +, or as written in the country of the sites.")
]

Step = Callable[[SqlStore, str], Awaitable[Saved[PhoneNumber]]]


def number_as_dict(number: PhoneNumber) -> dict[str, Any]:
    """A number for JSON, without its default PIN."""
    found: dict[str, Any] = number.model_dump(mode="json", exclude={"default_pin"})
    assignment = assignment_of(number)
    found["assignment"] = {"kind": assignment.kind.value, "text": assignment.text}
    return found


def status_text(number: PhoneNumber) -> str:
    """The status as people read it, and where PENDING leads."""
    status = number.status.value.upper()
    return status if number.pending_to is None else f"{status} (becoming {number.pending_to.value.upper()})"


def number_row(number: PhoneNumber) -> tuple[str, ...]:
    return (
        f"{number.e164}{' (main)' if number.main else ''}",
        status_text(number),
        number.org or "",
        number.extension or "",
        assignment_of(number).text if number.org else "",
        "locked" if number.allocation_lock else "",
    )


def warnings_text(warnings: Iterable[RowWarning]) -> str:
    """What a row warns of, for people."""
    return ", ".join(warning.value.replace("_", " ") for warning in warnings)


COLUMNS = ("number", "status", "organisation", "extension", "assignment", "")


def change_number(text: str, step: Step, *, as_json: bool) -> None:
    """Carry out one step of one number, wait until it is in force, and show what became of it."""
    wiring = wire()
    e164, version, changed = run(_stepped(wiring, text, step))
    force = await_force(wiring, version) if changed else {"in_force": True, "took_ms": 0.0}
    number = run(read_model(wiring)).numbers[e164]
    if as_json:
        print_json({"number": number_as_dict(number), "revision": version, **force})
        return
    table("", COLUMNS, [number_row(number)])
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
    """Show all details of a number (R46) and what is to be known about it (R31)."""
    model, warnings = run(_looked_at(wire(), number))
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
                "warnings": [warning.value for warning in warnings],
            }
        )
        return
    until = f" until {found.cooldown_until:%Y-%m-%d %H:%M} UTC" if found.cooldown_until else ""
    facts(
        f"number {found.e164}",
        {
            "status": f"{number_row(found)[1]}{until}",
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
            "PIN lock": "locked: reset the PIN" if details.pin_locked else "no",
            "warnings": warnings_text(warnings) or "none",
        },
    )


async def _looked_at(wiring: Wiring, text: str) -> tuple[Model, tuple[RowWarning, ...]]:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        number = require_number(model, outside_number(model, text))
        return model, row(model, number, await in_progress(store, {})).warnings
