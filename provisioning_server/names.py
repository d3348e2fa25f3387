"""What a request asks for, out of a path that may be anything. Pure."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_PATH = 512
_SEGMENT = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.+@:~ -]{0,119}")
"""A name as handsets spell them. Nothing that a file system, a shell or a log could take for more."""
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{16,128}")
_AT_A_TOKEN = re.compile(rb"/p/([A-Za-z0-9_][A-Za-z0-9_-]{15,119})/([A-Za-z0-9_][A-Za-z0-9_.+@:~ -]{0,119})")
"""What nearly every request is for: one name at a token, both a segment, nothing encoded."""
_LIKE_A_TOKEN = 16
_MAX_FOLDERS = 3
_MAC = re.compile(
    r"(?<![0-9a-f])([0-9a-f]{2})([:-]?)([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})"
    r"(?![0-9a-f])",
    re.IGNORECASE,
)


class Area(StrEnum):
    """The first part of a path."""

    DEVICE = "p"
    COMMON = "c"
    ENROL = "e"
    LINK = "s"


_DEVICE = Area.DEVICE


class Asked(NamedTuple):
    """A request for the file `name` (lower case, may hold "/"); `token` is "" where the area has none."""

    area: Area
    token: str
    name: str


def asked_for(raw_path: bytes) -> Asked | None:
    """What a path, still percent-encoded, asks for; None when it is no path of ours.

    Split first and decoded once after, so an encoded slash never makes a folder and a doubly encoded one
    stays what it is. One bare name is enrolment: handsets that are given only a server name ask for it.
    """
    usual = _AT_A_TOKEN.fullmatch(raw_path)
    if usual is not None:
        return Asked(_DEVICE, usual[1].decode(), usual[2].decode().lower())
    if len(raw_path) > MAX_PATH or not raw_path.startswith(b"/"):
        return None
    parts = [part for part in raw_path.split(b"/") if part]
    if b"%" in raw_path:
        parts = [unquote_to_bytes(part) for part in parts]
    if not parts or any(_SEGMENT.fullmatch(part) is None for part in parts):
        return None
    return _routed([part.decode("ascii") for part in parts])


def _routed(parts: list[str]) -> Asked | None:
    first, *rest = parts
    if not rest:
        return Asked(Area.ENROL, "", first.lower())
    area = first.lower()
    if area == Area.LINK:
        return Asked(Area.LINK, rest[0], "") if len(rest) == 1 and _is_token(rest[0]) else None
    if area == Area.DEVICE:
        token, *name = rest
        return Asked(Area.DEVICE, token, _name(name)) if _is_token(token) and _fits(name) else None
    if area in (Area.COMMON, Area.ENROL):
        return Asked(Area(area), "", _name(rest)) if _fits(rest) else None
    return None


def _is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text.encode()) is not None


def _fits(name: list[str]) -> bool:
    return 1 <= len(name) <= _MAX_FOLDERS


def _name(parts: list[str]) -> str:
    return "/".join(parts).lower()


def spellings(name: str) -> tuple[str, ...]:
    """The names a file may be published under when a handset asks for `name`.

    As it is; without separators in the MAC; and its last part, for a handset that takes a URL for a folder
    and appends a name of its own (Grandstream: `phonebook.xml`).
    """
    found = [name]
    plain = _MAC.sub(lambda match: mac_of(match[0]) or match[0], name)
    if plain != name:
        found.append(plain)
    folder, slash, last = name.rpartition("/")
    if slash and folder:
        found.append(last)
    return tuple(found)


def mac_of(text: str) -> str | None:
    """The first MAC address in a file name or User-Agent, as 12 lower-case hex digits; None without one."""
    match = _MAC.search(text)
    return "".join(match.group(1, 3, 4, 5, 6, 7)).lower() if match else None


def masked(raw_path: bytes) -> str:
    """A path as it may stand in a log: without tokens, without anything that is not printable ASCII."""
    shown = [part for part in raw_path[:MAX_PATH].split(b"/") if part]
    for index, part in enumerate(shown):
        follows = index == 1 and shown[0].lower() not in (b"c", b"e")
        if follows or (len(part) >= _LIKE_A_TOKEN and b"." not in part):
            shown[index] = b"~"
    text = b"/" + b"/".join(shown)
    return "".join(chr(byte) if 0x20 < byte < 0x7F and byte not in b'"\\' else "?" for byte in text)
