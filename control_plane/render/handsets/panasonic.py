"""Panasonic KX-HDV: lines of NAME="value" that end in CR LF, after a first line that must not change.

First the file of the model, which names the handset's own. Sources: Panasonic's administrator guides for
KX-UT and KX-HDV (configuration file specifications: 537 bytes a line, 500 characters a value).
"""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.domain.extension import Transport
from control_plane.errors import UnsafeValue
from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.digits import Limit, fitted, mgcp
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import TEXT_TYPE, render_text, split_address
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetFile, HandsetSetup, KeyKind, LineSetup
from control_plane.render.handsets.tones import Tone, tones_of
from control_plane.render.handsets.units import minutes
from control_plane.render.handsets.zones import posix_tz

MAX_LINE_BYTES = 537
"""With CR LF; a longer line is ignored by the handset, so it is refused here."""
DIGIT_MAP = Limit(characters=500, alternatives=100)
"""Of DIAL_PLAN: a value's length in the file, and the number the KX-HDV130's guide names."""
TRANSPORTS = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 2}
DTMF = {Dtmf.RFC4733: 0, Dtmf.INBAND: 1, Dtmf.INFO: 2}
CODEC_IDS = ((0, Codec.G722), (1, Codec.PCMA), (4, Codec.PCMU))
_CODECS = frozenset(codec for _, codec in CODEC_IDS)
MOST_EMERGENCY_NUMBERS = 5
LANGUAGES = frozenset(("en", "es", "fr", "de", "it", "nl", "pt", "pl", "ru", "sv", "da"))
ACTIONS = {
    KeyKind.LINE: "X_PANASONIC_IPTEL_LINE",
    KeyKind.BLF: "X_PANASONIC_IPTEL_BLF",
    KeyKind.SPEED_DIAL: "X_PANASONIC_IPTEL_ONETOUCH",
    KeyKind.VOICEMAIL: "X_PANASONIC_IPTEL_ONETOUCH",
    KeyKind.DND: "X_PANASONIC_IPTEL_DND",
    KeyKind.FORWARD: "X_PANASONIC_IPTEL_FWD",
}


def plain(text: str) -> str:
    """A value without the quotation mark that ends one."""
    return text.replace('"', "'")


def timing(tone: Tone) -> str:
    """60 ms of silence, then on and off in turn; the last pause is that much shorter. 60,0 never stops."""
    if not tone.cadence_ms:
        return "60,0"
    *parts, last = (length for pair in tone.cadence_ms for length in pair)
    return ",".join(map(str, (60, *parts, last - 60)))


def _keys(setup: HandsetSetup, model: CatalogueModel) -> Iterator[dict[str, object]]:
    """Every key of the model: what is not in the file stays on the handset."""
    given = {key.index: key for key in setup.keys}
    for index in range(1, model.keys + 1):
        key = given.get(index)
        if key is None:
            yield {"index": index, "action": "", "argument": "", "label": ""}
        else:
            argument = str(key.line) if key.kind is KeyKind.LINE else key.value
            yield {"index": index, "action": ACTIONS[key.kind], "argument": argument, "label": key.label}


def _values(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    used = {line.index for line in setup.lines}
    tones = tones_of(setup.tone_country)
    named = (
        ("DIAL_TONE1", tones.dial),
        ("BUSY_TONE", tones.busy),
        ("RINGBACK_TONE", tones.ringback),
        ("REORDER_TONE", tones.congestion),
    )
    return {
        "setup": setup,
        "interval_minutes": minutes(setup.server.interval_s),
        "posix_tz": posix_tz(setup.time_zone, setup.year),
        "language": setup.language if setup.language in LANGUAGES else "en",
        "tones": [
            {"panasonic": name, "frequencies": tone.hz, "timing": timing(tone)} for name, tone in named
        ],
        "stun": split_address(setup.stun_server or "", 3478),
        "mwi": any(line.mwi for line in setup.lines),
        "proxies": {line.index: _proxy(line) for line in setup.lines},
        "transports": TRANSPORTS,
        "dtmf": DTMF,
        "digit_map": fitted(mgcp, setup.digit_patterns, setup.emergency, DIGIT_MAP),
        "codec_ids": CODEC_IDS,
        "codecs": {line.index: usable(line.codecs, _CODECS) for line in setup.lines},
        "unused": [number for number in range(1, model.lines + 1) if number not in used],
        "emergency": (*setup.emergency, *([""] * MOST_EMERGENCY_NUMBERS))[:MOST_EMERGENCY_NUMBERS],
        "keys": list(_keys(setup, model)),
        "plain": plain,
    }


def _proxy(line: LineSetup) -> tuple[str, int]:
    return split_address(line.outbound_proxy or "", line.port)


def _file(template: str, values: dict[str, object]) -> bytes:
    lines = render_text(template, values).split(b"\n")
    for line in lines:
        if len(line) + 2 > MAX_LINE_BYTES:
            name = line.partition(b"=")[0].decode()
            raise UnsafeValue(name, f"is longer than the {MAX_LINE_BYTES} bytes a Panasonic handset reads")
    return b"\r\n".join(lines)


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    values = _values(setup, model)
    name = f"Config{setup.mac.upper()}.cfg"
    by_model = _file("panasonic/model.cfg.j2", {"enrol_url": setup.server.enrol_url})
    bootstrap = _file("panasonic/bootstrap.cfg.j2", values)
    return (
        HandsetFile(f"{model.name}.cfg", by_model, TEXT_TYPE, common=True),
        HandsetFile(name, _file("panasonic/settings.cfg.j2", values), TEXT_TYPE, secret=True),
        HandsetFile(name, bootstrap, TEXT_TYPE, secret=True, bootstrap=True),
    )


HDV = Family(
    id="panasonic_hdv",
    vendor="panasonic",
    title="Panasonic KX-HDV",
    login=HttpLogin.BASIC,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="check-sync",
    reboot="check-sync;reboot=true",
    user_agent=r"Panasonic[_ ]KX-HDV\w+/[\w.]+ \([0-9a-fA-F]{12}\)",
    boot=(Step("{model}.cfg"), Step("Config{MAC}.cfg", needed=True)),
    render=_render,
    supports=frozenset(FEATURES) - {"phonebook"},
)
FAMILIES = (HDV,)
