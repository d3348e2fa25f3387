"""Yealink: T desk phones and CP conference phones, and W DECT bases, from firmware 81 on.

Sources: Yealink's Administrator's Guides for T2/T4/T5 and W60P (auto provisioning, DST by week, digit map).
"""

from __future__ import annotations

from control_plane.domain.extension import Transport
from control_plane.render.handsets.digits import mgcp_map
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import TEXT_TYPE, XML_TYPE, render_book, render_text, split_address
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    LineSetup,
    Srtp,
)
from control_plane.render.handsets.units import minutes, offset_text
from control_plane.render.handsets.zones import Change, zone_rules

DIRECTORY = "directory.xml"
NOTHING = "%NULL%"
"""Clears a value; in a name it is written apart, or the name would be gone."""

TRANSPORTS = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 2}
SRTP = {Srtp.OFF: 0, Srtp.OPTIONAL: 1, Srtp.REQUIRED: 2}
DTMF = {Dtmf.INBAND: 0, Dtmf.RFC4733: 1, Dtmf.INFO: 2}
CODECS = ((Codec.G722, "g722"), (Codec.PCMA, "pcma"), (Codec.PCMU, "pcmu"), (Codec.OPUS, "opus"))
OTHER_CODECS = ("g729", "ilbc", "g726_32")
KEY_TYPES = {
    KeyKind.LINE: 15,
    KeyKind.BLF: 16,
    KeyKind.SPEED_DIAL: 13,
    KeyKind.VOICEMAIL: 12,
    KeyKind.DND: 5,
    KeyKind.FORWARD: 2,
}
LANGUAGES = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "tr": "Turkish",
}
TONES = {
    "AT": "Austria",
    "AU": "Australia",
    "BE": "Belgium",
    "BR": "Brazil",
    "CH": "Switzerland",
    "CL": "Chile",
    "CN": "China",
    "CZ": "Czech",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "Great Britain",
    "GR": "Greece",
    "HU": "Hungary",
    "IN": "India",
    "IT": "Italy",
    "JP": "Japan",
    "LT": "Lithuania",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "PT": "Portugal",
    "RU": "Russia",
    "SE": "Sweden",
    "US": "United States",
}

_BOOT = (
    Step("{mac}.boot", stop_if_found=True),
    Step("y000000000000.boot", stop_if_found=True),
    Step("y{code:0>12}.cfg"),
    Step("{mac}.cfg", needed=True),
)


def shown(text: str) -> str:
    """A name as it is shown; empty clears the old one."""
    return "% NULL %" if text == NOTHING else text or NOTHING


def _clock_change(change: Change) -> str:
    """Month/week/weekday/hour: Monday is 1, week 5 the last; full hours only."""
    return f"{change.month}/{change.week}/{change.weekday_from_monday}/{change.hour}"


def _proxy(line: LineSetup) -> tuple[str, int]:
    return split_address(line.outbound_proxy or "", line.port)


def _values(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    zone = zone_rules(setup.time_zone, setup.year)
    lines = {line.index: line for line in setup.lines}
    keys = {key.index: key for key in setup.keys}
    return {
        "server": setup.server,
        "repeat_minutes": minutes(setup.server.interval_s),
        "user_password": setup.user_password.get_secret_value(),
        "admin_password": setup.admin_password.get_secret_value(),
        "language": LANGUAGES.get(setup.language, "English"),
        "tones": TONES.get(setup.tone_country, "Custom"),
        "ntp": (*setup.ntp_servers, NOTHING, NOTHING),
        "zone": zone,
        "zone_offset": offset_text(zone.offset_s),
        "clock_change": _clock_change,
        "stun": split_address(setup.stun_server, 3478) if setup.stun_server else None,
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "emergency": ",".join(setup.emergency) or NOTHING,
        "digit_map": mgcp_map(setup.digit_patterns),
        "phonebook_url": f"{setup.server.url}{DIRECTORY}" if setup.contacts else "",
        "directory_name": setup.directory_name,
        "lines": [(number, lines.get(number)) for number in range(1, model.lines + 1)],
        "keys": [(number, keys.get(number)) for number in range(1, model.keys + 1)],
        "transports": TRANSPORTS,
        "srtp": SRTP,
        "dtmf": DTMF,
        "codecs": CODECS,
        "other_codecs": OTHER_CODECS,
        "key_types": KEY_TYPES,
        "proxy": _proxy,
        "shown": shown,
    }


def _files(setup: HandsetSetup, model: CatalogueModel, template: str) -> tuple[HandsetFile, ...]:
    name = f"{setup.mac}.cfg"
    bootstrap = render_text("yealink/bootstrap.cfg.j2", {"server": setup.server})
    files = [
        HandsetFile(name, render_text(template, _values(setup, model)), TEXT_TYPE, secret=True),
        HandsetFile(name, bootstrap, TEXT_TYPE, secret=True, bootstrap=True),
    ]
    if model.hardware_code:
        common = render_text("yealink/common.cfg.j2", {})
        files.append(HandsetFile(f"y{model.hardware_code:0>12}.cfg", common, TEXT_TYPE, common=True))
    if setup.contacts:
        book = render_book("yealink/directory.xml.j2", setup.contacts, setup.directory_name)
        files.append(HandsetFile(DIRECTORY, book, XML_TYPE))
    return tuple(files)


def _render_t(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    return _files(setup, model, "yealink/t.cfg.j2")


def _render_dect(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    return _files(setup, model, "yealink/dect.cfg.j2")


T = Family(
    id="yealink_t",
    vendor="yealink",
    title="Yealink T and CP",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="check-sync;reboot=false",
    reboot="check-sync;reboot=true",
    user_agent=r"[yY]ealink (?:SIP-[TC]|CP)\w+(?: E2)? [\d.]+(?: [0-9a-fA-F:]{17})?",
    boot=_BOOT,
    render=_render_t,
    supports=frozenset(FEATURES),
)
DECT = Family(
    id="yealink_dect",
    vendor="yealink",
    title="Yealink W DECT",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="check-sync;reboot=false",
    reboot="check-sync;reboot=true",
    user_agent=r"(?:[yY]ealink )?(?:SIP-)?W\w+ [\d.]+(?: [0-9a-fA-F:]{17})?",
    boot=_BOOT,
    render=_render_dect,
    supports=frozenset(FEATURES) - {"blf", "speed_dial"},
)
FAMILIES = (T, DECT)
