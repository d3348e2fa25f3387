"""Use cases for phone numbers as such: the pool, what a number reaches, what it is called (R3-R7, R48)."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.lifecycle import Event
from control_plane.domain.model import Model
from control_plane.errors import Conflict, InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.forwarding import require_no_loop
from control_plane.service.messages import build
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.number_steps import moved
from control_plane.service.provisioning import provisioning_problem
from control_plane.service.rules import require_new, require_reference, require_site, require_unused
from control_plane.service.uses import features_of
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]

_FIXED = tuple(
    name
    for name in PhoneNumber.model_fields
    if name not in {"site", "extension", "main", "label_1", "label_2", "allocation_lock", "softphone"}
)
"""What only the events of its life change."""


def require_number(model: Model, e164: str) -> PhoneNumber:
    """Raises: UnknownEntity."""
    found = model.numbers.get(e164)
    if found is None:
        raise UnknownEntity("number", e164)
    return found


async def create_number(store: Store, by: By, values: Changes) -> Saved[PhoneNumber]:
    """Put a number the carrier has provisioned into the pool of its site (R3); `main` nominates it (R9).

    Raises: InvalidField, Conflict.
    """
    number = build(PhoneNumber, values)
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_new(model.numbers, number.e164, "e164", f"number {number.e164}")
        require_reference(model.sites, number.site, "site", "site")
        problem = provisioning_problem(number.e164, require_site(model, number.site).numbering)
        if problem is not None:
            raise InvalidField("e164", problem)
        tx.put(number)
        return Saved(number, tx.version(EntityKind.NUMBER, (number.e164,)))


async def restore_number(store: Store, by: By, number: PhoneNumber) -> None:
    """Put a number that was taken out of the pool back as it was: in its cooldown if it had one.

    Raises: UnknownEntity (its site), InvalidField, Conflict.
    """
    async with store.transaction(by.actor) as tx:
        require_new(tx.model.numbers, number.e164, "e164", f"number {number.e164}")
        problem = provisioning_problem(number.e164, require_site(tx.model, number.site).numbering)
        if problem is not None:
            raise InvalidField("e164", problem)
        tx.put(number)


async def patch_number(
    store: Store, by: By, policy: NumberPolicy, e164: str, changes: Changes
) -> Saved[PhoneNumber]:
    """Change what a number reaches and is called, and its switches; its status has events of its own.

    Assigned to an extension without a number of its own, it becomes that extension's number.

    Raises: UnknownEntity, InvalidField, Conflict, IllegalTransition, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_number(tx.model, e164)
        require_version(tx, by, EntityKind.NUMBER, (e164,))
        after = patched(before, changes, fixed=_FIXED)
        for event in _events(before, after):
            moved(tx.model, before, event, policy)
        _check_number(tx.model, before, after)
        return put_number(tx, before, after)


def _events(before: PhoneNumber, after: PhoneNumber) -> list[Event]:
    """What a patch asks for, as events of the life cycle."""
    found = []
    if before.main is not after.main:
        found.append(Event.NOMINATE if after.main else Event.WITHDRAW)
    if before.allocation_lock is not after.allocation_lock:
        found.append(Event.LOCK if after.allocation_lock else Event.UNLOCK)
    if (before.label_1, before.label_2) != (after.label_1, after.label_2):
        found.append(Event.LABEL)
    if after.softphone and not before.softphone:
        found.append(Event.SOFTPHONE)
    return found


def _check_number(model: Model, before: PhoneNumber, number: PhoneNumber) -> None:
    if number.site != before.site:
        require_reference(model.sites, number.site, "site", "site")
        if number.status is not NumberStatus.AVAILABLE:
            raise Conflict(f"site: {number.e164} is {number.org or 'resting'}: only a free number moves.")
        problem = provisioning_problem(number.e164, require_site(model, number.site).numbering)
        if problem is not None:
            raise InvalidField("site", problem)
    if number.extension is None:
        return
    if number.org is None:
        raise InvalidField("extension", "the number belongs to no organisation: allocate it first")
    extension = model.extensions.get((number.org, number.extension))
    if extension is None:
        raise InvalidField("extension", f"there is no extension {number.extension} in {number.org}")
    if extension.site != number.site:
        raise InvalidField(
            "extension",
            f"extension {number.extension} is at site {extension.site}, the number at {number.site}",
        )


def put_number(tx: Transaction, before: PhoneNumber | None, after: PhoneNumber) -> Saved[PhoneNumber]:
    """Write the number and keep the extensions at both ends in step with it, their names included (R48)."""
    model = tx.model
    if before is not None and before.main and not after.main:
        require_unused(f"Main number {after.e164}", features_of(model, after.e164))
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
    _carry_over(tx, before, after)
    if old != new and after.org is not None and after.extension is not None:
        # A number of our own that somebody forwards to counts as the extension it reaches.
        changed = tx.model
        require_no_loop(changed, changed.extensions[after.org, after.extension])
    return Saved(after, tx.version(EntityKind.NUMBER, (after.e164,)))


def _carry_over(tx: Transaction, before: PhoneNumber | None, after: PhoneNumber) -> None:
    """The extension whose own number this is bears its name and its person, so that its phones show them."""
    if before is None or after.org is None or after.extension is None:
        return
    extension = tx.model.extensions.get((after.org, after.extension))
    if extension is None or extension.number != after.e164:
        return
    changes: dict[str, object] = {}
    if before.name != after.name:
        changes["label"] = after.name[:60].strip()
    if before.person != after.person:
        changes["person"] = after.person
    if changes:
        tx.put(extension.model_copy(update=changes))


async def delete_number(store: Store, by: By, e164: str) -> None:
    """Take a number that belongs to nobody out of the pool.

    Raises: UnknownEntity, Conflict (it belongs to an organisation), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        number = require_number(tx.model, e164)
        require_version(tx, by, EntityKind.NUMBER, (e164,))
        if number.org is not None:
            raise Conflict(f"Number {e164} belongs to {number.org}: deallocate it first.")
        tx.delete(EntityKind.NUMBER, (e164,))
