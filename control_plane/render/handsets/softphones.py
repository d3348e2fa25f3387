"""Softphones: Linphone, Acrobits (Groundwire), Zoiper and MicroSIP. One file, fetched by a one-time link.

Their `mac` is an id of ours: "s" and 11 hex digits. Sources: the liblinphone provisioning keys, Acrobits'
account XML reference, Zoiper's configuration reference, MicroSIP's settings.
"""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF16_LE
from collections.abc import Callable

from control_plane.render.handsets.codecs import usable
from control_plane.render.handsets.family import CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import (
    XML_TYPE,
    render_book,
    render_text,
    render_xml,
    split_address,
)
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetFile, HandsetSetup, LineSetup, Srtp

Renderer = Callable[[HandsetSetup, CatalogueModel], tuple[HandsetFile, ...]]
INI_TYPE = "text/plain; charset=utf-16"
LINPHONE_FILE = "linphone.xml"
ACROBITS_FILE = "account.xml"
ZOIPER_FILE = "zoiper.xml"
MICROSIP_FILE = "microsip.ini"
MICROSIP_CONTACTS = "contacts.xml"
LINPHONE_CODECS = (
    (Codec.OPUS, "opus", 48000, 2),
    (Codec.G722, "G722", 8000, 1),
    (Codec.PCMA, "PCMA", 8000, 1),
    (Codec.PCMU, "PCMU", 8000, 1),
)
LINPHONE_OTHERS = (
    ("G729", 8000),
    ("speex", 16000),
    ("speex", 8000),
    ("speex", 32000),
    ("GSM", 8000),
    ("BV16", 8000),
)
"""Switched off by name: Linphone adds those of its codecs that are not in its list."""
ACROBITS_CODECS = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9}
ACROBITS_DTMF = {Dtmf.RFC4733: "rfc2833", Dtmf.INBAND: "audio", Dtmf.INFO: "info"}
ZOIPER_CODECS = {Codec.PCMU: 0, Codec.PCMA: 6, Codec.G722: 7, Codec.OPUS: 35}
ZOIPER_OTHERS = (1, 16, 24, 25, 26, 27, 29, 34, 36, 37)
ZOIPER_DTMF = {Dtmf.RFC4733: "rfc_2833", Dtmf.INBAND: "inband", Dtmf.INFO: "SIP_info_numeric"}
MICROSIP_CODECS = {
    Codec.OPUS: "opus/48000/2",
    Codec.G722: "G722/16000/1",
    Codec.PCMA: "PCMA/8000/1",
    Codec.PCMU: "PCMU/8000/1",
}
MICROSIP_DTMF = {Dtmf.INBAND: 1, Dtmf.RFC4733: 2, Dtmf.INFO: 3}
MICROSIP_SRTP = {Srtp.OFF: "", Srtp.OPTIONAL: "optional", Srtp.REQUIRED: "mandatory"}


def quoted(text: str) -> str:
    """A display name in a SIP address (RFC 3261 25.1, quoted-string)."""
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))


def ha1(line: LineSetup) -> str:
    """MD5("user:realm:password") (RFC 7616 3.4.2), so that the password itself is not in the file."""
    text = f"{line.sip_user}:{line.realm}:{line.sip_password.get_secret_value()}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _uri(line: LineSetup, address: str) -> str:
    return f"sip:{address or f'{line.host}:{line.port}'};transport={line.transport}"


def _route(line: LineSetup) -> str:
    return f"<{_uri(line, line.outbound_proxy)};lr>" if line.outbound_proxy else ""


def _linphone_codecs(wanted: tuple[Codec, ...]) -> list[dict[str, object]]:
    place = {codec: number for number, codec in enumerate(wanted)}
    known = sorted(LINPHONE_CODECS, key=lambda entry: place.get(entry[0], len(place)))
    codecs: list[dict[str, object]] = [
        {"mime": mime, "rate": rate, "channels": channels, "enabled": int(codec in place)}
        for codec, mime, rate, channels in known
    ]
    codecs += [{"mime": mime, "rate": rate, "channels": 1, "enabled": 0} for mime, rate in LINPHONE_OTHERS]
    return codecs


def _first(setup: HandsetSetup) -> LineSetup | None:
    return setup.lines[0] if setup.lines else None


def _render_linphone(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    first = _first(setup)
    values = {
        "setup": setup,
        "config_url": f"{setup.server.url}{LINPHONE_FILE}",
        "srtp": any(line.srtp is not Srtp.OFF for line in setup.lines),
        "srtp_required": bool(setup.lines) and all(line.srtp is Srtp.REQUIRED for line in setup.lines),
        "keepalive_s": first.keepalive_s if first else 30,
        "dtmf": first.dtmf if first else Dtmf.RFC4733,
        "ha1": {line.index: ha1(line) for line in setup.lines},
        "routes": {line.index: _route(line) for line in setup.lines},
        "codecs": _linphone_codecs(first.codecs if first else tuple(Codec)),
        "domain": first.host if first else "",
        "uri": _uri,
        "quoted": quoted,
    }
    content = render_xml("linphone/config.xml.j2", values)
    return (HandsetFile(LINPHONE_FILE, content, XML_TYPE, secret=True),)


def _render_acrobits(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    first = _first(setup)
    codecs = [ACROBITS_CODECS[one] for one in usable(first.codecs if first else (), ACROBITS_CODECS)]
    values = {
        "setup": setup,
        "codec_order": ",".join(map(str, codecs)),
        "dtmf": ACROBITS_DTMF,
        "account_url": f"{setup.server.url}{ACROBITS_FILE}",
    }
    content = render_xml("acrobits/account.xml.j2", values)
    return (HandsetFile(ACROBITS_FILE, content, XML_TYPE, secret=True),)


def _zoiper_codecs(line: LineSetup) -> list[tuple[int, str]]:
    wanted = [ZOIPER_CODECS[codec] for codec in line.codecs]
    others = [*(number for number in ZOIPER_CODECS.values() if number not in wanted), *ZOIPER_OTHERS]
    return [*((number, "true") for number in wanted), *((number, "false") for number in others)]


def _render_zoiper(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    values = {
        "setup": setup,
        "dtmf": ZOIPER_DTMF,
        "stun": split_address(setup.stun_server or "", 3478),
        "codecs": {line.index: _zoiper_codecs(line) for line in setup.lines},
    }
    content = render_xml("zoiper/options.xml.j2", values)
    return (HandsetFile(ZOIPER_FILE, content, XML_TYPE, secret=True),)


def _ini_name(text: str) -> str:
    """A name as Windows reads it from an ini file: quotation marks around a value are taken off."""
    return text.replace('"', "'")


def _render_microsip(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    first = _first(setup)
    values = {
        "setup": setup,
        "codecs": " ".join(MICROSIP_CODECS[one] for one in (first.codecs if first else tuple(Codec))),
        "dtmf_method": MICROSIP_DTMF[first.dtmf if first else Dtmf.RFC4733],
        "call_waiting": any(line.call_waiting for line in setup.lines),
        "directory_url": f"{setup.server.url}{MICROSIP_CONTACTS}" if setup.contacts else "",
        "srtp": MICROSIP_SRTP,
        "plain": _ini_name,
    }
    text = render_text("microsip/microsip.ini.j2", values).decode().replace("\n", "\r\n")
    files = [HandsetFile(MICROSIP_FILE, BOM_UTF16_LE + text.encode("utf-16-le"), INI_TYPE, secret=True)]
    if setup.contacts:
        contacts = render_book("microsip/contacts.xml.j2", setup.contacts)
        files.append(HandsetFile(MICROSIP_CONTACTS, contacts, XML_TYPE))
    return tuple(files)


def _family(
    family_id: str, title: str, user_agent: str, file: str, render: Renderer, supports: tuple[str, ...]
) -> Family:
    """A softphone asks for its one file, with the token in the address as its only login."""
    return Family(
        id=family_id,
        vendor=family_id,
        title=title,
        login=HttpLogin.NONE,
        fetches=(Fetch.HTTPS,),
        resync="check-sync",
        reboot="check-sync",
        user_agent=user_agent,
        boot=(Step(file, needed=True),),
        render=render,
        supports=frozenset(supports),
        softphone=True,
    )


_CALLS = ("tls", "srtp", "stun", "codecs", "dtmf", "mwi")
LINPHONE = _family("linphone", "Linphone", r".*", LINPHONE_FILE, _render_linphone, (*_CALLS, "phonebook"))
ACROBITS = _family(
    "acrobits",
    "Acrobits Groundwire",
    r"(?:CloudSoftphone|Groundwire|Acrobits).*",
    ACROBITS_FILE,
    _render_acrobits,
    (*_CALLS, "polling"),
)
ZOIPER = _family("zoiper", "Zoiper 5", r".*", ZOIPER_FILE, _render_zoiper, _CALLS)
MICROSIP = _family(
    "microsip",
    "MicroSIP",
    r".*",
    MICROSIP_FILE,
    _render_microsip,
    ("tls", "srtp", "stun", "codecs", "dtmf", "call_waiting", "phonebook"),
)
FAMILIES = (LINPHONE, ACROBITS, ZOIPER, MICROSIP)
