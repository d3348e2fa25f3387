"""`wirechief organisation ...`: the operator and the occupiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from control_plane.api.schemas import OrganisationOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change, as_json_of
from control_plane.cli.assignments import SetArgument, parse
from control_plane.cli.options import DryRunOption
from control_plane.cli.output import JsonOption, facts, print_json, table
from control_plane.cli.previewing import preview_change
from control_plane.domain.entities import Decommission, Entity, Organisation, OrganisationKind
from control_plane.domain.model import Model
from control_plane.service import places
from control_plane.service.decommission import in_words, left_of
from control_plane.service.preview import preview_organisation
from control_plane.service.rules import require_organisation
from control_plane.store import SqlStore

organisation_app = group("organisation")

OrganisationArgument = Annotated[str, typer.Argument(metavar="ORG", help="The id of an organisation.")]
FIXED = ("id", "decommission")
_COLUMNS = ("organisation", "name", "kind", "sites", "people", "extensions", "numbers", "decommission")


@organisation_app.command("list")
def organisation_list(as_json: JsonOption = False) -> None:
    """List the operator and the occupiers, with what they have."""
    model = run(read_model(wire()))
    found = [model.organisations[id_] for id_ in sorted(model.organisations)]
    if as_json:
        print_json([as_json_of(organisation, OrganisationOut) for organisation in found])
    else:
        counts = _counts(model)
        table(
            "",
            _COLUMNS,
            (_row(organisation, counts) for organisation in found),
            none="No organisation: 'wirechief organisation add' makes one.",
        )


def _counts(model: Model) -> tuple[Mapping[str | None, int], ...]:
    """How many sites, people, extensions and numbers each organisation has."""
    return (
        Counter(org for org, _ in model.occupancies),
        Counter(person.org for person in model.people.values()),
        Counter(org for org, _ in model.extensions),
        Counter(number.org for number in model.numbers.values()),
    )


def _row(organisation: Organisation, counts: tuple[Mapping[str | None, int], ...]) -> tuple[str, ...]:
    leaving = organisation.decommission is not Decommission.NONE
    return (
        organisation.id,
        organisation.name,
        organisation.kind.value,
        *(str(count.get(organisation.id, 0)) for count in counts),
        organisation.decommission.value if leaving else "",
    )


@organisation_app.command("show")
def organisation_show(organisation: OrganisationArgument, as_json: JsonOption = False) -> None:
    """Show an organisation and what it has."""
    model = run(read_model(wire()))
    found = require_organisation(model, organisation)
    has = left_of(model, found.id)
    if as_json:
        print_json({**as_json_of(found, OrganisationOut), "has": has})
        return
    sites = sorted(site for org, site in model.occupancies if org == found.id)
    facts(
        f"organisation {found.id}",
        {
            "name": found.name,
            "kind": found.kind.value,
            "sites": ", ".join(sites) or "none",
            "has": in_words(has),
            "decommission": found.decommission.value,
        },
    )


@organisation_app.command("add")
def organisation_add(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Lower-case letters, digits and dashes.")],
    name: Annotated[str, typer.Argument(help="What it is called.")],
    kind: Annotated[
        OrganisationKind, typer.Option("--kind", help="There is one operator.")
    ] = OrganisationKind.OCCUPIER,
    as_json: JsonOption = False,
) -> None:
    """Add an organisation."""

    async def change(store: SqlStore, model: Model) -> Entity:
        values = {"id": id_, "name": name, "kind": kind}
        return (await places.create_organisation(store, by(), values)).entity

    apply_change(change, as_json, OrganisationOut)


@organisation_app.command("set")
def organisation_set(
    organisation: OrganisationArgument,
    assignments: SetArgument,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change an organisation, such as name='Harbour Legal'; only what is given changes."""
    changes = parse(assignments, Organisation, FIXED)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_organisation(store, by(), organisation, changes, handsets),
            as_json,
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        return (await places.patch_organisation(store, by(), organisation, changes)).entity

    apply_change(change, as_json, OrganisationOut)


@organisation_app.command("remove")
def organisation_remove(organisation: OrganisationArgument, as_json: JsonOption = False) -> None:
    """Remove an organisation that has nothing any more; 'decommission start' takes an occupier's things."""

    async def change(store: SqlStore, model: Model) -> None:
        await places.delete_organisation(store, by(), organisation)

    apply_change(change, as_json)
