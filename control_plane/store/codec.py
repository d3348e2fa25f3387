"""Entities as flat rows and back, and as JSON for the audit.

The columns follow from the fields of the entity classes: a nested value is flattened
(`forwarding.enabled` -> `forwarding_enabled`), a tuple becomes a JSON list, an enum its text, a secret its
text, a time ISO 8601 in UTC. So a new field needs a migration and nothing here. No database in this module.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import SecretStr

from control_plane.domain.accounts import Account, Token
from control_plane.domain.entities import (
    AuthorizationCode,
    Entity,
    Leftover,
    Occupancy,
    Organisation,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, Extension
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.voice import ServiceChange, VoiceService
from control_plane.ports import EntityChange, EntityKey, EntityKind

MASK = "***"
HIDDEN_FIELDS: Final = frozenset({(AuthorizationCode, "salt"), (AuthorizationCode, "digest")})
"""Secrets that are not SecretStr: with salt and digest a code of a few digits is found in milliseconds."""

Convert = Callable[[Any], Any]
_set: Final = object.__setattr__  # entities are frozen


class ColumnType(StrEnum):
    """What a column holds, independent of the database."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an entity table."""

    name: str
    type: ColumnType
    nullable: bool


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of an entity class and the columns `start` to `stop` of its row."""

    name: str
    start: int
    stop: int
    nested: Shape | None
    to_row: Convert | None
    from_row: Convert | None


class Shape:
    """How the values of one entity class lie in a row."""

    def __init__(self, cls: type[Entity], prefix: str = "", *, nullable: bool = False) -> None:
        self.cls = cls
        columns: list[Column] = []
        fields: list[_Field] = []
        for name, info in cls.model_fields.items():
            bare, optional = _without_none(info.annotation)
            start, full_name = len(columns), f"{prefix}{name}"
            nested, to_row, from_row = None, None, None
            if isinstance(bare, type) and issubclass(bare, Entity):
                nested = Shape(bare, f"{full_name}_", nullable=optional)
                columns.extend(nested.columns)
            else:
                column, to_row, from_row = _scalar(full_name, bare, nullable=nullable or optional)
                columns.append(column)
            fields.append(_Field(name, start, len(columns), nested, to_row, from_row))
        self.columns: Final[tuple[Column, ...]] = tuple(columns)
        self.names: Final[tuple[str, ...]] = tuple(column.name for column in columns)
        self._fields: Final[tuple[_Field, ...]] = tuple(fields)
        self._given: Final[set[str]] = {field.name for field in fields}
        if cls.__pydantic_post_init__ is not None:
            raise TypeError(f"{cls.__name__} does something when it is made, which `decode` would leave out")

    def encode(self, entity: Entity) -> list[Any]:
        """The values of `entity`, secrets in clear, in the order of `columns`."""
        row: list[Any] = []
        for field in self._fields:
            value = getattr(entity, field.name)
            if field.nested is not None:
                row.extend(
                    [None] * len(field.nested.columns) if value is None else field.nested.encode(value)
                )
            elif value is None or field.to_row is None:
                row.append(value)
            else:
                row.append(field.to_row(value))
        return row

    def decode(self, row: Sequence[Any], shared: dict[Any, Entity]) -> Entity:
        """The entity of `row`, unchecked: it was checked when it was written.

        Equal nested values (most extensions have the same forwarding) become one object through `shared`,
        which belongs to one load.
        """
        values: dict[str, Any] = {}
        for field in self._fields:
            if field.nested is not None:
                values[field.name] = field.nested._decode_shared(row[field.start : field.stop], shared)
                continue
            value = row[field.start]
            values[field.name] = value if value is None or field.from_row is None else field.from_row(value)
        return self._made(values)

    def _made(self, values: dict[str, Any]) -> Entity:
        """What `model_construct` makes of these values, which are those of all fields (pydantic 2, main.py).

        It looks at each field for aliases and defaults, which took a third of reading a model.
        """
        entity = self.cls.__new__(self.cls)
        _set(entity, "__dict__", values)
        _set(entity, "__pydantic_fields_set__", self._given)  # shared: a frozen entity never adds to it
        _set(entity, "__pydantic_extra__", None)
        _set(entity, "__pydantic_private__", None)
        return entity

    def _decode_shared(self, row: Sequence[Any], shared: dict[Any, Entity]) -> Entity | None:
        if all(value is None for value in row):
            return None
        key = (self.cls, *(tuple(value) if isinstance(value, list) else value for value in row))
        found = shared.get(key)
        if found is None:
            found = shared[key] = self.decode(row, shared)
        return found


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The annotation without `Annotated` and `| None`, and whether None is allowed."""
    optional = False
    if get_origin(annotation) in (Union, types.UnionType):
        members = [arg for arg in get_args(annotation) if arg is not type(None)]
        optional = len(members) < len(get_args(annotation))
        if len(members) != 1:
            raise TypeError(f"a field of type {annotation} cannot be stored: one type, or that and None")
        annotation = members[0]
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation, optional


def _scalar(name: str, bare: Any, *, nullable: bool) -> tuple[Column, Convert | None, Convert | None]:
    """The column of one field, and how its values are written and read."""
    if get_origin(bare) is tuple:
        member, _ = _without_none(get_args(bare)[0])
        return Column(name, ColumnType.LIST, nullable), list, _list_reader(member)
    if bare is SecretStr:
        return Column(name, ColumnType.TEXT, nullable), SecretStr.get_secret_value, SecretStr
    if issubclass(bare, StrEnum):
        members = {member.value: member for member in bare}
        return Column(name, ColumnType.TEXT, nullable), str, members.__getitem__
    if bare is datetime:
        return Column(name, ColumnType.TEXT, nullable), moment_text, datetime.fromisoformat
    if bare is date:
        return Column(name, ColumnType.TEXT, nullable), date.isoformat, date.fromisoformat
    kinds = {str: ColumnType.TEXT, bool: ColumnType.BOOLEAN, int: ColumnType.INTEGER}
    return Column(name, kinds[bare], nullable), None, None


def moment_text(value: datetime) -> str:
    """ISO 8601 in UTC, so that texts sort as the moments do."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _list_reader(member: Any) -> Convert:
    if isinstance(member, type) and issubclass(member, StrEnum):
        members = {value.value: value for value in member}
        return lambda values: tuple(members[value] for value in values)
    return tuple


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the model: its class, what identifies it, its table, its mapping in the model."""

    kind: EntityKind
    shape: Shape
    key_fields: tuple[str, ...]
    table: str
    """Also the name of the mapping in Model."""

    def key(self, entity: Entity) -> EntityKey:
        values = (getattr(entity, name) for name in self.key_fields)
        return tuple(value.isoformat() if isinstance(value, date) else value for value in values)


KINDS: Final[Mapping[EntityKind, Kind]] = {
    kind.kind: kind
    for kind in (
        # Parents first: rows are written in this order and removed in the reverse order.
        Kind(EntityKind.ORGANISATION, Shape(Organisation), ("id",), "organisations"),
        Kind(EntityKind.TRUNK, Shape(Trunk), ("id",), "trunks"),
        Kind(EntityKind.SITE, Shape(Site), ("id",), "sites"),
        Kind(EntityKind.OCCUPANCY, Shape(Occupancy), ("org", "site"), "occupancies"),
        Kind(EntityKind.PERSON, Shape(Person), ("id",), "people"),
        Kind(EntityKind.NUMBER, Shape(PhoneNumber), ("e164",), "numbers"),
        Kind(EntityKind.EXTENSION, Shape(Extension), ("org", "key"), "extensions"),
        Kind(EntityKind.DEVICE, Shape(Device), ("id",), "devices"),
        Kind(EntityKind.HANDSET, Shape(Handset), ("mac",), "handsets"),
        Kind(EntityKind.SERVICE, Shape(VoiceService), ("org", "site"), "services"),
        Kind(EntityKind.SERVICE_CHANGE, Shape(ServiceChange), ("org", "site", "on"), "service_changes"),
        Kind(EntityKind.LEFTOVER, Shape(Leftover), ("node", "org", "extension"), "leftovers"),
        Kind(EntityKind.ACCOUNT, Shape(Account), ("email",), "accounts"),
        Kind(EntityKind.TOKEN, Shape(Token), ("id",), "tokens"),
        Kind(EntityKind.CALL_GROUP, Shape(CallGroup), ("org", "key"), "call_groups"),
        Kind(EntityKind.MAIN_NUMBER, Shape(MainNumber), ("org", "site"), "main_numbers"),
    )
}
_KIND_OF: Final[Mapping[type[Entity], Kind]] = {kind.shape.cls: kind for kind in KINDS.values()}


def kind_of(entity: Entity) -> Kind:
    """The kind of `entity`. Raises TypeError for a value that is only part of an entity."""
    try:
        return _KIND_OF[type(entity)]
    except KeyError:
        raise TypeError(f"{type(entity).__name__} is not stored by itself") from None


def describe(kind: EntityKind, key: EntityKey) -> str:
    """How a person calls it: "extension 100 of acme"."""
    match kind:
        case EntityKind.EXTENSION:
            return f"extension {key[1]} of {key[0]}"
        case EntityKind.CALL_GROUP:
            return f"call group {key[1]} of {key[0]}"
        case EntityKind.MAIN_NUMBER:
            return f"main number of {key[0]} at {key[1]}"
        case EntityKind.OCCUPANCY:
            return f"occupancy of {key[0]} at {key[1]}"
        case EntityKind.SERVICE:
            return f"voice service of {key[0]} at {key[1]}"
        case EntityKind.SERVICE_CHANGE:
            return f"change of the voice service of {key[0]} at {key[1]} on {key[2]}"
        case EntityKind.LEFTOVER:
            return f"what is left of extension {key[2]} of {key[1]}"
        case _:
            return f"{kind.value} {key[0]}"


def key_text(key: EntityKey) -> str:
    """The key in one column; no part of a key can contain a slash."""
    return "/".join(key)


def key_of_text(text: str) -> EntityKey:
    return tuple(text.split("/"))


def to_json(kind: Kind, entity: Entity | None) -> dict[str, Any] | None:
    """The whole row by column name, secrets in clear: for the table of changes only."""
    return None if entity is None else dict(zip(kind.shape.names, kind.shape.encode(entity), strict=True))


def from_json(kind: Kind, value: Mapping[str, Any] | None, shared: dict[Any, Entity]) -> Entity | None:
    """The inverse of `to_json`."""
    if value is None:
        return None
    return kind.shape.decode([value[name] for name in kind.shape.names], shared)


def organisation_of(change: EntityChange) -> str | None:
    """Whose a change is, for the audit; None: the operator's, as when it went from one tenant to another."""
    named = {_organisation(entity) for entity in (change.before, change.after) if entity is not None} - {None}
    return named.pop() if len(named) == 1 else None


def _organisation(entity: Entity) -> str | None:
    if isinstance(entity, Organisation):
        return entity.id
    found: str | None = getattr(entity, "org", None)
    return found


def changed_fields(before: Entity | None, after: Entity | None) -> tuple[str, ...]:
    """The dotted names of what differs, secrets compared as they are; () when one of the two is missing."""
    if before is None or after is None:
        return ()
    names: list[str] = []
    for name in type(after).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        inner = changed_fields(old, new) if isinstance(old, Entity) and isinstance(new, Entity) else ()
        names.extend([f"{name}.{part}" for part in inner] or [name])
    return tuple(names)


def masked(entity: Entity | None) -> dict[str, Any] | None:
    """The entity as JSON for people: every secret that is set reads `***`."""
    if entity is None:
        return None
    return {name: _masked_value(entity, name, getattr(entity, name)) for name in type(entity).model_fields}


def _masked_value(owner: Entity, name: str, value: Any) -> Any:
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case Entity():
            return masked(value)
        case tuple():
            return [str(item) for item in value]
        case StrEnum():
            return value.value
        case datetime():
            return moment_text(value)
        case date():
            return value.isoformat()
        case _:
            return MASK if (type(owner), name) in HIDDEN_FIELDS else value
