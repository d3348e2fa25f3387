"""Htek UC desk phones: P-values that resemble Grandstream's and are not the same.

The trusted authority is one of the resource files a phone fetches from an address of their own (beside ring
tones, languages and VPN): P20179, `FirmwareUpGrade.TCAUrl`, as phones' own files have it (FusionPBX
`htek/uc926`; by name in `htek/uc924u`, whose sections are "TrustCA" and "ServerCA"). Which certificates count
(P20156) is left as it is: no source says what its numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from control_plane.domain.extension import Transport
from control_plane.render.handsets.digits import grandstream_map
from control_plane.render.handsets.family import FEATURES, CatalogueModel, Family, Fetch, HttpLogin, Step
from control_plane.render.handsets.formats import XML_TYPE, render_book, render_xml
from control_plane.render.handsets.setup import (
    Codec,
    Dtmf,
    HandsetFile,
    HandsetSetup,
    KeyKind,
    KeySetup,
    LineSetup,
    Srtp,
)
from control_plane.render.handsets.tones import f1f2, tones_of
from control_plane.render.handsets.units import minutes
from control_plane.render.handsets.zones import zone_rules

Setting = tuple[int, str, int | str]
"""P-value, what Htek calls it, value."""

DIRECTORY = "directory.xml"
ANY_NUMBER = "{[x*]+}"
PROTOCOLS = {"tftp": 0, "ftp": 1, "http": 2, "https": 3}
TRANSPORTS = {Transport.UDP: 0, Transport.TCP: 1, Transport.TLS: 2}
SRTP = {Srtp.OFF: 0, Srtp.OPTIONAL: 1, Srtp.REQUIRED: 2}
DTMF = {Dtmf.RFC4733: 0, Dtmf.INBAND: 1, Dtmf.INFO: 2}
CODECS = {Codec.PCMU: 0, Codec.PCMA: 8, Codec.G722: 9}
KEY_TYPES = {
    KeyKind.LINE: 1,
    KeyKind.SPEED_DIAL: 2,
    KeyKind.VOICEMAIL: 2,
    KeyKind.BLF: 3,
    KeyKind.DND: 21,
    KeyKind.FORWARD: 0,
}
"""It has no key that forwards; what watches a mailbox is not documented, so a key dials it."""

_ACCOUNT = {
    "Active": (271, 401, 501, 601),
    "Sipserver": (47, 747, 502, 602),
    "OutboundProxy": (48, 748, 503, 603),
    "SipTransport": (130, 830, 930, 1030),
    "NatTraversal": (52, 730, 514, 614),
    "Lable": (20000, 20001, 20002, 20003),
    "SipUserId": (35, 735, 504, 604),
    "AuthenticateID": (36, 736, 505, 605),
    "AuthenticatePassword": (34, 734, 506, 606),
    "DispalyName": (3, 703, 507, 607),
    "SipRegistration": (31, 731, 510, 610),
    "UnregisterOnReboot": (81, 752, 511, 611),
    "RegisterExpiration": (32, 732, 512, 612),
    "VoiceMailId": (33, 426, 526, 626),
    "DtmfMode": (20166, 20167, 20168, 20169),
    "SRtpMode": (183, 443, 543, 643),
    "DialPlan": (4200, 4201, 4202, 4203),
    "SubscribeForMWI": (99, 709, 515, 615),
}
"""By account 1 to 4; the names are spelled as Htek spells them."""
_CODEC_PLACES = (range(57, 63), range(757, 763), range(551, 557), range(651, 657))
_ZONES = {
    -660: 105,
    -600: 2,
    -540: 3,
    -480: 6,
    -420: 10,
    -360: 14,
    -300: 18,
    -270: 19,
    -240: 20,
    -210: 26,
    -180: 30,
    -120: 31,
    -60: 32,
    0: 33,
    60: 49,
    120: 57,
    180: 73,
    210: 74,
    240: 77,
    300: 83,
    330: 84,
    360: 85,
    420: 88,
    480: 89,
    540: 93,
    570: 94,
    600: 96,
    630: 100,
    660: 101,
    720: 102,
    765: 103,
    780: 104,
}
"""Minutes from UTC, and the number of a zone in Htek's list that has this offset."""


def _server(setup: HandsetSetup, poll_minutes: int) -> Iterator[Setting]:
    server = setup.server
    yield 212, "FirmwareUpGrade.UrgrateMode", PROTOCOLS[urlsplit(server.url).scheme]
    yield 237, "FirmwareUpGrade.ConfigServerPath", server.url.rstrip("/")
    yield 145, "FirmwareUpGrade.ToOverrideServer", 0
    yield 194, "FirmwareUpGrade.AutoUpgrade", 1
    yield 193, "FirmwareUpGrade.CheckUpgradeTimes", poll_minutes
    yield 1360, "FirmwareUpGrade.UserName", server.user
    yield 1361, "FirmwareUpGrade.Password", server.password.get_secret_value()
    yield 20179, "FirmwareUpGrade.TCAUrl", f"{server.public_url}{server.ca_name}" if server.ca_pem else ""


def _account(at: int, line: LineSetup | None, setup: HandsetSetup) -> Iterator[Setting]:
    values: dict[str, int | str] = {"Active": 0, "Sipserver": "", "SipUserId": "", "AuthenticateID": ""}
    values |= {"AuthenticatePassword": "", "DispalyName": "", "Lable": "", "VoiceMailId": ""}
    if line:
        values = {
            "Active": 1,
            "Sipserver": f"{line.host}:{line.port}",
            "OutboundProxy": line.outbound_proxy or "",
            "SipTransport": TRANSPORTS[line.transport],
            "NatTraversal": 1 if setup.stun_server else 2,
            "Lable": line.label,
            "SipUserId": line.sip_user,
            "AuthenticateID": line.sip_user,
            "AuthenticatePassword": line.sip_password.get_secret_value(),
            "DispalyName": line.display_name,
            "SipRegistration": 1,
            "UnregisterOnReboot": 0,
            "RegisterExpiration": minutes(line.expires_s),
            "VoiceMailId": line.voicemail_code or "",
            "DtmfMode": DTMF[line.dtmf],
            "SRtpMode": SRTP[line.srtp],
            "DialPlan": grandstream_map(setup.digit_patterns) if setup.digit_patterns else ANY_NUMBER,
            "SubscribeForMWI": 1 if line.mwi else 0,
        }
        codecs = [CODECS[codec] for codec in line.codecs if codec in CODECS] or [CODECS[Codec.PCMA]]
        for place, number in enumerate(_CODEC_PLACES[at]):
            yield number, f"Account{at + 1}.Choice{place + 1}", codecs[min(place, len(codecs) - 1)]
    for name, value in values.items():
        yield _ACCOUNT[name][at], f"Account{at + 1}.{name}", value


def key_numbers(index: int) -> tuple[int, int, int, int]:
    """P-values of type, value, label and account of key `index`: three ranges, each laid out its own way."""
    if index <= 4:
        first, step = 41200 + index - 1, 100
    elif index <= 36:
        first, step = 20200 + 5 * (index - 5), 1
    else:
        first, step = 23000 + 5 * (index - 37), 1
    return first, first + step, first + 2 * step, first + 3 * step


def _key(index: int, key: KeySetup | None) -> Iterator[Setting]:
    kind = KEY_TYPES[key.kind] if key else 0
    parts: tuple[int | str, ...] = (0, "", "", 0)
    if key and kind:
        parts = (kind, key.value, key.label, key.line - 1)
    names = ("Type", "Value", "Label", "Account")
    for number, name, value in zip(key_numbers(index), names, parts, strict=True):
        yield number, f"LineKey{index}.{name}", value


def _time(setup: HandsetSetup) -> Iterator[Setting]:
    """The list has no entry for UTC+5:45 or +8:45: the nearest one is given, at most half an hour off.

    Summer time is always one hour.
    """
    zone = zone_rules(setup.time_zone, setup.year)
    nearest = min(_ZONES, key=lambda offset: abs(offset - zone.offset_s // 60))
    yield 30, "UrlOrIpAddress", setup.ntp_servers[0] if setup.ntp_servers else ""
    yield 64, "Preference.TimeZone", _ZONES[nearest]
    yield 75, "Preference.DaylightSavingTime", 1 if zone.changes else 0
    if zone.changes:
        yield 23117, "Preference.DaylightSavingTimeType", 1
        for first, name, change in zip((23118, 23122), ("Start", "End"), zone.changes, strict=True):
            yield first, f"Preference.DST{name}WeekMonth", change.month
            yield first + 1, f"Preference.DST{name}Weeknum", change.week
            yield first + 2, f"Preference.DST{name}Weekday", change.weekday
            yield first + 3, f"Preference.DST{name}Weekhour", change.hour


def _whole(setup: HandsetSetup) -> Iterator[Setting]:
    yield from _server(setup, minutes(setup.server.interval_s))
    yield from _time(setup)
    if admin := setup.admin_password.get_secret_value():
        yield 2, "AdminPassword", admin
    if user := setup.user_password.get_secret_value():
        yield 196, "UserPassword", user
    yield 76, "STUN Server", setup.stun_server or ""
    yield 84, "KeepAtiveInterval", min((line.keepalive_s for line in setup.lines), default=30)
    yield 5732, "PhoneLock.Emergency", ",".join(setup.emergency)
    yield 8849, "CallWaiting.OnOff", 1 if any(line.call_waiting for line in setup.lines) else 0
    yield 24012, "RemoteControl.Sipnotify", 1
    tones = tones_of(setup.tone_country)
    yield 4000, "Tones.DialTone", f1f2(tones.dial, level_db=-13)
    yield 4001, "Tones.RingbackTone", f1f2(tones.ringback, level_db=-19)
    yield 4002, "Tones.BusyTone", f1f2(tones.busy, level_db=-24)
    yield 4003, "Tones.ReorderTone", f1f2(tones.congestion, level_db=-24)
    yield 4401, "RemotePhoneBook1.Url", _directory_url(setup) if setup.contacts else ""
    yield 3316, "RemotePhoneBook1.Name", setup.directory_name if setup.contacts else ""


def _directory_url(setup: HandsetSetup) -> str:
    """With the login in it: there is no setting of its own for it."""
    server = setup.server
    login = f"{quote(server.user, safe='')}:{quote(server.password.get_secret_value(), safe='')}"
    scheme, _, place = server.url.partition("://")
    return f"{scheme}://{login}@{place}{DIRECTORY}"


def _settings(setup: HandsetSetup, model: CatalogueModel) -> Iterator[Setting]:
    yield from _whole(setup)
    lines = {line.index: line for line in setup.lines}
    keys = {key.index: key for key in setup.keys}
    for at in range(model.lines):
        yield from _account(at, lines.get(at + 1), setup)
    for index in range(1, model.keys + 1):
        yield from _key(index, keys.get(index))


def _render(setup: HandsetSetup, model: CatalogueModel) -> tuple[HandsetFile, ...]:
    name = f"cfg{setup.mac}.xml"
    content = render_xml("htek/uc.xml.j2", {"settings": list(_settings(setup, model))})
    bootstrap = render_xml("htek/uc.xml.j2", {"settings": list(_server(setup, 1))})
    files = [
        HandsetFile(name, content, XML_TYPE, secret=True),
        HandsetFile(name, bootstrap, XML_TYPE, secret=True, bootstrap=True),
    ]
    if setup.contacts:
        book = render_book("htek/directory.xml.j2", setup.contacts, setup.directory_name)
        files.append(HandsetFile(DIRECTORY, book, XML_TYPE))
    return tuple(files)


UC = Family(
    id="htek_uc",
    vendor="htek",
    title="Htek UC",
    login=HttpLogin.DIGEST,
    fetches=(Fetch.HTTPS, Fetch.HTTP, Fetch.TFTP),
    resync="resync",
    reboot="check-sync;reboot=true",
    user_agent=r"Htek UC\w+ [\d.]+ [0-9a-f:]{17}",
    boot=(Step("cfg{mac}.xml", needed=True),),
    render=_render,
    supports=frozenset(FEATURES) - {"language"},
)
FAMILIES = (UC,)
