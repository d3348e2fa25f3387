"""Fanvil phones: how they read a sysConf file, and how they boot."""

from __future__ import annotations

from dataclasses import replace

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, Srtp
from tests.handsets.boot import Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import OTHER, Files, Limits, Told, ToldKey, ToldLine, accounts_of

_PAGES = {"X4U": 6, "X4U Pro": 6, "X5U": 6, "X5U Pro": 6, "X6U": 12, "X6U Pro": 12, "X210": 32, "X210i": 32}
"""Keys on a page of the side screen; models that are not here have none."""
_TRANSPORTS = {"0": Transport.UDP, "1": Transport.TCP, "3": Transport.TLS}
_SRTP = {"0": Srtp.OFF, "1": Srtp.OPTIONAL, "2": Srtp.REQUIRED}
_DTMF = {"0": Dtmf.INBAND, "1": Dtmf.RFC4733, "2": Dtmf.INFO}
_CODECS = {"G722": Codec.G722, "PCMA": Codec.PCMA, "PCMU": Codec.PCMU, "OPUS": Codec.OPUS}
_TONES = {"2": "DE", "33": "ES", "25": "FR", "13": "GB", "21": "IT", "11": "US"}
_WHAT = {"bc": KeyKind.BLF, "f": KeyKind.SPEED_DIAL, "m": KeyKind.VOICEMAIL}


def configuration(content: bytes) -> etree._Element:
    """The file.

    Raises:
        BootFailed: no sysConf, no Version, or an element twice.
    """
    root = etree.fromstring(content)
    if root.tag != "sysConf" or not root.findtext("Version"):
        raise BootFailed(f"not a configuration: {root.tag}")
    for parent in root.iter():
        names = [(child.tag, child.get("index")) for child in parent]
        if len(set(names)) != len(names):
            raise BootFailed(f"something stands twice in {parent.tag}")
    return root


def version(content: bytes) -> str:
    """As text of fixed length: later ones sort behind."""
    return configuration(content).findtext("Version") or ""


def text(node: etree._Element, path: str) -> str:
    """What stands there.

    Raises:
        BootFailed: nothing of that name.
    """
    found = node.find(path)
    if found is None:
        raise BootFailed(f"no {path}")
    return found.text or ""


def _line(line: etree._Element) -> ToldLine:
    proxy = f"{text(line, 'ProxyAddr')}:{text(line, 'ProxyPort')}"
    assert text(line, "PhoneNumber") == text(line, "RegisterUser")
    return ToldLine(
        user=text(line, "RegisterUser"),
        password=text(line, "RegisterPswd"),
        display_name=text(line, "DisplayName"),
        label=text(line, "SipName"),
        host=text(line, "RegisterAddr"),
        port=int(text(line, "RegisterPort")),
        transport=_TRANSPORTS[text(line, "Transport")],
        srtp=_SRTP[text(line, "MediaCrypto")],
        outbound_proxy=proxy if text(line, "ProxyAddr") else "",
        expires_s=int(text(line, "RegisterTTL")),
        keepalive_s=int(text(line, "UDPUpdateTTL")),
        codecs=tuple(_CODECS[name] for name in text(line, "VoiceCodecMap").split(",")),
        dtmf=_DTMF[text(line, "DTMFMode")],
        voicemail_code=text(line, "MWINum"),
        mwi=text(line, "Subscribe") == "1",
    )


def _key(key: etree._Element) -> ToldKey:
    kind, value, label = (text(key, name) for name in ("Type", "Value", "Title"))
    if kind == "2":
        return ToldKey(KeyKind.LINE, "", label, int(value.removeprefix("SIP")))
    if kind == "3":
        return ToldKey({"F_DND": KeyKind.DND, "F_CFWD": KeyKind.FORWARD}[value], "", label)
    number, _, rest = value.partition("@")
    line, _, what = rest.partition("/")
    return ToldKey(_WHAT[what], number, label, int(line))


def _keys(root: etree._Element, per_page: int) -> dict[int, ToldKey]:
    return {
        (int(page.get("index") or 0) - 1) * per_page + int(key.get("index") or 0): _key(key)
        for page in root.iterfind("dsskey/internal")
        for key in page
        if text(key, "Type") != "0"
    }


def _moment(date: etree._Element, name: str) -> tuple[int, ...]:
    month, week, weekday, hour = (
        int(text(date, f"DST{name}{part}")) for part in ("Mon", "Week", "Wday", "Hour")
    )
    return month, week, weekday, hour


def _read(files: Files, mac: str, model: str) -> Told:
    root = configuration(files[f"{mac}.cfg"])
    date = root.find("phone/date")
    assert date is not None
    summer = text(date, "EnableDST") != "0"
    stun = f"{text(root, 'sip/STUNServer')}:{text(root, 'sip/STUNPort')}"
    return Told(
        lines={
            int(line.get("index") or 0): _line(line)
            for line in root.iterfind("sip/line")
            if text(line, "EnableReg") == "1"
        },
        keys=_keys(root, _PAGES.get(model, 1)),
        url=text(root, "ap/FlashServerIP"),
        user=text(root, "ap/DefaultUsername"),
        password=text(root, "ap/DefaultPassword"),
        interval_s=3600 * int(text(root, "ap/FlashInterval")),
        zone=(900 * int(text(date, "TimeZone")), 60 * int(text(date, "DSTMinOffset")) if summer else 0),
        clock_changes=(_moment(date, "Start"), _moment(date, "End")) if summer else None,
        language=text(root, "phone/display/DefaultLanguage"),
        tones=_TONES.get(text(root, "mm/SelectYourTone"), OTHER),
        ntp=tuple(filter(None, (text(date, "SNTPServer"), text(date, "SecondSNTPServer")))),
        admin_password=text(root, "web/account[@index='1']/Password"),
        user_password=root.findtext("web/account[@index='2']/Password") or "",
        emergency=tuple(filter(None, text(root, "phone/EmergencyCall").split(","))),
        stun=stun if text(root, "sip/STUNServer") else "",
        contacts=_contacts(files, root),
        call_waiting=text(root, "call/port/CallWaiting") == "1",
    )


def _contacts(files: Files, root: etree._Element) -> tuple[tuple[str, str], ...]:
    url = text(root, "phone/xmlContact/Addr")
    if not url:
        return ()
    book = etree.fromstring(files[url.rpartition("/")[2]])
    return tuple((text(one, "Name"), text(one, "Telephone")) for one in book.iter("DirectoryEntry"))


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the phone of `setup` believes."""
    return _read(files, setup.mac, setup.model)


LIMITS = Limits(interval=lambda seconds: 3600 * -(-seconds // 3600))


class FanvilPhone:
    """Asks for its own file, and takes it when its version is newer than the last one's."""

    family = "fanvil_x"
    login = "digest"

    def __init__(self) -> None:
        self.version = ""

    def user_agent(self, mac: str, model: str) -> str:
        """With model and MAC."""
        return f"Fanvil {model} 2.12.16.17 {mac}"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """The MAC file."""
        asking = Asking(fetch, self.user_agent(mac, model))
        content = asking.need(f"{mac}.cfg")
        if version(content) <= self.version:
            raise BootFailed(f"version {version(content)} is not newer than {self.version}")
        self.version = version(content)
        root = configuration(content)
        asking.boot.provisioning = Provisioning(
            text(root, "ap/FlashServerIP"), text(root, "ap/DefaultUsername"), text(root, "ap/DefaultPassword")
        )
        if root.find("sip") is not None:
            if text(root, "phone/xmlContact/Addr"):
                asking.need("directory.xml")
            asking.boot.accounts = accounts_of(replace(_read(asking.boot.files, mac, model)))
        return asking.boot
