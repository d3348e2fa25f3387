"""Gigaset bases: symbols of the N510 (numbers in hexadecimal, texts quoted), parameters of the Nx70."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from control_plane.domain.extension import Transport
from control_plane.render.handsets import gigaset
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, Srtp
from tests.handsets.boot import Account, Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import OTHER, Files, Limits, Told, ToldLine
from tests.handsets.xml import last_part, numbered, parsed

_TRANSPORTS = {"1": Transport.UDP, "2": Transport.TCP, "3": Transport.TLS}
_DTMF = {"1": Dtmf.INBAND, "2": Dtmf.RFC4733, "4": Dtmf.INFO}
_VOCODERS = {5: Codec.G722, 1: Codec.PCMA, 0: Codec.PCMU}
_TONES = {"12": "DE", "8": "GB", "1": "US", "7": "FR", "6": "ES", "13": "IT"}
_LANGUAGES = {"0x1": "en", "0x2": "de", "0x9": "fr", "0x4": "es", "0x7": "it"}
_HOURS = {0x1A: 0, 0x1B: 1, 0x0D: -5, 0x43: 10, 0x3D: 9}


def symbols(content: bytes, mac: str) -> dict[str, str]:
    """An N510's symbols.

    Raises:
        BootFailed: not for this base, or a symbol is there twice.
    """
    root = parsed(content)
    address = root.find("Provider/MAC_ADDRESS")
    if address is None or address.get("value") != mac.upper():
        raise BootFailed("not for this base")
    values: dict[str, str] = {}
    for item in root.iter("SYMB_ITEM"):
        name = str(item.get("ID"))
        if name in values:
            raise BootFailed(f"{name} is there twice")
        values[name] = str(item.get("value"))
    return values


def _text(value: str) -> str:
    found = re.fullmatch(r'"([^"]*)"', value)
    assert found, value
    return found[1]


def _pin(value: str) -> str:
    """Four digits, two in each byte."""
    found = re.fullmatch(r"0x([0-9]{2}),0x([0-9]{2})", value)
    assert found, value
    return found[1] + found[2]


def _n510_line(values: Mapping[str, str], number: int, first: bool) -> ToldLine:
    after = "" if number == 1 else f"_{number}"

    def of(name: str) -> str:
        return values[f"BS_IP_Data1.{name}{after}"]

    def text(name: str) -> str:
        return _text(of(name))

    assert text("aucS_SIP_SERVER") == text("aucS_SIP_REGISTRAR") == text("aucS_SIP_DOMAIN")
    proxy = f"{text('aucS_OUTBOUND_PROXY')}:{int(of('uiI_OUTBOUND_PROXY_PORT'), 16)}"
    return ToldLine(
        user=text("aucS_SIP_USER_ID"),
        password=text("aucS_SIP_PASSWORD"),
        display_name=text("aucS_SIP_DISPLAYNAME"),
        label=_text(values[f"BS_IP_Data1.aucS_SIP_ACCOUNT_NAME_{number}"]),
        host=text("aucS_SIP_REGISTRAR"),
        port=int(of("uiI_SIP_REGISTRAR_PORT"), 16),
        transport=Transport.UDP,
        outbound_proxy=proxy if of("ucI_OUTBOUND_PROXY_MODE") == "0x0" else "",
        expires_s=int(of("uiI_RE_REGISTRATION_TIMER"), 16),
        codecs=tuple(_VOCODERS[int(code, 16)] for code in of("ucI_SIP_PREFERRED_VOCODER").split(",")),
        dtmf=_DTMF[values["BS_IP_Data1.ucI_DTMF_TX_MODE_BITS"]] if first else None,
        voicemail_code=_text(values[f"BS_IP_Data1.aucS_VOIP_NET_AM_NUMBER_{number}"]),
        mwi=values[f"BS_IP_Data1.ucB_VOIP_NET_AM_ENABLED_{number}"] == "0x1",
    )


def _active(values: Mapping[str, str]) -> list[int]:
    found = numbered(values, "BS_IP_Data1.ucB_SIP_ACCOUNT_IS_ACTIVE_", "")
    return sorted(number for number, on in found.items() if on == "0x1")


def _book(files: Files, address: str) -> tuple[tuple[str, str], ...]:
    if not address:
        return ()
    book = parsed(files[last_part(address)])
    entries = tuple((entry.findtext("ln") or "", entry.findtext("of") or "") for entry in book.iter("entry"))
    assert book.get("total") == book.get("last") == str(len(entries))
    return entries


def read_n510(files: Files, setup: HandsetSetup) -> Told:
    """What the base of `setup` believes."""
    values = symbols(files[f"{setup.mac.upper()}.xml"], setup.mac)
    data = "BS_IP_Data1."
    lines = _active(values)
    hours = _HOURS.get(int(values.get(f"{data}uiI_TIME_TIMEZONE", "-1"), 16))
    saving = 3600 if values[f"{data}ucB_TIME_USE_AUTOMATIC_DST"] == "0x1" else 0
    after = "" if lines and lines[0] == 1 else f"_{lines[0]}" if lines else ""
    stun = None
    if lines:
        stun_port = int(values[f"{data}uiI_STUN_SERVER_PORT{after}"], 16)
        on = values[f"{data}ucB_SIP_USE_STUN{after}"] == "0x1"
        stun = f"{_text(values[f'{data}aucS_STUN_SERVER{after}'])}:{stun_port}" if on else ""
    book = values.get("BS_XML_Netdirs.astNetdirProvider[0].aucServerURL", '""')
    ntp = values.get(f"{data}aucS_TIME_NTP_SERVER")
    return Told(
        lines={number: _n510_line(values, number, number == lines[0]) for number in lines},
        url=_text(values[f"{data}aucS_DATA_SERVER[0]"]) + "/",
        zone=(hours * 3600, saving) if hours is not None else None,
        language=_LANGUAGES[values[f"{data}ucI_HTTPLANGUAGE"]],
        tones=_TONES.get(values["BS_AE_SwConfig.ucCountryCodeTone"], OTHER),
        ntp=(_text(ntp),) if ntp else (),
        admin_password=_pin(values["BS_CUSTOM.aucKdsPin[0]"]),
        stun=stun,
        contacts=_book(files, _text(book)),
    )


def parameters(content: bytes) -> dict[str, str]:
    """An Nx70's parameters.

    Raises:
        BootFailed: one is there twice.
    """
    root = parsed(content)
    if (root.tag, root.get("productID")) != ("provisioning", "e2"):
        raise BootFailed("not for this product")
    values: dict[str, str] = {}
    for item in root.iterfind("nvm/param"):
        name = str(item.get("name"))
        if name in values:
            raise BootFailed(f"{name} is there twice")
        values[name] = str(item.get("value"))
    return values


def _nx70_line(values: Mapping[str, str], id: str) -> ToldLine:
    def of(name: str) -> str:
        return values[f"SipAccount.{id}.{name}"]

    def provider(name: str) -> str:
        return values[f"SipProvider.{of('ProviderId')}.{name}"]

    proxied = provider("OutboundProxyMode") == "0"
    secure = provider("SRTP_Enabled"), provider("AcceptNonSRTPCalls")
    assert of("AuthName") == of("UserName")
    return ToldLine(
        user=of("UserName"),
        password=of("AuthPassword"),
        display_name=of("DisplayName"),
        host=provider("RegServerAddress"),
        port=int(provider("RegServerPort")),
        transport=_TRANSPORTS[provider("TransportProtocol")],
        srtp={("0", "1"): Srtp.OFF, ("1", "1"): Srtp.OPTIONAL, ("1", "0"): Srtp.REQUIRED}[secure],
        outbound_proxy=f"{provider('OutboundProxyAddress')}:{provider('OutboundProxyPort')}"
        if proxied
        else "",
        expires_s=int(provider("RegServerRefreshTimer")),
        dtmf=_DTMF[provider("DTMFTransmission")],
        voicemail_code=of("VoiceMailMailbox") if of("VoiceMailActive") == "1" else "",
        mwi=provider("MWISubscription") == "1",
    )


def _accounts(values: Mapping[str, str]) -> list[str]:
    found = (re.fullmatch(r"SipAccount\.(\d{5})\.UserName", name) for name in values)
    return sorted(one[1] for one in found if one and values[one[0]])


def read_nx70(files: Files, setup: HandsetSetup) -> Told:
    """What the base of `setup` believes."""
    content = files[f"{setup.mac.upper()}.xml"]
    values = parameters(content)
    added = {str(one.get("value")) for one in parsed(content).iterfind("nvm/oper[@name='add_hs']")}
    assert added == set(_accounts(values))
    ntp = values.get("DmGlobal.0.NtpServer")
    return Told(
        lines={int(id): _nx70_line(values, id) for id in _accounts(values)},
        url=values["Provisioning.global.ProvisioningServer"],
        time_zone=values["DmGlobal.0.TimeZone"],
        ntp=(ntp,) if ntp else (),
        admin_password=values["WebUIAccounts.1.Password"],
        contacts=_book(files, values.get("XMLDir.1.ServerURL", "")),
    )


def _plain_udp(setup: HandsetSetup) -> HandsetSetup:
    """It is known to do neither TLS nor SRTP nor TCP."""
    lines = (replace(line, transport=Transport.UDP, srtp=Srtp.OFF) for line in setup.lines)
    return replace(setup, lines=tuple(lines))


N510_LIMITS = Limits(
    shown=lambda text: text.replace('"', "'"),
    codecs=lambda wanted: tuple(one for one in wanted if one is not Codec.OPUS) or (Codec.PCMU,),
    saving=lambda seconds: 3600 if seconds else 0,
    admin=gigaset.system_pin,
    ntp=1,
    fit=_plain_udp,
)
NX70_LIMITS = Limits(ntp=1)


class GigasetBase:
    """One file, by MAC in capitals."""

    login = "none"

    def __init__(self, family: str) -> None:
        self.family = family

    def user_agent(self, mac: str, model: str) -> str:
        """With the MAC."""
        if self.family == "gigaset_n510":
            return f"N510 IP PRO/42.258.00.000.000;{mac.upper()}"
        return f"Gigaset {model}/83.V2.49.1+build.abc1234;{mac.upper()}"

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """As above."""
        asking = Asking(fetch, self.user_agent(mac, model))
        content = asking.need(f"{mac.upper()}.xml")
        if self.family == "gigaset_n510":
            values = symbols(content, mac)
            url = _text(values["BS_IP_Data1.aucS_DATA_SERVER[0]"]) + "/"
            lines = {number: _n510_line(values, number, True) for number in _active(values)}
        else:
            values = parameters(content)
            url = values["Provisioning.global.ProvisioningServer"]
            lines = {int(id): _nx70_line(values, id) for id in _accounts(values)}
        asking.boot.provisioning = Provisioning(url, "", "")
        asking.boot.accounts = tuple(
            Account(
                user=line.user or "",
                password=line.password or "",
                host=line.host or "",
                port=line.port or 0,
                transport=line.transport or Transport.UDP,
                index=index,
                display_name=line.display_name or "",
            )
            for index, line in lines.items()
        )
        return asking.boot
