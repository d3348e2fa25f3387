"""What every write has in common: who asks, merging a patch, and the version it was based on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.errors import InvalidField, StaleVersion
from control_plane.ports import EntityKey, EntityKind, Transaction
from control_plane.service.messages import build
from control_plane.service.rules import require_not_leaving

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class By:
    """Who writes, and which versions of the entity they may overwrite (None: whichever is there)."""

    actor: str
    expected: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Saved(Generic[E]):
    """An entity and the revision that last changed it."""

    entity: E
    version: int


def require_version(tx: Transaction, by: By, kind: EntityKind, key: EntityKey) -> None:
    """Nothing, when the writer may change the entity and has seen it as it is.

    Raises: IllegalTransition (its organisation is leaving, R35), StaleVersion.
    """
    require_not_leaving(tx.model, _owner(tx.model, kind, key))
    if by.expected is None:
        return
    version = tx.version(kind, key)
    if version not in by.expected:
        raise StaleVersion(
            f"The {kind} {'/'.join(key)} has changed since you read it (it is now version {version}): "
            "read it again and repeat the change."
        )


def _owner(model: Model, kind: EntityKind, key: EntityKey) -> str | None:
    """Whose the entity is; a device is looked for through its extension, by who changes it."""
    match kind:
        case EntityKind.NUMBER:
            number = model.numbers.get(key[0])
            return number.org if number is not None else None
        case EntityKind.PERSON:
            person = model.people.get(key[0])
            return person.org if person is not None else None
        case EntityKind.HANDSET:
            handset = model.handsets.get(key[0])
            return handset.org if handset is not None else None
        case EntityKind.ORGANISATION | EntityKind.SITE | EntityKind.TRUNK | EntityKind.DEVICE:
            return None
        case _:
            return key[0]


def given(values: Mapping[str, object]) -> dict[str, object]:
    """`values` without those that are None, nested ones too: in something new, null says "the default"."""
    return {
        name: given(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def merged(entity: Entity, changes: Mapping[str, object]) -> dict[str, object]:
    """The fields of `entity` with `changes` over them, nested fields included (RFC 7396).

    None takes a field back to its default.
    """
    values: dict[str, object] = {name: getattr(entity, name) for name in type(entity).model_fields}
    for name, change in changes.items():
        current = values.get(name)
        if change is None and name in values:
            del values[name]
        elif isinstance(change, Mapping) and isinstance(current, Entity):
            values[name] = merged(current, change)
        else:
            values[name] = change
    return values


def patched(entity: E, changes: Mapping[str, object], fixed: Iterable[str]) -> E:
    """`entity` with only `changes` changed.

    Raises:
        InvalidField: a rule of a field is broken, or a field of `fixed` (what names the entity) would change.
    """
    for name in fixed:
        if name in changes and changes[name] != getattr(entity, name):
            raise InvalidField(name, "cannot be changed: create a new one instead")
    return build(type(entity), merged(entity, changes))
