"""Fanvil X and V desk phones with the sysConf file (firmware 2.2.10 and later).

A file whose Version is not newer than the last one is ignored, so it grows with every publication; the
bootstrap has the number before its file's.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from control_plane.domain.extension import Transport
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_book, render_xml, split_address
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    KeySetup,
    LineSetup,
    Srtp,
)
from control_plane.render.handsets.units import hours, offset_text
from control_plane.render.handsets.zones import zone_rules

DIRECTORY = "directory.xml"
PROTOCOLS = {"tftp": 2, "http": 4, "https": 5}
TRANSPORTS = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 3}
SRTP = {Srtp.OFF: 0, Srtp.OPTIONAL: 1, Srtp.REQUIRED: 2}
DTMF = {Dtmf.INBAND: 0, Dtmf.RFC4733: 1, Dtmf.INFO: 2}
CODECS = {Codec.G722: "G722", Codec.PCMA: "PCMA", Codec.PCMU: "PCMU", Codec.OPUS: "OPUS"}
LANGUAGES = ("ar", "cz", "de", "en", "es", "fr", "he", "hr", "it", "ko", "nl", "pl", "pt", "ru", "tr")
TONES = {"CA": 18, "DE": 2, "ES": 33, "FR": 25, "GB": 13, "IT": 21, "NL": 5, "US": 11}
_MEMORY, _LINE, _KEY_EVENT = 1, 2, 3
KEY_TYPES = {
    KeyKind.LINE: _LINE,
    KeyKind.BLF: _MEMORY,
    KeyKind.SPEED_DIAL: _MEMORY,
    KeyKind.VOICEMAIL: _MEMORY,
    KeyKind.DND: _KEY_EVENT,
    KeyKind.FORWARD: _KEY_EVENT,
}


def _version(number: int) -> str:
    return f"2.{number:010d}"


def _function(key: KeySetup) -> str:
    """A memory key's value is number@line/what: bc watches and calls, f calls, m is for messages."""
    match key.kind:
        case KeyKind.LINE:
            return f"SIP{key.line}"
        case KeyKind.BLF:
            return f"{key.value}@{key.line}/bc"
        case KeyKind.SPEED_DIAL:
            return f"{key.value}@{key.line}/f"
        case KeyKind.VOICEMAIL:
            return f"{key.value}@{key.line}/m"
        case KeyKind.DND:
            return "F_DND"
        case KeyKind.FORWARD:
            return "F_CFWD"


def _proxy(line: LineSetup) -> tuple[str, int]:
    return split_address(line.outbound_proxy, line.port) if line.outbound_proxy else ("", line.port)


def _codec_list(line: LineSetup) -> str:
    return ",".join(CODECS[codec] for codec in line.codecs)


def _pages(setup: HandsetSetup, model: CatalogueModel) -> list[tuple[int, list[tuple[int, KeySetup | None]]]]:
    keys = {key.index: key for key in setup.keys}
    return [
        (
            first // model.page + 1,
            [(place, keys.get(first + place)) for place in range(1, min(model.page, model.keys - first) + 1)],
        )
        for first in range(0, model.keys, model.page or 1)
    ]


def _server(setup: HandsetSetup) -> dict[str, object]:
    return {"server": setup.server, "protocol": PROTOCOLS[urlsplit(setup.server.url).scheme]}


def _values(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    zone = zone_rules(setup.time_zone, setup.year)
    lines = {line.index: line for line in setup.lines}
    return {
        **_server(setup),
        "version": _version(2 * setup.sequence + 1),
        "interval_hours": hours(setup.server.interval_s),
        "tones": TONES.get(setup.tone_country, TONES["US"]),
        "stun": split_address(setup.stun_server, 3478) if setup.stun_server else ("", 3478),
        "lines": [(number, lines.get(number)) for number in range(1, model.lines + 1)],
        "proxy": _proxy,
        "transports": TRANSPORTS,
        "srtp": SRTP,
        "dtmf": DTMF,
        "codecs": _codec_list,
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "admin_password": setup.admin_password.get_secret_value(),
        "user_password": setup.user_password.get_secret_value(),
        "emergency": ",".join(setup.emergency),
        "language": setup.language if setup.language in LANGUAGES else "en",
        "ntp": (*setup.ntp_servers, "", ""),
        "zone": zone,
        "zone_offset": offset_text(zone.offset_s),
        "directory_name": setup.directory_name,
        "phonebook_url": f"{setup.server.url}{DIRECTORY}" if setup.contacts else "",
        "pages": _pages(setup, model),
        "key_types": KEY_TYPES,
        "function": _function,
    }


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    name = f"{setup.mac}.cfg"
    first = {**_server(setup), "version": _version(2 * setup.sequence), "interval_hours": 1}
    files = [
        HandsetFile(name, render_xml("fanvil/x.xml.j2", _values(setup, model)), XML_TYPE, secret=True),
        HandsetFile(
            name, render_xml("fanvil/bootstrap.xml.j2", first), XML_TYPE, secret=True, bootstrap=True
        ),
    ]
    if setup.contacts:
        book = render_book("fanvil/directory.xml.j2", setup.contacts)
        files.append(HandsetFile(DIRECTORY, book, XML_TYPE))
    return tuple(files)


X = Family(
    id="fanvil_x",
    vendor="fanvil",
    title="Fanvil X and V",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="check-sync",
    reboot="check-sync;reboot=true",
    user_agent=r"Fanvil [XV]\w+(?:[ -](?:Pro|V2))? [\d.]+ [0-9a-f]{12}",
    boot=(Step("{mac}.cfg", needed=True),),
    render=_render,
    supports=frozenset(FEATURES) - {"custom_ca", "digit_map"},
)
FAMILIES = (X,)
