"""Poly handsets: parameters are attributes of whatever element; a master file names the others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import Files, Limits, Told, ToldKey, ToldLine
from tests.handsets.xml import country, login_in, numbered, parsed

_TRANSPORTS = {"UDPOnly": Transport.UDP, "TCPOnly": Transport.TCP, "TLS": Transport.TLS}
_CODECS = {"G722": Codec.G722, "G711_A": Codec.PCMA, "G711_Mu": Codec.PCMU, "Opus": Codec.OPUS}
_LANGUAGES = {
    "German_Germany": "de",
    "English_United_Kingdom": "en",
    "English_United_States": "en",
    "French_France": "fr",
    "Spanish_Spain": "es",
    "Italian_Italy": "it",
}
_FUNCTIONS = {"$FDoNotDisturb$": KeyKind.DND, "$FDivert$": KeyKind.FORWARD, "$FMessages$": KeyKind.VOICEMAIL}


def parameters(*contents: bytes) -> dict[str, str]:
    """All attributes of all elements.

    Raises:
        BootFailed: not XML, or a parameter is there twice: which one counts depends on the order.
    """
    values: dict[str, str] = {}
    for content in contents:
        for element in parsed(content).iter():
            for name, value in element.attrib.items():
                if str(name) in values:
                    raise BootFailed(f"{name!s} is there twice")
                values[str(name)] = str(value)
    for name in [name for name in values if name.startswith("device.") and not name.endswith(".set")]:
        if name != "device.set" and (values.get("device.set"), values.get(f"{name}.set")) != ("1", "1"):
            raise BootFailed(f"{name} is not set")
    return values


def _files(master: bytes) -> list[str]:
    return [name for name in re.split(r",\s*", parsed(master).get("CONFIG_FILES") or "") if name]


def _line(values: Mapping[str, str], index: int, first: bool) -> ToldLine:
    def of(name: str) -> str:
        return values[f"reg.{index}.{name}"]

    server = "server.1"
    assert of("auth.userId") == of("address")
    assert of(f"{server}.register") == "1"
    proxy = values.get(f"reg.{index}.outboundProxy.address", "")
    places = {name: int(values[f"voice.codecPref.{name}"]) for name in _CODECS}
    others = {
        name: value
        for name, value in values.items()
        if name.startswith("voice.codecPref.") and name.removeprefix("voice.codecPref.") not in _CODECS
    }
    assert set(others.values()) == {"0"}
    dtmf = {
        ("1", "1", "0"): Dtmf.RFC4733,
        ("1", "0", "0"): Dtmf.INBAND,
        ("0", "0", "1"): Dtmf.INFO,
    }[
        values["tone.dtmf.viaRtp"],
        values["tone.dtmf.rfc2833Control"],
        values["voIpProt.SIP.dtmfViaSignaling.rfc2976"],
    ]
    return ToldLine(
        user=of("address"),
        password=of("auth.password"),
        display_name=of("displayName"),
        label=of("label"),
        host=of(f"{server}.address"),
        port=int(of(f"{server}.port")),
        transport=_TRANSPORTS[of(f"{server}.transport")],
        srtp={("0", "0"): Srtp.OFF, ("1", "0"): Srtp.OPTIONAL, ("1", "1"): Srtp.REQUIRED}[
            of("srtp.offer"), of("srtp.require")
        ],
        outbound_proxy=f"{proxy}:{of('outboundProxy.port')}" if proxy else "",
        expires_s=int(of(f"{server}.expires")),
        keepalive_s=int(values["nat.keepalive.interval"]) if first else None,
        codecs=tuple(_CODECS[name] for name in sorted(places, key=places.__getitem__) if places[name])
        if first
        else None,
        dtmf=dtmf if first else None,
        voicemail_code=values[f"msg.mwi.{index}.callBack"],
        mwi=values[f"msg.mwi.{index}.subscribe"] == of("address"),
    )


def _keys(values: Mapping[str, str], dials: Mapping[str, tuple[str, str]]) -> dict[int, ToldKey]:
    if values["lineKey.reassignment.enabled"] == "0":
        return {}
    blf = 0
    keys = {}
    for index, category in sorted(numbered(values, "lineKey.", ".category").items()):
        number = values[f"lineKey.{index}.index"]
        if category == "Line":
            keys[index] = ToldKey(KeyKind.LINE, line=int(number))
        elif category == "BLF":
            blf += 1
            resource = f"attendant.resourceList.{blf}"
            assert values[f"{resource}.type"] == "normal"
            keys[index] = ToldKey(KeyKind.BLF, values[f"{resource}.address"], values[f"{resource}.label"])
        elif category == "SpeedDial":
            name, value = dials[number]
            keys[index] = ToldKey(KeyKind.SPEED_DIAL, value, None if name == value else name)
        elif category == "EFK":
            keys[index] = _macro(values, f"efk.efklist.{number}")
    return keys


def _macro(values: Mapping[str, str], name: str) -> ToldKey:
    assert values[f"{name}.status"] == "1"
    action, label = values[f"{name}.action.string"], values[f"{name}.label"]
    shown = None if label in set(map(str, KeyKind)) else label
    if action in _FUNCTIONS:
        return ToldKey(_FUNCTIONS[action], "", shown)
    return ToldKey(KeyKind.VOICEMAIL, action.removesuffix("$Tinvite$"), shown)


def _change(values: Mapping[str, str], which: str) -> tuple[int, ...]:
    def of(name: str) -> int:
        return int(values[f"tcpIpApp.sntp.daylightSavings.{which}.{name}"])

    week = 5 if of("dayOfWeek.lastInMonth") else (of("date") + 6) // 7
    return of("month"), week, of("dayOfWeek") - 1, of("time")


def _tones(values: Mapping[str, str]) -> str:
    def frequencies(name: str) -> tuple[int, ...]:
        found = numbered(values, f"tone.chord.callProg.{name}.freq.", "")
        return tuple(int(found[place]) for place in sorted(found))

    busy = "tone.chord.callProg.busyTone"
    return country(
        frequencies("dialTone"),
        frequencies("busyTone"),
        (int(values[f"{busy}.onDur"]), int(values[f"{busy}.offDur"])),
    )


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the handset of `setup` believes."""
    names = _files(files[f"{setup.mac}.cfg"])
    values = parameters(*(files[name] for name in names))
    items = [
        (item.findtext("sd"), item.findtext("ln") or "", item.findtext("ct") or "")
        for item in parsed(files[f"{setup.mac}-directory.xml"]).iter("item")
    ]
    lines = sorted(numbered(values, "reg.", ".address"))
    summer = values["tcpIpApp.sntp.daylightSavings.enable"] == "1"
    emergency = numbered(values, "dialplan.routing.emergency.", ".value")
    ca = values.get("sec.TLS.customCaCert.1")
    assert ca is None or ca == values["device.sec.TLS.customCaCert1"] == setup.server.ca_pem.strip()
    return Told(
        lines={index: _line(values, index, index == lines[0]) for index in lines},
        keys=_keys(values, {place: (name, value) for place, name, value in items if place}),
        url=values["device.prov.serverName"],
        user=values["device.prov.user"],
        password=values["device.prov.password"],
        interval_s=int(values["prov.polling.period"]),
        zone=(int(values["tcpIpApp.sntp.gmtOffset"]), 3600 if summer else 0),
        clock_changes=(_change(values, "start"), _change(values, "stop")) if summer else None,
        language=_LANGUAGES[values["lcl.ml.lang"]],
        tones=_tones(values),
        ntp=(values["tcpIpApp.sntp.address"],) if "tcpIpApp.sntp.address" in values else (),
        admin_password=values["device.auth.localAdminPassword"],
        user_password=values["device.auth.localUserPassword"],
        emergency=tuple(emergency[place] for place in sorted(emergency)),
        digit_map=values["dialplan.digitmap"],
        contacts=tuple((name, value) for place, name, value in items if not place),
        call_waiting=values["call.callWaiting.enable"] == "1",
        ca=ca is not None,
    )


LIMITS = Limits(
    interval=lambda seconds: max(3600, seconds), saving=lambda seconds: 3600 if seconds else 0, ntp=1
)


class PolyHandset:
    """The master file by MAC, or the one for all; then the files it names, then the directory."""

    login = "digest"

    def __init__(self, family: str) -> None:
        self.family = family

    def user_agent(self, mac: str, model: str) -> str:
        """Without the MAC."""
        if self.family == "poly_edge":
            return f"FileTransport PolyEdge-Edge_{model.removeprefix('Edge')}-UA/8.1.2.1234 Type/Application"
        return f"FileTransport PolycomVVX-VVX_{model.removeprefix('VVX')}-UA/5.9.7.4477 Type/Application"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """As above."""
        asking = Asking(fetch, self.user_agent(mac, model))
        master = asking.get(f"{mac}.cfg") or asking.need("000000000000.cfg")
        named = _files(master)
        if not named:
            raise BootFailed("the master file names no other")
        contents = [content for name in named if (content := asking.get(name)) is not None]
        if contents and len(contents) < len(named):
            raise BootFailed(f"the master file names {named}, not all are there")
        values = parameters(*contents)
        asking.get(f"{mac}-directory.xml")
        asking.boot.provisioning = (
            Provisioning(
                values["device.prov.serverName"], values["device.prov.user"], values["device.prov.password"]
            )
            if contents
            else login_in(named[0])
        )
        asking.boot.accounts = tuple(
            Account(
                user=user,
                auth_user=values[f"reg.{index}.auth.userId"],
                password=values[f"reg.{index}.auth.password"],
                host=values[f"reg.{index}.server.1.address"],
                port=int(values[f"reg.{index}.server.1.port"]),
                transport=_TRANSPORTS[values[f"reg.{index}.server.1.transport"]],
                index=index,
                display_name=values[f"reg.{index}.displayName"],
            )
            for index, user in sorted(numbered(values, "reg.", ".address").items())
        )
        return asking.boot
