"""Softphones: how each reads its one file. Linphone's is checked against a schema of its structure first."""

from __future__ import annotations

import configparser
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, Srtp
from tests.handsets.boot import BootFailed
from tests.handsets.told import EXACT, Files, Limits, Reader, Told, ToldLine
from tests.handsets.xml import last_part, parsed

LPCONFIG = etree.XMLSchema(etree.parse(Path(__file__).with_name("lpconfig.xsd")))
_NAMESPACE = "{http://www.linphone.org/xsds/lpconfig.xsd}"
_ADDRESS = re.compile(r'(?:"((?:[^"\\]|\\.)*)" )?<sip:(?:([^@;>]+)@)?([^;>@]+?)((?:;[a-z=]+)*)>')
_LINPHONE_DTMF = {("1", "0"): Dtmf.RFC4733, ("0", "1"): Dtmf.INFO, ("0", "0"): Dtmf.INBAND}


def sections(content: bytes) -> dict[str, dict[str, str]]:
    """Section to entry to value.

    Raises:
        BootFailed: it is not as the schema says.
    """
    root = parsed(content)
    if not LPCONFIG.validate(root):
        raise BootFailed(str(LPCONFIG.error_log))
    return {
        str(section.get("name")): {
            str(entry.get("name")): entry.text or "" for entry in section.iter(f"{_NAMESPACE}entry")
        }
        for section in root.iter(f"{_NAMESPACE}section")
    }


def _address(text: str) -> tuple[str, str, str, str]:
    """Display name, user, host with port, parameters (RFC 3261 25.1)."""
    found = _ADDRESS.fullmatch(text)
    assert found, text
    return re.sub(r"\\(.)", r"\1", found[1] or ""), found[2] or "", found[3], found[4]


def _linphone_line(told: Mapping[str, Mapping[str, str]], number: int, setup: HandsetSetup) -> ToldLine:
    proxy, login, sip = told[f"proxy_{number}"], told[f"auth_info_{number}"], told["sip"]
    name, user, host, _ = _address(proxy["reg_identity"])
    _, _, server, parameters = _address(proxy["reg_proxy"])
    assert (login["username"], login["userid"], login["domain"]) == (user, user, host)
    assert (proxy["reg_sendregister"], login["algorithm"]) == ("1", "MD5")
    line = setup.lines[number]
    word = f"{user}:{login['realm']}:{line.sip_password.get_secret_value()}"
    assert login["ha1"] == hashlib.md5(word.encode(), usedforsecurity=False).hexdigest()
    codecs = [told[f"audio_codec_{place}"] for place in range(len(told)) if f"audio_codec_{place}" in told]
    enabled = tuple(Codec(one["mime"]) for one in codecs if one["enabled"] == "1")
    first = number == 0
    route = proxy["reg_route"]
    mandatory = sip["media_encryption"], sip["media_encryption_mandatory"]
    return ToldLine(
        user=user,
        display_name=name,
        host=server.rpartition(":")[0],
        port=int(server.rpartition(":")[2]),
        transport=Transport(parameters.removeprefix(";transport=")),
        srtp={("none", "0"): Srtp.OFF, ("srtp", "1"): Srtp.REQUIRED}.get(mandatory)
        if len(setup.lines) == 1
        else None,
        outbound_proxy=_address(route)[2] if route else "",
        expires_s=int(proxy["reg_expires"]),
        keepalive_s=int(sip["keepalive_period"]) // 1000 if first else None,
        codecs=enabled if first else None,
        dtmf=_LINPHONE_DTMF[sip["use_rfc2833"], sip["use_info"]] if first else None,
        voicemail_code=proxy["voicemail_uri"].removeprefix("sip:").partition("@")[0],
        mwi=bool(proxy["mwi_server_uri"]),
    )


def read_linphone(files: Files, setup: HandsetSetup) -> Told:
    """What Linphone believes; its index is the place in the list."""
    told = sections(files["linphone.xml"])
    count = sum(name.startswith("proxy_") for name in told)
    indexes = [line.index for line in setup.lines]
    assert count == len(indexes)
    friends = (told[f"friend_{place}"] for place in range(len(told)) if f"friend_{place}" in told)
    addresses = [_address(friend["url"]) for friend in friends]
    policy = told["nat_policy_0"]
    return Told(
        lines={indexes[place]: _linphone_line(told, place, setup) for place in range(count)},
        url=told["misc"]["config-uri"].rpartition("/")[0] + "/",
        stun=policy["stun_server"] if "stun" in policy["protocols"] else "",
        contacts=tuple((name, user) for name, user, _, _ in addresses),
    )


def _child(element: etree._Element, name: str) -> str:
    found = element.findall(name)
    assert len(found) == 1, name
    return found[0].text or ""


def read_acrobits(files: Files, setup: HandsetSetup) -> Told:
    """What Groundwire believes: one account, or none."""
    account = parsed(files["account.xml"])
    assert account.tag == "account"
    where = _child(account, "extProvUrl").rpartition("/")[0] + "/"
    interval = int(_child(account, "extProvInterval"))
    if account.find("username") is None:
        return Told(url=where, interval_s=interval)
    payloads = {"0": Codec.PCMU, "8": Codec.PCMA, "9": Codec.G722}
    host, proxy = _child(account, "host"), _child(account, "proxy")
    own = host == proxy.rpartition(":")[0] and setup.lines[0].outbound_proxy is None
    assert _child(account, "title")
    line = ToldLine(
        user=_child(account, "username"),
        password=_child(account, "password"),
        display_name=_child(account, "userDisplayName"),
        host=host,
        port=int(proxy.rpartition(":")[2]) if own else None,
        transport=Transport(_child(account, "transport").removesuffix("+sip:")),
        srtp=Srtp.OFF if _child(account, "sdesOutgoing") == "disabled" else None,
        outbound_proxy="" if own else proxy,
        expires_s=int(_child(account, "expires")),
        codecs=tuple(payloads[one] for one in _child(account, "codecOrder").split(",")),
        dtmf={"rfc2833": Dtmf.RFC4733, "audio": Dtmf.INBAND, "info": Dtmf.INFO}[_child(account, "dtmfOrder")],
        voicemail_code=_child(account, "voiceMailNumber"),
        mwi=_child(account, "subscribeForVoicemail") == "1",
    )
    stun = account.findtext("STUN") or ""
    return Told(lines={setup.lines[0].index: line}, url=where, interval_s=interval, stun=stun)


def _zoiper_line(account: etree._Element) -> ToldLine:
    def of(name: str) -> str:
        return _child(account, name)

    ids = {"0": Codec.PCMU, "6": Codec.PCMA, "7": Codec.G722, "35": Codec.OPUS}
    codecs = sorted(account.iter("codec"), key=lambda one: int(_child(one, "priority")))
    host, _, port = of("SIP_domain").rpartition(":")
    assert of("SIP_auth_username") == of("username")
    return ToldLine(
        user=of("username"),
        password=of("password"),
        display_name=of("SIP_callerId"),
        host=host,
        port=int(port),
        transport=Transport(of("SIP_transport_type")),
        srtp=Srtp.OFF if of("SIP_srtp_mode") == "none" else None,
        outbound_proxy=of("SIP_outbound_proxy") if of("SIP_use_outbound_proxy") == "true" else "",
        expires_s=int(of("reregistration_time")),
        keepalive_s=int(of("SIP_keep_alive_timeout")),
        codecs=tuple(ids[_child(one, "codec_id")] for one in codecs if _child(one, "enabled") == "true"),
        dtmf={"rfc_2833": Dtmf.RFC4733, "inband": Dtmf.INBAND, "SIP_info_numeric": Dtmf.INFO}[
            of("SIP_dtmf_style")
        ],
        voicemail_code=of("voicemail_check_extension"),
        mwi=of("mwi_subscribe_usage") == "both",
    )


def read_zoiper(files: Files, setup: HandsetSetup) -> Told:
    """What Zoiper believes."""
    root = parsed(files["zoiper.xml"])
    accounts = root.findall("accounts/account")
    stun = root.find("accounts/account/stun")
    told_stun = None
    if stun is not None:
        on = _child(stun, "use_stun") == "custom"
        told_stun = f"{_child(stun, 'stun_host')}:{_child(stun, 'stun_port')}" if on else ""
    lines = {int(_child(account, "ident").rpartition("-")[2]): _zoiper_line(account) for account in accounts}
    return Told(lines=lines, stun=told_stun)


def _ini(content: bytes) -> configparser.RawConfigParser:
    assert content.startswith(b"\xff\xfe")
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=(";",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(content.decode("utf-16"))
    return parser


def read_microsip(files: Files, setup: HandsetSetup) -> Told:
    """What MicroSIP believes; its accounts are counted, not numbered by us."""
    ini = _ini(files["microsip.ini"])
    general = ini["Settings"]
    names = {
        "opus/48000/2": Codec.OPUS,
        "G722/16000/1": Codec.G722,
        "PCMA/8000/1": Codec.PCMA,
        "PCMU/8000/1": Codec.PCMU,
    }
    codecs = tuple(names[one] for one in general["audioCodecs"].split())
    dtmf = {"1": Dtmf.INBAND, "2": Dtmf.RFC4733, "3": Dtmf.INFO}[general["DTMFMethod"]]
    lines = {}
    for place, line in enumerate(setup.lines, 1):
        account = ini[f"Account{place}"]
        host, _, port = account["server"].rpartition(":")
        assert (account["authID"], account["domain"]) == (account["username"], host)
        lines[line.index] = ToldLine(
            user=account["username"],
            password=account["password"],
            display_name=account["displayName"],
            label=account["label"],
            host=host,
            port=int(port),
            transport=Transport(account["transport"]),
            srtp={"": Srtp.OFF, "optional": Srtp.OPTIONAL, "mandatory": Srtp.REQUIRED}[account["SRTP"]],
            outbound_proxy=account["proxy"],
            expires_s=int(account["registerRefresh"]),
            keepalive_s=int(account["keepAlive"]),
            codecs=codecs if place == 1 else None,
            dtmf=dtmf if place == 1 else None,
            voicemail_code=account["voicemailNumber"],
        )
    assert ini.sections() == ["Settings", *(f"Account{place}" for place in range(1, len(lines) + 1))]
    book = general["usersDirectory"]
    contacts = parsed(files[last_part(book)]).iter("contact") if book else ()
    return Told(
        lines=lines,
        stun=general["STUN"] if general["enableSTUN"] == "1" else "",
        contacts=tuple((str(one.get("name")), str(one.get("number"))) for one in contacts),
        call_waiting=general["callWaiting"] == "1",
    )


@dataclass(frozen=True)
class Softphone:
    """One softphone's reader; `fit` leaves out what it cannot be told."""

    read: Reader
    model: str
    limits: Limits = EXACT
    untold: frozenset[str] = frozenset()
    fit: Callable[[HandsetSetup], HandsetSetup] = lambda setup: setup


def _contacts_with_a_line(setup: HandsetSetup) -> HandsetSetup:
    """Contacts are addresses: without a line there is no host to put behind a number."""
    return setup if setup.lines else replace(setup, contacts=())


def _one_line(setup: HandsetSetup) -> HandsetSetup:
    return replace(setup, lines=setup.lines[:1])


SOFTPHONES: dict[str, Softphone] = {
    "linphone": Softphone(read_linphone, "Linphone", untold=frozenset(("srtp",)), fit=_contacts_with_a_line),
    "acrobits": Softphone(
        read_acrobits,
        "Acrobits Groundwire",
        Limits(codecs=lambda wanted: tuple(one for one in wanted if one is not Codec.OPUS) or (Codec.PCMU,)),
        frozenset(("srtp",)),
        _one_line,
    ),
    "zoiper": Softphone(read_zoiper, "Zoiper 5", untold=frozenset(("srtp",))),
    "microsip": Softphone(read_microsip, "MicroSIP", Limits(shown=lambda text: text.replace('"', "'"))),
}
