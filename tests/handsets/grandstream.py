"""Grandstream devices: how they read an XML file by number or by name, and how they boot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, LineSetup, Srtp
from tests.handsets.boot import Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import OTHER, Files, Limits, Reader, Told, ToldKey, ToldLine, accounts_of

# Grandstream's HT80x 1.0.10.6, HT81x 1.0.63.3 and GXP21xx 1.0.9.127 templates, account by account.
_COLUMNS = (
    "active", "server", "proxy", "user", "auth", "pass", "shown", "expiry", "mwi", "transport", "srtp",
    "plan", "unregister",
)  # fmt: skip


def _account(numbers: tuple[int, ...], codecs: Iterable[int], **more: object) -> dict[str, Any]:
    """One account by what its P-values mean."""
    return {**dict(zip(_COLUMNS, numbers, strict=True)), "codecs": tuple(codecs), **more}


_GXP = (
    _account(
        (271, 47, 48, 35, 36, 34, 3, 32, 99, 130, 183, 290, 81),
        (57, 58, 59, 60, 61, 62, 46, 98), name=270, vm=33, dtmf=(2301, 2302, 2303),
    ),
    _account(
        (401, 402, 403, 404, 405, 406, 407, 412, 415, 448, 443, 459, 411),
        range(451, 459), name=417, vm=426, dtmf=(2401, 2402, 2403),
    ),
    _account(
        (501, 502, 503, 504, 505, 506, 507, 512, 515, 548, 543, 559, 511),
        range(551, 559), name=517, vm=526, dtmf=(2501, 2502, 2503),
    ),
)  # fmt: skip
_HT = (
    _account(
        (271, 47, 48, 35, 36, 34, 3, 32, 99, 130, 183, 4200, 81),
        (57, 58, 59, 60, 61, 62, 46), ht_dtmf=850, waiting=91,
    ),
    _account(
        (401, 747, 748, 735, 736, 734, 703, 732, 709, 830, 443, 4201, 752),
        (757, 758, 759, 760, 761, 762, 814), ht_dtmf=860, waiting=791,
    ),
)  # fmt: skip
_TRANSPORTS = {"0": Transport.UDP, "1": Transport.TCP, "2": Transport.TLS}
_SRTP = {"0": Srtp.OFF, "1": Srtp.OPTIONAL, "2": Srtp.REQUIRED}
_CODECS = {"0": Codec.PCMU, "8": Codec.PCMA, "9": Codec.G722, "123": Codec.OPUS}
_HT_DTMF = {"100": Dtmf.INBAND, "101": Dtmf.RFC4733, "102": Dtmf.INFO}
_MODES = {
    "31": KeyKind.LINE,
    "1": KeyKind.BLF,
    "0": KeyKind.SPEED_DIAL,
    "6": KeyKind.VOICEMAIL,
    "22": KeyKind.DND,
    "21": KeyKind.FORWARD,
}
_NAMED_MODES = {
    "Line": KeyKind.LINE,
    "BLF": KeyKind.BLF,
    "SpeedDial": KeyKind.SPEED_DIAL,
    "VoiceMail": KeyKind.VOICEMAIL,
    "DND": KeyKind.DND,
    "Forward": KeyKind.FORWARD,
}
_BUSY = {
    "f1=425@-13,c=480/480;": "DE",
    "f1=480@-13,f2=620@-13,c=500/500;": "US",
    "f1=400@-13,c=375/375;": "GB",
    "f1=440@-13,c=500/500;": "FR",
    "f1=425@-13,c=200/200;": "ES",
    "f1=425@-13,c=500/500;": "IT",
    "f1=425,c=48/48;": "DE",
    "f1=480,f2=620,c=50/50;": "US",
    "f1=400,c=37/37;": "GB",
    "f1=440,c=50/50;": "FR",
    "f1=425,c=20/20;": "ES",
    "f1=425,c=50/50;": "IT",
}


def settings(content: bytes, mac: str) -> tuple[str, dict[str, str]]:
    """Version of the scheme, and every setting.

    Raises:
        BootFailed: no such file, for another device, or a setting twice.
    """
    root = etree.fromstring(content)
    if root.tag != "gs_provision" or root.get("version") != "1":
        raise BootFailed(f"not a configuration: {root.tag}")
    if (named := root.findtext("mac")) is not None and named.lower() != mac:
        raise BootFailed(f"this is for {named}")
    [config] = root.findall("config")
    version = config.get("version") or ""
    pairs = [
        ((item.get("name") or "") if version == "2" else item.tag.removeprefix("P"), item.text or "")
        for item in config
    ]
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BootFailed("a setting stands there twice")
    return version, values


def _own(files: Files, mac: str) -> dict[str, str]:
    return settings(files[f"cfg{mac}.xml"], mac)[1]


def _number(text: str) -> int:
    return int(text or "0")


def _codecs(
    values: Mapping[str, str], places: tuple[int, ...], names: Mapping[str, Codec]
) -> tuple[Codec, ...]:
    return tuple(dict.fromkeys(names[values[str(place)]] for place in places))


def _single(flags: tuple[bool, bool, bool]) -> Dtmf:
    [method] = [
        method for method, flag in zip((Dtmf.INBAND, Dtmf.RFC4733, Dtmf.INFO), flags, strict=True) if flag
    ]
    return method


def _shared_line(values: Mapping[str, str], p: Mapping[str, Any]) -> ToldLine:
    def of(key: str) -> str:
        return values[str(p[key])]

    assert of("unregister") == "0"
    host, _, port = of("server").rpartition(":")
    return ToldLine(
        host=host,
        port=int(port),
        transport=_TRANSPORTS[of("transport")],
        srtp=_SRTP[of("srtp")],
        outbound_proxy=of("proxy"),
        expires_s=60 * int(of("expiry")),
        codecs=_codecs(values, p["codecs"], _CODECS),
        mwi=of("mwi") == "1",
    )


def _owned(line: ToldLine, values: Mapping[str, str], p: Mapping[str, Any]) -> ToldLine:
    assert values[str(p["user"])] == values[str(p["auth"])]
    return replace(
        line,
        user=values[str(p["user"])],
        password=values[str(p["pass"])],
        display_name=values[str(p["shown"])],
    )


def _ht_line(values: Mapping[str, str], p: Mapping[str, Any]) -> ToldLine:
    first = p["ht_dtmf"]
    [method] = {values[str(place)] for place in range(first, first + 3)}
    return replace(
        _shared_line(values, p), dtmf=_HT_DTMF[method], call_waiting=values[str(p["waiting"])] == "0"
    )


def _gxp_line(values: Mapping[str, str], p: Mapping[str, Any]) -> ToldLine:
    audio, rtp, info = (values[str(place)] == "1" for place in p["dtmf"])
    return replace(
        _owned(_shared_line(values, p), values, p),
        label=values[str(p["name"])],
        voicemail_code=values[str(p["vm"])],
        dtmf=_single((audio, rtp, info)),
    )


def _system(values: Mapping[str, str], plan: str) -> Told:
    scheme = {"0": "tftp", "1": "http", "2": "https"}[values["212"]]
    assert values["64"] == "customize"
    return Told(
        url=f"{scheme}://{values['237']}/",
        user=values["1360"],
        password=values["1361"],
        interval_s=60 * int(values["193"]),
        posix_tz=values["246"],
        tones=_BUSY.get(values["4002"], OTHER),
        ntp=tuple(filter(None, (values["30"], values.get("8333", "")))),
        admin_password=values["2"],
        user_password=values.get("196", ""),
        digit_map=plan,
        stun=values["76"],
    )


def read_gxp(files: Files, mac: str) -> Told:
    """GXP16xx."""
    values = _own(files, mac)
    used = {at + 1: p for at, p in enumerate(_GXP) if values.get(str(p["active"])) == "1"}
    keys = {
        at + 1: ToldKey(
            _MODES[values[f"{323 + at}"]],
            values[f"3{3 + 3 * at:02d}"],
            values[f"3{2 + 3 * at:02d}"],
            int(values[f"3{1 + 3 * at:02d}"]) + 1,
        )
        for at in range(7)
        if values.get(f"{323 + at}", "-1") != "-1"
    }
    return replace(
        _system(values, next((values[str(p["plan"])] for p in used.values()), "")),
        lines={index: _gxp_line(values, p) for index, p in used.items()},
        keys=keys,
        language=values["1362"],
        call_waiting=values["91"] == "0",
        contacts=_contacts(files, values["330"] != "0", values.get("331", "")),
    )


def read_ht(files: Files, mac: str) -> Told:
    """HT80x: one account a port."""
    values = _own(files, mac)
    used = {at + 1: p for at, p in enumerate(_HT) if values.get(str(p["active"])) == "1"}
    return replace(
        _system(values, next((values[str(p["plan"])] for p in used.values()), "")),
        lines={index: _owned(_ht_line(values, p), values, p) for index, p in used.items()},
        language={"0": "en", "10": "es"}[values["342"]],
    )


def read_ht_profile(files: Files, mac: str) -> Told:
    """HT81x: ports refer to one of two profiles."""
    values = _own(files, mac)
    lines = {}
    for at in range(8):
        if values.get(str(4595 + at)) != "1":
            continue
        profile = _HT[int(values[str(4150 + at)])]
        assert values[str(profile["active"])] == "1"
        port = {"user": 4060 + at, "auth": 4090 + at, "pass": 4120 + at, "shown": 4180 + at}
        lines[at + 1] = _owned(_ht_line(values, profile), values, port)
    return replace(
        _system(values, values.get("4200", "")),
        lines=lines,
        language={"0": "en", "10": "es"}[values["342"]],
    )


def _contacts(files: Files, wanted: bool, path: str) -> tuple[tuple[str, str], ...]:
    if not wanted:
        return ()
    assert path and not path.endswith("/")
    book = etree.fromstring(files["phonebook.xml"])
    return tuple(
        (contact.findtext("LastName") or "", contact.findtext("Phone/phonenumber") or "")
        for contact in book.iter("Contact")
    )


def _named_line(values: Mapping[str, str], index: int) -> ToldLine:
    def of(key: str) -> str:
        return values[f"account.{index}.{key}"]

    assert of("sip.userid") == of("sip.subscriber.userid")
    host, _, port = of("sip.server.1.address").rpartition(":")
    names = {"PCMU": Codec.PCMU, "PCMA": Codec.PCMA, "G.722": Codec.G722, "OPUS": Codec.OPUS}
    audio, rtp, info = (of(f"dtmf.sendIn{where}") == "Yes" for where in ("Audio", "Rtp", "Sip"))
    return ToldLine(
        user=of("sip.userid"),
        password=of("sip.subscriber.password"),
        display_name=of("sip.subscriber.name"),
        label=of("name"),
        host=host,
        port=int(port),
        transport={"UDP": Transport.UDP, "TCP": Transport.TCP, "TlsOrTcp": Transport.TLS}[
            of("sip.transport")
        ],
        srtp={"Disabled": Srtp.OFF, "EnabledButNotForced": Srtp.OPTIONAL, "EnabledAndForced": Srtp.REQUIRED}[
            of("audio.srtpMode")
        ],
        outbound_proxy=of("sip.outboundProxy.1.address"),
        expires_s=60 * int(of("sip.registerExpiration")),
        codecs=tuple(dict.fromkeys(names[of(f"codec.choice.{choice}")] for choice in range(1, 9))),
        dtmf=_single((audio, rtp, info)),
        voicemail_code=of("sip.voicemail.number"),
        mwi=of("sip.subscribe.forMwi") == "Yes",
    )


def read_grp(files: Files, mac: str) -> Told:
    """GRP26xx, GXP21xx."""
    version, values = settings(files[f"cfg{mac}.xml"], mac)
    assert version == "2"
    used = [
        int(found[1])
        for key, value in values.items()
        if (found := re.fullmatch(r"account\.(\d+)\.enable", key)) and value == "Yes"
    ]
    keys = {
        int(found[1]): ToldKey(
            _NAMED_MODES[value],
            values[f"pks.vpk.{found[1]}.value"],
            values[f"pks.vpk.{found[1]}.description"],
            int(values[f"pks.vpk.{found[1]}.account"].removeprefix("Account")),
        )
        for key, value in values.items()
        if (found := re.fullmatch(r"pks\.vpk\.(\d+)\.keyMode", key)) and value != "None"
    }
    wanted = values["phonebook.download.mode"] != "Disabled"
    scheme = values["provisioning.config.protocol"].lower()
    return Told(
        lines={index: _named_line(values, index) for index in used},
        keys=keys,
        url=f"{scheme}://{values['provisioning.config.serverPath']}/",
        user=values["provisioning.config.username"],
        password=values["provisioning.config.password"],
        interval_s=60 * int(values["provisioning.auto.minute"]),
        posix_tz=values["dateTime.timezone.custom"],
        language=values["language.gui"],
        tones=_BUSY.get(values["audio.tone.busy"], OTHER),
        ntp=tuple(filter(None, (values["dateTime.ntp.server.1"], values["dateTime.ntp.server.2"]))),
        admin_password=values["users.admin.password"],
        user_password=values.get("users.user.password", ""),
        emergency=tuple(filter(None, values["keys.lock.emergency"].split(","))),
        digit_map=next((values[f"account.{index}.call.dialplan"] for index in used), ""),
        stun=values["network.stunServer"],
        contacts=_contacts(files, wanted, values.get("phonebook.download.server", "")),
        call_waiting=values["call.callWaiting.enable"] == "Yes",
    )


def _minutes(seconds: int) -> int:
    return 60 * -(-seconds // 60)


def _poll(seconds: int) -> int:
    return max(3600, _minutes(seconds))


LIMITS = Limits(interval=_poll, expires=_minutes)


def _english_or_spanish(setup: HandsetSetup) -> HandsetSetup:
    return replace(setup, language="es" if setup.language == "es" else "en")


def _one_profile(setup: HandsetSetup) -> HandsetSetup:
    """All lines as the first, but for whose they are."""

    def alike(line: LineSetup) -> LineSetup:
        return replace(
            setup.lines[0],
            index=line.index,
            sip_user=line.sip_user,
            sip_password=line.sip_password,
            display_name=line.display_name,
        )

    return replace(_english_or_spanish(setup), lines=tuple(alike(line) for line in setup.lines))


HT_LIMITS = Limits(interval=_poll, expires=_minutes, ntp=1, fit=_english_or_spanish)
HT_PROFILE_LIMITS = Limits(interval=_poll, expires=_minutes, ntp=1, fit=_one_profile)
READERS: Mapping[str, Callable[[Files, str], Told]] = {
    "grandstream_gxp": read_gxp,
    "grandstream_grp": read_grp,
    "grandstream_ht": read_ht,
    "grandstream_ht_profile": read_ht_profile,
}


class GrandstreamDevice:
    """Asks for its own file by two names, then for its model's and everybody's; the first found ends it."""

    login = "digest"

    def __init__(self, family: str) -> None:
        self.family = family

    def user_agent(self, mac: str, model: str) -> str:
        """With model and MAC."""
        return f"Grandstream Model HW {model} V1.2A SW 1.0.11.79 DevId {mac}"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """The first file found."""
        asking = Asking(fetch, self.user_agent(mac, model))
        for name in (f"cfg{mac}", f"cfg{mac}.xml", f"cfg{model.lower()}.xml", "cfg.xml"):
            content = asking.get(name)
            if content is not None:
                return self._believed(asking, content, mac)
        raise BootFailed(f"nothing there; asked for {asking.boot.asked}")

    def _believed(self, asking: Asking, content: bytes, mac: str) -> Boot:
        boot = asking.boot
        version, values = settings(content, mac)
        if version == "2":
            scheme, place = values["provisioning.config.protocol"].lower(), "provisioning.config.serverPath"
            user, password = "provisioning.config.username", "provisioning.config.password"
        else:
            scheme, place = {"0": "tftp", "1": "http", "2": "https"}[values["212"]], "237"
            user, password = "1360", "1361"
        boot.provisioning = Provisioning(f"{scheme}://{values[place]}/", values[user], values[password])
        if not _tells_accounts(values):
            return boot
        if values.get("330", "0") != "0" or values.get("phonebook.download.mode", "Disabled") != "Disabled":
            asking.get("phonebook.xml")
        boot.accounts = accounts_of(READERS[self.family](boot.files, mac))
        return boot


def _tells_accounts(values: Mapping[str, str]) -> bool:
    return "271" in values or "account.1.enable" in values


def reader(family: str) -> Reader:
    """What a device of this family believes."""
    return lambda files, setup: READERS[family](files, setup.mac)
