"""A small writer of the published store, after docs/published-store.md and not after the control plane's."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import provisioning_server

SCHEMA = Path(provisioning_server.__file__).with_name("schema.sql")
REALM = "provisioning"


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - RFC 7616


@dataclass(frozen=True)
class File:
    """One file as it is published."""

    content: bytes
    secret: bool = False
    bootstrap: bool = False
    content_type: str = "text/plain"


@dataclass(frozen=True)
class Entry:
    """A device with what only the test knows: token, user and password in clear."""

    mac: str
    files: Mapping[str, File] = field(default_factory=dict)
    bootstraps: Mapping[str, File] = field(default_factory=dict)
    """Also of names that `files` has: a handset asks for the same name at both places."""
    token: str = ""
    token_previous: str | None = None
    user: str = ""
    password: str = ""
    previous: tuple[str, str] | None = None
    state: str = "enabled"
    auth: str = "digest"
    allowed: tuple[str, ...] = ()
    plain: bool = False
    certificate: str = "off"
    window_id: str | None = None
    window_until: str | None = None
    user_agent: str = ""

    @property
    def clear_token(self) -> str:
        return self.token or f"token-of-{self.mac}-{md5(self.mac)}"

    @property
    def login(self) -> tuple[str, str]:
        return self.user or f"u{self.mac}", self.password or md5(f"password of {self.mac}")

    def path(self, name: str) -> str:
        return f"/p/{self.clear_token}/{name}"


class Publisher:
    """Writes a store as the control plane does: WAL, one transaction a publication."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(SCHEMA.read_text())
        self.set_meta(schema="2", sequence="0", realm=REALM, sha256="1")

    def close(self) -> None:
        self._connection.close()

    def set_meta(self, **values: str) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    def publish(self, *entries: Entry, common: Mapping[str, File] | None = None) -> None:
        """Replace these devices, and add common files."""
        self._connection.execute("BEGIN IMMEDIATE")
        for entry in entries:
            self._connection.execute("DELETE FROM files WHERE mac = ?", (entry.mac,))
            row = _row(entry)
            marks = ", ".join(f":{name}" for name in row)
            columns = ", ".join(row)
            self._connection.execute(f"INSERT OR REPLACE INTO devices ({columns}) VALUES ({marks})", row)  # noqa: S608
            self._put(entry.mac, (*entry.files.items(), *entry.bootstraps.items()))
        self._put("", (common or {}).items())
        self._connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'sequence'")
        self._connection.execute("COMMIT")

    def link(self, token: str, entry: Entry, name: str, valid_until: str) -> None:
        self._connection.execute(
            "INSERT INTO links VALUES (?, ?, ?, ?)", (sha256(token), entry.mac, name, valid_until)
        )

    def begin(self) -> sqlite3.Connection:
        """A publication that is under way; the caller commits."""
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def _put(self, mac: str, files: Iterable[tuple[str, File]]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (mac, name.lower(), f.content, f.content_type, sha256(f.content), f.secret, f.bootstrap)
                for name, f in files
            ],
        )


def _row(entry: Entry) -> dict[str, Any]:
    user, password = entry.login
    row: dict[str, Any] = {
        "mac": entry.mac,
        "vendor": "yealink",
        "family": "t5",
        "model": "T54W",
        "state": entry.state,
        "token": sha256(entry.clear_token),
        "token_previous": sha256(entry.token_previous) if entry.token_previous else None,
        "auth": entry.auth,
        "user": user if entry.auth != "none" else None,
        "ha1": md5(f"{user}:{REALM}:{password}") if entry.auth != "none" else None,
        "ha1_sha256": sha256(f"{user}:{REALM}:{password}") if entry.auth != "none" else None,
        "allowed": json.dumps(entry.allowed),
        "plain": entry.plain,
        "certificate": entry.certificate,
        "window_id": entry.window_id,
        "window_until": entry.window_until,
        "user_agent": entry.user_agent,
        "version": sha256(repr(sorted(entry.files.items()))),
    }
    if entry.previous:
        old = ":".join((entry.previous[0], REALM, entry.previous[1]))
        row |= {
            "user_previous": entry.previous[0],
            "ha1_previous": md5(old),
            "ha1_sha256_previous": sha256(old),
        }
    return row
