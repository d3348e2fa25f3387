"""Template loading and the two formats templates yield: configuration sections and dialplan text.

Every value goes through `safe`, which refuses what would end a line or a value; so no template can be
talked into writing a line of somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.exceptions import UndefinedError

from control_plane.errors import MissingTemplateValue, UnsafeValue


def safe(field: str, value: str) -> str:
    """`value`, when it can stand on one line of a configuration file.

    Raises:
        UnsafeValue: it has a control character (a line break ends the line, a NUL the file).
    """
    if not value.isprintable():
        raise UnsafeValue(field, "must not contain line breaks or control characters")
    return value


def _finalize(value: object) -> object:
    if isinstance(value, str) and not value.isprintable() and "\n" not in value:
        raise UnsafeValue("template value", "must not contain control characters")
    return value


def environment() -> Environment:
    """The one template environment; deterministic, no access to the outside."""
    return Environment(
        loader=PackageLoader("asterisk_templates", package_path=""),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML; values pass `safe`
        finalize=_finalize,
        auto_reload=False,  # else every use asks the file system whether the template changed
    )


ENVIRONMENT = environment()


def render(name: str, values: Mapping[str, object]) -> str:
    """The text of template `name`.

    Raises:
        MissingTemplateValue: the template asks for a value that is not given.
    """
    try:
        return ENVIRONMENT.get_template(name).render(values)
    except UndefinedError as exc:
        raise MissingTemplateValue(f"{name}: {exc.message}") from exc


class Section(NamedTuple):
    """One `[name]` section of pjsip.conf."""

    name: str
    type: str
    fields: Mapping[str, str]


def sections(text: str) -> Iterator[Section]:
    """The sections of rendered pjsip.conf text, in order; `type` is taken out of the fields."""
    name = ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("["):
            if name:
                yield Section(name, fields.pop("type"), fields)
            name, fields = line[1:-1], {}
        elif line:
            field, _, value = line.partition("=")
            fields[field] = value
    if name:
        yield Section(name, fields.pop("type"), fields)
