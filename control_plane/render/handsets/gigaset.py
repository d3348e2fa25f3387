"""Gigaset DECT bases: N510 IP PRO, and the N670 and N870 systems.

A base has accounts, one for each cordless handset, and no keys. It has no HTTP login that could be set here:
its files are protected by the token in the path and by TLS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from control_plane.domain.extension import Transport
from control_plane.errors import UnsafeValue
from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.family import CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_book, render_xml, split_address
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetFile, HandsetSetup, LineSetup, Srtp
from control_plane.render.handsets.zones import zone_rules

DIRECTORY = "directory.xml"
LATIN_TYPE = "application/xml"
"""The encoding stands in the file; it is ASCII with character references, so it is UTF-8 too."""
TRANSPORTS = {Transport.UDP: 1, Transport.TCP: 2, Transport.TLS: 3}
DTMF = {Dtmf.INBAND: 1, Dtmf.RFC4733: 2, Dtmf.INFO: 4}
VOCODERS = {Codec.G722: 5, Codec.PCMA: 1, Codec.PCMU: 0}
TONES = {
    "AU": 4,
    "CH": 2,
    "DE": 12,
    "ES": 6,
    "FR": 7,
    "GB": 8,
    "IT": 13,
    "NL": 9,
    "PL": 10,
    "RU": 11,
    "US": 1,
}
WEB_LANGUAGES = {"en": 0x1, "de": 0x2, "es": 0x4, "it": 0x7, "fr": 0x9, "nl": 0xA, "tr": 0x10, "pl": 0x11}
HOURS = {
    -12: 0x00,
    -11: 0x01,
    -10: 0x02,
    -9: 0x03,
    -8: 0x04,
    -7: 0x07,
    -6: 0x09,
    -5: 0x0D,
    -4: 0x0F,
    -3: 0x15,
    -2: 0x16,
    -1: 0x18,
    0: 0x1A,
    1: 0x1B,
    2: 0x20,
    3: 0x28,
    4: 0x2B,
    5: 0x2E,
    6: 0x33,
    7: 0x37,
    8: 0x3A,
    9: 0x3D,
    10: 0x43,
}
"""The base's code for a zone by its offset; it has none for the rest of them that we know of."""


PIN = "BS_CUSTOM.aucKdsPin[0]"
"""The system PIN: four digits, two in each byte, 0000 when it leaves the factory. It is the administrator's
password; by Gigaset's guide of an older base (C470 IP) cordless handsets are registered with it too. Name and
notation are those of plugins/wazo-gigaset/N510/templates/base.tpl in wazo-provd-plugins ("Admin Password. ...
PIN='1234' please enter '0x12,0x34'") and of Gemeinschaft 5."""


def system_pin(password: str) -> str:
    """The PIN of a base whose administrator has this password: 0001 to 9999, always the same for one."""
    return f"{int.from_bytes(hashlib.sha256(password.encode()).digest()[:8]) % 9999 + 1:04d}"


def quoted(text: str) -> str:
    """A text value of the N510: in quotation marks, so it has none inside."""
    return '"{}"'.format(text.replace('"', "'"))


def _line_items(line: LineSetup, setup: HandsetSetup) -> Iterator[tuple[str, str]]:
    """The N510's names of one account: the first has no number behind its names, most of the time.

    Raises:
        UnsafeValue: the line wants what the base is not known to do.
    """
    if line.transport is not Transport.UDP:
        raise UnsafeValue(f"lines.{line.index}.transport", "a Gigaset N510 is set up for UDP only")
    number = line.index
    ip, ip3, after = "BS_IP_Data1.", "BS_IP_Data3.", "" if number == 1 else f"_{number}"
    stun_host, stun_port = split_address(setup.stun_server or "", 3478)
    proxy_host, proxy_port = split_address(line.outbound_proxy or "", line.port)
    vocoders = [VOCODERS[one] for one in usable(line.codecs, VOCODERS)]
    account = f"BS_Accounts.astAccounts[{number - 1}]"
    mask = f"0x{1 << (number - 1):02x}"
    yield f"{account}.aucAccountName[0]", quoted(line.label)
    yield f"{account}.uiSendMask", mask
    yield f"{account}.uiReceiveMask", mask
    yield f"{ip}aucS_SIP_ACCOUNT_NAME_{number}", quoted(line.label)
    yield f"{ip}ucB_SIP_ACCOUNT_IS_ACTIVE_{number}", "0x1"
    yield f"{ip}aucS_SIP_DISPLAYNAME{after}", quoted(line.display_name)
    yield f"{ip3}aucS_SIP_LOGIN_ID{after}", quoted(line.sip_user)
    yield f"{ip}aucS_SIP_PASSWORD{after}", quoted(line.sip_password.get_secret_value())
    yield f"{ip}aucS_SIP_USER_ID{after}", quoted(line.sip_user)
    for name in ("DOMAIN", "SERVER", "REGISTRAR"):
        yield f"{ip}aucS_SIP_{name}{after}", quoted(line.host)
    for name in ("SERVER", "REGISTRAR"):
        yield f"{ip}uiI_SIP_{name}_PORT{after}", f"0x{line.port:x}"
    yield f"{ip}ucB_SIP_USE_STUN{after}", "0x1" if setup.stun_server else "0x0"
    yield f"{ip}aucS_STUN_SERVER{after}", quoted(stun_host)
    yield f"{ip}uiI_STUN_SERVER_PORT{after}", f"0x{stun_port:x}"
    yield f"{ip}ucI_OUTBOUND_PROXY_MODE{after}", "0x0" if line.outbound_proxy else "0x1"
    yield f"{ip}aucS_OUTBOUND_PROXY{after}", quoted(proxy_host)
    yield f"{ip}uiI_OUTBOUND_PROXY_PORT{after}", f"0x{proxy_port:x}"
    yield f"{ip}uiI_RE_REGISTRATION_TIMER{after}", f"0x{line.expires_s:x}"
    yield f"{ip}ucI_SIP_PREFERRED_VOCODER{after}", ",".join(f"0x{code:02x}" for code in vocoders)
    yield f"{ip}aucS_VOIP_NET_AM_NUMBER_{number}", quoted(line.voicemail_code or "")
    yield f"{ip}ucB_VOIP_NET_AM_ENABLED_{number}", "0x1" if line.mwi else "0x0"


def _n510_items(setup: HandsetSetup, model: CatalogueModel) -> Iterator[tuple[str, str]]:
    ip = "BS_IP_Data1."
    zone = zone_rules(setup.time_zone, setup.year)
    hours, rest = divmod(zone.offset_s, 3600)
    dtmf = setup.lines[0].dtmf if setup.lines else Dtmf.RFC4733
    yield from _n510_fetching(setup)
    if password := setup.admin_password.get_secret_value():
        pin = system_pin(password)
        yield PIN, f"0x{pin[:2]},0x{pin[2:]}"
    given = {line.index: line for line in setup.lines}
    for number in range(1, model.lines + 1):
        if number in given:
            yield from _line_items(given[number], setup)
        else:
            yield f"{ip}ucB_SIP_ACCOUNT_IS_ACTIVE_{number}", "0x0"
    yield f"{ip}ucI_CODEC_PREFERENCES", "0"
    yield f"{ip}ucB_DTMF_TX_MODE_AUTO", "0"
    yield f"{ip}ucI_DTMF_TX_MODE_BITS", str(DTMF[dtmf])
    yield "BS_AE_SwConfig.ucCountryCodeTone", str(TONES.get(setup.tone_country, 0))
    yield f"{ip}ucI_HTTPLANGUAGE", f"0x{WEB_LANGUAGES.get(setup.language, 1):x}"
    if not rest and hours in HOURS:
        yield f"{ip}uiI_TIME_TIMEZONE", f"0x{HOURS[hours]:02x}"
    yield f"{ip}ucB_TIME_USE_AUTOMATIC_DST", "0x1" if zone.changes else "0x0"
    if setup.ntp_servers:
        yield f"{ip}aucS_TIME_NTP_SERVER", quoted(setup.ntp_servers[0])
    yield from _n510_directory(setup)


def _n510_fetching(setup: HandsetSetup) -> Iterator[tuple[str, str]]:
    yield "BS_IP_Data1.aucS_DATA_SERVER[0]", quoted(setup.server.url.rstrip("/"))
    yield "BS_IP_Data.ucB_AUTO_UPDATE_PROFILE", "0x1"
    yield "BS_IP_Data3.ucI_ONESHOT_PROVISIONING_MODE_1", "0x1"


def _n510_directory(setup: HandsetSetup) -> Iterator[tuple[str, str]]:
    """One network directory; 0x2a is its place in the base's list."""
    on = "0x2a" if setup.contacts else "0x0"
    provider = "BS_XML_Netdirs.astNetdirProvider[0]."
    yield "BS_XML_Netdirs.aucAvailableNetdirs", on
    yield "BS_XML_Netdirs.aucActivatedNetdirs", on
    if setup.contacts:
        yield f"{provider}aucProviderName", quoted(setup.directory_name)
        yield f"{provider}aucPrivatePagesDirName", quoted(setup.directory_name)
        yield f"{provider}aucServerURL", quoted(f"{setup.server.url}{DIRECTORY}")


def _n510_file(setup: HandsetSetup, items: Iterator[tuple[str, str]]) -> bytes:
    text = render_xml("gigaset/n510.xml.j2", {"mac": setup.mac.upper(), "items": list(items)}).decode()
    return text.encode("ascii", "xmlcharrefreplace")


@dataclass(frozen=True, slots=True)
class _Provider:
    """What accounts of an Nx70 have in common: the system keeps it apart from them."""

    host: str
    port: int
    transport: int
    srtp: Srtp
    dtmf: int
    expires_s: int
    mwi: bool
    proxy: tuple[str, int] | None


def _provider(line: LineSetup) -> _Provider:
    return _Provider(
        line.host,
        line.port,
        TRANSPORTS[line.transport],
        line.srtp,
        DTMF[line.dtmf],
        line.expires_s,
        line.mwi,
        split_address(line.outbound_proxy, line.port) if line.outbound_proxy else None,
    )


def _nx70_values(setup: HandsetSetup, model: CatalogueModel) -> dict[str, object]:
    """Accounts nobody has are emptied: what is not in the file stays in the system."""
    providers = list(dict.fromkeys(_provider(line) for line in setup.lines))
    used = {line.index for line in setup.lines}
    return {
        "setup": setup,
        "unused": [f"{number:05d}" for number in range(1, model.lines + 1) if number not in used],
        "providers": providers,
        "accounts": [
            {"id": f"{line.index:05d}", "line": line, "provider": providers.index(_provider(line))}
            for line in setup.lines
        ],
        "directory_url": f"{setup.server.url}{DIRECTORY}",
    }


def _directory(setup: HandsetSetup) -> tuple[HandsetFile, ...]:
    if not setup.contacts:
        return ()
    content = render_book("gigaset/directory.xml.j2", setup.contacts)
    return (HandsetFile(DIRECTORY, content, XML_TYPE),)


def _render_n510(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    name = f"{setup.mac.upper()}.xml"
    return (
        HandsetFile(name, _n510_file(setup, _n510_items(setup, model)), LATIN_TYPE, secret=True),
        HandsetFile(name, _n510_file(setup, _n510_fetching(setup)), LATIN_TYPE, secret=True, bootstrap=True),
        *_directory(setup),
    )


def _render_nx70(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    name = f"{setup.mac.upper()}.xml"
    values = _nx70_values(setup, model)
    bootstrap = render_xml("gigaset/nx70_bootstrap.xml.j2", {"setup": setup})
    return (
        HandsetFile(name, render_xml("gigaset/nx70.xml.j2", values), XML_TYPE, secret=True),
        HandsetFile(name, bootstrap, XML_TYPE, secret=True, bootstrap=True),
        *_directory(setup),
    )


N510 = Family(
    id="gigaset_n510",
    vendor="gigaset",
    title="Gigaset N510 IP PRO",
    login=HttpLogin.NONE,
    fetches=(Fetch.HTTPS, Fetch.HTTP),
    resync="check-sync",
    reboot="check-sync;reboot=true",
    user_agent=r"(?:Gigaset )?N510 IP PRO/[\d.]+;[0-9A-F]{12}",
    boot=(Step("{MAC}.xml", needed=True),),
    render=_render_n510,
    supports=frozenset(
        ("stun", "codecs", "dtmf", "mwi", "time_zone", "language", "tones", "ntp", "passwords", "phonebook")
    ),
    admin_login=system_pin,
)
NX70 = Family(
    id="gigaset_nx70",
    vendor="gigaset",
    title="Gigaset N670 and N870 IP PRO",
    login=HttpLogin.NONE,
    fetches=(Fetch.HTTPS, Fetch.HTTP),
    resync="check-sync",
    reboot="check-sync;reboot=true",
    user_agent=r"Gigaset N[68]70E? IP PRO/[\w.+]+;[0-9A-F]{12}",
    boot=(Step("{MAC}.xml", needed=True),),
    render=_render_nx70,
    supports=frozenset(("tls", "srtp", "dtmf", "mwi", "time_zone", "ntp", "passwords", "phonebook")),
)
FAMILIES = (N510, NX70)
