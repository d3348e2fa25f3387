"""Complete answers: a file, whole, in part or unchanged, and everything else that can be said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from provisioning_server.files import PublishedFile

Headers = tuple[tuple[bytes, bytes], ...]

_RANGE = re.compile(rb"bytes=(\d{0,15})-(\d{0,15})")
_PRIVATE = (b"cache-control", b"private, no-cache")
_PUBLIC = (b"cache-control", b"public, max-age=300")
_PLAIN_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_BODIES = {
    400: b"Bad request\n",
    401: b"Log in first\n",
    403: b"Not this way\n",
    404: b"Not found\n",
    405: b"Only GET and HEAD\n",
    413: b"Too large\n",
    503: b"Try again later\n",
    507: b"Nothing more can be taken now\n",
}


class Answer(NamedTuple):
    """A complete answer."""

    status: int
    headers: Headers
    body: bytes


def plain(status: int, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer without a file: one line of text, kept by nobody."""
    body = _BODIES[status]
    length = (b"content-length", b"%d" % len(body))
    return Answer(status, (_PLAIN_TEXT, length, (b"cache-control", b"no-store"), *headers), body)


def file_answer(file: PublishedFile, asked_with: Mapping[bytes, bytes], *, once: bool, own: bool) -> Answer:
    """200, 304, 206 or 416 (RFC 9110 13.1.2, 14.2) to a request with these header fields.

    What is given `once` is given whole; `own` is for one device and nobody between us and it.
    """
    cache = _PRIVATE if own else _PUBLIC
    if not once:
        unless = asked_with.get(b"if-none-match")
        if unless is not None and _matches(unless, file.headers[1][1]):
            return Answer(304, (file.headers[1], cache), b"")
        ranged = asked_with.get(b"range")
        if ranged is not None and asked_with.get(b"if-range") in (None, file.headers[1][1]):
            part = _part(file, ranged)
            if part is not None:
                return part
    return Answer(200, (*file.headers, cache), file.content)


def _matches(header: bytes, etag: bytes) -> bool:
    if header == etag or header.strip() == b"*":
        return True
    return etag in (part.strip().removeprefix(b"W/") for part in header.split(b","))


def _part(file: PublishedFile, header: bytes) -> Answer | None:
    """206 or 416 for one range; None for what is better answered whole."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    size = len(file.content)
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return None
    else:
        first, last = max(0, size - int(match[2])), size - 1
    if first > last:
        unmet = (b"content-range", b"bytes */%d" % size)
        return Answer(416, (unmet, (b"content-length", b"0"), file.headers[1]), b"")
    body = file.content[first : last + 1]
    kept = [header for header in file.headers if header[0] != b"content-length"]
    more = (b"content-range", b"bytes %d-%d/%d" % (first, last, size))
    return Answer(206, (*kept, more, (b"content-length", b"%d" % len(body)), _PRIVATE), body)
