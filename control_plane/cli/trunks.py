"""`wirechief trunk ...`: connections to carriers."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from pydantic import SecretStr

from control_plane.api.schemas import TrunkOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change, as_json_of
from control_plane.cli.assignments import MoreArgument, parse
from control_plane.cli.options import DryRunOption
from control_plane.cli.output import JsonOption, facts, print_json, table, yes_no
from control_plane.cli.previewing import preview_change
from control_plane.domain.entities import Entity, Trunk
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.service import places
from control_plane.service.places import require_trunk
from control_plane.service.preview import preview_trunk
from control_plane.store import SqlStore

trunk_app = group("trunk")

TrunkArgument = Annotated[str, typer.Argument(metavar="TRUNK", help="The id of a trunk.")]
PasswordOption = Annotated[bool, typer.Option("--password-stdin", help="Read its password from stdin.")]
FIXED = ("id", "password")
"""A password given as an argument would be seen in the list of processes."""


@trunk_app.command("list")
def trunk_list(as_json: JsonOption = False) -> None:
    """List the trunks; their passwords are not shown."""
    model = run(read_model(wire()))
    found = [model.trunks[id_] for id_ in sorted(model.trunks)]
    if as_json:
        print_json([as_json_of(trunk, TrunkOut) for trunk in found])
    else:
        columns = ("trunk", "node", "host", "port", "region", "user name")
        rows = ((t.id, t.node, t.host, str(t.port), t.region.value, t.username or "") for t in found)
        table("", columns, rows, none="No trunk: 'wirechief trunk add' makes one.")


@trunk_app.command("show")
def trunk_show(trunk: TrunkArgument, as_json: JsonOption = False) -> None:
    """Show a trunk and the sites that use it; its password is not shown."""
    model = run(read_model(wire()))
    found = require_trunk(model, trunk)
    sites = sorted(site.id for site in model.sites.values() if site.trunk == found.id)
    if as_json:
        print_json({**as_json_of(found, TrunkOut), "sites": sites})
        return
    facts(
        f"trunk {found.id}",
        {
            "node": found.node,
            "host": f"{found.host} port {found.port}",
            "region": found.region.value,
            "user name": found.username or "none",
            "password": yes_no(found.password is not None),
            "sites": ", ".join(sites) or "none",
        },
    )


@trunk_app.command("add")
def trunk_add(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits and dashes.")],
    host: Annotated[str, typer.Argument(help="Host name or IP address of the carrier.")],
    region: Annotated[RegionCode, typer.Option("--region", help="How it writes numbers.")],
    assignments: MoreArgument = None,
    password_stdin: PasswordOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add a trunk; more of it such as port=5061 username=acme."""
    values = {**parse(assignments or (), Trunk, FIXED), **_password(password_stdin)}
    values |= {"id": id_, "host": host, "region": region}

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await places.create_trunk(store, by(), values)).entity

    apply_change(change, as_json, TrunkOut)


def _password(given: bool) -> dict[str, object]:
    return {"password": SecretStr(sys.stdin.readline().rstrip("\r\n"))} if given else {}


@trunk_app.command("set")
def trunk_set(
    trunk: TrunkArgument,
    assignments: MoreArgument = None,
    password_stdin: PasswordOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a trunk, such as host=sip.example.com; only what is given changes."""
    changes = {**parse(assignments or (), Trunk, FIXED), **_password(password_stdin)}
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_trunk(store, by(), trunk, changes, handsets), as_json
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await places.patch_trunk(store, by(), trunk, changes)).entity

    apply_change(change, as_json, TrunkOut)


@trunk_app.command("remove")
def trunk_remove(trunk: TrunkArgument, as_json: JsonOption = False) -> None:
    """Remove a trunk no site uses."""

    async def change(store: SqlStore, model: Model) -> None:
        await places.delete_trunk(store, by(), trunk)

    apply_change(change, as_json)
