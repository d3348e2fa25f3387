"""What must hold between entities before a transaction may commit, said so that a person can act on it.

The database has the same rules as constraints; there they would be one sentence without a name in it.
Pure; cost is linear in the changed entities, plus one pass over the model when something is removed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from control_plane.domain.entities import Entity
from control_plane.domain.extension import Device
from control_plane.errors import Conflict, InvalidField
from control_plane.ports import EntityKey, EntityKind
from control_plane.store.codec import KINDS, describe
from control_plane.store.state import State


@dataclass(frozen=True, slots=True)
class _Reference:
    """`fields` of a `holder` point at the key of a `target`; any of them None: it points at nothing."""

    holder: EntityKind
    fields: tuple[str, ...]
    target: EntityKind

    def key(self, entity: Entity) -> EntityKey | None:
        values: tuple[Any, ...] = tuple(getattr(entity, name) for name in self.fields)
        return None if None in values else values


REFERENCES: Final = (
    _Reference(EntityKind.SITE, ("trunk",), EntityKind.TRUNK),
    _Reference(EntityKind.OCCUPANCY, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.OCCUPANCY, ("site",), EntityKind.SITE),
    _Reference(EntityKind.PERSON, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.NUMBER, ("site",), EntityKind.SITE),
    _Reference(EntityKind.NUMBER, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.NUMBER, ("org", "extension"), EntityKind.EXTENSION),
    _Reference(EntityKind.NUMBER, ("person",), EntityKind.PERSON),
    _Reference(EntityKind.EXTENSION, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.EXTENSION, ("site",), EntityKind.SITE),
    _Reference(EntityKind.EXTENSION, ("person",), EntityKind.PERSON),
    _Reference(EntityKind.EXTENSION, ("number",), EntityKind.NUMBER),
    _Reference(EntityKind.DEVICE, ("org", "extension"), EntityKind.EXTENSION),
    _Reference(EntityKind.HANDSET, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.HANDSET, ("site",), EntityKind.SITE),
    _Reference(EntityKind.HANDSET, ("device",), EntityKind.DEVICE),
    _Reference(EntityKind.SERVICE, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.SERVICE, ("site",), EntityKind.SITE),
    _Reference(EntityKind.SERVICE_CHANGE, ("org", "site"), EntityKind.SERVICE),
    _Reference(EntityKind.ACCOUNT, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.ACCOUNT, ("person",), EntityKind.PERSON),
    _Reference(EntityKind.TOKEN, ("account",), EntityKind.ACCOUNT),
    _Reference(EntityKind.CALL_GROUP, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.CALL_GROUP, ("site",), EntityKind.SITE),
    _Reference(EntityKind.MAIN_NUMBER, ("org",), EntityKind.ORGANISATION),
    _Reference(EntityKind.MAIN_NUMBER, ("site",), EntityKind.SITE),
    _Reference(EntityKind.MAIN_NUMBER, ("e164",), EntityKind.NUMBER),
)

_PLURALS: Final = {EntityKind.OCCUPANCY: "occupancies", EntityKind.PERSON: "people"}


def require_consistent(
    after: State,
    put: Collection[tuple[EntityKind, Entity]],
    deleted: Collection[tuple[EntityKind, EntityKey]],
) -> None:
    """Nothing, when `after`, reached by these puts and deletes, keeps the rules.

    Raises:
        InvalidField: something put refers to what does not exist.
        Conflict: something deleted is still referred to, or an extension has two devices of one kind.
    """
    for kind, entity in put:
        _require_targets(after, kind, entity)
        if isinstance(entity, Device):
            _require_one_of_each_kind(after, entity)
    gone = {kind: {key for k, key in deleted if k is kind} for kind in {kind for kind, _ in deleted}}
    for target, keys in gone.items():
        _require_unused(after, target, keys)


def _require_targets(after: State, kind: EntityKind, entity: Entity) -> None:
    for reference in REFERENCES:
        if reference.holder is not kind:
            continue
        key = reference.key(entity)
        if key is not None and after.find(reference.target, key) is None:
            owner = describe(kind, KINDS[kind].key(entity))
            raise InvalidField(
                reference.fields[-1],
                f"{owner} refers to {describe(reference.target, key)}, which does not exist; create it first",
            )


def _require_one_of_each_kind(after: State, device: Device) -> None:
    siblings = after.model.devices.get((device.org, device.extension), ())
    for other in siblings:
        if other.kind is device.kind and other.id != device.id:
            extension = describe(EntityKind.EXTENSION, (device.org, device.extension))
            raise Conflict(
                f"{extension} already has a device of kind {device.kind.value}; "
                "it may have one of each kind, so remove or change that one first"
            )


def _require_unused(after: State, target: EntityKind, keys: Collection[EntityKey]) -> None:
    for reference in REFERENCES:
        if reference.target is not target:
            continue
        held = [key for entity in after.each(reference.holder) if (key := reference.key(entity)) in keys]
        if held:
            first = min(key for key in held if key is not None)
            count = held.count(first)
            noun = _counted(count, reference.holder)
            raise Conflict(f"{describe(target, first)} still has {noun}; {_remedy(reference)}")


def _counted(count: int, kind: EntityKind) -> str:
    noun = kind.value.replace("_", " ")
    return f"1 {noun}" if count == 1 else f"{count} {_PLURALS.get(kind, f'{noun}s')}"


def _remedy(reference: _Reference) -> str:
    """What to do about holders: those that cannot be without the target go, others let go of it."""
    field = KINDS[reference.holder].shape.cls.model_fields[reference.fields[-1]]
    return "remove them first" if field.is_required() else f"clear their {reference.fields[-1]} first"
