"""Set-ups: one that uses everything, and any that the contract allows, with names that mean harm."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from hypothesis import strategies as st
from pydantic import SecretStr

from control_plane.domain.extension import Transport
from control_plane.render.handsets.family import CatalogueModel
from control_plane.render.handsets.setup import (
    Codec,
    Contact,
    Dtmf,
    HandsetSetup,
    KeyKind,
    KeySetup,
    LineSetup,
    Server,
    Srtp,
)

MAC = "805ec0a1b2c3"
CA_PEM = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ0E=\n-----END CERTIFICATE-----\n"
HOSTILE = (
    "%NULL%",
    "# a comment",
    "; another",
    "x = y",
    "account.1.password = stolen",
    "</settings><a>",
    "]]>",
    "<!-- -->",
    "&amp;",
    'Müller & Söhne <"O\'Neill">',
    "😀 Réception",
    "{{ 7 * 7 }}",
    "$PASSWORD",
    "\\",
    "`id`",
    "a,b|c",
)
ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "Australia/Sydney",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Asia/Tokyo",
    "America/St_Johns",
)

labels = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(categories=("L", "N", "P", "S")), max_size=20),
)
hosts = st.sampled_from(("pbx.example.com", "192.0.2.10"))
addresses = st.builds(
    lambda host, port: f"{host}:{port}",
    st.sampled_from(("proxy.example.com", "198.51.100.7")),
    st.integers(1, 65535),
)
numbers = st.from_regex(r"[0-9]{2,6}", fullmatch=True)
codes = st.from_regex(r"\*[0-9]{1,3}", fullmatch=True)
sip_secrets = st.from_regex(r"S[A-Za-z0-9]{16,24}", fullmatch=True).map(SecretStr)
secrets = st.from_regex(r"H[A-Za-z0-9]{16,24}", fullmatch=True).map(SecretStr)
patterns = st.from_regex(r"(?:[0-9*#+X]|\[[0-4]-[4-9]\]|\[1357\]){1,6}\.?", fullmatch=True)


def line(index: int = 1, **changes: Any) -> LineSetup:
    """A line that uses everything."""
    plain = LineSetup(
        index=index,
        sip_user=f"d0123456789{index % 10}",
        sip_password=SecretStr(f"Sip-Secret-{index:05d}"),
        display_name=f"Anna Müller & Söhne {index}",
        label=f"Anna {index}",
        number=f"1{index:02d}",
        host="pbx.example.com",
        port=5061,
        transport=Transport.TLS,
        srtp=Srtp.REQUIRED,
        voicemail_code="*97",
        mwi=True,
    )
    return replace(plain, **changes)


def server(**changes: Any) -> Server:
    """Where it fetches."""
    plain = Server(
        url="https://prov.example.com/p/0f1e2d3c4b5a69788796a5b4c3d2e1f0/",
        public_url="https://prov.example.com/c/",
        enrol_url="https://prov.example.com/",
        user="u805ec0a1",
        password=SecretStr("HttpPassword0000000000"),
        ca_pem=CA_PEM,
    )
    return replace(plain, **changes)


def full_setup(model: CatalogueModel, **changes: Any) -> HandsetSetup:
    """A set-up that uses everything the model has room for."""
    keys = (
        KeySetup(1, KeyKind.LINE, "", "Anna"),
        KeySetup(2, KeyKind.BLF, "101", "Bob & <Carol>"),
        KeySetup(3, KeyKind.SPEED_DIAL, "+4930123456", 'Dr. "Who"'),
        KeySetup(4, KeyKind.VOICEMAIL, "*97", "Messages"),
        KeySetup(5, KeyKind.DND, "", "DND"),
        KeySetup(6, KeyKind.FORWARD, "", "Away"),
    )
    plain = HandsetSetup(
        mac=MAC,
        model=model.name,
        server=server(),
        time_zone="Europe/Berlin",
        year=2026,
        lines=tuple(line(index) for index in range(1, min(model.lines, 2) + 1)),
        keys=keys[: model.keys],
        contacts=(Contact("Anna Müller & Söhne", "100"), Contact('Bob <"Bobby">', "101")),
        ntp_servers=("0.pool.ntp.org", "1.pool.ntp.org"),
        language="de",
        tone_country="DE",
        admin_password=SecretStr("AdminPassword00000"),
        user_password=SecretStr("UserPassword000000"),
        emergency=("112", "110"),
        digit_patterns=("112", "110", "1XX", "*XX", "[2-9]XXXXXX", "00X."),
        stun_server="stun.example.com:3478",
        sequence=7,
    )
    return replace(plain, **changes)


@st.composite
def line_setups(draw: st.DrawFn, index: int) -> LineSetup:
    """Any line."""
    return LineSetup(
        index=index,
        sip_user=draw(st.from_regex(r"[a-z][a-z0-9]{11}", fullmatch=True)),
        sip_password=draw(sip_secrets),
        display_name=draw(labels),
        label=draw(labels),
        number=draw(numbers),
        host=draw(hosts),
        port=draw(st.integers(1, 65535)),
        transport=draw(st.sampled_from(Transport)),
        srtp=draw(st.sampled_from(Srtp)),
        outbound_proxy=draw(st.none() | addresses),
        expires_s=draw(st.integers(60, 7200)),
        keepalive_s=draw(st.integers(10, 120)),
        codecs=tuple(draw(st.lists(st.sampled_from(Codec), min_size=1, unique=True))),
        dtmf=draw(st.sampled_from(Dtmf)),
        voicemail_code=draw(st.none() | codes),
        mwi=draw(st.booleans()),
        call_waiting=draw(st.booleans()),
    )


@st.composite
def key_setups(draw: st.DrawFn, index: int, lines: int) -> KeySetup:
    """Any key."""
    kind = draw(st.sampled_from(KeyKind))
    value = draw(numbers | codes) if kind in (KeyKind.BLF, KeyKind.SPEED_DIAL, KeyKind.VOICEMAIL) else ""
    return KeySetup(index, kind, value, draw(labels), draw(st.integers(1, lines)))


@st.composite
def setups(draw: st.DrawFn, model: CatalogueModel) -> HandsetSetup:
    """Any set-up for this model."""
    lines = draw(st.sets(st.integers(1, model.lines), max_size=4))
    keys = draw(st.sets(st.integers(1, model.keys), max_size=8)) if model.keys else set()
    return HandsetSetup(
        mac=draw(st.from_regex(r"[0-9a-f]{11}[1-9a-f]", fullmatch=True)),
        model=model.name,
        server=server(
            user=draw(st.from_regex(r"u[a-z0-9]{8,11}", fullmatch=True)),
            password=draw(secrets),
            interval_s=draw(st.integers(300, 30 * 86_400)),
            ca_pem=draw(st.sampled_from(("", CA_PEM))),
        ),
        time_zone=draw(st.sampled_from(ZONES)),
        year=draw(st.integers(2024, 2035)),
        lines=tuple(draw(line_setups(index)) for index in sorted(lines)),
        keys=tuple(draw(key_setups(index, model.lines)) for index in sorted(keys)),
        contacts=tuple(draw(st.lists(st.builds(Contact, labels, numbers), max_size=5))),
        directory_name=draw(labels),
        ntp_servers=tuple(
            str(IPv4Address(draw(st.integers(1 << 24, 1 << 31)))) for _ in range(draw(st.integers(0, 2)))
        ),
        language=draw(st.sampled_from(("en", "de", "fr", "es", "it"))),
        tone_country=draw(st.sampled_from(("GB", "US", "DE", "FR", "ES", "IT"))),
        admin_password=draw(secrets),
        user_password=draw(secrets),
        emergency=tuple(
            draw(st.lists(st.sampled_from(("112", "911", "999", "110")), max_size=3, unique=True))
        ),
        digit_patterns=tuple(draw(st.lists(patterns, max_size=6))),
        stun_server=draw(st.none() | addresses),
        sequence=draw(st.integers(1, 10**6)),
    )
