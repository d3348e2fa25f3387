"""Grandstream: GXP16xx by P-values, GRP26xx and GXP21xx by names, HT adapters in both of their layouts.

P-values are those on which two independent lists agree (Grandstream's own templates for HT80x, HT81x, GXP21xx
and GRP261x, and a dictionary of P-values per account): single lists are known to have mistakes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from control_plane.domain.extension import Transport
from control_plane.errors import UnsafeValue
from control_plane.render.handsets.digits import grandstream_map
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_book, render_xml
from control_plane.render.handsets.grandstream_numbers import (
    GXP_ACCOUNTS,
    GXP_KEYS,
    HT_ACCOUNTS,
    ht_port,
)
from control_plane.render.handsets.grandstream_system import SystemNames, named_system, numbered_system
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    LineSetup,
    Srtp,
)
from control_plane.render.handsets.units import minutes

Renderer = Callable[[HandsetSetup, CatalogueModel], tuple[HandsetFile, ...]]

ANY_NUMBER = "{ [*x]+ }"
PHONEBOOK = "phonebook.xml"
TRANSPORTS = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 2}
SRTP = {Srtp.OFF: 0, Srtp.OPTIONAL: 1, Srtp.REQUIRED: 2}
CODECS = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9, Codec.OPUS: 123}
KEY_MODES = {
    KeyKind.LINE: 31,
    KeyKind.BLF: 1,
    KeyKind.SPEED_DIAL: 0,
    KeyKind.VOICEMAIL: 6,
    KeyKind.DND: 22,
    KeyKind.FORWARD: 21,
}
NAMED_TRANSPORTS = {Transport.UDP: "UDP", Transport.TCP: "TCP", Transport.TLS: "TlsOrTcp"}
NAMED_SRTP = {Srtp.OFF: "Disabled", Srtp.OPTIONAL: "EnabledButNotForced", Srtp.REQUIRED: "EnabledAndForced"}
NAMED_CODECS = {Codec.PCMU: "PCMU", Codec.PCMA: "PCMA", Codec.G722: "G.722", Codec.OPUS: "OPUS"}
NAMED_KEY_MODES = {
    KeyKind.LINE: "Line",
    KeyKind.BLF: "BLF",
    KeyKind.SPEED_DIAL: "SpeedDial",
    KeyKind.VOICEMAIL: "VoiceMail",
    KeyKind.DND: "DND",
    KeyKind.FORWARD: "Forward",
}
HT_DTMF = {Dtmf.INBAND: 100, Dtmf.RFC4733: 101, Dtmf.INFO: 102}


def _chosen(places: Iterable[int], codecs: Sequence[Codec]) -> list[tuple[int, Codec]]:
    """Every place gets a codec: an empty one would keep what it had. The last is repeated."""
    return [(place, codecs[min(at, len(codecs) - 1)]) for at, place in enumerate(places)]


def _dtmf_order(places: Sequence[int], first: Dtmf) -> list[tuple[int, int]]:
    """The wanted method three times: the adapter may negotiate down its list."""
    return [(place, HT_DTMF[first]) for place in places]


def _common_values(setup: HandsetSetup) -> dict[str, object]:
    return {
        "mac": setup.mac,
        "minutes": minutes,
        "stun": setup.stun_server or "",
        "dial_plan": grandstream_map(setup.digit_patterns) if setup.digit_patterns else ANY_NUMBER,
        "chosen": _chosen,
        "dtmf_order": _dtmf_order,
        "transports": TRANSPORTS,
        "srtp": SRTP,
        "codecs": CODECS,
        "key_modes": KEY_MODES,
    }


def _files(
    setup: HandsetSetup, content: bytes, bootstrap: bytes, *, phonebook: bool
) -> tuple[HandsetFile, ...]:
    name = f"cfg{setup.mac}.xml"
    files = [
        HandsetFile(name, content, XML_TYPE, secret=True),
        HandsetFile(name, bootstrap, XML_TYPE, secret=True, bootstrap=True),
    ]
    if phonebook and setup.contacts:
        book = render_book("grandstream/phonebook.xml.j2", setup.contacts)
        files.append(HandsetFile(PHONEBOOK, book, XML_TYPE))
    return tuple(files)


def _numbered(
    setup: HandsetSetup, template: str, names: SystemNames, values: dict[str, object]
) -> tuple[HandsetFile, ...]:
    system = numbered_system(setup, names)
    content = render_xml(template, {**_common_values(setup), "system": system, **values})
    server = numbered_system(setup, names, server_only=True)
    bootstrap = render_xml("grandstream/v1.xml.j2", {"mac": setup.mac, "system": server})
    return _files(setup, content, bootstrap, phonebook=names.phonebook)


def _line(setup: HandsetSetup, index: int) -> LineSetup | None:
    return next((line for line in setup.lines if line.index == index), None)


def _render_gxp(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    keys = {key.index: key for key in setup.keys}
    values: dict[str, object] = {
        "accounts": [(GXP_ACCOUNTS[at], _line(setup, at + 1)) for at in range(model.lines)],
        "keys": [(GXP_KEYS[at], keys.get(at + 1)) for at in range(model.keys)],
    }
    return _numbered(setup, "grandstream/gxp.xml.j2", SystemNames.GXP, values)


def _render_ht(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    accounts = [(HT_ACCOUNTS[at], _line(setup, at + 1)) for at in range(model.lines)]
    return _numbered(setup, "grandstream/ht.xml.j2", SystemNames.HT, {"accounts": accounts})


def _shared(line: LineSetup) -> tuple[object, ...]:
    """What a profile says for all of its ports."""
    return (
        line.host,
        line.port,
        line.transport,
        line.srtp,
        line.outbound_proxy,
        line.expires_s,
        line.codecs,
        line.dtmf,
        line.mwi,
        line.call_waiting,
    )


def _render_ht_profile(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    profiles = list(dict.fromkeys(_shared(line) for line in setup.lines))
    if len(profiles) > len(HT_ACCOUNTS):
        raise UnsafeValue("lines", f"{model.name} has two profiles; these lines differ in more than two ways")
    first_of = {_shared(line): line for line in reversed(setup.lines)}
    lines = [first_of[profile] for profile in profiles]
    ports = []
    for at in range(model.lines):
        line = _line(setup, at + 1)
        ports.append((ht_port(at), line, profiles.index(_shared(line)) if line else 0))
    values: dict[str, object] = {
        "profiles": [(p, lines[at] if at < len(lines) else None) for at, p in enumerate(HT_ACCOUNTS)],
        "ports": ports,
    }
    return _numbered(setup, "grandstream/ht_profile.xml.j2", SystemNames.HT, values)


def _render_grp(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    keys = {key.index: key for key in setup.keys}
    values = {
        **_common_values(setup),
        "system": named_system(setup),
        "transports": NAMED_TRANSPORTS,
        "srtp": NAMED_SRTP,
        "codecs": NAMED_CODECS,
        "key_modes": NAMED_KEY_MODES,
        "lines": [(number, _line(setup, number)) for number in range(1, model.lines + 1)],
        "keys": [(number, keys.get(number)) for number in range(1, model.keys + 1)],
    }
    server = named_system(setup, server_only=True)
    bootstrap = render_xml("grandstream/bootstrap2.xml.j2", {"mac": setup.mac, "system": server})
    return _files(setup, render_xml("grandstream/grp.xml.j2", values), bootstrap, phonebook=True)


_BOOT = (
    Step("cfg{mac}", stop_if_found=True),
    Step("cfg{mac}.xml", stop_if_found=True),
    Step("cfg{model_lower}.xml", stop_if_found=True),
    Step("cfg.xml"),
)
_ALL = frozenset(FEATURES) - {"custom_ca"}
_ADAPTER = _ALL - {"blf", "speed_dial", "phonebook", "emergency"}


def _family(family_id: str, title: str, models: str, render: Renderer, supports: frozenset[str]) -> Family:
    """`models`: a regular expression of how their names begin."""
    agent = rf"Grandstream Model HW {models}\w*(?:\s+\[?V[^ ]+\]?)? SW [\d.]+ DevId [0-9a-f]{{12}}"
    return Family(
        id=f"grandstream_{family_id}",
        vendor="grandstream",
        title=f"Grandstream {title}",
        login=HttpLogin.DIGEST,
        fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
        resync="resync",
        reboot="check-sync;reboot=true",
        user_agent=agent,
        boot=_BOOT,
        render=render,
        supports=supports,
        blind=True,
    )


FAMILIES = (
    _family("gxp", "GXP16xx", "GXP16", _render_gxp, _ALL - {"emergency"}),
    _family("grp", "GRP26xx and GXP21xx", "G(?:RP26|XP21)", _render_grp, _ALL),
    _family("ht", "HT, one account a port", "HT", _render_ht, _ADAPTER),
    _family("ht_profile", "HT, two profiles for all ports", "HT", _render_ht_profile, _ADAPTER),
)
