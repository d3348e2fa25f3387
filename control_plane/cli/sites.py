"""`wirechief site ...`: places with a region, a time zone and a pool of numbers."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from control_plane.api.schemas import SiteOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change, as_json_of
from control_plane.cli.assignments import MoreArgument, SetArgument, parse
from control_plane.cli.options import DryRunOption
from control_plane.cli.output import JsonOption, facts, print_json, table, yes_no
from control_plane.cli.previewing import preview_change
from control_plane.domain.entities import Entity, NumberStatus, Site
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.service import places
from control_plane.service.preview import preview_site
from control_plane.service.rules import require_site
from control_plane.store import SqlStore

site_app = group("site")

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="The id of a site.")]
FIXED = ("id",)


@site_app.command("list")
def site_list(as_json: JsonOption = False) -> None:
    """List the sites and their pools of numbers."""
    model = run(read_model(wire()))
    found = [model.sites[id_] for id_ in sorted(model.sites)]
    if as_json:
        print_json([as_json_of(site, SiteOut) for site in found])
    else:
        numbers = Counter(number.site for number in model.numbers.values())
        free = Counter(n.site for n in model.numbers.values() if n.status is NumberStatus.AVAILABLE)
        columns = ("site", "name", "region", "time zone", "node", "trunk", "numbers", "of them free")
        rows = (
            (s.id, s.name, s.region.value, s.time_zone, s.node, s.trunk or "", numbers[s.id], free[s.id])
            for s in found
        )
        table(
            "",
            columns,
            (tuple(map(str, row)) for row in rows),
            none="No site: 'wirechief site add' makes one.",
        )


@site_app.command("show")
def site_show(site: SiteArgument, as_json: JsonOption = False) -> None:
    """Show a site: who is there, its numbers, and what its handsets are told."""
    model = run(read_model(wire()))
    found = require_site(model, site)
    tenants = sorted(org for org, where in model.occupancies if where == found.id)
    statuses = Counter(number.status for number in model.numbers.values() if number.site == found.id)
    if as_json:
        pool = {status.value: count for status, count in statuses.items()}
        print_json({**as_json_of(found, SiteOut), "organisations": tenants, "numbers": pool})
        return
    told = found.provisioning
    facts(
        f"site {found.id}",
        {
            "name": found.name,
            "region": found.region.value,
            "time zone": found.time_zone,
            "node": found.node,
            "trunk": found.trunk or "none",
            "caller ID": found.caller_id or "none",
            "media address": found.media_address or "as Asterisk chooses",
            "reception": ", ".join(found.reception) or "none",
            "emergency": ", ".join(found.emergency_numbers),
            "main number": "nominated with the first services" if found.nominate_main else "by hand",
            "organisations": ", ".join(tenants) or "none",
            "numbers": ", ".join(f"{statuses[s]} {s.value.upper()}" for s in NumberStatus if s in statuses)
            or "none",
            "handsets ask every": f"{told.interval_s} s",
            "language, tones": f"{told.language or 'of the region'}, {told.tone_country or 'of the region'}",
            "NTP": ", ".join(told.ntp_servers) or "none",
            "STUN": told.stun_server or "none",
            "secrets unencrypted": yes_no(told.plain),
            "phone IDs": str(told.phone_ids),
        },
    )


@site_app.command("add")
def site_add(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits and dashes.")],
    name: Annotated[str, typer.Argument(help="What it is called.")],
    region: Annotated[RegionCode, typer.Option("--region", help="Whose numbering and emergency numbers.")],
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="IANA's name, such as Europe/London.")
    ],
    assignments: MoreArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Add a site; more of it such as trunk=carrier nominate_main=true."""
    values = {**parse(assignments or (), Site, FIXED), "id": id_, "name": name}
    values |= {"region": region, "time_zone": time_zone}

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await places.create_site(store, by(), values)).entity

    apply_change(change, as_json, SiteOut)


@site_app.command("set")
def site_set(
    site: SiteArgument,
    assignments: SetArgument,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a site, such as trunk=carrier provisioning.language=de; only what is given changes."""
    changes = parse(assignments, Site, FIXED)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_site(store, by(), site, changes, handsets), as_json
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await places.patch_site(store, by(), site, changes)).entity

    apply_change(change, as_json, SiteOut)


@site_app.command("remove")
def site_remove(site: SiteArgument, as_json: JsonOption = False) -> None:
    """Remove a site that has nothing any more."""

    async def change(store: SqlStore, model: Model) -> None:
        await places.delete_site(store, by(), site)

    apply_change(change, as_json)
