"""Rows of a pjsip.conf template that thousands of things share, without running the template for each. Pure.

A template asks only whether a text is set; flags and numbers it may look at. So a text that is set is left
open, what remains (the *shape*) is rendered once, and then filled with each thing's own texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NamedTuple

from control_plane.errors import UnsafeValue
from control_plane.render.templates import render, sections

MAX_VALUE_BYTES = 1000
"""AMI takes 1 010 bytes after `Val: ` (measured); a longer row cannot be pushed."""

_OPEN = "\u27e6{}\u27e7"  # two mathematical brackets; only what is between them in a template's text counts
_SLOT = re.compile("\u27e6([a-z_]+)\u27e7")
_FLAT_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


class _Row(NamedTuple):
    """An AstDB row with `%(field)s` where a text goes."""

    key: str
    value: str


def rows(template: str, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The AstDB rows of the template's sections: key, and the flat JSON object of strings that sorcery reads.

    Raises:
        MissingTemplateValue: the template asks for a value that is not given.
        UnsafeValue: a text has a control character, or a row is longer than AMI can carry.
    """
    given: list[object] = []
    in_json = {}
    for name, value in values.items():
        if isinstance(value, str) and value:
            if not value.isprintable():
                raise UnsafeValue("template value", "must not contain control characters")
            in_json[name] = encode_basestring(value)[1:-1]
            given.append(None)
        else:
            given.append(value)
    for row in _shape(template, tuple(values), tuple(given)):
        key, value = row.key % values, row.value % in_json
        if len(value) > MAX_VALUE_BYTES or (not value.isascii() and len(value.encode()) > MAX_VALUE_BYTES):
            raise UnsafeValue(key, f"is longer than {MAX_VALUE_BYTES} bytes; shorten the labels it holds")
        yield key, value


@lru_cache(maxsize=256)
def _shape(template: str, names: tuple[str, ...], given: tuple[object, ...]) -> tuple[_Row, ...]:
    """The rows with every text left open; None stands for a text."""
    named = zip(names, given, strict=True)
    values = {name: _OPEN.format(name) if value is None else value for name, value in named}
    return tuple(
        _Row(_slotted(f"pbx/{section.type}/{section.name}"), _slotted(_FLAT_JSON.encode(section.fields)))
        for section in sections(render(template, values))
    )


def _slotted(text: str) -> str:
    return _SLOT.sub(r"%(\1)s", text.replace("%", "%%"))
