"""Published files in memory, up to a number of bytes; what many devices have alike is held once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_OVERHEAD = 600
"""Bytes a cached file takes besides its content."""

FileKey = tuple[str, bool, str]
"""MAC address ("" for a common file), whether it is the bootstrap, name in lower case."""


@dataclass(slots=True)
class PublishedFile:
    """A file, with the header fields that belong to it ready to be sent."""

    name: str
    content: bytes
    etag: str
    secret: bool
    bootstrap: bool
    headers: tuple[tuple[bytes, bytes], ...]
    wanted: bool = True
    """Whether it was asked for since what keeps it last looked for something to let go."""


def published_file(
    name: str, content: bytes, content_type: str, etag: str, secret: int = 0, bootstrap: int = 0
) -> PublishedFile:
    """A file with its header fields; what could break out of a header field is left out."""
    headers = (
        _content_type(content_type),
        (b"etag", b'"' + _field(etag) + b'"'),
        _content_length(len(content)),
        _ACCEPT_RANGES,
    )
    return PublishedFile(name, content, etag, bool(secret), bool(bootstrap), headers)


_ACCEPT_RANGES = (b"accept-ranges", b"bytes")


# The same for many files, so one object for all of them: less memory to keep and to read.
@lru_cache(maxsize=256)
def _content_type(text: str) -> tuple[bytes, bytes]:
    return (b"content-type", _field(text))


@lru_cache(maxsize=4096)
def _content_length(size: int) -> tuple[bytes, bytes]:
    return (b"content-length", b"%d" % size)


def _field(text: str) -> bytes:
    return "".join(char for char in text if " " <= char <= "~" and char != '"').encode()


@dataclass(slots=True)
class _Held:
    """A content and how many of the files kept have it."""

    content: bytes
    files: int = 0


class FileCache:
    """Keeps files by device and name, and lets those go that were not asked for since it last looked.

    To move what was asked for to the end of a list would touch its neighbours as well: with thousands of
    files those are nowhere near. So it gets a mark, and what has one when something must go has another turn.

    A directory is the same for each handset of an organisation: contents with one ETag are one object and
    count once. An ETag says that two may be alike and the bytes decide, so that no device gets another's file
    where somebody wrote the store by hand.
    """

    def __init__(self, limit_bytes: int, forget: Callable[[], None] = lambda: None) -> None:
        """`forget` is called when a file was let go: who has it as well shall let go of it too."""
        self._limit = limit_bytes
        self._forget = forget
        self._files: OrderedDict[FileKey, PublishedFile] = OrderedDict()
        self._held: dict[str, _Held] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._files)

    @property
    def bytes(self) -> int:
        """What the files kept take."""
        return self._bytes

    def get(self, key: FileKey) -> PublishedFile | None:
        """The file kept under `key`, as one that was asked for just now."""
        known = self._files.get(key)
        if known is not None:
            known.wanted = True
        return known

    def keep(self, key: FileKey, file: PublishedFile) -> PublishedFile:
        """Keeps `file`, of which nothing is kept yet, and makes it share its content; returns it.

        It is kept by itself where it alone is over the limit.
        """
        held = self._held.setdefault(file.etag, _Held(file.content))
        if held.content == file.content:
            file.content = held.content
            held.files += 1
            self._bytes += len(file.content) if held.files == 1 else 0
        else:
            self._bytes += len(file.content)
        self._files[key] = file
        self._bytes += _OVERHEAD
        while self._bytes > self._limit and len(self._files) > 1:
            oldest, found = self._files.popitem(last=False)
            if found.wanted:
                found.wanted = False
                self._files[oldest] = found
            else:
                self._let_go(found)
        return file

    def clear(self) -> None:
        """Lets everything go."""
        self._files.clear()
        self._held.clear()
        self._bytes = 0

    def _let_go(self, file: PublishedFile) -> None:
        self._forget()
        self._bytes -= _OVERHEAD
        held = self._held.get(file.etag)
        if held is not None and held.content is file.content:
            held.files -= 1
            if held.files:
                return
            del self._held[file.etag]
        self._bytes -= len(file.content)
