"""TFTP packets (RFC 1350, 2347, 2348, 2349): read what may be anything, write what is right. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

DEFAULT_BLOCK = 512
LARGEST_BLOCK = 1428
"""What fits an Ethernet frame: fragments are lost together, and some handsets cannot put them together."""
DEFAULT_TIMEOUT_S = 1
LONGEST_TIMEOUT_S = 10
_LARGEST_ASKED = 65464
_MAX_REQUEST = 1024
_MAX_OPTIONS = 12
_NUMBER = re.compile(rb"\d{1,10}")


class Op(IntEnum):
    """Kinds of packet."""

    RRQ = 1
    WRQ = 2
    DATA = 3
    ACK = 4
    ERROR = 5
    OACK = 6


class Code(IntEnum):
    """Error codes."""

    NOT_FOUND = 1
    ACCESS = 2
    ILLEGAL = 4
    UNKNOWN_TID = 5
    OPTIONS = 8


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A file asked for. `options` are those we accept, with our values; tsize is "0" until it is known."""

    name: bytes
    netascii: bool
    block: int
    timeout_s: int
    options: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What to answer to a request that is not served whatever it asks for."""

    code: Code
    text: str


def parse_request(packet: bytes) -> ReadRequest | Refusal | None:
    """A first packet from somebody; None for what gets no answer at all."""
    if not 4 <= len(packet) <= _MAX_REQUEST:
        return None
    op = int.from_bytes(packet[:2], "big")
    if op == Op.WRQ:
        return Refusal(Code.ACCESS, "read only")
    if op != Op.RRQ:
        return None
    if not packet.endswith(b"\0"):
        return Refusal(Code.ILLEGAL, "malformed request")
    name, *rest = packet[2:-1].split(b"\0")
    if not name or not rest or rest[0].lower() not in (b"octet", b"netascii"):
        return Refusal(Code.ILLEGAL, "malformed request")
    mode, *options = rest
    if len(options) > 2 * _MAX_OPTIONS:
        return Refusal(Code.OPTIONS, "too many options")
    return _with_options(name, mode.lower() == b"netascii", options)


def _with_options(name: bytes, netascii: bool, options: list[bytes]) -> ReadRequest:
    """An option that is unknown, malformed or out of range is as if it were not there (RFC 2347)."""
    block, timeout_s = DEFAULT_BLOCK, DEFAULT_TIMEOUT_S
    accepted: dict[bytes, bytes] = {}
    for option, value in zip(options[::2], options[1::2], strict=False):
        key = option.lower()
        if key in accepted or _NUMBER.fullmatch(value) is None:
            continue
        number = int(value)
        if key == b"blksize" and 8 <= number <= _LARGEST_ASKED:
            block = min(number, LARGEST_BLOCK)
            accepted[key] = b"%d" % block
        elif key == b"timeout" and 1 <= number <= LONGEST_TIMEOUT_S:
            timeout_s = number
            accepted[key] = b"%d" % number
        elif key == b"tsize":
            accepted[key] = b"0"
    return ReadRequest(name, netascii, block, timeout_s, tuple(accepted.items()))


def as_netascii(content: bytes) -> bytes:
    """Line ends as RFC 764 has them: CR LF, and a CR alone as CR NUL."""
    return re.sub(rb"\r\n|\r|\n", lambda match: b"\r\0" if match[0] == b"\r" else b"\r\n", content)


def data(block: int, content: bytes) -> bytes:
    """A DATA packet; block numbers go on at 0 after 65535."""
    return Op.DATA.to_bytes(2, "big") + (block & 0xFFFF).to_bytes(2, "big") + content


def oack(options: tuple[tuple[bytes, bytes], ...], size: int) -> bytes:
    """The options we accept."""
    sent = b"".join(
        key + b"\0" + (b"%d" % size if key == b"tsize" else value) + b"\0" for key, value in options
    )
    return Op.OACK.to_bytes(2, "big") + sent


def error(code: Code, text: str) -> bytes:
    """An ERROR packet."""
    return Op.ERROR.to_bytes(2, "big") + code.to_bytes(2, "big") + text.encode("ascii") + b"\0"


def parse_ack(packet: bytes) -> int | None:
    """The block an ACK acknowledges; None for any other packet."""
    if len(packet) < 4 or int.from_bytes(packet[:2], "big") != Op.ACK:
        return None
    return int.from_bytes(packet[2:4], "big")


def is_error(packet: bytes) -> bool:
    """Whether the other side gives up."""
    return len(packet) >= 2 and int.from_bytes(packet[:2], "big") == Op.ERROR
