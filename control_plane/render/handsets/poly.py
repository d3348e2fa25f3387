"""Poly: VVX and Edge E, from UC Software 5 on.

A handset reads a master file that names the others; of two files with the same parameter the left one wins,
so none of ours share one. Sources: Poly's UC Software Administrator Guide (master file, device.set,
digit map).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from control_plane.domain.extension import Transport
from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.digits import Limit, fitted, mgcp
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_xml, split_address
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
from control_plane.render.handsets.zones import zone_rules

FALLBACK = "000000000000.cfg"
DIGIT_MAP = Limit(characters=768, alternatives=30)
"""Polycom's Technical Bulletin on digit maps, SIP 2.1: 768 characters, 30 segments. Newer software takes
more; no source at hand says how much."""
TRANSPORTS = {Transport.UDP: "UDPOnly", Transport.TCP: "TCPOnly", Transport.TLS: "TLS"}
CODECS = (
    (Codec.G722, "G722"),
    (Codec.PCMA, "G711_A"),
    (Codec.PCMU, "G711_Mu"),
    (Codec.OPUS, "Opus"),
)
OTHER_CODECS = (
    "G729_AB",
    "iLBC.13_33kbps",
    "iLBC.15_2kbps",
    "Siren7.32kbps",
    "Siren14.48kbps",
    "G719.64kbps",
)
LANGUAGES = {
    "de": "German_Germany",
    "en": "English_United_Kingdom",
    "es": "Spanish_Spain",
    "fr": "French_France",
    "it": "Italian_Italy",
    "nl": "Dutch_Netherlands",
    "pl": "Polish_Poland",
    "pt": "Portuguese_Portugal",
    "ru": "Russian_Russia",
    "sv": "Swedish_Sweden",
}
POLLING_LEAST_S = 3600
"""What the handset takes at least (prov.polling.period)."""
_FUNCTIONS = {KeyKind.DND: "$FDoNotDisturb$", KeyKind.FORWARD: "$FDivert$", KeyKind.VOICEMAIL: "$FMessages$"}


def _address_with_login(server: Server, name: str) -> str:
    """The whole address: a handset that is new to us knows neither the folder nor the login yet."""
    parts = urlsplit(server.url)
    login = f"{quote(server.user, safe='')}:{quote(server.password.get_secret_value(), safe='')}"
    return f"{parts.scheme}://{login}@{parts.netloc}{parts.path}{name}"


def _pem(text: str) -> Markup:
    """Certificates in an attribute: a bare line break would be read as a space (XML 1.0, 3.3.3)."""
    return Markup("&#10;").join(text.splitlines())


def _language(setup: HandsetSetup) -> str:
    if setup.language == "en" and setup.tone_country == "US":
        return "English_United_States"
    return LANGUAGES.get(setup.language, "English_United_Kingdom")


def _tone(name: str, tone: Tone) -> dict[str, object]:
    """One pulse and one pause; of a longer cadence the frequencies only, the handset keeps its own rhythm."""
    cadence = tone.cadence_ms or ((0, 0),)
    return {"poly": name, "frequencies": tone.hz, "cadence": cadence[0] if len(cadence) == 1 else ()}


def _macro(key: KeySetup) -> dict[str, str]:
    """What an enhanced feature key does: a function of the handset, or a code that is dialled."""
    action = f"{key.value}$Tinvite$" if key.value else _FUNCTIONS[key.kind]
    return {"label": key.label or key.kind, "action": action}


def _keys(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    """Line keys as they lie on the handset, and the lists they are numbered in."""
    given = {key.index: key for key in setup.keys}
    keys: list[dict[str, object]] = []
    blf, dials, macros = [], [], []
    for index in range(1, model.keys + 1) if given else ():
        key = given.get(index)
        category, number = "Unassigned", 0
        match key.kind if key else None:
            case None:
                pass
            case KeyKind.LINE:
                category, number = "Line", key.line if key else 0
            case KeyKind.BLF:
                category = "BLF"
                blf.append(key)
            case KeyKind.SPEED_DIAL:
                dials.append(key)
                category, number = "SpeedDial", len(dials)
            case _ if key:
                macros.append(_macro(key))
                category, number = "EFK", len(macros)
        keys.append({"index": index, "category": category, "number": number})
    return {"keys": keys, "blf": blf, "dials": dials, "macros": macros}


def _features(setup: HandsetSetup, keys: dict[str, object]) -> dict[str, object]:
    first = setup.lines[0] if setup.lines else None
    order = usable(first.codecs if first else tuple(Codec), {codec for codec, _ in CODECS})
    wanted = [(name, order.index(codec) + 1 if codec in order else 0) for codec, name in CODECS]
    tones = tones_of(setup.tone_country)
    return {
        "setup": setup,
        "transports": TRANSPORTS,
        "keepalive_s": first.keepalive_s if first else 30,
        "srtp": any(line.srtp is not Srtp.OFF for line in setup.lines),
        "srtp_required": bool(setup.lines) and all(line.srtp is Srtp.REQUIRED for line in setup.lines),
        "codecs": [*wanted, *((name, 0) for name in OTHER_CODECS)],
        "dtmf": first.dtmf if first else Dtmf.RFC4733,
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "digit_map": fitted(mgcp, setup.digit_patterns, setup.emergency, DIGIT_MAP),
        "tones": (
            _tone("dialTone", tones.dial),
            _tone("busyTone", tones.busy),
            _tone("ringback", tones.ringback),
            _tone("reorder", tones.congestion),
        ),
        **keys,
    }


def _directory(setup: HandsetSetup, dials: list[KeySetup]) -> bytes:
    items = [
        {"name": key.label or key.value, "number": key.value, "speed_dial": place}
        for place, key in enumerate(dials, 1)
    ]
    items += [{"name": one.name, "number": one.number, "speed_dial": 0} for one in setup.contacts]
    return render_xml("poly/directory.xml.j2", {"items": items})


def _master(names: Iterable[str]) -> bytes:
    return render_xml("poly/master.cfg.j2", {"config_files": ", ".join(names)})


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    names = [f"{setup.mac}-{part}.cfg" for part in ("line", "site", "features")]
    master = f"{setup.mac}.cfg"
    first_time = [_address_with_login(setup.server, name) for name in names]
    line = render_xml(
        "poly/line.cfg.j2",
        {
            "setup": setup,
            "transports": TRANSPORTS,
            "proxies": {one.index: split_address(one.outbound_proxy or "", one.port) for one in setup.lines},
        },
    )
    site = render_xml(
        "poly/site.cfg.j2",
        {
            "setup": setup,
            "server_type": urlsplit(setup.server.url).scheme.upper(),
            "polling_s": max(POLLING_LEAST_S, setup.server.interval_s),
            "zone": zone_rules(setup.time_zone, setup.year),
            "language": _language(setup),
            "ca": _pem(setup.server.ca_pem),
        },
    )
    keys = _keys(setup, model)
    dials = [key for key in setup.keys if key.kind is KeyKind.SPEED_DIAL]
    dials.sort(key=lambda key: key.index)
    return (
        HandsetFile(FALLBACK, _master(()), XML_TYPE, common=True),
        HandsetFile(master, _master(first_time), XML_TYPE, secret=True, bootstrap=True),
        HandsetFile(master, _master(names), XML_TYPE),
        HandsetFile(names[0], line, XML_TYPE, secret=True),
        HandsetFile(names[1], site, XML_TYPE, secret=True),
        HandsetFile(names[2], render_xml("poly/features.cfg.j2", _features(setup, keys)), XML_TYPE),
        HandsetFile(f"{setup.mac}-directory.xml", _directory(setup, dials), XML_TYPE),
    )


_BOOT = (
    Step("{mac}.cfg", stop_if_found=True),
    Step(FALLBACK, needed=True),
)


def _family(family_id: str, title: str, user_agent: str) -> Family:
    return Family(
        id=family_id,
        vendor="poly",
        title=title,
        login=HttpLogin.DIGEST,
        fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
        resync="check-sync",
        reboot="check-sync",
        user_agent=user_agent,
        boot=_BOOT,
        render=_render,
        supports=frozenset(FEATURES) - {"stun"},
    )


VVX = _family("poly_vvx", "Poly VVX", r"FileTransport Poly(?:com)?VVX-VVX_\w+-UA/[\w.]+(?: .*)?")
EDGE = _family("poly_edge", "Poly Edge E", r"FileTransport Poly(?:com)?Edge-Edge_?E?\w*-UA/[\w.]+(?: .*)?")
FAMILIES = (VVX, EDGE)
