"""How people name things on the command line: 100, acme/100, +6531234567, anonymous."""

from __future__ import annotations

import re
from collections.abc import Iterable

from control_plane.callpath.explain import CallerId, HandsetCaller, InsideCaller, OutsideCaller
from control_plane.domain.extension import Device, Extension
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import normal_mac
from control_plane.domain.model import ExtensionId, Model
from control_plane.domain.regions import is_e164, tidy
from control_plane.errors import Conflict, InvalidField, UnknownEntity

ANONYMOUS = "anonymous"
HANDSET = "handset:"
"""Before the MAC of a handset: a call from it while nobody is logged in."""
DIALLED = re.compile(r"([a-z][a-z0-9-]*/)?\+?[0-9*#][0-9*# ().-]*")
"""What a person may write as dialled: an extension of a named organisation, or what a keypad has."""
_NAMED_AT_MOST = 8
_EXTENSION_DIGITS_MAX = 6


def extension_id(model: Model, text: str, org: str | None = None) -> ExtensionId:
    """The extension `text` names: "acme/100", or "100" where only one organisation has it.

    Raises:
        UnknownEntity: there is none.
        Conflict: several organisations have it.
    """
    found = [ident for ident in _candidates(model, text) if org is None or ident[0] == org]
    return _only("extension", text if found or org is None or "/" in text else f"{org}/{text}", found)


def _candidates(model: Model, text: str) -> list[ExtensionId]:
    org, slash, key = text.partition("/")
    if slash:
        return [(org, key)] if (org, key) in model.extensions else []
    return [ident for ident in model.extensions if ident[1] == text]


def group_id(model: Model, text: str) -> ExtensionId:
    """The call group `text` names: "acme/300", or "300" where only one organisation has it.

    Raises:
        UnknownEntity: there is none.
        Conflict: several organisations have it.
    """
    org, slash, key = text.partition("/")
    found = [i for i in model.call_groups if (i == (org, key) if slash else i[1] == text)]
    return _only("call group", text, found)


def called_place(model: Model, text: str) -> Extension | CallGroup | MainNumber:
    """What a call to `text` comes to: an extension or group by its key, or what a number of ours reaches.

    Raises:
        UnknownEntity, Conflict: as for an extension.
        InvalidField: the number is none of ours, or reaches nothing.
    """
    org, slash, key = text.partition("/")
    keys = [*model.extensions, *model.call_groups]  # no organisation has a key as both
    found = [ident for ident in keys if (ident == (org, key) if slash else ident[1] == text)]
    if not found and is_outside(model, text):
        return _reached(model, outside_number(model, text))
    ident = _only("extension or call group", text, found)
    return model.extensions[ident] if ident in model.extensions else model.call_groups[ident]


def _reached(model: Model, e164: str) -> Extension | MainNumber:
    number, main = model.numbers.get(e164), model.main_number(e164)
    if main is not None:
        return main
    extension = model.extensions.get((number.org or "", number.extension or "")) if number else None
    if extension is None:
        why = "reaches nothing" if number else "is no number of ours"
        raise InvalidField(e164, f"{why}: 'wirechief number list' says what reaches what")
    return extension


def place_id(
    known: Iterable[tuple[str, str]], what: str, org: str | None, site: str | None
) -> tuple[str, str]:
    """The one (organisation, site) of `known` that the two options leave.

    Raises:
        InvalidField: none is left, or several are.
    """
    found = [key for key in known if org in (None, key[0]) and site in (None, key[1])]
    if len(found) != 1:
        named = ", ".join("/".join(key) for key in sorted(found or known)) or "none"
        raise InvalidField("--org and --site", f"must name one {what}; there are: {named}")
    return found[0]


def site_named(model: Model, site: str | None) -> str:
    """The site, or the only one there is.

    Raises:
        InvalidField: it has to be named.
    """
    if site is not None:
        return site
    if len(model.sites) != 1:
        raise InvalidField("--site", f"must be one of {', '.join(sorted(model.sites)) or 'none: create one'}")
    return next(iter(model.sites))


def _only(kind: str, text: str, found: list[ExtensionId]) -> ExtensionId:
    if not found:
        raise UnknownEntity(kind, text)
    if len(found) == 1:
        return found[0]
    named = " or ".join("/".join(ident) for ident in sorted(found)[:_NAMED_AT_MOST])
    raise Conflict(f"{kind.capitalize()} {text} exists in several organisations: write {named}.")


def is_extension(model: Model, text: str) -> bool:
    """Whether `text` names at least one extension."""
    return bool(_candidates(model, text))


def party(model: Model, text: str, org: str | None = None) -> str:
    """The name under which explain knows who takes part in a call: "org/key", or a number as E.164.

    Raises:
        UnknownEntity, Conflict: as for an extension.
    """
    if is_outside(model, text):
        return outside_number(model, text)
    return "/".join(extension_id(model, text, org))


def is_outside(model: Model, text: str) -> bool:
    """Whether `text` is a number outside rather than an extension."""
    if is_extension(model, text):
        return False
    digits = tidy(text)
    return digits.startswith("+") or (digits.isdigit() and len(digits) > _EXTENSION_DIGITS_MAX)


def outside_number(model: Model, text: str) -> str:
    """`text` as E.164; where all sites share a region, national notation is understood as well.

    Raises:
        InvalidField: it is no telephone number.
    """
    digits = tidy(text)
    if not is_e164(digits):
        regions = {site.region for site in model.sites.values()}
        sites = list(model.sites.values())
        digits = sites[0].numbering.normalise(digits) if len(regions) == 1 else digits
    if not is_e164(digits):
        raise InvalidField(
            text, "is neither an extension nor a telephone number; write +, country code and number"
        )
    return digits


def caller_and_dialled(model: Model, from_: str, to: str, org: str | None) -> tuple[CallerId, str]:
    """Who calls and what arrives as dialled digits.

    A caller outside reaches an extension through its number.

    Raises:
        UnknownEntity, Conflict, InvalidField
    """
    if not DIALLED.fullmatch(to):
        raise InvalidField("--to", "must be what can be dialled: digits, *, #, a leading +, or org/extension")
    if from_.startswith(HANDSET):
        mac = neutral_line(model, from_.removeprefix(HANDSET))
        return HandsetCaller(mac), _dialled_inside(model, model.handsets[mac].org, to)
    if from_ != ANONYMOUS and not is_outside(model, from_):
        ident = extension_id(model, from_, org)
        return InsideCaller(*ident), _dialled_inside(model, ident[0], to)
    number = None if from_ == ANONYMOUS else outside_number(model, from_)
    dialled = number_of(model, to, org)
    return OutsideCaller(trunk_to(model, dialled), number), dialled


def neutral_line(model: Model, text: str) -> str:
    """The MAC of the handset with a neutral line that `text` names in any notation.

    Raises:
        InvalidField: it is no MAC address, or that of a handset without such a line.
        UnknownEntity: there is no such handset.
    """
    try:
        mac = normal_mac(text)
    except ValueError as exc:
        raise InvalidField("--from", f"{text!r} {exc}") from None
    handset = model.handsets.get(mac)
    if handset is None:
        raise UnknownEntity("handset", text)
    if not handset.has_neutral_line:
        raise InvalidField("--from", f"handset {mac} has no neutral line: it is disabled")
    return mac


def _dialled_inside(model: Model, caller_org: str, to: str) -> str:
    org, slash, key = to.partition("/")
    if not slash:
        return tidy(to)
    if org == caller_org:
        return key
    return number_of(model, to, None)


def number_of(model: Model, text: str, org: str | None) -> str:
    """The number that reaches `text` from outside: a number as it is, an extension's own.

    Raises:
        InvalidField: the extension has no number.
        UnknownEntity, Conflict
    """
    if not is_extension(model, text):
        return outside_number(model, text)
    ident = extension_id(model, text, org)
    number = model.extensions[ident].number
    if number is None:
        raise InvalidField(
            "to", f"extension {text} has no number, so nobody outside can call it: assign one first"
        )
    return number


def trunk_to(model: Model, e164: str) -> str:
    """The trunk over which calls to this number come in: its site's, else the only one there is.

    Raises:
        InvalidField: there is no trunk.
    """
    number = model.numbers.get(e164)
    site = model.sites.get(number.site) if number is not None else None
    trunk = site.trunk if site is not None else None
    if trunk is None:
        trunk = next(iter(sorted(model.trunks)), None)
    if trunk is None:
        raise InvalidField("from", "there is no trunk, so nobody outside can call: create one first")
    return trunk


def device_of(model: Model, ident: ExtensionId, text: str) -> Device:
    """The device of an extension that `text` names by its kind or its SIP user name.

    Raises:
        UnknownEntity: it has no such device.
    """
    for device in model.devices.get(ident, ()):
        if text in (device.kind.value, device.id):
            return device
    raise UnknownEntity(f"device of extension {ident[1]}", text)
