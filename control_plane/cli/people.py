"""`wirechief person ...`: whom numbers and extensions are assigned to (R2). A person is not a log-in."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control_plane.api.schemas import PersonOut
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.applying import apply_change, as_json_of
from control_plane.cli.assignments import SetArgument, parse
from control_plane.cli.options import DryRunOption, OnlyOrgOption, OrgOption
from control_plane.cli.output import JsonOption, facts, print_json, table
from control_plane.cli.previewing import preview_change
from control_plane.domain.entities import Entity, Person, PersonKind
from control_plane.domain.model import Model
from control_plane.errors import UnknownEntity
from control_plane.service import tenants
from control_plane.service.preview import preview_person
from control_plane.service.rules import require_organisation
from control_plane.store import SqlStore

person_app = group("person")

PersonArgument = Annotated[str, typer.Argument(metavar="PERSON", help="The id of a person.")]
FIXED = ("id", "org")


def _found(model: Model, person: str) -> Person:
    """An id is used once in the whole exchange. Raises: UnknownEntity."""
    if person not in model.people:
        raise UnknownEntity("person", person)
    return model.people[person]


def _assigned(model: Model, person: Person) -> dict[str, list[str]]:
    """What is assigned to a person."""
    return {
        "extensions": sorted(key for (_, key), e in model.extensions.items() if _is(e, person)),
        "numbers": sorted(e164 for e164, number in model.numbers.items() if _is(number, person)),
        "accounts": sorted(email for email, account in model.accounts.items() if _is(account, person)),
    }


def _is(held: Any, person: Person) -> bool:
    return bool((held.org, held.person) == (person.org, person.id))


@person_app.command("list")
def person_list(org: OnlyOrgOption = None, as_json: JsonOption = False) -> None:
    """List people."""
    model = run(read_model(wire()))
    if org is not None:
        require_organisation(model, org)
    found = sorted(
        (p for p in model.people.values() if org in (None, p.org)), key=lambda person: (person.org, person.id)
    )
    if as_json:
        print_json([as_json_of(person, PersonOut) for person in found])
    else:
        columns = ("person", "name", "organisation", "kind", "e-mail")
        table(
            "",
            columns,
            ((p.id, p.name, p.org, p.kind.value, p.email or "") for p in found),
            none="No person: 'wirechief person add' makes one.",
        )


@person_app.command("show")
def person_show(person: PersonArgument, as_json: JsonOption = False) -> None:
    """Show a person and what is assigned to that person."""
    model = run(read_model(wire()))
    found = _found(model, person)
    assigned = _assigned(model, found)
    if as_json:
        print_json({**as_json_of(found, PersonOut), **assigned})
        return
    facts(
        f"person {found.id}",
        {
            "name": found.name,
            "organisation": found.org,
            "kind": found.kind.value,
            "e-mail": found.email or "none",
            **{what: ", ".join(held) or "none" for what, held in assigned.items()},
        },
    )


@person_app.command("add")
def person_add(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Used once in the whole exchange.")],
    name: Annotated[str, typer.Argument(help="First and last name.")],
    org: OrgOption,
    email: Annotated[str | None, typer.Option("--email", help="E-mail address.")] = None,
    kind: Annotated[
        PersonKind, typer.Option("--kind", help="Of the occupier, or of the operator's team.")
    ] = PersonKind.OCCUPIER_USER,
    as_json: JsonOption = False,
) -> None:
    """Add a person."""

    async def change(store: SqlStore, model: Model) -> Entity:
        values = {"id": id_, "name": name, "org": org, "email": email, "kind": kind}
        return (await tenants.create_person(store, by(), values)).entity

    apply_change(change, as_json, PersonOut)


@person_app.command("set")
def person_set(
    person: PersonArgument,
    assignments: SetArgument,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change a person, such as name='Grace Hopper' email=none; only what is given changes."""
    changes = parse(assignments, Person, FIXED)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_person(
                store, by(), (_found(model, person).org, person), changes, handsets
            ),
            as_json,
        )
        return

    async def change(store: SqlStore, model: Model) -> Entity:
        key = (_found(model, person).org, person)
        return (await tenants.patch_person(store, by(), key, changes)).entity

    apply_change(change, as_json, PersonOut)


@person_app.command("remove")
def person_remove(person: PersonArgument, as_json: JsonOption = False) -> None:
    """Remove a person nothing is assigned to."""

    async def change(store: SqlStore, model: Model) -> None:
        await tenants.delete_person(store, by(), (_found(model, person).org, person))

    apply_change(change, as_json)
