"""`wirechief occupancy ...`: what an organisation has at a site."""

from __future__ import annotations

from control_plane.api.schemas import OccupancyOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change, as_json_of
from control_plane.cli.assignments import MoreArgument, SetArgument, parse
from control_plane.cli.options import (
    DryRunOption,
    FittingOrgOption,
    FittingSiteOption,
    OnlyOrgOption,
    OnlySiteOption,
    OrgOption,
    SiteOption,
)
from control_plane.cli.output import JsonOption, facts, print_json, table, yes_no
from control_plane.cli.previewing import preview_change
from control_plane.cli.references import place_id, site_named
from control_plane.domain.entities import Entity, Occupancy
from control_plane.domain.model import Model
from control_plane.service import tenants
from control_plane.service.preview import preview_occupancy
from control_plane.service.rules import require_organisation, require_site
from control_plane.store import SqlStore

occupancy_app = group("occupancy")

FIXED = ("org", "site", "authorization_code")
"""The code has a command of its own: 'set code'."""


def _key(model: Model, org: str | None, site: str | None) -> tuple[str, str]:
    return place_id(model.occupancies, "occupancy", org, site)


@occupancy_app.command("list")
def occupancy_list(
    org: OnlyOrgOption = None, site: OnlySiteOption = None, as_json: JsonOption = False
) -> None:
    """List which organisation is at which site."""
    model = run(read_model(wire()))
    if org is not None:
        require_organisation(model, org)
    if site is not None:
        require_site(model, site)
    keys = sorted(key for key in model.occupancies if org in (None, key[0]) and site in (None, key[1]))
    found = [model.occupancies[key] for key in keys]
    if as_json:
        print_json([as_json_of(occupancy, OccupancyOut) for occupancy in found])
    else:
        columns = ("organisation", "site", "authorization code", "reception")
        table(
            "",
            columns,
            map(_row, found),
            none="No occupancy: 'wirechief occupancy add' lets an organisation have something at a site.",
        )


def _row(occupancy: Occupancy) -> tuple[str, ...]:
    code = yes_no(occupancy.authorization_code is not None)
    return occupancy.org, occupancy.site, code, ", ".join(occupancy.reception)


@occupancy_app.command("show")
def occupancy_show(
    org: FittingOrgOption = None, site: FittingSiteOption = None, as_json: JsonOption = False
) -> None:
    """Show what an organisation has at a site."""
    model = run(read_model(wire()))
    key = _key(model, org, site)
    found = model.occupancies[key]
    if as_json:
        print_json(as_json_of(found, OccupancyOut))
        return
    service, code = model.services.get(key), found.authorization_code
    facts(
        f"{found.org} at {found.site}",
        {
            "reception": ", ".join(found.reception) or "none",
            "authorization code": f"set, {code.id} in call records" if code else "none",
            "voice services": str(service.quantity) if service else "none",
            "numbers": str(sum((n.org, n.site) == key for n in model.numbers.values())),
            "extensions": str(sum((e.org, e.site) == key for e in model.extensions.values())),
        },
    )


@occupancy_app.command("add")
def occupancy_add(
    org: OrgOption, assignments: MoreArgument = None, site: SiteOption = None, as_json: JsonOption = False
) -> None:
    """Let an organisation have something at a site; more of it such as reception=9,+6561000100."""
    values = parse(assignments or (), Occupancy, FIXED)

    async def change(store: SqlStore, model: Model) -> Entity:
        wanted = {**values, "org": org, "site": site_named(model, site)}
        return (await tenants.create_occupancy(store, by(), wanted)).entity

    apply_change(change, as_json, OccupancyOut)


@occupancy_app.command("set")
def occupancy_set(
    assignments: SetArgument,
    org: FittingOrgOption = None,
    site: FittingSiteOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change what an organisation has at a site, such as reception=9; 'set code' gives a new code."""
    changes = parse(assignments, Occupancy, FIXED)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_occupancy(
                store, by(), _key(model, org, site), changes, handsets
            ),
            as_json,
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await tenants.patch_occupancy(store, by(), _key(model, org, site), changes)).entity

    apply_change(change, as_json, OccupancyOut)


@occupancy_app.command("clear-code")
def occupancy_clear_code(
    org: FittingOrgOption = None, site: FittingSiteOption = None, as_json: JsonOption = False
) -> None:
    """Take the authorization code away; restricted phones cannot call outside until there is a new one."""

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await tenants.clear_authorization_code(store, by(), _key(model, org, site))).entity

    apply_change(change, as_json, OccupancyOut)


@occupancy_app.command("remove")
def occupancy_remove(
    org: FittingOrgOption = None, site: FittingSiteOption = None, as_json: JsonOption = False
) -> None:
    """End an occupancy with no extension and no number left."""

    async def change(store: SqlStore, model: Model) -> None:
        await tenants.delete_occupancy(store, by(), _key(model, org, site))

    apply_change(change, as_json)
