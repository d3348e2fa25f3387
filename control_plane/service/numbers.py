"""Use cases for phone numbers: which there are, whose they are, which extension they reach (R5-R7, R23)."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.errors import InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.forwarding import require_no_loop
from control_plane.service.messages import build
from control_plane.service.rules import require_new, require_reference, require_unused
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]


def require_number(model: Model, e164: str) -> PhoneNumber:
    """Raises: UnknownEntity."""
    found = model.numbers.get(e164)
    if found is None:
        raise UnknownEntity("number", e164)
    return found


def require_only_main(model: Model, number: PhoneNumber) -> None:
    """R8: an organisation has at most one main number at a site.

    Raises: InvalidField, naming the other one.
    """
    if not number.main or number.org is None:
        return
    for other in model.numbers.values():
        same = (other.org, other.site) == (number.org, number.site)
        if same and other.main and other.e164 != number.e164:
            raise InvalidField(
                "main",
                f"{other.e164} is the main number of {number.org} at {number.site} already, and there can be "
                "one: take the nomination from it first (R8)",
            )


def _check_number(model: Model, number: PhoneNumber) -> None:
    require_reference(model.sites, number.site, "site", "site")
    require_reference(model.organisations, number.org, "org", "organisation")
    require_only_main(model, number)
    if number.extension is None:
        return
    if number.org is None:
        raise InvalidField("extension", "the number belongs to no organisation: set org first")
    extension = model.extensions.get((number.org, number.extension))
    if extension is None:
        raise InvalidField("extension", f"there is no extension {number.extension} in {number.org}")
    if extension.site != number.site:
        raise InvalidField(
            "extension",
            f"extension {number.extension} is at site {extension.site}, the number at {number.site}",
        )


def _put(tx: Transaction, before: PhoneNumber | None, after: PhoneNumber) -> Saved[PhoneNumber]:
    """Write the number and keep the extensions at both ends in step with it."""
    model = tx.model
    _check_number(model, after)
    old = (before.org, before.extension) if before is not None else (None, None)
    new = (after.org, after.extension)
    if old != new:
        left = model.extensions.get((old[0], old[1])) if old[0] and old[1] else None
        if left is not None and left.number == after.e164:
            tx.put(left.model_copy(update={"number": None}))
        reached = model.extensions.get((new[0], new[1])) if new[0] and new[1] else None
        if reached is not None and reached.number is None:
            tx.put(reached.model_copy(update={"number": after.e164}))
    tx.put(after)
    if old != new and after.org is not None and after.extension is not None:
        # A number of our own that somebody forwards to counts as the extension it reaches.
        changed = tx.model
        require_no_loop(changed, changed.extensions[after.org, after.extension])
    return Saved(after, tx.version(EntityKind.NUMBER, (after.e164,)))


async def create_number(store: Store, by: By, values: Changes) -> Saved[PhoneNumber]:
    """Raises: InvalidField, Conflict."""
    number = build(PhoneNumber, values)
    async with store.transaction(by.actor) as tx:
        require_new(tx.model.numbers, number.e164, "e164", f"number {number.e164}")
        return _put(tx, None, number)


async def patch_number(store: Store, by: By, e164: str, changes: Changes) -> Saved[PhoneNumber]:
    """Assigned to an extension without a number of its own, it becomes that extension's number.

    Raises: UnknownEntity, InvalidField, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_number(tx.model, e164)
        require_version(tx, by, EntityKind.NUMBER, (e164,))
        return _put(tx, before, patched(before, changes, fixed=("e164",)))


async def delete_number(store: Store, by: By, e164: str) -> None:
    """Raises: UnknownEntity, Conflict (it still reaches an extension), StaleVersion."""
    async with store.transaction(by.actor) as tx:
        number = require_number(tx.model, e164)
        require_version(tx, by, EntityKind.NUMBER, (e164,))
        users = [f"extension {number.extension}"] if number.extension is not None else []
        require_unused(f"Number {e164}", users)
        tx.delete(EntityKind.NUMBER, (e164,))
