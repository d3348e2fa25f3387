"""Just enough reading of SIP text to look at what a phone received. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# RFC 3261 s7.3.3 and the IANA list of compact forms.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}

_MESSAGES = re.compile(r"^\s*Voice-Message\s*:\s*(\d+)\s*/\s*(\d+)", re.IGNORECASE | re.MULTILINE)
_NAME_ADDR = re.compile(r'^\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*?))\s*<([^>]*)>')
_USER = re.compile(r"^sips?:([^@;:]*)[^@]*@", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One SIP request or response as received, and when (seconds of the monotonic clock)."""

    at: float
    text: str

    @property
    def start_line(self) -> str:
        """ "INVITE sip:100@... SIP/2.0" or "SIP/2.0 180 Ringing"."""
        return self.text.partition("\r\n")[0]

    @property
    def body(self) -> str:
        return self.text.partition("\r\n\r\n")[2]

    def headers(self, name: str) -> tuple[str, ...]:
        """Values of every header of this name, in order; case and compact form do not matter."""
        return tuple(value for key, value in parse_headers(self.text) if key == name.lower())

    def header(self, name: str) -> str | None:
        """Value of the first header of this name, None when there is none."""
        return next(iter(self.headers(name)), None)


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """(lower-case long name, value) of every header of a SIP message, folded lines joined."""
    head = re.sub(r"\r\n[ \t]+", " ", text.partition("\r\n\r\n")[0])
    found = []
    for line in head.split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            found.append((_COMPACT.get(key, key), value.strip()))
    return tuple(found)


def parse_address(value: str) -> tuple[str, str]:
    """(display name, URI) of a From, To, Diversion or P-Asserted-Identity value (RFC 3261 s20.10)."""
    match = _NAME_ADDR.match(value)
    if match is None:
        return "", value.partition(";")[0].strip()
    quoted, plain, uri = match.groups()
    name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip()
    return name, uri


def user_of(uri: str) -> str:
    """User part of a SIP URI (the number) without its parameters, "" when it has none."""
    match = _USER.match(uri)
    return match.group(1) if match else ""


def parse_message_waiting(body: str) -> tuple[int, int] | None:
    """(new, old) voice messages of a message-summary body (RFC 3842 s5.2); None when it does not say."""
    match = _MESSAGES.search(body)
    return (int(match.group(1)), int(match.group(2))) if match else None
