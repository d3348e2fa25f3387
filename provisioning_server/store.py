"""The published store, read-only: devices and their files, kept in memory until the next publication.

Asking SQLite whether another process has committed costs about 5 microseconds, so every request asks.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import logging
import re
import sqlite3
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from provisioning_server.errors import StoreUnavailable
from provisioning_server.files import FileCache, PublishedFile, published_file
from provisioning_server.names import Area
from provisioning_server.settings import Network

logger = logging.getLogger(__name__)

DEFAULT_REALM = "provisioning"
CACHED_BYTES = 128 * 1024 * 1024
CACHED_DEVICES = 100_000
_BUSY_S = 0.2
"""A writer in WAL mode never makes a reader wait; one that is not in WAL mode does, for its commit."""
_DEVICES = (
    "SELECT mac, vendor, state, auth, allowed, plain, certificate, window_id, window_until, user_agent,"
    " version, user, ha1, ha1_sha256, user_previous, ha1_previous, ha1_sha256_previous FROM devices"
)
_BY_MAC = f"{_DEVICES} WHERE mac = ?1"
_BY_TOKEN = f"{_DEVICES} WHERE token = ?1"
_BY_PREVIOUS_TOKEN = f"{_DEVICES} WHERE token_previous = ?1"
_FILE = (
    "SELECT name, COALESCE(content, (SELECT content FROM contents WHERE contents.etag = files.etag)),"
    " content_type, etag, secret, bootstrap FROM files WHERE mac = ?1 AND bootstrap = ?2 AND name = ?3"
)
_FILE_1 = (
    "SELECT name, content, content_type, etag, secret, bootstrap FROM files"
    " WHERE mac = ?1 AND bootstrap = ?2 AND name = ?3"
)
"""For a store that a control plane of schema 1 wrote: handsets get their files while it is being replaced."""
_LINK = "SELECT token, mac, name, valid_until FROM links WHERE token = ?1"


@dataclass(frozen=True, slots=True)
class Credential:
    """One valid login: user and the hashes of "user:realm:password"."""

    user: str
    ha1: str
    ha1_sha256: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """A published device. `credentials` has two entries while a rotation is under way."""

    mac: str
    vendor: str
    enabled: bool
    token_only: bool
    credentials: tuple[Credential, ...]
    allowed: tuple[Network, ...]
    plain: bool
    certificate: str
    window_id: str | None
    window_until: datetime | None
    user_agent: re.Pattern[str] | None
    version: str


@dataclass(frozen=True, slots=True)
class Link:
    """A link that works once."""

    id: str
    mac: str
    name: str
    valid_until: datetime


class Route(NamedTuple):
    """A path that was asked for before: whose it is and its file. Who asks has still to show who he is."""

    area: Area
    name: str
    device: Device
    file: PublishedFile


class PublishedStore:
    """Reads on the caller's thread: each read is a lookup by primary key or unique index."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._data_version = -1
        self._meta: dict[str, str] = {}
        self._by_token: dict[str, Device] = {}
        self._by_mac: dict[str, Device] = {}
        self._routes: dict[bytes, Route] = {}
        self._files = FileCache(CACHED_BYTES, self._routes.clear)

    def close(self) -> None:
        """Forget everything and close the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._data_version = -1
        self._forget()

    def refresh(self) -> bool:
        """Makes the next reads those of the newest publication; whether they were others before.

        Raises:
            StoreUnavailable: there is no store yet, or it cannot be read.
        """
        try:
            connection = self._connection or self._open()
            seen: int = connection.execute("PRAGMA data_version").fetchone()[0]
            if seen == self._data_version:
                return False
            self._look_again(connection)
            self._data_version = seen
        except (sqlite3.Error, OSError) as exc:
            self._lost(exc)
        return True

    def reopen_if_replaced(self) -> None:
        """Opens the file anew when another one has taken its place (a restored backup). For a timer."""
        with contextlib.suppress(OSError):
            if self._connection is not None and self._path.stat().st_ino != self._inode:
                self.close()

    @property
    def realm(self) -> str:
        return self._meta.get("realm", DEFAULT_REALM)

    @property
    def offers_sha256(self) -> bool:
        return self._meta.get("sha256") == "1"

    @property
    def upload_key(self) -> str | None:
        return self._meta.get("upload_key")

    def device_of_token(self, digest: str) -> Device | None:
        """The device with this token now or before its last rotation; `digest` is SHA-256 in hex."""
        known = self._by_token.get(digest)
        if known is None:
            row = self._one(_BY_TOKEN, digest) or self._one(_BY_PREVIOUS_TOKEN, digest)
            if row is None:
                return None
            known = self._by_token[digest] = self._kept(row)
        return known

    def device(self, mac: str) -> Device | None:
        """The device with this MAC address."""
        known = self._by_mac.get(mac)
        if known is None:
            row = self._one(_BY_MAC, mac)
            if row is None:
                return None
            known = self._kept(row)
        return known

    def file(self, mac: str, name: str, *, bootstrap: bool = False) -> PublishedFile | None:
        """A device's file or bootstrap, or with mac "" a common file; `name` is in lower case."""
        key = (mac, bootstrap, name)
        known = self._files.get(key)
        if known is not None:
            return known
        row = self._one(_FILE_1 if self._meta.get("schema") == "1" else _FILE, mac, bootstrap, name)
        if row is None or row[1] is None:  # what it is to share is gone: somebody was at the store
            return None
        return self._files.keep(key, published_file(*row))

    def route(self, path: bytes) -> Route | None:
        """What is known of a path, as it came, from the last time it was asked for."""
        return self._routes.get(_hash(path))

    def keep_route(self, path: bytes, route: Route) -> None:
        """Keeps it until something is published or a file is let go. Tokens are kept as hashes only."""
        self._routes[_hash(path)] = route

    def link(self, digest: str) -> Link | None:
        """The link whose token has this SHA-256."""
        row = self._one(_LINK, digest)
        return Link(row[0], row[1], row[2].lower(), _moment(row[3])) if row is not None else None

    def _open(self) -> sqlite3.Connection:
        inode = self._path.stat().st_ino
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        connection.execute("PRAGMA query_only = 1")
        self._connection, self._inode, self._data_version = connection, inode, -1
        return connection

    def _look_again(self, connection: sqlite3.Connection) -> None:
        self._forget()
        self._meta = dict(connection.execute("SELECT key, value FROM meta"))

    def _lost(self, exc: Exception) -> NoReturn:
        self.close()
        raise StoreUnavailable(str(exc)) from exc

    def _forget(self) -> None:
        self._by_token.clear()
        self._by_mac.clear()
        self._routes.clear()
        self._files.clear()

    def _one(self, statement: str, *values: str | bool) -> tuple[Any, ...] | None:
        if self._connection is None:
            raise StoreUnavailable("not opened")
        try:
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as exc:
            self._lost(exc)
        return row

    def _kept(self, row: tuple[Any, ...]) -> Device:
        if len(self._by_mac) >= CACHED_DEVICES:
            self._by_mac.clear()
            self._by_token.clear()
            self._routes.clear()
        device = _device(row)
        return self._by_mac.setdefault(device.mac, device)


def _device(row: tuple[Any, ...]) -> Device:
    mac, vendor, state, auth, allowed, plain, certificate, window_id, until, user_agent, version = row[:11]
    logins = (Credential(*row[11:14]), Credential(*row[14:17]))
    return Device(
        mac=mac,
        vendor=vendor,
        enabled=state == "enabled",
        token_only=auth == "none",
        credentials=tuple(login for login in logins if login.user and login.ha1),
        allowed=tuple(ipaddress.ip_network(text, strict=False) for text in json.loads(allowed)),
        plain=bool(plain),
        certificate=sys.intern(certificate),  # each request reads it: one object for all
        window_id=window_id,
        window_until=_moment(until) if window_id and until else None,
        user_agent=re.compile(user_agent) if user_agent else None,
        version=version,
    )


def _hash(path: bytes) -> bytes:
    # BLAKE2 is Python's own code: small, where each hash of OpenSSL 3 runs through a good deal of it.
    return hashlib.blake2b(path, digest_size=32).digest()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
