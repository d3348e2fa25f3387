"""Panasonic handsets: NAME="value" with CR LF; the model's file names the handset's own."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, KeySetup, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import Files, Limits, Told, ToldKey, ToldLine
from tests.handsets.xml import country, numbered

HEADER = b"# Panasonic SIP Phone Standard Format File #"
_LINE = re.compile(r'([A-Z][A-Z0-9_]{0,31})="([^"]{0,500})"')
_TRANSPORTS = {"0": Transport.UDP, "1": Transport.TCP, "2": Transport.TLS}
_DTMF = {"0": Dtmf.RFC4733, "1": Dtmf.INBAND, "2": Dtmf.INFO}
_CODECS = {"0": Codec.G722, "1": Codec.PCMA, "4": Codec.PCMU}
_KEYS = {
    "X_PANASONIC_IPTEL_LINE": KeyKind.LINE,
    "X_PANASONIC_IPTEL_BLF": KeyKind.BLF,
    "X_PANASONIC_IPTEL_ONETOUCH": KeyKind.SPEED_DIAL,
    "X_PANASONIC_IPTEL_DND": KeyKind.DND,
    "X_PANASONIC_IPTEL_FWD": KeyKind.FORWARD,
}


def values_of(content: bytes) -> dict[str, str]:
    """Name to value.

    Raises:
        BootFailed: the first line, a line's end or length, or a setting is not as the handset wants it.
    """
    if not content.startswith(HEADER) or not content.endswith(b"\r\n\r\n") or len(content) > 120 * 1024:
        raise BootFailed("not a standard format file")
    values: dict[str, str] = {}
    for raw in content.split(b"\r\n")[1:]:
        if not raw:
            continue
        found = _LINE.fullmatch(raw.decode())
        if found is None or len(raw) > 535 or b"\n" in raw:
            raise BootFailed(f"no setting: {raw!r}")
        if found[1] in values:
            raise BootFailed(f"{found[1]} is there twice")
        values[found[1]] = found[2]
    return values


def _line(values: Mapping[str, str], index: int) -> ToldLine:
    def of(name: str) -> str:
        return values[f"{name}_{index}"]

    assert of("SIP_URI") == f"sip:{of('SIP_AUTHID')}@{of('SIP_RGSTR_ADDR')}"
    assert (of("SIP_PRXY_ADDR"), of("SIP_PRXY_PORT")) == (of("SIP_RGSTR_ADDR"), of("SIP_RGSTR_PORT"))
    places = {
        codec: int(of(f"CODEC_PRIORITY{id}"))
        for id, codec in _CODECS.items()
        if of(f"CODEC_ENABLE{id}") == "Y"
    }
    proxy = of("SIP_OUTPROXY_ADDR")
    return ToldLine(
        user=of("SIP_AUTHID"),
        password=of("SIP_PASS"),
        display_name=of("DISPLAY_NAME"),
        host=of("SIP_RGSTR_ADDR"),
        port=int(of("SIP_RGSTR_PORT")),
        transport=_TRANSPORTS[of("SIP_TRANSPORT")],
        srtp=Srtp.REQUIRED if of("SRTP_CONNECT_MODE") == "0" else None,
        outbound_proxy=f"{proxy}:{of('SIP_OUTPROXY_PORT')}" if proxy else "",
        expires_s=int(of("REG_EXPIRE_TIME")),
        keepalive_s=int(of("PORT_PUNCH_INTVL")),
        codecs=tuple(sorted(places, key=places.__getitem__)),
        dtmf=_DTMF[of("DTMF_METHOD")],
        voicemail_code=of("VM_NUMBER"),
        call_waiting=of("CW_ENABLE") == "Y",
    )


def _lines(values: Mapping[str, str]) -> list[int]:
    return sorted(index for index, user in numbered(values, "SIP_AUTHID_", "").items() if user)


def _keys(values: Mapping[str, str]) -> dict[int, ToldKey]:
    keys = {}
    for index, action in numbered(values, "FLEX_BUTTON_FACILITY_ACT", "").items():
        if action:
            kind = _KEYS[action]
            argument = values[f"FLEX_BUTTON_FACILITY_ARG{index}"]
            label = values[f"FLEX_BUTTON_LABEL{index}"]
            keys[index] = (
                ToldKey(kind, "", label, int(argument))
                if kind is KeyKind.LINE
                else ToldKey(kind, argument, label)
            )
    return keys


def _tone(values: Mapping[str, str], name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    frequencies = tuple(map(int, values[f"{name}_FRQ"].split(",")))
    lead, *cadence = map(int, values[f"{name}_TIMING"].split(","))
    assert lead == 60
    return frequencies, () if cadence == [0] else (*cadence[:-1], cadence[-1] + lead)


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the handset of `setup` believes."""
    mac = setup.mac.upper()
    values = values_of(files[f"Config{mac}.cfg"])
    busy, cadence = _tone(values, "BUSY_TONE")
    emergency = numbered(values, "EMERGENCY_CALL", "")
    lines = _lines(values)
    stun = values["STUN_SERV_ADDR"]
    return Told(
        lines={index: _line(values, index) for index in lines},
        keys=_keys(values),
        url=values["CFG_STANDARD_FILE_PATH"].removesuffix("Config{MAC}.cfg"),
        user=values["HTTP_AUTH_ID"],
        password=values["HTTP_AUTH_PASS"],
        interval_s=int(values["CFG_CYCLIC_INTVL"]) * 60,
        posix_tz=values["LOCAL_TIME_ZONE_POSIX"],
        language=values["DEFAULT_LANGUAGE"],
        tones=country(_tone(values, "DIAL_TONE1")[0], busy, cadence),
        ntp=tuple(filter(None, (values["NTP_ADDR"],))),
        admin_password=values["ADMIN_PASS"],
        user_password=values["USER_PASS"],
        emergency=tuple(filter(None, (emergency[place] for place in sorted(emergency)))),
        digit_map=values[f"DIAL_PLAN_{lines[0]}"] if lines else None,
        stun=f"{stun}:{values['STUN_SERV_PORT']}" if stun else "",
        ca="CFG_ROOT_CERTIFICATE_PATH" in values,
    )


def _expected_key(key: KeySetup) -> ToldKey:
    """A key that dials is a key that dials."""
    kind = KeyKind.SPEED_DIAL if key.kind is KeyKind.VOICEMAIL else key.kind
    return ToldKey(kind, key.value, key.label.replace('"', "'"), key.line)


LIMITS = Limits(
    interval=lambda seconds: 60 * -(-seconds // 60),
    shown=lambda text: text.replace('"', "'"),
    codecs=lambda wanted: tuple(one for one in wanted if one is not Codec.OPUS) or (Codec.PCMU,),
    keys=_expected_key,
    ntp=1,
)


class PanasonicHandset:
    """The model's file, then the one it names."""

    login = "basic"
    family = "panasonic_hdv"

    def __init__(self) -> None:
        self._named = ""

    def user_agent(self, mac: str, model: str) -> str:
        """With the MAC."""
        return f"Panasonic_{model}/03.001 ({mac})"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """As above; told the second name by DHCP where there is no first file.

        Once it was told where its file is, it asks for nothing else.
        """
        asking = Asking(fetch, self.user_agent(mac, model))
        named = self._named or self._first_named(asking, model)
        values = values_of(asking.need(named.replace("{MAC}", mac.upper())))
        self._named = values["CFG_STANDARD_FILE_PATH"]
        asking.boot.provisioning = Provisioning(
            values["CFG_STANDARD_FILE_PATH"].removesuffix("Config{MAC}.cfg"),
            values["HTTP_AUTH_ID"],
            values["HTTP_AUTH_PASS"],
        )
        asking.boot.accounts = tuple(
            Account(
                user=values[f"SIP_AUTHID_{index}"],
                password=values[f"SIP_PASS_{index}"],
                host=values[f"SIP_RGSTR_ADDR_{index}"],
                port=int(values[f"SIP_RGSTR_PORT_{index}"]),
                transport=_TRANSPORTS[values[f"SIP_TRANSPORT_{index}"]],
                index=index,
                display_name=values[f"DISPLAY_NAME_{index}"],
            )
            for index in _lines(values)
        )
        return asking.boot

    def _first_named(self, asking: Asking, model: str) -> str:
        first = asking.get(f"{model}.cfg")
        return values_of(first)["CFG_STANDARD_FILE_PATH"] if first is not None else "Config{MAC}.cfg"
