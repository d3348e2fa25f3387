"""All families, and the one way to a handset's files: the checks that hold for every make are here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache

from pydantic import SecretStr

from control_plane.domain.extension import Transport
from control_plane.errors import UnsafeValue
from control_plane.render.handsets import (
    cisco,
    fanvil,
    gigaset,
    grandstream,
    htek,
    mitel,
    panasonic,
    poly,
    snom,
    softphones,
    yealink,
)
from control_plane.render.handsets.catalogue import Catalogue, load_models
from control_plane.render.handsets.family import CatalogueModel, Family
from control_plane.render.handsets.formats import PEM_TYPE
from control_plane.render.handsets.setup import Contact, HandsetFile, HandsetSetup, KeyKind, LineSetup, Srtp
from control_plane.render.templates import safe

FAMILIES: tuple[Family, ...] = (
    *cisco.FAMILIES,
    *fanvil.FAMILIES,
    *gigaset.FAMILIES,
    *grandstream.FAMILIES,
    *htek.FAMILIES,
    *mitel.FAMILIES,
    *panasonic.FAMILIES,
    *poly.FAMILIES,
    *snom.FAMILIES,
    *softphones.FAMILIES,
    *yealink.FAMILIES,
)
CATALOGUE = Catalogue(
    FAMILIES,
    (model for vendor in sorted({family.vendor for family in FAMILIES}) for model in load_models(vendor)),
)

_MAC = re.compile(r"[0-9a-f]{12}")
_FILE_NAME = re.compile(r"[A-Za-z0-9$][A-Za-z0-9$._-]{0,99}")
_PEM_LINE = re.compile(r"[A-Za-z0-9+/=]{1,76}|-----(?:BEGIN|END) CERTIFICATE-----")
_SIP_USER = re.compile(r"[A-Za-z0-9._-]{1,60}")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[?[0-9a-fA-F:.]{2,45}\]?")
_DIALLED = re.compile(r"[0-9*#+]{0,40}")
_NEUTRAL_KEYS = (KeyKind.LINE, KeyKind.SPEED_DIAL)
_TELLING_LENGTH = 6
"""A shorter identity may stand in any file by chance."""


def render_handset(setup: HandsetSetup) -> tuple[HandsetFile, ...]:
    """Every file of one handset, for the family of its model; the same set-up gives the same bytes.

    Raises:
        UnknownEntity: no such model.
        UnsafeValue: a value cannot stand in a configuration file, or asks for more than the model has.
        MissingTemplateValue: a template asks for what is not there.
    """
    model = CATALOGUE.model(setup.model)
    family = CATALOGUE.family(model)
    _require_expressible(setup, model, family)
    if setup.logged_out:
        setup = neutral(setup)
    files = family.render(setup, model)
    if setup.server.ca_pem and not family.softphone:
        # Also for families that are not told of it: there it is installed by hand, from this address.
        content = setup.server.ca_pem.encode()
        files += (HandsetFile(setup.server.ca_name, content, PEM_TYPE, common=True),)
    _require_well_made(files, setup)
    return files


def neutral(setup: HandsetSetup) -> HandsetSetup:
    """What is left when nobody is logged in: no directory, no mailbox, no keys that watch people."""
    lines = tuple(replace(line, voicemail_code=None, mwi=False) for line in setup.lines)
    keys = tuple(key for key in setup.keys if key.kind in _NEUTRAL_KEYS)
    return replace(setup, lines=lines, keys=keys, contacts=())


def _texts(value: object, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, SecretStr):
        yield name, value.get_secret_value()
    elif isinstance(value, str):
        yield name, value
    elif isinstance(value, tuple):
        for number, item in enumerate(value, 1):
            yield from _texts(item, f"{name}.{number}")
    else:
        kind: type = type(value)
        for field in _fields_of(kind):
            yield from _texts(getattr(value, field), f"{name}.{field}".removeprefix("."))


@lru_cache(maxsize=32)
def _fields_of(kind: type) -> tuple[str, ...]:
    """The fields of a part of a set-up that may hold text; contacts are looked at by themselves."""
    return tuple(one.name for one in fields(kind) if one.name != "contacts") if is_dataclass(kind) else ()


@lru_cache(maxsize=64)
def _require_contacts(contacts: tuple[Contact, ...]) -> None:
    """Once for all handsets of an organisation: they are most of what a handset is told."""
    for number, contact in enumerate(contacts, 1):
        safe(f"contacts.{number}.name", contact.name)
        _require_dialled(f"contacts.{number}.number", contact.number)


@lru_cache(maxsize=8)
def _require_pem(text: str) -> None:
    for line in text.splitlines():
        if not _PEM_LINE.fullmatch(line):
            raise UnsafeValue("server.ca_pem", "must be certificates in PEM and nothing else")


def _require_dialled(field: str, text: str) -> None:
    if not _DIALLED.fullmatch(text):
        raise UnsafeValue(field, "must be digits, *, # and + only")


def _require_expressible(setup: HandsetSetup, model: CatalogueModel, family: Family) -> None:
    for name, text in _texts(setup, ""):
        if name != "server.ca_pem":
            safe(name, text)
    _require_pem(setup.server.ca_pem)
    _require_contacts(setup.contacts)
    if not family.softphone and not _MAC.fullmatch(setup.mac):
        raise UnsafeValue("mac", "must be 12 lower-case hex digits")
    for each in setup.lines:
        _require_line(each, family)
    for field, dialled in _dialled(setup):
        _require_dialled(field, dialled)
    _require_numbered("lines", [line.index for line in setup.lines], model.lines, model)
    _require_numbered("keys", [key.index for key in setup.keys], model.keys, model)


def _require_line(line: LineSetup, family: Family) -> None:
    """What is written into SIP addresses as it is, and what the family can do."""
    where = f"lines.{line.index}"
    if not _SIP_USER.fullmatch(line.sip_user):
        raise UnsafeValue(f"{where}.sip_user", "must be letters, digits and . _ - only")
    if not _HOST.fullmatch(line.host):
        raise UnsafeValue(f"{where}.host", "must be a host name or an IP address")
    if line.transport is Transport.TLS and "tls" not in family.supports:
        raise UnsafeValue(f"{where}.transport", f"{family.title} has no TLS")
    if line.srtp is Srtp.REQUIRED and "srtp" not in family.supports:
        raise UnsafeValue(f"{where}.srtp", f"{family.title} has no SRTP")


def _dialled(setup: HandsetSetup) -> Iterator[tuple[str, str]]:
    for key in setup.keys:
        yield f"keys.{key.index}.value", key.value
    for number, emergency in enumerate(setup.emergency, 1):
        yield f"emergency.{number}", emergency
    for line in setup.lines:
        yield f"lines.{line.index}.voicemail_code", line.voicemail_code or ""


def _require_numbered(field: str, indexes: list[int], most: int, model: CatalogueModel) -> None:
    if len(set(indexes)) != len(indexes):
        raise UnsafeValue(field, "two have the same number")
    if any(not 1 <= index <= most for index in indexes):
        raise UnsafeValue(field, f"{model.name} has {most}, counted from 1")


def _identities(setup: HandsetSetup) -> Iterator[bytes]:
    server = setup.server
    yield from (text.encode() for text in (setup.mac, server.url, server.user))
    yield from (secret.get_secret_value().encode() for secret in _secrets(setup))
    yield from (line.sip_user.encode() for line in setup.lines)


def _secrets(setup: HandsetSetup) -> tuple[SecretStr, ...]:
    passwords = tuple(line.sip_password for line in setup.lines)
    return (*passwords, setup.server.password, setup.admin_password, setup.user_password)


def _holds(content: bytes, secret: bytes) -> bool:
    return len(secret) >= _TELLING_LENGTH and secret in content


def _require_well_made(files: tuple[HandsetFile, ...], setup: HandsetSetup) -> None:
    asked = [(file.bootstrap, file.name.lower()) for file in files]
    if len(set(asked)) != len(asked):
        raise UnsafeValue("file name", "two files have the same name")
    for file in files:
        if not _FILE_NAME.fullmatch(file.name):
            raise UnsafeValue("file name", f"{file.name!r} is not a plain name")
        _require_readable(file)
        if file.common and any(_holds(file.content.lower(), one.lower()) for one in _identities(setup)):
            raise UnsafeValue(file.name, "is common to all handsets but names one of them")
        if file.bootstrap and any(_holds(file.content, one) for one in _sip_secrets(setup.lines)):
            raise UnsafeValue(file.name, "is a bootstrap but holds a SIP secret")


def _require_readable(file: HandsetFile) -> None:
    """That a file is text in the encoding it says, or in UTF-8."""
    _, _, charset = file.content_type.partition("charset=")
    file.content.decode(charset or "utf-8")


def _sip_secrets(lines: tuple[LineSetup, ...]) -> Iterator[bytes]:
    return (line.sip_password.get_secret_value().encode() for line in lines)
