"""SIP messages of plug and play: what a handset asks by multicast, and what it is answered. Pure.

Everything from the network is hostile: what goes back into an answer is checked character by character first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from provisioning_server.names import mac_of

_MAX_MESSAGE = 4096
_MAX_LINES = 64
_VALUE = re.compile(r"[\x20-\x7e]{1,400}")
_COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "o": "event"}
_NEEDED = ("via", "from", "to", "call-id", "cseq", "event")
_MAC = re.compile(r"sips?:(?:mac)?(?:%3a|:)?((?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2})@", re.IGNORECASE)
_CONTACT = re.compile(r"<(sip:[A-Za-z0-9%:;=@.\[\]_+*-]{1,200})>")
_CONTACT_PORT = re.compile(r"sip:(?:[^@]*@)?([0-9.]{7,15})(?::(\d{1,5}))?(?:;|$)")
_CSEQ = re.compile(r"\d{1,10} SUBSCRIBE")
_VENDOR = re.compile(r'vendor="([A-Za-z0-9 ._-]{1,40})"', re.IGNORECASE)


class Subscribe(NamedTuple):
    """A handset's question. The header values are as they came, each one line of printable ASCII."""

    mac: str
    vendor: str
    via: tuple[str, ...]
    from_: str
    to: str
    call_id: str
    cseq: str
    event: str
    contact: str | None


def parse_subscribe(packet: bytes) -> Subscribe | None:
    """The question in a packet; None for anything else."""
    lines = _lines(packet)
    if lines is None or not re.fullmatch(r"SUBSCRIBE sips?:[\x21-\x7e]{1,200} SIP/2\.0", lines[0]):
        return None
    found = _headers(lines[1:])
    if found is None or any(name not in found for name in _NEEDED) or not _CSEQ.fullmatch(found["cseq"][0]):
        return None
    event = found["event"][0]
    if event.partition(";")[0].strip().lower() != "ua-profile":
        return None
    named = _MAC.search(found["from"][0]) or _MAC.search(lines[0].replace(" SIP/2.0", "@"))
    mac = mac_of(named[1]) if named else None
    if mac is None:
        return None
    vendor, contact = _VENDOR.search(event), _CONTACT.search(found.get("contact", [""])[0])
    return Subscribe(
        mac,
        vendor[1] if vendor else "",
        tuple(found["via"]),
        found["from"][0],
        found["to"][0],
        found["call-id"][0],
        found["cseq"][0],
        event,
        contact[1] if contact else None,
    )


def answered_call(packet: bytes) -> str | None:
    """The Call-ID of a final answer to a NOTIFY; None for anything else."""
    lines = _lines(packet)
    if lines is None or not re.match(r"SIP/2\.0 [2-6]\d\d ", lines[0]):
        return None
    found = _headers(lines[1:])
    return found["call-id"][0] if found and "call-id" in found else None


def _lines(packet: bytes) -> list[str] | None:
    if len(packet) > _MAX_MESSAGE:
        return None
    head = packet.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if len(head) > _MAX_LINES:
        return None
    try:
        return [line.decode("ascii") for line in head]
    except UnicodeDecodeError:
        return None


def _headers(lines: list[str]) -> dict[str, list[str]] | None:
    """Names in lower case and long form -> values; None when a line is no header. Folded lines are none."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not re.fullmatch(r"[a-z-]{1,40}", name):
            return None
        if value and not _VALUE.fullmatch(value):
            return None
        found.setdefault(_COMPACT.get(name, name), []).append(value)
    return found if all(found.get(name, ["x"])[0] for name in _NEEDED) else None


def notify_port(asked: Subscribe, source: str, source_port: int) -> int:
    """Where a NOTIFY goes: the Contact's port if that is the sender's own address, never another host."""
    match = _CONTACT_PORT.match(asked.contact or "")
    if match is None or match[1] != source:
        return source_port
    port = int(match[2] or 5060)
    return port if 0 < port < 65536 else source_port


def ok(asked: Subscribe, us: str, tag: str) -> bytes:
    """200 to the SUBSCRIBE; `us` is our "address:port"."""
    return _message(
        "SIP/2.0 200 OK",
        [
            *(("Via", via) for via in asked.via),
            ("From", asked.from_),
            ("To", _tagged(asked.to, tag)),
            ("Call-ID", asked.call_id),
            ("CSeq", asked.cseq),
            ("Contact", f"<sip:{us}>"),
            ("Expires", "0"),
        ],
        "",
    )


def notify(asked: Subscribe, us: str, tag: str, branch: str, url: str) -> bytes:
    """The NOTIFY with the URL."""
    target = asked.contact or f"sip:{asked.mac}@{us}"
    return _message(
        f"NOTIFY {target} SIP/2.0",
        [
            ("Via", f"SIP/2.0/UDP {us};branch=z9hG4bK{branch};rport"),
            ("Max-Forwards", "20"),
            ("From", _tagged(asked.to, tag)),
            ("To", asked.from_),
            ("Call-ID", asked.call_id),
            ("CSeq", "1 NOTIFY"),
            ("Contact", f"<sip:{us}>"),
            ("Event", asked.event),
            ("Subscription-State", "terminated;reason=timeout"),
            ("Content-Type", "application/url"),
        ],
        url,
    )


def _tagged(value: str, tag: str) -> str:
    return value if ";tag=" in value.lower() else f"{value};tag={tag}"


def _message(first: str, headers: list[tuple[str, str]], body: str) -> bytes:
    lines = [
        first,
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(body)}",
        "",
        body,
    ]
    return "\r\n".join(lines).encode("ascii")
