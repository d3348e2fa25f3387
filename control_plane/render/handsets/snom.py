"""Snom D desk phones (firmware 8.9 and 10): one settings file, the directory in it.

Sources: Snom's service documentation (settings, function keys, dial plan) and its default file names.
"""

from __future__ import annotations

from control_plane.render.handsets.digits import digit_map, regular_expression
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_xml
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
from control_plane.render.handsets.zones import Change, Zone, zone_rules

SAVP = {Srtp.OFF: "off", Srtp.OPTIONAL: "optional", Srtp.REQUIRED: "mandatory"}
CODECS = {Codec.G722: "g722", Codec.PCMA: "pcma", Codec.PCMU: "pcmu", Codec.OPUS: "opus"}
LANGUAGES = {
    "de": "Deutsch",
    "en": "English",
    "es": "Espanol",
    "fr": "Francais",
    "it": "Italiano",
    "nl": "Dutch",
}
TONES = {
    "AT": "AUT",
    "AU": "AUS",
    "CH": "SWI",
    "DE": "GER",
    "DK": "DNK",
    "ES": "ESP",
    "FR": "FRA",
    "GB": "GBR",
    "IN": "IND",
    "IT": "ITA",
    "JP": "JPN",
    "MX": "MEX",
    "NL": "NLD",
    "NO": "NOR",
    "NZ": "NZL",
    "SE": "SWE",
    "US": "USA",
}
BOOTSTRAP_REFRESH_S = 300


def _changes_at(change: Change) -> str:
    """Month.week.weekday and time: Monday is 01, week 05 the last."""
    day = f"{change.month:02d}.{change.week:02d}.{change.weekday_from_monday:02d}"
    return f"{day} {change.hour:02d}:{change.minute:02d}:00"


def _dst(zone: Zone) -> str:
    if zone.changes is None:
        return ""
    start, end = zone.changes
    return f"{zone.save_s} {_changes_at(start)} {_changes_at(end)}"


def _codec_list(line: LineSetup) -> str:
    """In order; digits are in the audio when telephone-event is not offered."""
    names = [CODECS[codec] for codec in line.codecs]
    return ",".join(names if line.dtmf is Dtmf.INBAND else [*names, "telephone-event"])


def _dial_plan(patterns: tuple[str, ...]) -> str:
    """|expression|number|, and d where the number is complete: dialled at once."""
    return " ".join(
        f"|^({regular_expression(pattern)})$|sip:\\1@\\d|{'' if pattern.open_ended or pattern.waits else 'd'}"
        for pattern in digit_map(patterns)
    )


def _function(setup: HandsetSetup, key: KeySetup) -> str:
    host = next((line.host for line in setup.lines if line.index == key.line), "")
    match key.kind:
        case KeyKind.LINE:
            return "line"
        case KeyKind.BLF:
            return f"blf sip:{key.value}@{host}" if host else f"blf {key.value}"
        case KeyKind.SPEED_DIAL | KeyKind.VOICEMAIL:
            return f"speed {key.value}"
        case KeyKind.DND:
            return "keyevent F_DND"
        case KeyKind.FORWARD:
            return "keyevent F_REDIRECT"


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    zone = zone_rules(setup.time_zone, setup.year)
    lines = {line.index: line for line in setup.lines}
    keys = {key.index: key for key in setup.keys}
    values: dict[str, object] = {
        "server": setup.server,
        "refresh_s": setup.server.interval_s,
        "language": LANGUAGES.get(setup.language, "English"),
        "tones": TONES.get(setup.tone_country, "USA"),
        "ntp": setup.ntp_servers[0] if setup.ntp_servers else "",
        "zone": zone,
        "dst": _dst(zone),
        "admin_password": setup.admin_password.get_secret_value(),
        "user_password": setup.user_password.get_secret_value(),
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "emergency": " ".join(setup.emergency),
        "lines": [(number, lines.get(number)) for number in range(1, model.lines + 1)],
        "keys": [(number, keys.get(number)) for number in range(1, model.keys + 1)],
        "contacts": setup.contacts,
        "savp": SAVP,
        "codecs": _codec_list,
        "stun": setup.stun_server or "",
        "dial_plan": _dial_plan(setup.digit_patterns),
        "function": lambda key: _function(setup, key),
    }
    name = f"snom{model.name}-{setup.mac.upper()}.htm"
    bootstrap = render_xml(
        "snom/bootstrap.xml.j2", {"server": setup.server, "refresh_s": BOOTSTRAP_REFRESH_S}
    )
    return (
        HandsetFile(name, render_xml("snom/d.xml.j2", values), XML_TYPE, secret=True),
        HandsetFile(name, bootstrap, XML_TYPE, secret=True, bootstrap=True),
    )


D = Family(
    id="snom_d",
    vendor="snom",
    title="Snom D",
    login=HttpLogin.BASIC,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="check-sync;reboot=false",
    reboot="check-sync;reboot=true",
    user_agent=r"Mozilla/4\.0 \(compatible; snom\w+-SIP [\d.]+[^()]*\)",
    boot=(Step("snom{model}.htm"), Step("snom{model}-{MAC}.htm", needed=True)),
    render=_render,
    supports=frozenset(FEATURES),
)
FAMILIES = (D,)
