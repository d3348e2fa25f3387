"""Use cases for extensions (R71-R116)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from control_plane.callpath.checks import key_problem
from control_plane.domain.entities import Leftover, PhoneNumber
from control_plane.domain.extension import Device, Extension
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import InvalidField
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.credentials import new_pin
from control_plane.service.forwarding import normalised, require_no_loop, require_sound_targets, settled
from control_plane.service.messages import build
from control_plane.service.neutral import logged_out
from control_plane.service.rules import (
    require_extension,
    require_new,
    require_reference,
    require_site,
    require_tenant,
    require_unused,
)
from control_plane.service.uses import leave_groups, mailbox_users, users_of
from control_plane.service.writing import By, Saved, merged, patched, require_version

Changes = Mapping[str, object]

PIN_UNLOCKED: Changes = {"pin_failures": 0, "pin_locked": False}
"""Of an extension whose PIN was set anew by who may (R53)."""

Check = Callable[[Model, Extension | None, Extension], None]
"""Raises DomainError when the second extension cannot take the place of the first in the model."""


async def create_extension(store: Store, by: By, values: Changes) -> Saved[Extension]:
    """Create with defaults for everything not given; the voicemail PIN is random unless given.

    Raises: UnknownEntity (the organisation), InvalidField, Conflict.
    """
    _refuse_legacy(None, values)
    _refuse_counted(values)
    async with store.transaction(by.actor) as tx:
        model = tx.model
        extension = new_extension(model, values)
        require_new(
            model.extensions,
            (extension.org, extension.key),
            "key",
            f"extension {extension.key} of {extension.org}",
        )
        return _save(tx, None, extension, values)


def new_extension(model: Model, values: Changes) -> Extension:
    """An extension of `values` with defaults, its own rules checked.

    Raises: UnknownEntity (the organisation), InvalidField.
    """
    site = model.sites.get(str(values.get("site")))
    wanted = normalised(values, model, site) if site is not None else dict(values)
    if not wanted.get("voicemail_pin"):
        wanted["voicemail_pin"] = new_pin()
    extension = build(Extension, wanted)
    require_tenant(model, extension.org)
    problem = key_problem(extension.key)
    if problem is not None:
        raise InvalidField("key", problem)
    require_new(
        model.call_groups,
        (extension.org, extension.key),
        "key",
        f"call group {extension.key} of {extension.org}",
    )
    return extension


async def patch_extension(store: Store, by: By, ident: ExtensionId, changes: Changes) -> Saved[Extension]:
    """Change only what is given, nested `forwarding` and `no_answer` included.

    A PIN set here unlocks it; one chosen on a phone does not.
    Raises: UnknownEntity, InvalidField, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_extension(tx.model, ident)
        require_version(tx, by, EntityKind.EXTENSION, ident)
        saved = revise(tx, before, changes)
        if "voicemail_pin" not in changes:
            return saved
        tx.put(saved.entity.model_copy(update=PIN_UNLOCKED))
        return Saved(tx.model.extensions[ident], tx.version(EntityKind.EXTENSION, ident))


def check_references(model: Model, before: Extension | None, after: Extension) -> None:
    """What `after` names exists and is free.

    Raises: InvalidField.
    """
    require_reference(model.sites, after.site, "site", "site")
    if after.person is not None:
        people = {p.id for p in model.people.values() if p.org == after.org}
        require_reference(people, after.person, "person", f"person of {after.org}")
    moved = before is None or (before.number, before.site) != (after.number, after.site)
    if after.number is not None and moved:
        _require_free_number(model, after, after.number)
    if before is None or before.forwarding != after.forwarding:
        require_sound_targets(model, after)


def check_extension(model: Model, before: Extension | None, after: Extension) -> None:
    """The rules between `after` and the rest of `model`.

    A loop that phones made may stand (docs/decisions/handset-changes.md), so changes that leave alone where
    calls are forwarded are not refused because of it.
    Raises: InvalidField, Conflict.
    """
    check_references(model, before, after)
    if before is None or _leads_to(before) != _leads_to(after):
        require_no_loop(model, after)
    if before is not None and before.has_mailbox and not after.has_mailbox:
        require_unused(
            f"The voicemail of extension {after.key}", mailbox_users(model, (after.org, after.key))
        )


def _leads_to(extension: Extension) -> tuple[bool, tuple[str, ...]]:
    return extension.forwarding.enabled, extension.forwarding.targets


def revise(
    tx: Transaction, before: Extension, changes: Changes, check: Check = check_extension
) -> Saved[Extension]:
    """Patch an extension inside a transaction that is under way.

    Raises: InvalidField, Conflict.
    """
    _refuse_what_follows(changes)
    _refuse_legacy(before, changes)
    model = tx.model
    site = require_site(model, before.site)
    after = patched(before, normalised(changes, model, site), fixed=("org", "key"))
    _require_devices(model, before, after)
    return _save(tx, before, after, changes, check)


def _refuse_what_follows(changes: Changes) -> None:
    forwarding = changes.get("forwarding")
    if isinstance(forwarding, Mapping) and "vip_ring_devices" in forwarding:
        raise InvalidField(
            "forwarding.vip_ring_devices",
            "follows from ring_devices when forwarding is switched on: set ring_devices instead",
        )
    _refuse_counted(changes)


def _refuse_counted(changes: Changes) -> None:
    for name in sorted(PIN_UNLOCKED.keys() & changes.keys()):
        raise InvalidField(name, "is counted: set voicemail_pin, or reset the PIN of its number, to unlock")


def _refuse_legacy(before: Extension | None, changes: Changes) -> None:
    """R98: the limits hold for everything that is made here."""
    if changes.get("legacy_multi_forward") and (before is None or not before.legacy_multi_forward):
        raise InvalidField("legacy_multi_forward", "only an import of extensions from elsewhere sets it")


def _require_devices(model: Model, before: Extension, after: Extension) -> None:
    """A device that is asked to ring must be there (R82)."""
    present = {device.kind for device in model.devices_of(after)}
    asked = [("ring_devices", kind) for kind in after.ring_devices if kind not in before.ring_devices]
    if after.primary_device is not None and after.primary_device is not before.primary_device:
        asked.append(("primary_device", after.primary_device))
    for field, kind in asked:
        if kind not in present:
            raise InvalidField(field, f"extension {after.key} has no {kind.value} device: add it first")


def _save(
    tx: Transaction,
    before: Extension | None,
    after: Extension,
    changes: Changes,
    check: Check = check_extension,
) -> Saved[Extension]:
    after = settled(before, after, changes)
    model = tx.model
    check(model, before, after)
    _move_number(tx, model, before, after)
    tx.put(after)
    return Saved(after, tx.version(EntityKind.EXTENSION, (after.org, after.key)))


def _require_free_number(model: Model, extension: Extension, e164: str) -> None:
    number = model.numbers.get(e164)
    if number is None or number.org != extension.org:
        raise InvalidField("number", f"{e164} is not a number of {extension.org}: allocate it first")
    if number.main:
        raise InvalidField("number", f"a main number is inbound only: choose another than {e164} (A8)")
    if number.extension not in (None, extension.key):
        raise InvalidField("number", f"{e164} belongs to extension {number.extension}: unassign it first")
    if number.site != extension.site:
        raise InvalidField("number", f"{e164} is a number of site {number.site}, not of {extension.site}")


def _move_number(tx: Transaction, model: Model, before: Extension | None, after: Extension) -> None:
    old = before.number if before is not None else None
    if old == after.number:
        return
    released = model.numbers.get(old) if old is not None else None
    if released is not None and released.extension == after.key and released.org == after.org:
        tx.put(_bound(released, None))
    if after.number is not None:
        tx.put(_bound(model.numbers[after.number], after.key))


def _bound(number: PhoneNumber, key: str | None) -> PhoneNumber:
    return number.model_copy(update={"extension": key})


async def delete_extension(store: Store, by: By, ident: ExtensionId) -> None:
    """Remove an extension and its devices; its numbers stay with the organisation, unassigned.

    Raises: UnknownEntity, Conflict (another extension forwards to it), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_extension(model, ident)
        require_version(tx, by, EntityKind.EXTENSION, ident)
        require_not_forwarded_to(model, ident)
        remove_extension(tx, ident)


def require_not_forwarded_to(model: Model, ident: ExtensionId) -> None:
    """Raises: Conflict (an extension, a call group or a main number leads to this one)."""
    require_unused(f"Extension {ident[1]}", users_of(model, ident))


def remove_extension(tx: Transaction, ident: ExtensionId) -> None:
    """Take the extension and its devices away, and note what it leaves on its node, to be erased there."""
    model = tx.model
    extension = model.extensions[ident]
    devices = model.devices.get(ident, ())
    node = model.node_of(extension)
    earlier = model.leftovers.get((node, *ident))
    names = (*(earlier.devices if earlier is not None else ()), *(device.id for device in devices))
    release_handsets(tx, devices)
    leave_groups(tx, ident)
    for device in devices:
        tx.delete(EntityKind.DEVICE, (device.id,))
    for number in [n for n in model.numbers.values() if (n.org, n.extension) == ident]:
        tx.put(_bound(number, None))
    tx.delete(EntityKind.EXTENSION, ident)
    tx.put(Leftover(node=node, org=ident[0], extension=ident[1], devices=names))


def release_handsets(tx: Transaction, gone: Iterable[Device]) -> None:
    """Log out the handsets that are set up as devices about to be removed."""
    ids = {device.id for device in gone}
    for handset in list(tx.model.handsets.values()) if ids else ():
        if handset.device in ids:
            tx.put(logged_out(tx.model, handset))


def without_device(extension: Extension, device: Device) -> Extension:
    """`extension` when `device` is gone: no choice may name it any more."""
    changes: dict[str, object] = {
        "ring_devices": tuple(kind for kind in extension.ring_devices if kind is not device.kind),
        "forwarding": {
            "vip_ring_devices": tuple(
                kind for kind in extension.forwarding.vip_ring_devices if kind is not device.kind
            )
        },
    }
    if extension.primary_device is device.kind:
        changes["primary_device"] = None
    return build(Extension, merged(extension, changes))
