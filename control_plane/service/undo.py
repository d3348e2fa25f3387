"""Undoing one change of the audit, as a new change that passes the same rules as any other.

What was before, secrets included, is only in the newest changes that the store keeps whole; the audit has
masks. So the newest few thousand changes can be undone, and older ones have to be made again by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr

from control_plane.domain.entities import Entity
from control_plane.domain.extension import Device
from control_plane.errors import Conflict, Forbidden, UnknownEntity
from control_plane.plan.tasks import OBJECTS_KEPT, Task, TaskState
from control_plane.ports import (
    AuditEntry,
    AuditFilter,
    EntityChange,
    EntityKey,
    EntityKind,
    Store,
    Transaction,
)
from control_plane.service import devices, extensions, places, tenants
from control_plane.service.nested import within
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rights import Caller
from control_plane.service.undo_kinds import HANDLERS, Undoing
from control_plane.service.undo_parts import changed_since
from control_plane.service.writing import By

Values = dict[str, Any]

MASK: Final = "***"
FOLLOWS: Final = frozenset({"forwarding.vip_ring_devices", "pin_failures", "pin_locked"})
"""Fields that follow from others, or from what people type, and are never set."""
_OF_OCCUPIERS: Final = frozenset(
    {
        EntityKind.EXTENSION,
        EntityKind.DEVICE,
        EntityKind.PERSON,
        EntityKind.NUMBER,
        EntityKind.HANDSET,
        EntityKind.CALL_GROUP,
        EntityKind.MAIN_NUMBER,
        EntityKind.OCCUPANCY,
        EntityKind.ACCOUNT,
        EntityKind.TOKEN,
    }
)
"""What an occupier's administrator may change something of; which changes, the handlers of each kind say."""
_NEVER: Final[Mapping[str, str]] = {
    "decommission": "what is left of it is still taken back. When it is over, set up a new organisation.",
    "sip_password": "a SIP password does not come back. Rotate it again.",
    "sip_password_previous": "a SIP password does not come back. Rotate it again.",
}
"""Fields that no undo sets, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo does or did: the entry, and by dotted name what is now and what will be, masked."""

    entry: AuditEntry
    action: str
    changes: Mapping[str, tuple[object, object]]
    revision: int | None


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind is changed, removed and made again, by its use cases."""

    patch: Callable[[Store, By, Entity, Values], Awaitable[object]]
    remove: Callable[[Store, By, Entity], Awaitable[None]]
    make: Callable[[Store, By, Entity], Awaitable[object]]


class _OnlyLooking(Exception):
    """Ends a transaction that must leave nothing behind."""


async def undo(
    store: Store, by: By, caller: Caller, policy: NumberPolicy, entry_id: int, *, dry_run: bool = False
) -> Undone:
    """Undo the change of one audit entry; with `dry_run` only say what would be done.

    Raises:
        UnknownEntity: the caller sees no such entry.
        Forbidden: the caller may not make this change.
        Conflict: it cannot be undone: changed since, removed since, too long ago, or nothing that can be.
        InvalidField, InvariantViolation: a rule forbids what was before.
    """
    entry = await find_entry(store, caller, entry_id)
    if not may_undo(caller, entry.kind):
        raise Forbidden(f"A change of a {entry.kind} is the operator's to undo: ask there.")
    change = await _whole(store, entry)
    found: list[Undone] = []
    with suppress(_OnlyLooking):
        async with store.transaction(by.actor) as tx:
            inside, kind = within(store, tx), _KINDS.get(entry.kind)
            if kind is not None:
                found.append(await _undo(inside, tx, by, entry, change, kind))
            else:
                found.append(await _lead_back(inside, tx, by, caller, policy, entry, change))
            if dry_run:
                raise _OnlyLooking
    done = found[0]
    return done if dry_run else Undone(entry, done.action, done.changes, await store.revision())


def may_undo(caller: Caller, kind: EntityKind) -> bool:
    """Whether some change of the kind may be the caller's to undo."""
    return caller.is_operator or kind in _OF_OCCUPIERS


async def undoing(store: Store, caller: Caller, task: Task) -> list[int]:
    """The entries of the audit whose undoing takes back the change that a failed task brings, in order.

    None where the task is no push, or the caller sees or may undo nothing of it.
    """
    if task.progress.state is not TaskState.FAILED or task.revision is None:
        return []
    found: list[int] = []
    org = None if caller.sees_everything else caller.org
    for change in reversed((await store.changes_of(task.revision))[:OBJECTS_KEPT]):
        if may_undo(caller, change.kind) and (change.kind in _KINDS or change.kind in HANDLERS):
            wanted = AuditFilter(org=org, revision=task.revision, kind=change.kind, key=change.key)
            entries = await store.audit(wanted, limit=1)
            found.extend(entry.id for entry in entries)
    return found


async def _lead_back(
    store: Store,
    tx: Transaction,
    by: By,
    caller: Caller,
    policy: NumberPolicy,
    entry: AuditEntry,
    change: EntityChange,
) -> Undone:
    """Undo what has a life of its own, by the actions of that life."""
    handler = HANDLERS.get(entry.kind)
    if handler is None:
        raise Conflict(f"A change of a {entry.kind} cannot be undone: it follows from another change.")
    now = _present(tx, change.kind, change.key)
    what = f"{entry.kind} {'/'.join(entry.key)}"
    if change.after is None and now is not None:
        raise Conflict(f"The {what} exists again already.")
    if change.after is not None and now is None:
        raise Conflict(f"The {what} is not there any more.")
    await handler(Undoing(store, by, caller, policy, what, change.before, change.after, now))
    then = _present(tx, change.kind, change.key)
    if now is None or then is None:
        return Undone(entry, "make" if now is None else "remove", {}, None)
    old, new = _flat(now), _flat(then)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return Undone(
        entry, "change", {name: (_shown(old.get(name)), _shown(new.get(name))) for name in names}, None
    )


async def find_entry(store: Store, caller: Caller, entry_id: int) -> AuditEntry:
    """The entry, when the caller may see it. Raises: UnknownEntity."""
    entries = await store.audit(limit=1, before_id=entry_id + 1)
    if not entries or entries[0].id != entry_id:
        raise UnknownEntity("audit entry", str(entry_id))
    org = entries[0].org
    if not caller.sees_everything and not (
        caller.sees_organisation and org is not None and org == caller.org
    ):
        raise UnknownEntity("audit entry", str(entry_id))
    return entries[0]


async def _whole(store: Store, entry: AuditEntry) -> EntityChange:
    for change in await store.changes_of(entry.revision):
        if (change.kind, change.key) == (entry.kind, entry.key):
            return change
    raise Conflict(
        "This was too long ago to be undone: what was before is kept in full for the newest few thousand "
        "changes only. Set it again by hand; the audit entry shows it, without secrets."
    )


async def _undo(
    store: Store, tx: Transaction, by: By, entry: AuditEntry, change: EntityChange, kind: _Kind
) -> Undone:
    now = _present(tx, change.kind, change.key)
    what = f"{entry.kind} {'/'.join(entry.key)}"
    if change.after is None and change.before is not None:
        if now is not None:
            raise Conflict(f"The {what} exists again already.")
        await kind.make(store, by, change.before)
        return Undone(entry, "make", {}, None)
    if now is None:
        raise Conflict(f"The {what} is not there any more.")
    if change.before is None:
        _require_same(_flat(now), _flat(change.after), what)
        await kind.remove(store, by, now)
        return Undone(entry, "remove", {}, None)
    before, after, current = _flat(change.before), _flat(change.after), _flat(now)
    names = [name for name in after if before.get(name) != after[name] and name not in FOLLOWS]
    if not names:
        raise Conflict(f"Nothing in this change of the {what} can be undone; a PIN that is locked is reset.")
    _require_may_come_back(names, what)
    _require_same({name: current.get(name) for name in names}, {name: after[name] for name in names}, what)
    await kind.patch(store, by, now, _nested({name: before.get(name) for name in names}))
    return Undone(
        entry, "change", {name: (_shown(after[name]), _shown(before.get(name))) for name in names}, None
    )


def _require_may_come_back(names: Iterable[str], what: str) -> None:
    for name in names:
        if name in _NEVER:
            raise Conflict(f"This change of the {what} cannot be undone: {_NEVER[name]}")


def _require_same(now: Values, then: Values, what: str) -> None:
    changed = sorted(name for name in then if now.get(name) != then[name])
    if changed:
        raise changed_since(what, changed)


def _present(tx: Transaction, kind: EntityKind, key: EntityKey) -> Entity | None:
    model = tx.model
    if kind is EntityKind.DEVICE:
        return model.device(key[0])
    tables: Mapping[EntityKind, Mapping[Any, Entity]] = {
        EntityKind.ORGANISATION: model.organisations,
        EntityKind.SITE: model.sites,
        EntityKind.TRUNK: model.trunks,
        EntityKind.OCCUPANCY: model.occupancies,
        EntityKind.PERSON: model.people,
        EntityKind.EXTENSION: model.extensions,
        EntityKind.NUMBER: model.numbers,
        EntityKind.SERVICE: model.services,
        EntityKind.SERVICE_CHANGE: model.service_changes,
        EntityKind.HANDSET: model.handsets,
        EntityKind.ACCOUNT: model.accounts,
        EntityKind.TOKEN: model.tokens,
        EntityKind.CALL_GROUP: model.call_groups,
        EntityKind.MAIN_NUMBER: model.main_numbers,
    }
    return tables[kind].get(key[0] if len(key) == 1 else key)


def _flat(entity: Entity | None, prefix: str = "") -> Values:
    found: Values = {}
    for name in type(entity).model_fields if entity is not None else ():
        value = getattr(entity, name)
        if isinstance(value, Entity):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


def _nested(flat: Values) -> Values:
    found: Values = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        holder = found
        for part in path:
            holder = holder.setdefault(part, {})
        holder[last] = value
    return found


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    return [str(part) for part in value] if isinstance(value, tuple) else value


def _values(entity: Entity) -> Values:
    """Everything that can be given when it is made."""
    return _nested({name: value for name, value in _flat(entity).items() if name not in FOLLOWS})


def _id(entity: Any) -> str:
    found: str = entity.id
    return found


def _owner(device: Any) -> tuple[str, str]:
    return device.org, device.extension


async def _remake_device(store: Store, by: By, device: Entity) -> None:
    if isinstance(device, Device):
        await devices.restore_device(store, by, device)


_KINDS: Final[Mapping[EntityKind, _Kind]] = {
    EntityKind.ORGANISATION: _Kind(
        lambda store, by, now, values: places.patch_organisation(store, by, _id(now), values),
        lambda store, by, now: places.delete_organisation(store, by, _id(now)),
        lambda store, by, old: places.create_organisation(store, by, _values(old)),
    ),
    EntityKind.SITE: _Kind(
        lambda store, by, now, values: places.patch_site(store, by, _id(now), values),
        lambda store, by, now: places.delete_site(store, by, _id(now)),
        lambda store, by, old: places.create_site(store, by, _values(old)),
    ),
    EntityKind.TRUNK: _Kind(
        lambda store, by, now, values: places.patch_trunk(store, by, _id(now), values),
        lambda store, by, now: places.delete_trunk(store, by, _id(now)),
        lambda store, by, old: places.create_trunk(store, by, _values(old)),
    ),
    EntityKind.PERSON: _Kind(
        lambda store, by, now, values: tenants.patch_person(store, by, _org_and(now, "id"), values),
        lambda store, by, now: tenants.delete_person(store, by, _org_and(now, "id")),
        lambda store, by, old: tenants.create_person(store, by, _values(old)),
    ),
    EntityKind.EXTENSION: _Kind(
        lambda store, by, now, values: extensions.patch_extension(store, by, _org_and(now, "key"), values),
        lambda store, by, now: extensions.delete_extension(store, by, _org_and(now, "key")),
        lambda store, by, old: extensions.create_extension(store, by, _values(old)),
    ),
    EntityKind.DEVICE: _Kind(
        lambda store, by, now, values: devices.patch_device(store, by, _owner(now), _id(now), values),
        lambda store, by, now: devices.delete_device(store, by, _owner(now), _id(now)),
        _remake_device,
    ),
}
"""Kinds whose fields can simply be set back."""


def _org_and(entity: Any, name: str) -> tuple[str, str]:
    return entity.org, getattr(entity, name)
