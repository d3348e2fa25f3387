"""Yealink handsets: how they read a cfg file, and how they boot (firmware 81 and later)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch, Provisioning, colons
from tests.handsets.told import OTHER, Files, Limits, Told, ToldKey, ToldLine

HEADER = "#!version:1.0.0.1"
MANY = "static.security.user_password"
_LINE = re.compile(r"([a-z][A-Za-z0-9_.]*) = (.+)")
_HARDWARE = {
    "T19P E2": "53", "T21P E2": "52", "T23G": "44", "T27G": "69", "T29G": "46", "T30P": "127", "T31G": "123",
    "T33G": "124", "T34W": "171", "T40P": "54", "T40G": "76", "T41P": "36", "T41S": "68", "T41U": "116",
    "T42G": "29", "T42S": "67", "T42U": "116", "T43U": "107", "T46G": "28", "T46S": "66", "T46U": "108",
    "T48G": "35", "T48S": "65", "T48U": "109", "T53": "95", "T53W": "95", "T54S": "70", "T54W": "96",
    "T57W": "97", "T58W": "150", "T77U": "185", "T85W": "185", "T87W": "185", "CP920": "78", "CP960": "73",
    "W52P": "25", "W60B": "77", "W70B": "146",
}  # fmt: skip
"""Of the common file and of the firmware; a second list than the catalogue's, except for the newest four."""

_TRANSPORTS = {"0": Transport.UDP, "1": Transport.TCP, "2": Transport.TLS}
_SRTP = {"0": Srtp.OFF, "1": Srtp.OPTIONAL, "2": Srtp.REQUIRED}
_DTMF = {"0": Dtmf.INBAND, "1": Dtmf.RFC4733, "2": Dtmf.INFO}
_KEYS = {
    "15": KeyKind.LINE,
    "16": KeyKind.BLF,
    "13": KeyKind.SPEED_DIAL,
    "12": KeyKind.VOICEMAIL,
    "5": KeyKind.DND,
    "2": KeyKind.FORWARD,
}
_LANGUAGES = {"German": "de", "English": "en", "French": "fr", "Spanish": "es", "Italian": "it"}
_TONES = {
    "Germany": "DE",
    "Great Britain": "GB",
    "United States": "US",
    "France": "FR",
    "Spain": "ES",
    "Italy": "IT",
}


def settings(content: bytes) -> dict[str, list[str]]:
    """The values of every key, in order; "" for one that is cleared.

    Raises:
        BootFailed: a line is no setting, or the header is not the first.
    """
    lines = content.decode().split("\n")
    if lines[0] != HEADER:
        raise BootFailed(f"the first line is {lines[0]!r}")
    values: dict[str, list[str]] = {}
    for line in lines[1:]:
        if not line or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise BootFailed(f"no setting: {line!r}")
        values.setdefault(found[1], []).append("" if found[2] == "%NULL%" else found[2])
    return values


def single(content: bytes) -> dict[str, str]:
    """As `settings`, every key once, but for the passwords: they are user:password under one key."""
    values = settings(content)
    assert [key for key, found in values.items() if len(found) > 1 and key != MANY] == []
    passwords = dict(one.split(":", 1) for one in values.pop(MANY, []))
    return {key: found[0] for key, found in values.items()} | {
        f"password:{user}": word for user, word in passwords.items()
    }


def _seconds(text: str) -> int:
    hours, _, minutes = text[1:].partition(":")
    return (-1 if text[0] == "-" else 1) * (int(hours) * 3600 + int(minutes or 0) * 60)


def _change(text: str) -> tuple[int, ...]:
    month, week, weekday, hour = map(int, text.split("/"))
    return month, week, weekday % 7, hour


def _line(values: Mapping[str, str], index: int) -> ToldLine:
    def of(key: str) -> str:
        return values[f"account.{index}.{key}"]

    assert of("auth_name") == of("user_name")
    priorities = {
        codec: int(of(f"codec.{codec.lower()}.priority"))
        for codec in Codec
        if of(f"codec.{codec.lower()}.enable") == "1"
    }
    proxy = f"{of('outbound_proxy.1.address')}:{of('outbound_proxy.1.port')}"
    return ToldLine(
        user=of("user_name"),
        password=of("password"),
        display_name=of("display_name"),
        label=of("label"),
        host=of("sip_server.1.address"),
        port=int(of("sip_server.1.port")),
        transport=_TRANSPORTS[of("sip_server.1.transport_type")],
        srtp=_SRTP[of("srtp_encryption")],
        outbound_proxy=proxy if of("outbound_proxy_enable") == "1" else "",
        expires_s=int(of("sip_server.1.expires")),
        keepalive_s=int(of("nat.udp_update_time")),
        codecs=tuple(sorted(priorities, key=priorities.__getitem__)),
        dtmf=_DTMF[of("dtmf.type")],
        voicemail_code=values[f"voice_mail.number.{index}"],
        mwi=of("subscribe_mwi") == "1",
    )


def _indexes(values: Mapping[str, str], pattern: str) -> list[int]:
    return sorted(int(found[1]) for key in values if (found := re.fullmatch(pattern, key)))


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the handset of `setup` believes."""
    values = single(files[f"{setup.mac}.cfg"])
    lines = [
        index
        for index in _indexes(values, r"account\.(\d+)\.enable")
        if values[f"account.{index}.enable"] == "1"
    ]
    keys = {
        index: ToldKey(
            _KEYS[values[f"linekey.{index}.type"]],
            values[f"linekey.{index}.value"],
            values[f"linekey.{index}.label"],
            int(values[f"linekey.{index}.line"]),
        )
        for index in _indexes(values, r"linekey\.(\d+)\.type")
        if values[f"linekey.{index}.type"] != "0"
    }
    summer = values["local_time.summer_time"] == "1"
    stun = f"{values['static.sip.nat_stun.server']}:{values.get('static.sip.nat_stun.port', '')}"
    return Told(
        lines={index: _line(values, index) for index in lines},
        keys=keys,
        url=values["static.auto_provision.server.url"],
        user=values["static.auto_provision.server.username"],
        password=values["static.auto_provision.server.password"],
        interval_s=60 * int(values["static.auto_provision.repeat.minutes"]),
        zone=(
            _seconds(values["local_time.time_zone"]),
            60 * int(values["local_time.offset_time"]) if summer else 0,
        ),
        clock_changes=(_change(values["local_time.start_time"]), _change(values["local_time.end_time"]))
        if summer
        else None,
        language=_LANGUAGES[values["lang.gui"]],
        tones=_TONES.get(values["voice.tone.country"], OTHER),
        ntp=tuple(filter(None, (values["local_time.ntp_server1"], values["local_time.ntp_server2"]))),
        admin_password=values["password:admin"],
        user_password=values["password:user"],
        emergency=tuple(filter(None, values["phone_setting.emergency.number"].split(","))),
        digit_map=values["dialplan.digitmap.string"],
        stun=stun if values["static.sip.nat_stun.enable"] == "1" else "",
        contacts=_contacts(files, values),
        call_waiting=values["call_waiting.enable"] == "1",
        ca="static.trusted_certificates.url" in values,
    )


def _contacts(files: Files, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    url = values["remote_phonebook.data.1.url"]
    if not url:
        return ()
    book = etree.fromstring(files[url.rpartition("/")[2]])
    return tuple(
        (entry.findtext("Name") or "", entry.findtext("Telephone") or "")
        for entry in book.iter("DirectoryEntry")
    )


LIMITS = Limits(
    interval=lambda seconds: 60 * -(-seconds // 60),
    shown=lambda text: "% NULL %" if text == "%NULL%" else text,
)


class YealinkHandset:
    """Asks for boot files first; with one of them, only what it names is fetched."""

    login = "digest"

    def __init__(self, family: str = "yealink_t") -> None:
        self.family = family

    def user_agent(self, mac: str, model: str) -> str:
        """With the MAC in it."""
        prefix = "" if self.family == "yealink_dect" else "SIP-"
        return f"Yealink {prefix}{model.replace(' ', '_')} {_HARDWARE[model]}.86.0.70 {colons(mac)}"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """MAC boot file, common boot file, common cfg, MAC cfg."""
        asking = Asking(fetch, self.user_agent(mac, model))
        values: dict[str, str] = {}
        for name in (f"{mac}.boot", "y000000000000.boot"):
            boot_file = asking.get(name)
            if boot_file is not None:
                included = re.findall(r'^include:config\s*[<"]?([^>"\n]+)', boot_file.decode(), re.MULTILINE)
                for one in included:
                    values |= single(asking.need(one))
                break
        else:
            common = asking.get(f"y{int(_HARDWARE[model]):012d}.cfg")
            if common is not None:
                values |= single(common)
            values |= single(asking.need(f"{mac}.cfg"))
        return _believed(asking.boot, values)


def _believed(boot: Boot, values: Mapping[str, str]) -> Boot:
    boot.provisioning = Provisioning(
        values["static.auto_provision.server.url"],
        values["static.auto_provision.server.username"],
        values["static.auto_provision.server.password"],
    )
    boot.accounts = tuple(
        Account(
            user=values[f"account.{index}.user_name"],
            auth_user=values[f"account.{index}.auth_name"],
            password=values[f"account.{index}.password"],
            host=values[f"account.{index}.sip_server.1.address"],
            port=int(values[f"account.{index}.sip_server.1.port"]),
            transport=_TRANSPORTS[values[f"account.{index}.sip_server.1.transport_type"]],
            index=index,
            display_name=values[f"account.{index}.display_name"],
        )
        for index in _indexes(values, r"account\.(\d+)\.enable")
        if values[f"account.{index}.enable"] == "1"
    )
    return boot
