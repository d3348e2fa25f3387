"""Htek phones: how they read an XML file, and how they boot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, KeySetup, Srtp
from tests.handsets.boot import Asking, Boot, BootFailed, Fetch, Provisioning, colons
from tests.handsets.told import OTHER, Files, Limits, Told, ToldKey, ToldLine, accounts_of

_TRANSPORTS = {"0": Transport.UDP, "1": Transport.TCP, "2": Transport.TLS}
_SRTP = {"0": Srtp.OFF, "1": Srtp.OPTIONAL, "2": Srtp.REQUIRED}
_DTMF = {"0": Dtmf.RFC4733, "1": Dtmf.INBAND, "2": Dtmf.INFO}
_CODECS = {"0": Codec.PCMU, "8": Codec.PCMA, "9": Codec.G722}
_KEYS = {"1": KeyKind.LINE, "2": KeyKind.SPEED_DIAL, "3": KeyKind.BLF, "21": KeyKind.DND}
_OFFSETS = {
    "18": -300, "26": -210, "30": -180, "33": 0, "49": 60, "84": 330, "89": 480, "93": 540, "96": 600,
    "100": 630, "102": 720,
}  # fmt: skip
_BUSY = {
    "f1=425@-24,c=480/480;": "DE",
    "f1=480@-24,f2=620@-24,c=500/500;": "US",
    "f1=400@-24,c=375/375;": "GB",
    "f1=440@-24,c=500/500;": "FR",
    "f1=425@-24,c=200/200;": "ES",
    "f1=425@-24,c=500/500;": "IT",
}
# The numbers of a UC926's own template, account by account.
_ACCOUNTS: tuple[dict[str, int], ...] = (
    {
        "active": 271,
        "server": 47,
        "proxy": 48,
        "transport": 130,
        "label": 20000,
        "user": 35,
        "auth": 36,
        "word": 34,
        "shown": 3,
        "expiry": 32,
        "vm": 33,
        "codec": 57,
        "dtmf": 20166,
        "srtp": 183,
        "plan": 4200,
        "mwi": 99,
    },
    {
        "active": 401,
        "server": 747,
        "proxy": 748,
        "transport": 830,
        "label": 20001,
        "user": 735,
        "auth": 736,
        "word": 734,
        "shown": 703,
        "expiry": 732,
        "vm": 426,
        "codec": 757,
        "dtmf": 20167,
        "srtp": 443,
        "plan": 4201,
        "mwi": 709,
    },
    {
        "active": 501,
        "server": 502,
        "proxy": 503,
        "transport": 930,
        "label": 20002,
        "user": 504,
        "auth": 505,
        "word": 506,
        "shown": 507,
        "expiry": 512,
        "vm": 526,
        "codec": 551,
        "dtmf": 20168,
        "srtp": 543,
        "plan": 4202,
        "mwi": 515,
    },
    {
        "active": 601,
        "server": 602,
        "proxy": 603,
        "transport": 1030,
        "label": 20003,
        "user": 604,
        "auth": 605,
        "word": 606,
        "shown": 607,
        "expiry": 612,
        "vm": 626,
        "codec": 651,
        "dtmf": 20169,
        "srtp": 643,
        "plan": 4203,
        "mwi": 615,
    },
)


def settings(content: bytes) -> dict[str, str]:
    """The values by number.

    Raises:
        BootFailed: no such file, or a setting twice.
    """
    root = etree.fromstring(content)
    if root.tag != "hl_provision":
        raise BootFailed(f"not a configuration: {root.tag}")
    [config] = root.findall("config")
    values = {one.tag.removeprefix("P"): one.text or "" for one in config}
    if len(values) != len(config):
        raise BootFailed("a setting stands there twice")
    return values


def _line(values: Mapping[str, str], p: Mapping[str, int]) -> ToldLine:
    def of(name: str) -> str:
        return values[str(p[name])]

    assert of("user") == of("auth")
    host, _, port = of("server").rpartition(":")
    return ToldLine(
        user=of("user"),
        password=of("word"),
        display_name=of("shown"),
        label=of("label"),
        host=host,
        port=int(port),
        transport=_TRANSPORTS[of("transport")],
        srtp=_SRTP[of("srtp")],
        outbound_proxy=of("proxy"),
        expires_s=60 * int(of("expiry")),
        codecs=tuple(dict.fromkeys(_CODECS[values[str(p["codec"] + place)]] for place in range(6))),
        dtmf=_DTMF[of("dtmf")],
        voicemail_code=of("vm"),
        mwi=of("mwi") == "1",
    )


def _places(index: int) -> tuple[int, int, int, int]:
    if index < 5:
        return 41199 + index, 41299 + index, 41399 + index, 41499 + index
    first = 20175 + 5 * index
    return first, first + 1, first + 2, first + 3


def _keys(values: Mapping[str, str]) -> dict[int, ToldKey]:
    keys = {}
    for index in range(1, 37):
        kind, value, label, line = (values.get(str(place), "0") for place in _places(index))
        if kind != "0":
            keys[index] = ToldKey(_KEYS[kind], value, label, int(line) + 1)
    return keys


def _moment(values: Mapping[str, str], first: int) -> tuple[int, ...]:
    return tuple(int(values[str(first + part)]) for part in range(4))


def _read(files: Files, mac: str) -> Told:
    values = settings(files[f"cfg{mac}.xml"])
    used = {at + 1: p for at, p in enumerate(_ACCOUNTS) if values.get(str(p["active"])) == "1"}
    summer = values["75"] == "1"
    return Told(
        lines={index: _line(values, p) for index, p in used.items()},
        keys=_keys(values),
        url=f"{values['237']}/",
        user=values["1360"],
        password=values["1361"],
        interval_s=60 * int(values["193"]),
        zone=(60 * _OFFSETS[values["64"]], 3600 if summer else 0),
        clock_changes=(_moment(values, 23118), _moment(values, 23122)) if summer else None,
        tones=_BUSY.get(values["4002"], OTHER),
        ntp=tuple(filter(None, (values["30"],))),
        admin_password=values["2"],
        user_password=values.get("196", ""),
        emergency=tuple(filter(None, values["5732"].split(","))),
        digit_map=next((values[str(p["plan"])] for p in used.values()), ""),
        stun=values["76"],
        contacts=_contacts(files, values),
        call_waiting=values["8849"] == "1",
        ca=_believes_authority(files, values),
    )


def _believes_authority(files: Files, values: Mapping[str, str]) -> bool:
    """Whether a trusted authority was named, and is there where it was named."""
    url = values["20179"]
    content = files.get(url) or files.get(url.rpartition("/")[2]) or b""
    return b"-----BEGIN CERTIFICATE-----" in content


def _contacts(files: Files, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    url = urlsplit(values["4401"])
    if not url.path:
        return ()
    assert (url.username, url.password) == (values["1360"], values["1361"])
    book = etree.fromstring(files[url.path.rpartition("/")[2]])
    return tuple(
        (one.findtext("Name") or "", one.findtext("Telephone") or "") for one in book.iter("DirectoryEntry")
    )


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the phone of `setup` believes."""
    return _read(files, setup.mac)


def _becomes(key: KeySetup) -> ToldKey | None:
    if key.kind is KeyKind.FORWARD:
        return None
    kind = KeyKind.SPEED_DIAL if key.kind is KeyKind.VOICEMAIL else key.kind
    return ToldKey(kind, key.value, key.label, key.line)


def _codecs(codecs: tuple[Codec, ...]) -> tuple[Codec, ...]:
    return tuple(codec for codec in codecs if codec is not Codec.OPUS) or (Codec.PCMA,)


def _whole_hours_of_summer(setup: HandsetSetup) -> HandsetSetup:
    known = setup.time_zone not in ("Asia/Kathmandu", "Australia/Lord_Howe")
    return replace(setup, time_zone=setup.time_zone if known else "Europe/Berlin")


LIMITS = Limits(
    interval=lambda seconds: 60 * -(-seconds // 60),
    expires=lambda seconds: 60 * -(-seconds // 60),
    codecs=_codecs,
    ntp=1,
    keys=_becomes,
    fit=_whole_hours_of_summer,
)


class HtekPhone:
    """Asks for its own file."""

    family = "htek_uc"
    login = "digest"

    def user_agent(self, mac: str, model: str) -> str:
        """With model and MAC."""
        return f"Htek {model} 2.0.4.2 {colons(mac)}"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """The MAC file."""
        asking = Asking(fetch, self.user_agent(mac, model))
        values = settings(asking.need(f"cfg{mac}.xml"))
        assert values["212"] == {"http": "2", "https": "3", "tftp": "0"}[urlsplit(values["237"]).scheme]
        asking.boot.provisioning = Provisioning(f"{values['237']}/", values["1360"], values["1361"])
        if values["20179"]:
            asking.get(values["20179"])
        if "271" in values:
            if values["4401"]:
                asking.need("directory.xml")
            asking.boot.accounts = accounts_of(_read(asking.boot.files, mac))
        return asking.boot
