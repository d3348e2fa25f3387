"""What a handset is told, in no vendor's words. Each family renders exactly this.

Everything is decided before it gets here: names are resolved, secrets are there, units are seconds. A family
translates; where it cannot express something, its entry in the catalogue says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pydantic import SecretStr

from control_plane.domain.extension import Transport
from control_plane.domain.handsets import KeyKind as KeyKind

NO_SECRET = SecretStr("")
CA_NAME = "ca.crt"


class Srtp(StrEnum):
    """Media encryption by SDES."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Codec(StrEnum):
    """By the name in RTP (RFC 3551 and RFC 7587)."""

    G722 = "G722"
    PCMA = "PCMA"
    PCMU = "PCMU"
    OPUS = "opus"


class Dtmf(StrEnum):
    """How digits travel."""

    RFC4733 = "rfc4733"
    INBAND = "inband"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class LineSetup:
    """One account. `index` counts from 1."""

    index: int
    sip_user: str
    sip_password: SecretStr
    display_name: str
    """What the called party may see: the extension's label."""
    label: str
    """What stands beside the key on the screen."""
    number: str
    """The extension people dial; "" for a neutral line, which nobody can call."""
    host: str
    port: int
    transport: Transport
    srtp: Srtp = Srtp.OFF
    outbound_proxy: str | None = None
    """ "host:port", or None."""
    expires_s: int = 300
    keepalive_s: int = 30
    codecs: tuple[Codec, ...] = (Codec.G722, Codec.PCMA, Codec.PCMU)
    dtmf: Dtmf = Dtmf.RFC4733
    voicemail_code: str | None = None
    """What to dial for messages; None: no mailbox."""
    mwi: bool = False
    call_waiting: bool = True
    realm: str = "asterisk"
    """Of the server's SIP challenges: a hash of the password that stands in a file holds for one realm."""


@dataclass(frozen=True, slots=True)
class KeySetup:
    """One programmable key. `index` counts from 1; `value` is an extension, number or code; "" for a line."""

    index: int
    kind: KeyKind
    value: str = ""
    label: str = ""
    line: int = 1


class Contact(NamedTuple):
    """One line of the directory. A tuple, because a directory is looked up by its contents (formats.py)."""

    name: str
    number: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where the handset fetches, and as whom.

    `url` ends in "/" and holds the device's token: every file name is appended to it. `ca_name` is the name
    of the common file with the authority that signed the server's certificate, fetched at `public_url`.
    `enrol_url`, with "/" at its end, is where a handset that knows nothing yet asks by its bare MAC.
    """

    url: str
    public_url: str
    user: str
    password: SecretStr
    interval_s: int = 86_400
    ca_name: str = CA_NAME
    ca_pem: str = ""
    enrol_url: str = ""


@dataclass(frozen=True, slots=True)
class HandsetSetup:
    """Everything one handset is told.

    `lines` is empty for a handset nobody is logged in at and that has no neutral line. `sequence` grows with
    every publication of the device, for families that refuse a file whose version is not newer.
    `digit_patterns` are what can be dialled at once, in one notation: digits, X (any digit), [2-9], and a
    trailing "." (one or more of the element before it, then the handset waits).
    """

    mac: str
    model: str
    server: Server
    time_zone: str
    year: int
    """Whose clock changes apply: rules differ from year to year, and nothing here reads a clock."""
    lines: tuple[LineSetup, ...] = ()
    keys: tuple[KeySetup, ...] = ()
    contacts: tuple[Contact, ...] = ()
    directory_name: str = "Directory"
    ntp_servers: tuple[str, ...] = ()
    language: str = "en"
    """ISO 639-1."""
    tone_country: str = "GB"
    """ISO 3166 alpha-2: call progress tones, date and time formats."""
    admin_password: SecretStr = NO_SECRET
    user_password: SecretStr = NO_SECRET
    emergency: tuple[str, ...] = ()
    digit_patterns: tuple[str, ...] = ()
    stun_server: str | None = None
    """ "host:port"; None: off."""
    logged_out: bool = False
    """Hot desking: the neutral configuration, emergency and reception only."""
    sequence: int = 1


@dataclass(frozen=True, slots=True)
class HandsetFile:
    """One file as the handset asks for it.

    `common` files are the same for every device of the family and hold no identity and no secret; `bootstrap`
    files tell where to fetch (URL with token, CA, HTTP login) and hold no SIP secret.
    """

    name: str
    content: bytes
    content_type: str
    secret: bool = False
    common: bool = False
    bootstrap: bool = False
