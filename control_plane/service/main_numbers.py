"""Use cases for the group features of main numbers (R8, A8)."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.groups import MainNumber
from control_plane.domain.model import Model
from control_plane.errors import InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.forwarding import require_sound_passing
from control_plane.service.groups import as_dialled, require_destinations, require_short_ways
from control_plane.service.messages import build
from control_plane.service.rules import require_new, require_site, require_tenant
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]

DESTINATIONS = ("in_hours", "out_of_hours", "if_not_answered")


def require_main_number(model: Model, key: tuple[str, str]) -> MainNumber:
    """`key` is (organisation, site). Raises: UnknownEntity."""
    found = model.main_numbers.get(key)
    if found is None:
        raise UnknownEntity("main number", "/".join(key))
    return found


async def create_main_number(store: Store, by: By, values: Changes) -> Saved[MainNumber]:
    """Set up the number that is nominated; without `e164` the one there is.

    Raises: UnknownEntity (organisation, site), InvalidField, Conflict.
    """
    key = (str(values.get("org")), str(values.get("site")))
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_tenant(model, key[0])
        require_site(model, key[1])
        wanted = as_dialled(model, values, key[1], DESTINATIONS)
        if "e164" not in wanted:
            wanted["e164"] = _nominated(model, key)
        main = build(MainNumber, wanted)
        require_new(model.main_numbers, key, "site", f"main number of {key[0]} at {key[1]}")
        return _put(tx, main)


def _nominated(model: Model, key: tuple[str, str]) -> str:
    """The number of an organisation at a site that is nominated as main number (R9).

    Raises: InvalidField.
    """
    for number in model.numbers.values():
        if number.main and (number.org, number.site) == key:
            return number.e164
    raise InvalidField(
        "e164", f"{key[0]} has no nominated main number at {key[1]}: the carrier nominates one first (R9)"
    )


async def patch_main_number(
    store: Store, by: By, key: tuple[str, str], changes: Changes
) -> Saved[MainNumber]:
    """Change only what is given, within the destinations too.

    Raises: UnknownEntity, InvalidField, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        return revise_main_number(tx, by, key, changes)


def revise_main_number(tx: Transaction, by: By, key: tuple[str, str], changes: Changes) -> Saved[MainNumber]:
    """Patch a main number inside a transaction that is under way. Raises: as patch_main_number."""
    before = require_main_number(tx.model, key)
    require_version(tx, by, EntityKind.MAIN_NUMBER, key)
    wanted = as_dialled(tx.model, changes, key[1], DESTINATIONS)
    return _put(tx, patched(before, wanted, fixed=("org", "site")))


async def delete_main_number(store: Store, by: By, key: tuple[str, str]) -> None:
    """The number stays nominated; calls to it reach nothing. Raises: UnknownEntity, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        require_main_number(tx.model, key)
        require_version(tx, by, EntityKind.MAIN_NUMBER, key)
        tx.delete(EntityKind.MAIN_NUMBER, key)


def _put(tx: Transaction, main: MainNumber) -> Saved[MainNumber]:
    key = (main.org, main.site)
    number = tx.model.numbers.get(main.e164)
    if number is None or not number.main or (number.org, number.site) != key:
        raise InvalidField(
            "e164", f"{main.e164} is not nominated as the main number of {main.org} at {main.site} (R9)"
        )
    require_destinations(tx.model, main.org, dict(main.destinations))
    tx.put(main)
    require_sound_passing(tx.model, key)
    require_short_ways(tx.model, main.org)
    return Saved(main, tx.version(EntityKind.MAIN_NUMBER, key))
