"""Validation errors as sentences: which field, which rule, what would be right.

The value itself is never part of a message: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

import annotated_types
from pydantic import BaseModel, ValidationError

from control_plane.domain.entities import KEY_PATTERN, SLUG_PATTERN, Trunk
from control_plane.domain.extension import NoAnswer
from control_plane.domain.groups import GROUP_KEY_PATTERN, CallGroup
from control_plane.errors import InvalidField, InvalidFields

M = TypeVar("M", bound=BaseModel)

_SIMPLE = {
    "missing": "is required",
    "extra_forbidden": "there is no such field",
    "json_invalid": "is not valid JSON",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
    "datetime_from_date_parsing": "must be a date and time such as 2025-01-31T09:30:00Z",
    "datetime_parsing": "must be a date and time such as 2025-01-31T09:30:00Z",
    "date_from_datetime_parsing": "must be a date such as 2025-01-31",
    "date_from_datetime_inexact": "must be a date such as 2025-01-31",
    "date_parsing": "must be a date such as 2025-01-31",
    "date_type": "must be a date such as 2025-01-31",
    "timezone_aware": "must name its time zone, such as 2025-01-31T09:30:00Z",
}

_PATTERNS = {
    f"^{SLUG_PATTERN}$": "must be 1 to 31 lower-case letters, digits and dashes, starting with a letter",
    f"^{KEY_PATTERN}$": "must be 2 to 6 digits",
    f"^{GROUP_KEY_PATTERN}$": "must be 2 to 5 digits",
    r"^[^@\s,;<>\"]+@[^@\s,;<>\"]+$": "must be an e-mail address such as name@example.com",
    r"^[A-Za-z0-9.-]{1,253}$": "must be a host name or an IP address",
    r"^[A-Za-z0-9._+-]{1,64}$": "must be 1 to 64 letters, digits and . _ + -",
    r"^\+?[0-9]{1,15}$": "must be 1 to 15 digits as dialled",
    r"^[0-9]{1,10}$": "must be 1 to 10 digits",
    r"^[0-9]{4,8}$": "must be 4 to 8 digits",
    r"^[A-Za-z0-9]{16,64}$": "must be 16 to 64 letters and digits",
}

_SOURCES = {"ring_timeout_s": "R115", "forwarding.vip": "R94", "notify": "R116"}
"""Field -> the requirement its limits come from, for messages that state a limit."""

_FIELD_IN_TEXT = re.compile(r"([a-z_0-9]+): (.+)", re.DOTALL)


def _bounds() -> Mapping[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for model in (NoAnswer, Trunk, CallGroup):
        for name, info in model.model_fields.items():
            low = [m.ge for m in info.metadata if isinstance(m, annotated_types.Ge)]
            high = [m.le for m in info.metadata if isinstance(m, annotated_types.Le)]
            if low and high:
                found[name] = (int(str(low[0])), int(str(high[0])))
    return found


_BOUNDS = _bounds()


def build(model: type[M], values: Mapping[str, object]) -> M:
    """`values` as a `model`.

    Raises:
        InvalidField: one or more fields break a rule of their own.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        refuse(problems_of(error.errors(include_url=False, include_input=False)))


def refuse(problems: Iterable[tuple[str, str]]) -> NoReturn:
    """Raise what is wrong. Raises: InvalidField, always."""
    found = tuple(dict.fromkeys(problems))
    # `from None`: the original carries the rejected values, secrets included, into every traceback.
    raise (InvalidField(*found[0]) if len(found) == 1 else InvalidFields(found)) from None


def problems_of(errors: Iterable[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """(field path, rule) of each of pydantic's error entries."""
    return tuple(_problem(tuple(e["loc"]), str(e["type"]), e.get("ctx") or {}, e["msg"]) for e in errors)


def _problem(loc: tuple[int | str, ...], kind: str, context: Mapping[str, Any], text: str) -> tuple[str, str]:
    path = _path(loc)
    if kind == "value_error":
        return _own_rule(path, str(context.get("error", text)))
    rule = _rule(_last_name(loc), kind, context, text)
    source = next((row for name, row in _SOURCES.items() if path.endswith(name)), None)
    limited = kind in {"greater_than_equal", "less_than_equal", "too_long"}
    return path, f"{rule} ({source})" if source and limited else rule


def _path(loc: tuple[int | str, ...]) -> str:
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "body"


def _last_name(loc: tuple[int | str, ...]) -> str:
    return next((part for part in reversed(loc) if isinstance(part, str)), "")


def _own_rule(path: str, text: str) -> tuple[str, str]:
    """A rule over several fields starts with the field to mend: "number: ..."."""
    found = _FIELD_IN_TEXT.fullmatch(text)
    if found is None:
        return path, text
    return (found[1] if path == "body" else f"{path}.{found[1]}"), found[2]


def _rule(name: str, kind: str, context: Mapping[str, Any], text: str) -> str:
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if kind in {"greater_than_equal", "less_than_equal"}:
        return _range(name, context)
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern", ""))
        return _PATTERNS.get(pattern, f"must match {pattern}")
    if kind in {"enum", "literal_error"}:
        return f"must be one of {context.get('expected', '')}"
    if kind in {"too_long", "string_too_long"}:
        unit = "characters" if kind == "string_too_long" else "entries"
        return f"must have at most {context.get('max_length')} {unit}"
    if kind == "string_too_short":
        return f"must have at least {context.get('min_length')} characters"
    return text[:1].lower() + text[1:]


def _range(name: str, context: Mapping[str, Any]) -> str:
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        return f"must be between {low} and {high}"
    if "ge" in context:
        return f"must be at least {context['ge']}"
    return f"must be at most {context['le']}"
