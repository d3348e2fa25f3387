"""AMI on the wire: what may be sent, how it is written, and how a byte stream becomes messages.

Pure: no sockets, no clock. The limits are those of Asterisk 22's main/manager.c, measured on 22.10.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from control_plane.errors import ControlPlaneError, UnsafeValue

LINE_LIMIT_BYTES = 1015
"""Longest `Header: value` line sent, without CRLF; Asterisk's input buffer holds 1025 bytes (`Val: ` + 1010
arrived, `Val: ` + 1020 came back as "line too long")."""

HEADER_LIMIT = 128
"""Most lines of one action (AST_MAX_MANHEADERS), `Action` and `ActionID` included."""

MESSAGE_LIMIT_BYTES = 16 * 1024 * 1024
"""Largest single message taken from a peer: GetConfig of 100 000 lines fits, an endless one does not."""

GREETING = b"Asterisk Call Manager/"
GREETING_LIMIT_BYTES = 256

_END = b"\r\n\r\n"
_ID = b"\r\nActionID: "
_FORBIDDEN = re.compile(r"[\r\n\0]")


class NotAmi(ControlPlaneError):
    """The peer's bytes are not AMI; the connection is of no use."""


def require_line(name: str, value: str, subject: str) -> None:
    """Refuse a header that AMI would read as something else, or not at all.

    Args:
        subject: what the value belongs to; named in the error instead of the value, which may be a secret.

    Raises:
        UnsafeValue: CR, LF or NUL, or the line is longer than LINE_LIMIT_BYTES.
    """
    if _FORBIDDEN.search(value):
        raise UnsafeValue(subject, "must not contain a line break or NUL; remove it")
    if len(name) + 2 + len(value) * 4 <= LINE_LIMIT_BYTES:
        return
    size = len(name) + 2 + len(_utf8(value, subject))
    if size > LINE_LIMIT_BYTES:
        over = size - LINE_LIMIT_BYTES
        raise UnsafeValue(subject, f"is {over} bytes too long for one AMI line; shorten or split it")


def _utf8(value: str, subject: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        # The codec's own text quotes the value, so it must not be chained into a message people see.
        raise UnsafeValue(subject, "has a character that UTF-8 cannot carry; remove it") from None


def encode_action(headers: Iterable[tuple[str, str]], subject: str) -> bytes:
    """One action, ready to send, in the order given.

    Raises:
        UnsafeValue: a header is unsafe (see `require_line`) or there are more than HEADER_LIMIT.
    """
    given = headers if isinstance(headers, list) else list(headers)
    lines = [f"{name}: {value}\r\n" for name, value in given]
    text = "".join(lines)
    if not _is_plain(text, lines):
        for name, value in given:
            require_line(name, value, subject)
    if len(lines) > HEADER_LIMIT:
        raise UnsafeValue(subject, f"needs {len(lines)} AMI headers and {HEADER_LIMIT} is the most; split it")
    return _utf8(text + "\r\n", subject)


def _is_plain(text: str, lines: list[str]) -> bool:
    """Whether `require_line` would pass each of `lines`, seen from all at once; False: look closer.

    A push of 10 000 extensions sends 250 000 lines.
    """
    count = len(lines)
    return (
        text.isascii()
        and text.count("\n") == text.count("\r") == count
        and "\0" not in text
        and len(max(lines, key=len, default="")) - 2 <= LINE_LIMIT_BYTES
    )


def action_id(message: bytes) -> bytes | None:
    """The ActionID a message carries."""
    start = message.find(_ID)
    if start < 0:
        return None
    start += len(_ID)
    end = message.find(b"\r\n", start)
    return message[start:] if end < 0 else message[start:end]


def is_success(message: bytes) -> bool:
    """Whether a response says Success; an answer without one is taken as a refusal."""
    return message.startswith(b"Response: Success")


def parse_headers(message: bytes) -> dict[str, str]:
    """The headers of one message, in order; a repeated one keeps its last value, other lines are dropped."""
    headers = {}
    for line in message.decode("utf-8", "replace").split("\r\n"):
        name, found, value = line.partition(": ")
        if found:
            headers[name] = value
    return headers


def parse_tree_rows(messages: Iterable[bytes], prefix: str) -> dict[str, str]:
    """AstDB rows of DBGetTreeResponse events strictly below `prefix`.

    AstDB matches the family with SQL LIKE: `_` and `%` are wildcards, case is ignored, and the row named
    exactly as the prefix comes too (main/db.c), so what was not asked for is dropped here.
    """
    below = f"/{prefix}/" if prefix else "/"
    rows = {}
    for message in messages:
        start = message.find(b"\r\nKey: ") + 7
        middle = message.find(b"\r\nVal: ", start)
        if start < 7 or middle < 0:
            continue
        key = message[start:middle].decode("utf-8", "replace")
        if key.startswith(below):
            end = message.find(b"\r\n", middle + 7)
            value = message[middle + 7 :] if end < 0 else message[middle + 7 : end]
            rows[key[1:]] = value.decode("utf-8", "replace")
    return rows


def error_text(headers: Mapping[str, str]) -> str:
    """What Asterisk says about a refusal."""
    return headers.get("Message") or "no reason given"


class Framer:
    """Cuts a byte stream into messages, wherever TCP happened to cut it.

    Characters are decoded only from whole messages, so one split over two segments survives.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self.greeting: str | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, without their blank line.

        Raises:
            NotAmi: the stream does not start with AMI's greeting, or one message exceeds MESSAGE_LIMIT_BYTES.
        """
        self._buffer += data
        if self.greeting is None and not self._take_greeting():
            return []
        if self._buffer.find(_END, max(0, self._scanned - 3)) < 0:
            self._scanned = len(self._buffer)
            if self._scanned > MESSAGE_LIMIT_BYTES:
                raise NotAmi(f"The peer sent {self._scanned} bytes without ending its message.")
            return []
        *messages, rest = bytes(self._buffer).split(_END)
        self._buffer = bytearray(rest)
        self._scanned = 0
        return [message for message in messages if message]

    def _take_greeting(self) -> bool:
        seen = bytes(self._buffer[:GREETING_LIMIT_BYTES])
        if not seen.startswith(GREETING[: len(seen)]):
            raise NotAmi("The peer does not speak AMI; check host and port.")
        line, found, _ = seen.partition(b"\r\n")
        if not found:
            if len(seen) >= GREETING_LIMIT_BYTES:
                raise NotAmi("The peer does not speak AMI; check host and port.")
            return False
        self.greeting = line.decode("ascii", "replace")
        del self._buffer[: len(line) + 2]
        return True
