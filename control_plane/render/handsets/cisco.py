"""Cisco: SPA desk phones and adapters, and the multiplatform (MPP) phones; all read a flat profile.

A parameter that is not in the profile stays as it is, so lines nobody has are cleared by name.
Sources: Cisco's provisioning guides for SPA300/500, SPA100 and the IP Phone 7800/8800 multiplatform series.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.digits import digit_map, repeated_dot
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_xml
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    KeySetup,
    Server,
    Srtp,
)
from control_plane.render.handsets.tones import Tone, tones_of
from control_plane.render.handsets.zones import Change, Zone, zone_rules

ENTRIES_PER_PAGE = 32
"""A directory page with more is refused by the phone."""
DTMF = {Dtmf.RFC4733: "AVT", Dtmf.INBAND: "InBand", Dtmf.INFO: "INFO"}
CODECS = {Codec.G722: "G722", Codec.PCMA: "G711a", Codec.PCMU: "G711u", Codec.OPUS: "OPUS"}
UNSPECIFIED = "Unspecified"
TONE_DBM = -19
_RULE_WORD = re.compile(r"[A-Za-z0-9._~+=-]+")


def _profile_rule(server: Server) -> str:
    """Where to fetch and as whom; $MA is the MAC address in lower case.

    Raises:
        UnsafeValue: user or password would end the option.
    """
    for field, word in (("user", server.user), ("password", server.password.get_secret_value())):
        if not _RULE_WORD.fullmatch(word):
            raise UnsafeValue(
                f"server.{field}", "must be letters, digits and . _ ~ + = - for a Cisco profile rule"
            )
    return f"[--uid {server.user} --pwd {server.password.get_secret_value()}]{server.url}$MA.xml"


def time_zone_text(offset_s: int) -> str:
    """GMT+01:00."""
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    return f"GMT{'-' if offset_s < 0 else '+'}{hours:02d}:{minutes:02d}"


def _change_text(change: Change) -> str:
    """month/day/weekday/time: the weekday on or after that day; -1, the last one of the month."""
    day = -1 if change.week == 5 else 7 * change.week - 6
    return f"{change.month}/{day}/{change.weekday_from_monday}/{change.hour}:{change.minute}:0"


def daylight_rule(zone: Zone) -> str:
    """start=3/-1/7/2:0:0;end=10/-1/7/3:0:0;save=1 (hours, or hours:minutes); "" without summer time."""
    if zone.changes is None:
        return ""
    start, end = zone.changes
    hours, minutes = divmod(zone.save_s // 60, 60)
    save = f"{hours}:{minutes}" if minutes else f"{hours}"
    return f"start={_change_text(start)};end={_change_text(end)};save={save}"


def tone_script(tone: Tone) -> str:
    """350@-19,440@-19;10(*/0/1+2): frequencies with their level, length in seconds, on/off/which in turn."""
    mixed = "+".join(str(number) for number in range(1, len(tone.hz) + 1))
    sounds = ",".join(f"{hz}@{TONE_DBM}" for hz in tone.hz)
    if not tone.cadence_ms:
        return f"{sounds};10(*/0/{mixed})"
    parts = ",".join(f"{_seconds(on)}/{_seconds(off)}/{mixed}" for on, off in tone.cadence_ms)
    return f"{sounds};*({parts})"


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g}"


def dial_plan(patterns: tuple[str, ...]) -> str:
    """(112S0|1xxS0|00xx.): S0 dials at once, a dot is none or more of the one before; last, anything.

    A sequence that is complete and could go on is sent by the short timer.
    """
    alternatives = [
        repeated_dot(pattern).removesuffix("T") + ("" if pattern.open_ended or pattern.waits else "S0")
        for pattern in digit_map(patterns)
    ]
    return f"({'|'.join([*alternatives, '*xx.', 'xx.'])})"


def key_name(text: str) -> str:
    """A label inside a key's function: a semicolon would start the next part of it."""
    return text.replace(";", ",")


def _function(key: KeySetup) -> str:
    name = key_name(key.label)
    match key.kind:
        case KeyKind.BLF:
            return f"fnc=blf+sd+cp;sub={key.value}@$PROXY;ext={key.value}@$PROXY;nme={name}"
        case KeyKind.SPEED_DIAL | KeyKind.VOICEMAIL:
            return f"fnc=sd;ext={key.value}@$PROXY;nme={name}"
        case KeyKind.DND:
            return f"fnc=dnd;nme={name}"
        case KeyKind.FORWARD:
            return f"fnc=cfwd;nme={name}"
        case _:
            return ""


def _keys(setup: HandsetSetup, model: CatalogueModel) -> Iterator[dict[str, object]]:
    """Every key: as asked for; without any wish, one for each line."""
    given = {key.index: key for key in setup.keys} or {
        line.index: KeySetup(line.index, KeyKind.LINE, "", line.label, line.index) for line in setup.lines
    }
    for index in range(1, model.keys + 1):
        key = given.get(index)
        if key is None:
            yield {"index": index, "extension": "Disabled", "label": "", "function": ""}
        else:
            extension = key.line if key.kind is KeyKind.LINE else "Disabled"
            yield {"index": index, "extension": extension, "label": key.label, "function": _function(key)}


def _preferred(codecs: tuple[Codec, ...], known: dict[Codec, str]) -> tuple[str, ...]:
    names = [known[codec] for codec in usable(codecs, known)]
    return tuple([*names, UNSPECIFIED, UNSPECIFIED, UNSPECIFIED][:3])


def _values(setup: HandsetSetup, model: CatalogueModel, codecs: dict[Codec, str]) -> dict[str, object]:
    zone = zone_rules(setup.time_zone, setup.year)
    tones = tones_of(setup.tone_country)
    named = (
        ("Dial", tones.dial),
        ("Busy", tones.busy),
        ("Ring_Back", tones.ringback),
        ("Reorder", tones.congestion),
    )
    lines = {line.index: line for line in setup.lines}
    codes = [line.voicemail_code for line in setup.lines if line.voicemail_code]
    return {
        "setup": setup,
        "model": model,
        "profile_rule": _profile_rule(setup.server),
        "time_zone": time_zone_text(zone.offset_s),
        "daylight_rule": daylight_rule(zone),
        "tones": [{"cisco": name, "script": tone_script(tone)} for name, tone in named],
        "keepalive_s": setup.lines[0].keepalive_s if setup.lines else 30,
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "voicemail_code": codes[0] if codes else "",
        "srtp": any(line.srtp is not Srtp.OFF for line in setup.lines),
        "lines": {number: lines.get(number) for number in range(1, model.lines + 1)},
        "codecs": (*codecs.values(), "G729a"),
        "preferred": {line.index: _preferred(line.codecs, codecs) for line in setup.lines},
        "enabled": {line.index: {codecs[one] for one in usable(line.codecs, codecs)} for line in setup.lines},
        "dtmf": DTMF,
        "dial_plan": dial_plan((*setup.emergency, *setup.digit_patterns)),
        "keys": list(_keys(setup, model)),
        "directory_url": f"{setup.server.url}{_page_name(setup, 1)}" if setup.contacts else "",
    }


def _page_name(setup: HandsetSetup, page: int) -> str:
    return f"{setup.mac}-directory-{page}.xml"


def _directory(setup: HandsetSetup) -> Iterator[HandsetFile]:
    pages = -(-len(setup.contacts) // ENTRIES_PER_PAGE)
    for page in range(1, pages + 1):
        shown = setup.contacts[(page - 1) * ENTRIES_PER_PAGE : page * ENTRIES_PER_PAGE]
        following = f"{setup.server.url}{_page_name(setup, page + 1)}" if page < pages else ""
        values = {
            "title": setup.directory_name,
            "page": page,
            "pages": pages,
            "contacts": shown,
            "next_url": following,
        }
        yield HandsetFile(_page_name(setup, page), render_xml("cisco/directory.xml.j2", values), XML_TYPE)


def _files(
    setup: HandsetSetup, model: CatalogueModel, template: str, codecs: dict[Codec, str]
) -> tuple[HandsetFile, ...]:
    values = _values(setup, model, codecs)
    name = f"{setup.mac}.xml"
    generic = render_xml("cisco/generic.xml.j2", {"enrol_url": setup.server.enrol_url})
    return (
        HandsetFile(name, render_xml(template, values), XML_TYPE, secret=True),
        HandsetFile(
            name, render_xml("cisco/bootstrap.xml.j2", values), XML_TYPE, secret=True, bootstrap=True
        ),
        HandsetFile(model.hardware_code, generic, XML_TYPE, common=True),
        *_directory(setup),
    )


_NARROW: dict[Codec, str] = {
    codec: name for codec, name in CODECS.items() if codec in (Codec.PCMA, Codec.PCMU)
}
_WIDE: dict[Codec, str] = {codec: name for codec, name in CODECS.items() if codec is not Codec.OPUS}


def _render_spa(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    return _files(setup, model, "cisco/spa.xml.j2", _WIDE)


def _render_mpp(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    return _files(setup, model, "cisco/mpp.xml.j2", CODECS)


def _render_ata(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    return _files(setup, model, "cisco/ata.xml.j2", _NARROW)


_BOOT = (Step("{code}"), Step("{mac}.xml", needed=True))
_EVERYTHING_BUT_LANGUAGE = frozenset(FEATURES) - {"language"}
"""Languages are dictionaries of Cisco's that the phone fetches: they are not ours to hand out."""

SPA = Family(
    id="cisco_spa",
    vendor="cisco",
    title="Cisco SPA300 and SPA500",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="resync",
    reboot="reboot_now",
    user_agent=r"(?:Cisco/SPA|Linksys/SPA-?)[35]\w+-[\w.()]+(?: ?\(\w+\))*",
    boot=_BOOT,
    render=_render_spa,
    supports=_EVERYTHING_BUT_LANGUAGE,
)
ATA = Family(
    id="cisco_ata",
    vendor="cisco",
    title="Cisco SPA100 and ATA190 analogue adapters",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="resync",
    reboot="reboot_now",
    user_agent=r"Cisco/(?:SPA1\w+|ATA19\w+)-[\w.()]+(?: ?\(\w+\))*",
    boot=_BOOT,
    render=_render_ata,
    supports=_EVERYTHING_BUT_LANGUAGE - {"blf", "speed_dial", "phonebook"},
)
MPP = Family(
    id="cisco_mpp",
    vendor="cisco",
    title="Cisco IP Phone 6800, 7800 and 8800 multiplatform",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="resync",
    reboot="reboot_now",
    user_agent=r"Cisco-CP-\d{4}(?:-3PCC)?/[\w.]+(?: ?\(\w+\))*",
    boot=_BOOT,
    render=_render_mpp,
    supports=_EVERYTHING_BUT_LANGUAGE,
)
FAMILIES = (SPA, ATA, MPP)
