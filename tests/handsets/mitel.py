"""Mitel handsets: "key: value" from three files, of which the last one wins."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, KeySetup, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import Files, Limits, Told, ToldKey, ToldLine
from tests.handsets.xml import numbered, pages

_TRANSPORTS = {"1": Transport.UDP, "2": Transport.TCP, "4": Transport.TLS}
_SRTP = {"0": Srtp.OFF, "1": Srtp.OPTIONAL, "2": Srtp.REQUIRED}
_PAYLOADS = {"9": Codec.G722, "8": Codec.PCMA, "0": Codec.PCMU}
_KEYS = {
    "line": KeyKind.LINE,
    "blf": KeyKind.BLF,
    "speeddial": KeyKind.SPEED_DIAL,
    "dnd": KeyKind.DND,
    "callforward": KeyKind.FORWARD,
}
_TONES = {"Germany": "DE", "UK": "GB", "US": "US", "France": "FR", "Italy": "IT"}
_LINE = re.compile(r"([a-z][a-z0-9 \[\]|-]*): ?(.*)")


def values_of(content: bytes) -> dict[str, str]:
    """Key to value.

    Raises:
        BootFailed: a line is no setting, or a key is there twice.
    """
    values: dict[str, str] = {}
    for line in content.decode().split("\n"):
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or found[1] in values:
            raise BootFailed(f"no setting, or one twice: {line!r}")
        value = found[2].strip()
        values[found[1]] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return values


def _folder(values: Mapping[str, str]) -> Provisioning:
    scheme = values["download protocol"].lower()
    host, port = values[f"{scheme} server"], values[f"{scheme} port"]
    address = host if port == "443" else f"{host}:{port}"
    return Provisioning(
        f"{scheme}://{address}{values[f'{scheme} path']}/",
        values["http digest username"],
        values["http digest password"],
    )


def _line(values: Mapping[str, str], index: int, first: bool) -> ToldLine:
    def of(name: str) -> str:
        return values[f"sip line{index} {name}"]

    assert of("auth name") == of("user name")
    assert (of("registrar ip"), of("registrar port")) == (of("proxy ip"), of("proxy port"))
    proxy = values.get(f"sip line{index} outbound proxy", "")
    payloads = re.findall(r"payload=(\d+)", values["sip customized codec"])
    dtmf = {("0", "0"): Dtmf.INBAND, ("1", "0"): Dtmf.RFC4733, ("1", "1"): Dtmf.INFO}
    return ToldLine(
        user=of("user name"),
        password=of("password"),
        display_name=of("display name"),
        label=of("screen name"),
        host=of("proxy ip"),
        port=int(of("proxy port")),
        transport=_TRANSPORTS[values["sip transport protocol"]] if first else None,
        srtp=_SRTP[of("srtp mode")],
        outbound_proxy=f"{proxy}:{of('outbound proxy port')}" if proxy else "",
        expires_s=int(of("registration period")),
        codecs=tuple(_PAYLOADS[one] for one in payloads) if first else None,
        dtmf=dtmf[values["sip out-of-band dtmf"], of("dtmf method")] if first else None,
        voicemail_code=of("vmail"),
        mwi=of("explicit mwi subscription") == "1",
    )


def _keys(values: Mapping[str, str]) -> dict[int, ToldKey]:
    keys = {}
    for prefix in ("topsoftkey", "prgkey"):
        for index, kind in numbered(values, prefix, " type").items():
            name = f"{prefix}{index}"
            keys[index] = ToldKey(
                _KEYS[kind], values[f"{name} value"], values[f"{name} label"], int(values[f"{name} line"])
            )
    return keys


def _change(values: Mapping[str, str], which: str) -> tuple[int, ...]:
    month, week, day, hour = (int(values[f"dst {which} {name}"]) for name in ("month", "week", "day", "hour"))
    return month, 5 if week == -1 else week, day - 1, hour


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the handset of `setup` believes."""
    values = values_of(files[f"{setup.mac.upper()}.cfg"])
    folder = _folder(values)
    lines = sorted(numbered(values, "sip line", " user name"))
    summer = values["dst config"] == "3"
    saving = int(values["dst minutes"]) * 60 if summer else 0
    entries = pages(
        files, values.get("directory script", ""), "MenuItem/Prompt", "URI", "/AastraIPPhoneDirectory/@next"
    )
    return Told(
        lines={index: _line(values, index, index == lines[0]) for index in lines},
        keys=_keys(values),
        url=folder.url,
        user=folder.user,
        password=folder.password,
        interval_s=int(values["auto resync days"]) * 86_400,
        zone=(-60 * int(values["time zone minutes"]), saving),
        clock_changes=(_change(values, "start"), _change(values, "end")) if summer else None,
        tones=_TONES.get(values["tone set"]),
        ntp=tuple(values[f"time server{place}"] for place in sorted(numbered(values, "time server", ""))),
        admin_password=values["admin password"],
        user_password=values.get("user password", ""),
        emergency=tuple(filter(None, values["emergency dial plan"].split("|"))),
        digit_map=values["sip dial plan"],
        contacts=tuple(entries),
        call_waiting=values["call waiting"] == "1",
        ca="https user certificates" in values,
    )


def _expected_key(key: KeySetup) -> ToldKey:
    """A key that dials is a key that dials."""
    kind = KeyKind.SPEED_DIAL if key.kind is KeyKind.VOICEMAIL else key.kind
    return ToldKey(kind, key.value, key.label.replace('"', "'"), key.line)


LIMITS = Limits(
    interval=lambda seconds: 86_400 * -(-seconds // 86_400),
    shown=lambda text: text.replace('"', "'"),
    codecs=lambda wanted: tuple(one for one in wanted if one is not Codec.OPUS) or (Codec.PCMU,),
    keys=_expected_key,
)


class MitelHandset:
    """startup.cfg, the model's file, the file by MAC."""

    login = "digest"

    def __init__(self, family: str) -> None:
        self.family = family

    def user_agent(self, mac: str, model: str) -> str:
        """With the MAC, in capitals and with dashes."""
        dashed = "-".join(mac.upper()[at : at + 2] for at in range(0, 12, 2))
        return f"Mitel{model} MAC:{dashed} V:6.3.0.1020-SIP"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """As above."""
        asking = Asking(fetch, self.user_agent(mac, model))
        values: dict[str, str] = {}
        for name in ("startup.cfg", f"{model}.cfg"):
            content = asking.get(name)
            values |= values_of(content) if content is not None else {}
        values |= values_of(asking.need(f"{mac.upper()}.cfg"))
        asking.boot.provisioning = _folder(values)
        asking.boot.accounts = tuple(
            Account(
                user=user,
                auth_user=values[f"sip line{index} auth name"],
                password=values[f"sip line{index} password"],
                host=values[f"sip line{index} registrar ip"],
                port=int(values[f"sip line{index} registrar port"]),
                transport=_TRANSPORTS[values["sip transport protocol"]],
                index=index,
                display_name=values[f"sip line{index} display name"],
            )
            for index, user in sorted(numbered(values, "sip line", " user name").items())
        )
        return asking.boot
