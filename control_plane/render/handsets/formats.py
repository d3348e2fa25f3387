"""The two kinds of file handsets read, text lines and XML, and what may stand in them.

Escaping is not left to the templates: an XML template escapes every value by itself, and a value with a line
break or a control character ends the rendering in both. What is neither text nor a number (a secret nobody
opened, None, a truth value) is refused too, so that no file says "None" or "**********".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.exceptions import UndefinedError

from control_plane.errors import MissingTemplateValue, UnsafeValue
from control_plane.render.handsets.setup import Contact
from control_plane.render.templates import safe

TEXT_TYPE = "text/plain; charset=utf-8"
XML_TYPE = "application/xml; charset=utf-8"
PEM_TYPE = "application/x-pem-file"
BOOKS_KEPT = 64
"""Handsets are rendered one organisation after the other, so few directories are used at a time."""


def _finalize(value: object) -> object:
    if isinstance(value, str):
        return safe("template value", value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UnsafeValue("template value", f"a {type(value).__name__} is neither text nor a number")


def _environment(*, escaped: bool) -> Environment:
    return Environment(
        loader=PackageLoader("asterisk_templates", package_path="handsets"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=escaped,  # noqa: S701 - text files are not HTML; their values pass `_finalize`
        finalize=_finalize,
        auto_reload=False,
    )


_TEXT = _environment(escaped=False)
_XML = _environment(escaped=True)


def _render(environment: Environment, name: str, values: Mapping[str, object]) -> bytes:
    try:
        return environment.get_template(name).render(values).encode()
    except UndefinedError as exc:
        raise MissingTemplateValue(f"{name}: {exc.message}") from exc


def render_text(name: str, values: Mapping[str, object]) -> bytes:
    """A file of lines from template `name` (below `handsets/`), in UTF-8.

    Raises:
        MissingTemplateValue: the template asks for a value that is not given.
        UnsafeValue: a value has a line break or a control character, or is no text and no number.
    """
    return _render(_TEXT, name, values)


def render_xml(name: str, values: Mapping[str, object]) -> bytes:
    """An XML file from template `name`, in UTF-8; every value is escaped, in text and in attributes.

    Raises:
        MissingTemplateValue: the template asks for a value that is not given.
        UnsafeValue: a value has a line break or a control character, or is no text and no number.
    """
    return _render(_XML, name, values)


@lru_cache(maxsize=BOOKS_KEPT)
def render_book(name: str, contacts: tuple[Contact, ...], directory_name: str = "") -> bytes:
    """A directory as `render_xml` makes it: once for all handsets of an organisation that read this template.

    Raises: as `render_xml`.
    """
    return render_xml(name, {"contacts": contacts, "directory_name": directory_name})


def split_address(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of "host:port" or "host"; an IPv6 address is in brackets when a port follows.

    Raises:
        UnsafeValue: the port is no number.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return text, default_port
    if not port.isascii() or not port.isdigit():
        raise UnsafeValue("address", f"{text!r}: the port must be a number")
    return host, int(port)
