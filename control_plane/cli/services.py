"""`wirechief service ...`: voice services, and what the first of them brings along."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import typer

from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.options import OrgOption, SiteOption
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.cli.references import site_named
from control_plane.domain.entitlement import services_free, using_services
from control_plane.domain.model import Model
from control_plane.domain.voice import SERVICES_MAX
from control_plane.errors import InvalidField
from control_plane.service import voice_services

service_app = group("service")

QuantityArgument = Annotated[int, typer.Argument(min=0, max=SERVICES_MAX, help="How many services.")]
DayArgument = Annotated[str, typer.Argument(metavar="DAY", help="A day at the site, such as 2026-03-01.")]


def _as_dict(model: Model, org: str, site: str) -> dict[str, Any]:
    service = model.services[org, site]
    return {
        "org": org,
        "site": site,
        "quantity": service.quantity,
        "used": len(using_services(model, org, site)),
        "free": services_free(model, org, site),
        "main_included": service.main_included,
        "scheduled": [
            {"on": change.on.isoformat(), "quantity": change.quantity}
            for change in voice_services.scheduled(model, (org, site))
        ],
    }


@service_app.command("list")
def service_list(as_json: JsonOption = False) -> None:
    """List the voice services, how many are used, and what is scheduled."""
    model = run(read_model(wire()))
    found = [_as_dict(model, *where) for where in sorted(model.services)]
    if as_json:
        print_json(found)
        return
    rows = (
        (
            s["org"],
            s["site"],
            str(s["quantity"]),
            str(s["used"]),
            ", ".join(f"{change['quantity']} from {change['on']}" for change in s["scheduled"]),
        )
        for s in found
    )
    columns = ("organisation", "site", "services", "used", "scheduled")
    table("", columns, rows, none="No voice service: 'wirechief service add' adds the first ones.")


@service_app.command("add")
def service_add(
    quantity: QuantityArgument,
    org: OrgOption,
    site: SiteOption = None,
    main: Annotated[
        bool | None, typer.Option("--main/--no-main", help="Nominate a main number; else as the site says.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Give an organisation its first voice services at a site, with the numbers that come along."""
    wiring = wire()
    where, version, numbers = run(_add(wiring, (org, site), quantity, main))
    force = await_force(wiring, version)
    model = run(read_model(wiring))
    if as_json:
        shown = [{"e164": n, "status": model.numbers[n].status.value} for n in numbers]
        print_json({"service": _as_dict(model, *where), "numbers": shown, "revision": version, **force})
        return
    now = (model.numbers[e164] for e164 in numbers)
    rows = ((n.e164, n.status.value.upper(), n.extension or ("main number" if n.main else "")) for n in now)
    table("", ("number", "status", "extension"), rows)
    say_force(version, force)


async def _add(
    wiring: Wiring, where: tuple[str, str | None], quantity: int, main: bool | None
) -> tuple[tuple[str, str], int, list[str]]:
    async with wiring.store() as store:
        place = (where[0], site_named((await store.snapshot()).model, where[1]))
        added = await voice_services.add_service(
            store, by(), wiring.number_policy, place, quantity, main=main
        )
        return place, await store.revision(), [number.e164 for number in added.numbers]


@service_app.command("set")
def service_set(quantity: QuantityArgument, org: OrgOption, site: SiteOption = None) -> None:
    """Set how many voice services there are; more of them bring no numbers along."""
    say(run(_set(wire(), (org, site), quantity)))


async def _set(wiring: Wiring, where: tuple[str, str | None], quantity: int) -> str:
    async with wiring.store() as store:
        place = (where[0], site_named((await store.snapshot()).model, where[1]))
        await voice_services.change_service(store, by(), place, quantity)
        return f"{place[0]} has {quantity} voice services at {place[1]} now."


@service_app.command("schedule")
def service_schedule(
    day: DayArgument,
    quantity: Annotated[
        int | None, typer.Argument(min=0, max=SERVICES_MAX, help="How many; none: take the change back.")
    ] = None,
    *,
    org: OrgOption,
    site: SiteOption = None,
) -> None:
    """Set how many voice services there are from a day on."""
    say(run(_schedule(wire(), (org, site), _day(day), quantity)))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidField("DAY", "must be a date such as 2026-03-01") from None


async def _schedule(wiring: Wiring, where: tuple[str, str | None], on: date, quantity: int | None) -> str:
    async with wiring.store() as store:
        place = (where[0], site_named((await store.snapshot()).model, where[1]))
        if quantity is None:
            await voice_services.unschedule_change(store, by(), place, on)
            return f"Nothing changes on {on} any more."
        await voice_services.schedule_change(store, by(), wiring.number_policy, place, on, quantity)
        return f"{place[0]} will have {quantity} voice services at {place[1]} from {on} on."


@service_app.command("remove")
def service_remove(org: OrgOption, site: SiteOption = None) -> None:
    """Take the voice services of an organisation at a site away."""
    say(run(_remove(wire(), (org, site))))


async def _remove(wiring: Wiring, where: tuple[str, str | None]) -> str:
    async with wiring.store() as store:
        place = (where[0], site_named((await store.snapshot()).model, where[1]))
        await voice_services.remove_service(store, by(), place)
        return f"{place[0]} has no voice services at {place[1]} any more."
