"""Mitel 6800 and 6900 SIP: lines of "key: value", from startup.cfg, a file by model and one by MAC address.

Sources: Mitel's 6800/6900 Series SIP Phones Administrator Guide (precedence, auto resync, HTTP digest).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from control_plane.domain.extension import Transport
from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.digits import DigitPattern, Limit, fitted, repeated_plus
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import TEXT_TYPE, XML_TYPE, render_text, render_xml, split_address
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    Srtp,
)
from control_plane.render.handsets.units import days
from control_plane.render.handsets.zones import zone_rules

STARTUP = "startup.cfg"
ENTRIES_PER_PAGE = 30
DIAL_PLAN = Limit(characters=512)
"""The guide's range; with more the handset takes its own, and no file can change it again."""
TRANSPORTS = {Transport.UDP: 1, Transport.TCP: 2, Transport.TLS: 4}
SRTP = {Srtp.OFF: 0, Srtp.OPTIONAL: 1, Srtp.REQUIRED: 2}
PAYLOADS = {Codec.G722: 9, Codec.PCMA: 8, Codec.PCMU: 0}
KEY_TYPES = {
    KeyKind.LINE: "line",
    KeyKind.BLF: "blf",
    KeyKind.SPEED_DIAL: "speeddial",
    KeyKind.VOICEMAIL: "speeddial",
    KeyKind.DND: "dnd",
    KeyKind.FORWARD: "callforward",
}
TONES = {
    "AU": "Australia",
    "BR": "Brazil",
    "DE": "Germany",
    "FR": "France",
    "GB": "UK",
    "IT": "Italy",
    "MX": "Mexico",
    "RU": "Russia",
    "US": "US",
}
_HARD_KEYS = frozenset(("6863i", "6865i", "6905", "6910"))
"""Without soft keys on the display: their keys are called prgkey."""


def plain(text: str) -> str:
    """A name as a value: quotation marks around a value are taken off, so it has none."""
    return text.replace('"', "'")


def dial_plan(patterns: Iterable[DigitPattern]) -> str:
    """112|1xx|00x+#: "+" repeats the one before; a plus sign to dial cannot be said."""
    alternatives = [repeated_plus(pattern) for pattern in patterns if "+" not in pattern.elements]
    return "|".join([*alternatives, "x+#", "xx+*"])


def _keys(setup: HandsetSetup, model: CatalogueModel) -> Iterator[dict[str, object]]:
    prefix = "prgkey" if model.name in _HARD_KEYS else "topsoftkey"
    for key in setup.keys:
        yield {
            "name": f"{prefix}{key.index}",
            "type": KEY_TYPES[key.kind],
            "label": key.label,
            "value": key.value,
            "line": key.line,
        }


def _page_name(setup: HandsetSetup, page: int) -> str:
    return f"{setup.mac}-directory-{page}.xml"


def _directory(setup: HandsetSetup) -> Iterator[HandsetFile]:
    pages = -(-len(setup.contacts) // ENTRIES_PER_PAGE)
    for page in range(1, pages + 1):
        values = {
            "title": setup.directory_name,
            "contacts": setup.contacts[(page - 1) * ENTRIES_PER_PAGE : page * ENTRIES_PER_PAGE],
            "previous_url": f"{setup.server.url}{_page_name(setup, page - 1)}" if page > 1 else "",
            "next_url": f"{setup.server.url}{_page_name(setup, page + 1)}" if page < pages else "",
        }
        yield HandsetFile(_page_name(setup, page), render_xml("mitel/directory.xml.j2", values), XML_TYPE)


def _values(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    first = setup.lines[0] if setup.lines else None
    parts = urlsplit(setup.server.url)
    codecs = [PAYLOADS[one] for one in usable(first.codecs if first else tuple(Codec), PAYLOADS)]
    return {
        "setup": setup,
        "scheme": parts.scheme.upper(),
        "host": parts.hostname or "",
        "port": parts.port or {"https": 443, "http": 80}.get(parts.scheme, 69),
        "path": parts.path.rstrip("/"),
        "resync_days": days(setup.server.interval_s),
        "zone": zone_rules(setup.time_zone, setup.year),
        "tone_set": TONES.get(setup.tone_country, "Europe"),
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "transport": TRANSPORTS[first.transport] if first else TRANSPORTS[Transport.UDP],
        "codecs": ",".join(f"payload={number};ptime=20;silsupp=off" for number in codecs),
        "dtmf": first.dtmf if first else Dtmf.RFC4733,
        "dial_plan": fitted(dial_plan, setup.digit_patterns, setup.emergency, DIAL_PLAN),
        "proxies": {line.index: split_address(line.outbound_proxy or "", line.port) for line in setup.lines},
        "srtp_modes": SRTP,
        "keys": list(_keys(setup, model)),
        "plain": plain,
        "directory_url": f"{setup.server.url}{_page_name(setup, 1)}",
    }


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    values = _values(setup, model)
    name = f"{setup.mac.upper()}.cfg"
    bootstrap = render_text("mitel/bootstrap.cfg.j2", values)
    common = render_text("mitel/common.cfg.j2", {})
    return (
        HandsetFile(STARTUP, common, TEXT_TYPE, common=True),
        HandsetFile(f"{model.name}.cfg", common, TEXT_TYPE, common=True),
        HandsetFile(name, render_text("mitel/base.cfg.j2", values), TEXT_TYPE, secret=True),
        HandsetFile(name, bootstrap, TEXT_TYPE, secret=True, bootstrap=True),
        *_directory(setup),
    )


def _family(family_id: str, title: str, user_agent: str) -> Family:
    return Family(
        id=family_id,
        vendor="mitel",
        title=title,
        login=HttpLogin.DIGEST,
        fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
        resync="check-sync",
        reboot="check-sync;reboot=true",
        user_agent=user_agent,
        boot=(Step(STARTUP), Step("{model}.cfg"), Step("{MAC}.cfg", needed=True)),
        render=_render,
        supports=frozenset(FEATURES) - {"stun", "language"},
    )


_MAC = r"MAC:(?:[0-9A-F]{2}-){5}[0-9A-F]{2} V:[\w.-]+"
SERIES_68 = _family("mitel_68xx", "Mitel 6800", rf"(?:Aastra|Mitel)68\d\di {_MAC}")
SERIES_69 = _family("mitel_69xx", "Mitel 6900", rf"Mitel69\d\d {_MAC}")
FAMILIES = (SERIES_68, SERIES_69)
