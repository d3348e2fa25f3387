"""`key=value` on the command line as a patch of an entity: dotted names, values typed by the field."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import SecretStr

from control_plane.domain.entities import Entity
from control_plane.domain.extension import Extension
from control_plane.errors import InvalidField

SetArgument = Annotated[
    list[str], typer.Argument(metavar="NAME=VALUE...", help="Lists are separated by commas; none clears.")
]
MoreArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME=VALUE...", help="More of it; lists are separated by commas."),
]

TRUE = frozenset({"true", "yes", "on", "1"})
FALSE = frozenset({"false", "no", "off", "0"})
NONE = frozenset({"", "none", "null"})
FIXED = ("org", "key")
"""What names an extension or a call group."""
_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
"""A number below nought is a number too: the field's own rule says what its limits are."""
DERIVED = ("forwarding.vip_ring_devices", "legacy_multi_forward")
"""Follow from other fields, or from where an extension came from."""


def settable(entity: type[Entity] = Extension, fixed: Iterable[str] = FIXED) -> tuple[str, ...]:
    """Every dotted name `set` takes for this kind of entity."""
    left_out = {*fixed, *DERIVED}
    names = _names(entity, "")
    return tuple(name for name in names if name not in left_out and name.split(".")[0] not in left_out)


def _names(entity: type[Entity], prefix: str) -> Iterable[str]:
    for name, info in entity.model_fields.items():
        nested = _nested(info.annotation)
        if nested is None or types.NoneType in _kinds(info.annotation):
            yield f"{prefix}{name}"
        if nested is not None:
            yield from _names(nested, f"{prefix}{name}.")


def _nested(annotation: Any) -> type[Entity] | None:
    """The entity class of a field that holds one."""
    found = (k for k in _kinds(annotation) if isinstance(k, type) and issubclass(k, Entity))
    return next(found, None)


def parse(
    assignments: Iterable[str], entity: type[Entity] = Extension, fixed: Iterable[str] = FIXED
) -> dict[str, object]:
    """The nested patch of these `name=value` texts; lists are separated by commas, "none" clears.

    Raises:
        InvalidField: a name that is none of the entity's, or a value that is none of its field's.
    """
    names = settable(entity, fixed)
    patch: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise InvalidField(repr(assignment), "is not NAME=VALUE, such as dnd=true")
        *path, last = name.split(".")
        holder, owner = patch, _entity_at(entity, path, name, names)
        for part in path:
            nested = holder.setdefault(part, {})
            if not isinstance(nested, dict):
                raise InvalidField(part, "is set both as a whole and in part")
            holder = nested
        if name not in names:
            raise _unknown(name, names)
        holder[last] = _typed(name, owner.model_fields[last].annotation, value)
    return patch


def _entity_at(entity: type[Entity], path: list[str], name: str, names: tuple[str, ...]) -> type[Entity]:
    for part in path:
        info = entity.model_fields.get(part)
        nested = _nested(info.annotation) if info is not None else None
        if nested is None:
            raise _unknown(name, names)
        entity = nested
    return entity


def _unknown(name: str, names: tuple[str, ...]) -> InvalidField:
    """Names the nearest field first, as after a slip of the keyboard, then all."""
    near = get_close_matches(name.strip().lower(), names, n=1)
    hint = f"did you mean {near[0]}? There are" if near else "there are"
    return InvalidField(name, f"is no field that can be set; {hint} {', '.join(names)}")


def _typed(name: str, annotation: Any, value: str) -> object:
    """`value` as what the field takes; the field's own rules are checked when it is saved."""
    kinds = tuple(_kinds(annotation))
    if types.NoneType in kinds and value.lower() in NONE:
        return None
    if tuple in kinds:
        return (
            () if value.lower() in NONE else tuple(part.strip() for part in value.split(",") if part.strip())
        )
    if bool in kinds:
        return _switch(name, value)
    if int in kinds:
        return int(value) if _WHOLE.fullmatch(value) else value
    return SecretStr(value) if SecretStr in kinds else value


def _switch(name: str, value: str) -> bool:
    if value.lower() in TRUE:
        return True
    if value.lower() in FALSE:
        return False
    raise InvalidField(name, "must be true or false")


def _kinds(annotation: Any) -> Iterable[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    else:
        yield origin or annotation
