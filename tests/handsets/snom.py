"""Snom desk phones: how they read a settings file, and how they boot."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lxml import etree

from control_plane.domain.extension import Transport
from control_plane.render.handsets.setup import Codec, Dtmf, HandsetSetup, KeyKind, KeySetup, Srtp
from tests.handsets.boot import Asking, Boot, BootFailed, Fetch, Provisioning
from tests.handsets.told import OTHER, Files, Limits, Told, ToldKey, ToldLine, accounts_of

Values = Mapping[tuple[str, int], str]
_LANGUAGES = {"Deutsch": "de", "English": "en", "Francais": "fr", "Espanol": "es", "Italiano": "it"}
_TONES = {"GER": "DE", "GBR": "GB", "USA": "US", "FRA": "FR", "ESP": "ES", "ITA": "IT"}
_CODECS = {"g722": Codec.G722, "pcma": Codec.PCMA, "pcmu": Codec.PCMU, "opus": Codec.OPUS}
_SRTP = {
    ("off", "off"): Srtp.OFF,
    ("on", "optional"): Srtp.OPTIONAL,
    ("on", "mandatory"): Srtp.REQUIRED,
}


def settings(content: bytes) -> tuple[etree._Element, Values]:
    """The file, and its settings by name and identity (0: the phone's own).

    Raises:
        BootFailed: no settings file, or a setting twice.
    """
    root = etree.fromstring(content)
    if root.tag != "settings":
        raise BootFailed(f"not a settings file: {root.tag}")
    [block] = root.findall("phone-settings")
    pairs = [((str(one.tag), int(one.get("idx") or 0)), one.text or "") for one in block]
    if len(dict(pairs)) != len(pairs):
        raise BootFailed("a setting stands there twice")
    return root, dict(pairs)


def _line(values: Values, index: int) -> ToldLine:
    def of(name: str) -> str:
        return values[name, index]

    assert of("user_name") == of("user_pname")
    host, _, port = of("user_host").rpartition(":")
    outbound, _, transport = of("user_outbound").partition(";transport=")
    codecs = of("codec_priority_list").split(",")
    if of("user_dtmf_info") == "sip_info_only":
        dtmf = Dtmf.INFO
    else:
        dtmf = Dtmf.RFC4733 if "telephone-event" in codecs else Dtmf.INBAND
    return ToldLine(
        user=of("user_name"),
        password=of("user_pass"),
        display_name=of("user_realname"),
        label=of("user_idle_text"),
        host=host,
        port=int(port),
        transport=Transport(transport),
        srtp=_SRTP[of("user_srtp"), of("user_savp")],
        outbound_proxy="" if outbound == of("user_host") else outbound,
        expires_s=int(of("user_expiry")),
        keepalive_s=int(of("keepalive_interval")),
        codecs=tuple(_CODECS[name] for name in codecs if name != "telephone-event"),
        dtmf=dtmf,
        voicemail_code=of("user_mailbox"),
    )


def _key(key: etree._Element) -> ToldKey:
    what, _, value = (key.text or "").partition(" ")
    kind = {"line": KeyKind.LINE, "blf": KeyKind.BLF, "speed": KeyKind.SPEED_DIAL}.get(what)
    if kind is None:
        kind = {"F_DND": KeyKind.DND, "F_REDIRECT": KeyKind.FORWARD}[value]
        value = ""
    if kind is KeyKind.BLF:
        value = value.removeprefix("sip:").partition("@")[0]
    return ToldKey(kind, value, key.get("label"), int(key.get("context") or 0))


def _moment(day: str, time: str) -> tuple[int, ...]:
    month, week, weekday = map(int, day.split("."))
    return month, week, weekday % 7, int(time[:2])


def _read(content: bytes) -> Told:
    root, values = settings(content)
    used = [index for (name, index), value in values.items() if name == "user_active" and value == "on"]
    dst = values["dst", 0].split()
    keys = {int(key.get("idx") or 0) + 1: _key(key) for key in root.iter("fkey") if key.text != "none"}
    return Told(
        lines={index: _line(values, index) for index in used},
        keys=keys,
        url=values["setting_server", 0],
        user=values["http_client_user", 0],
        password=values["http_client_pass", 0],
        interval_s=int(values["settings_refresh_timer", 0]),
        zone=(int(values["utc_offset", 0]), int(dst[0]) if dst else 0),
        clock_changes=(_moment(dst[1], dst[2]), _moment(dst[3], dst[4])) if dst else None,
        language=_LANGUAGES[values["language", 0]],
        tones=_TONES.get(values["tone_scheme", 0], OTHER),
        ntp=tuple(filter(None, (values["ntp_server", 0],))),
        admin_password=values["admin_mode_password", 0],
        user_password=values.get(("webserver_user_password", 0), ""),
        emergency=tuple(values["keyboard_lock_emergency", 0].split()),
        digit_map=next((values["user_dp_str", index] for index in used), ""),
        stun=next((values["stun_server", index] for index in used), None),
        contacts=tuple(
            (one.findtext("name") or "", one.findtext("number") or "") for one in root.iter("item")
        ),
        call_waiting=values["call_waiting", 0] == "on",
        ca=root.find("certificates/certificate") is not None,
    )


def read(files: Files, setup: HandsetSetup) -> Told:
    """What the phone of `setup` believes."""
    [name] = [name for name in files if re.fullmatch(rf"snom\w+-{setup.mac.upper()}\.htm", name)]
    return _read(files[name])


def _becomes(key: KeySetup) -> ToldKey:
    kind = KeyKind.SPEED_DIAL if key.kind is KeyKind.VOICEMAIL else key.kind
    return ToldKey(kind, key.value, key.label, key.line)


LIMITS = Limits(ntp=1, keys=_becomes)


class SnomPhone:
    """Asks for its model's file and its own; the own one wins."""

    family = "snom_d"
    login = "basic"

    def user_agent(self, mac: str, model: str) -> str:
        """As from firmware 10."""
        return (
            f"Mozilla/4.0 (compatible; snom{model}-SIP 10.1.33.33 "
            f"2010.12-00004-g9ba52f5 {mac.upper()} SXM:0 UXM:0)"
        )

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """Model file, MAC file."""
        asking = Asking(fetch, self.user_agent(mac, model))
        asking.get(f"snom{model}.htm")
        content = asking.need(f"snom{model}-{mac.upper()}.htm")
        _, values = settings(content)
        asking.boot.provisioning = Provisioning(
            values["setting_server", 0], values["http_client_user", 0], values["http_client_pass", 0]
        )
        if ("user_active", 1) in values:
            asking.boot.accounts = accounts_of(_read(content))
        return asking.boot
