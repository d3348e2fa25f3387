"""Use cases for occupancies (what an organisation has at a site) and people."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.entities import Occupancy, Person
from control_plane.domain.model import Model
from control_plane.errors import InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.credentials import authorization_code, new_code_digits, new_person_id
from control_plane.service.messages import build
from control_plane.service.rules import (
    require_new,
    require_occupancy,
    require_site,
    require_tenant,
    require_unused,
)
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]

CODE_DIGITS_MIN = 4  # A56
CODE_DIGITS_MAX = 8


async def create_occupancy(store: Store, by: By, values: Changes) -> Saved[Occupancy]:
    """Without an authorization code: that is set by a use case of its own.

    Raises: UnknownEntity, InvalidField, Conflict.
    """
    occupancy = build(Occupancy, {**values, "authorization_code": None})
    key = (occupancy.org, occupancy.site)
    async with store.transaction(by.actor) as tx:
        require_tenant(tx.model, occupancy.org)
        require_site(tx.model, occupancy.site)
        require_new(tx.model.occupancies, key, "site", f"occupancy {occupancy.org}/{occupancy.site}")
        tx.put(occupancy)
        version = tx.version(EntityKind.OCCUPANCY, key)
    return Saved(occupancy, version)


async def patch_occupancy(store: Store, by: By, key: tuple[str, str], changes: Changes) -> Saved[Occupancy]:
    """Raises: UnknownEntity, InvalidField, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        return revise_occupancy(tx, by, key, changes)


def revise_occupancy(tx: Transaction, by: By, key: tuple[str, str], changes: Changes) -> Saved[Occupancy]:
    """Patch an occupancy inside a transaction that is under way. Raises: as patch_occupancy."""
    before = require_occupancy(tx.model, *key)
    require_version(tx, by, EntityKind.OCCUPANCY, key)
    return _put(tx, patched(before, changes, fixed=("org", "site", "authorization_code")))


async def delete_occupancy(store: Store, by: By, key: tuple[str, str]) -> None:
    """Raises: UnknownEntity, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_occupancy(model, *key)
        require_version(tx, by, EntityKind.OCCUPANCY, key)
        require_unused(
            f"Occupancy {'/'.join(key)}",
            [f"extension {e.key}" for e in model.extensions.values() if (e.org, e.site) == key]
            + [f"number {n.e164}" for n in model.numbers.values() if (n.org, n.site) == key],
        )
        tx.delete(EntityKind.OCCUPANCY, key)


def _put(tx: Transaction, occupancy: Occupancy) -> Saved[Occupancy]:
    tx.put(occupancy)
    return Saved(occupancy, tx.version(EntityKind.OCCUPANCY, (occupancy.org, occupancy.site)))


async def set_authorization_code(
    store: Store, by: By, key: tuple[str, str], digits: str | None = None
) -> tuple[Saved[Occupancy], str]:
    """Give an organisation a new code at a site (R56); without `digits` a random one.

    The digits come back for the person who asked and are kept nowhere.
    Raises: UnknownEntity, InvalidField, StaleVersion.
    """
    wanted = new_code_digits() if digits is None else digits
    if not (wanted.isascii() and wanted.isdigit() and CODE_DIGITS_MIN <= len(wanted) <= CODE_DIGITS_MAX):
        raise InvalidField("code", f"must be {CODE_DIGITS_MIN} to {CODE_DIGITS_MAX} digits")
    async with store.transaction(by.actor) as tx:
        before = require_occupancy(tx.model, *key)
        require_version(tx, by, EntityKind.OCCUPANCY, key)
        saved = _put(tx, before.model_copy(update={"authorization_code": authorization_code(wanted)}))
    return saved, wanted


async def clear_authorization_code(store: Store, by: By, key: tuple[str, str]) -> Saved[Occupancy]:
    """Take the code away; restricted phones then cannot call out at all (R58).

    Raises: UnknownEntity, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_occupancy(tx.model, *key)
        require_version(tx, by, EntityKind.OCCUPANCY, key)
        return _put(tx, before.model_copy(update={"authorization_code": None}))


def require_person(model: Model, org: str, person: str) -> Person:
    """Raises: UnknownEntity."""
    found = model.people.get(person)
    if found is None or found.org != org:
        raise UnknownEntity("person", person)
    return found


async def create_person(store: Store, by: By, values: Changes) -> Saved[Person]:
    """Without an `id` it is random (docs/decisions/accounts.md says who may choose one).

    Raises: UnknownEntity, InvalidField, Conflict.
    """
    person = build(Person, {"id": new_person_id(), **values})
    async with store.transaction(by.actor) as tx:
        require_tenant(tx.model, person.org)
        require_new(tx.model.people, person.id, "id", f"person {person.id}")
        tx.put(person)
        version = tx.version(EntityKind.PERSON, (person.id,))
    return Saved(person, version)


async def patch_person(store: Store, by: By, key: tuple[str, str], changes: Changes) -> Saved[Person]:
    """`key` is (organisation, person). Raises: UnknownEntity, InvalidField, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        return revise_person(tx, by, key, changes)


def revise_person(tx: Transaction, by: By, key: tuple[str, str], changes: Changes) -> Saved[Person]:
    """Patch a person inside a transaction that is under way. Raises: as patch_person."""
    before = require_person(tx.model, *key)
    require_version(tx, by, EntityKind.PERSON, (before.id,))
    person = patched(before, changes, fixed=("id", "org"))
    tx.put(person)
    return Saved(person, tx.version(EntityKind.PERSON, (person.id,)))


async def delete_person(store: Store, by: By, key: tuple[str, str]) -> None:
    """Raises: UnknownEntity, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        person = require_person(tx.model, *key)
        require_version(tx, by, EntityKind.PERSON, (person.id,))
        users = [
            f"extension {e.key}"
            for e in tx.model.extensions.values()
            if e.person == person.id and e.org == person.org
        ]
        require_unused(f"Person {person.id}", users)
        tx.delete(EntityKind.PERSON, (person.id,))
