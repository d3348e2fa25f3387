"""What a phone is told: its account and what it does with an incoming call; and the errors of phones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from control_plane.errors import ControlPlaneError

MAX_CALLS_PER_PHONE = 4
"""PJSUA_MAX_CALLS of the pjsua2-python 2.15.1 wheel (measured); `maxCalls` above it is silently cut."""


class PhoneError(ControlPlaneError):
    """A phone could not do what it was told, or its process ended."""


class PhoneTimeout(PhoneError):
    """What was waited for did not happen before the deadline."""

    def __init__(self, what: str, deadline_s: float) -> None:
        super().__init__(f"Not within {deadline_s:g} s: {what}.")
        self.what = what
        self.deadline_s = deadline_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SipAccount:
    """Who a phone is and how it reaches its server.

    Without `host` the phone has no registrar: it calls and is called by full SIP URI.
    `local_address` is the address SIP and RTP are bound to (None: the system chooses); `local_port` 0 takes
    a free one. With `transport="tls"`, `ca_file` makes the phone check the server's certificate; a
    certificate and key of its own are needed only to be called directly over TLS. `srtp` makes SDES media
    encryption mandatory both ways. `subscribe_mwi` subscribes to message-summary (RFC 3842); unsolicited
    notifications are taken in either case. `codecs` are offered in this order.
    """

    sip_user: str
    sip_password: str = field(default="", repr=False)
    host: str = ""
    port: int = 5060
    transport: Literal["udp", "tcp", "tls"] = "udp"
    srtp: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    local_address: str | None = None
    local_port: int = 0
    display_name: str = ""
    subscribe_mwi: bool = False
    expiry_s: int = 300
    codecs: tuple[str, ...] = ("PCMU", "PCMA")


@dataclass(frozen=True, slots=True)
class Answer:
    """Ring (180), then answer `after_s` seconds after the call came in; 0 answers without ringing."""

    after_s: float = 0.2
    code: int = 200


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse at once: 486 Busy Here, 603 Decline, 480, 404 ..."""

    code: int = 486


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring (180) until the caller gives up or `PhoneCall.answer` is called."""


Behaviour = Answer | Refuse | Ring
