"""The published store and the journal: two SQLite files that the provisioning server shares with us.

We write the first and it reads it; it writes the second and we read it. Their shapes are
provisioning_server/schema.sql and journal.sql.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from control_plane.adapters.journal import in_journal
from control_plane.errors import PublishingFailed
from control_plane.ports import Bound, Fetched
from control_plane.render.handsets.publication import COMMON, Publication, etag, publication_of
from control_plane.render.handsets.setup import HandsetFile

T = TypeVar("T")
Row = tuple[object, ...]

BUSY_S = 5.0
SCHEMA = "2"
_COLUMNS = (
    "vendor", "family", "model", "state", "token", "token_previous", "auth", "user", "ha1", "user_previous",
    "ha1_previous", "ha1_sha256", "ha1_sha256_previous", "allowed", "plain", "certificate", "window_id",
    "window_until", "user_agent", "version", "sequence",
)  # fmt: skip
_PUT_DEVICE = (
    f"INSERT OR REPLACE INTO devices (mac, {', '.join(_COLUMNS)}) "  # noqa: S608 - names of ours
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
)
_PUT_FILE = (
    "INSERT OR REPLACE INTO files (mac, name, content, content_type, etag, secret, bootstrap) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT_CONTENT = (
    "INSERT INTO contents (etag, content) VALUES (?, ?) ON CONFLICT (etag) "
    "DO UPDATE SET content = excluded.content WHERE contents.content IS NOT excluded.content"
)
"""Written where it is not there, or where somebody changed it."""
_FILES = (
    "SELECT mac, name, COALESCE(files.content, contents.content), content_type, secret, bootstrap, "
    "files.etag FROM files LEFT JOIN contents ON files.content IS NULL AND contents.etag = files.etag"
)
_SHARED_OF = "SELECT DISTINCT etag FROM files WHERE mac = ? AND content IS NULL"
_DROP_CONTENT = (
    "DELETE FROM contents WHERE etag = ?1 "
    "AND NOT EXISTS (SELECT 1 FROM files WHERE etag = ?1 AND content IS NULL)"
)
SHARED_BYTES = 1024
"""What is no secret and longer than this is kept once for all devices that have it alike."""
_FROM_1 = """
BEGIN IMMEDIATE;
ALTER TABLE files RENAME TO files_before;
{schema}
INSERT INTO files SELECT * FROM files_before;
DROP TABLE files_before;
UPDATE meta SET value = '2' WHERE key = 'schema';
COMMIT;
"""
_DEVICES = f"SELECT mac, {', '.join(_COLUMNS)} FROM devices"  # noqa: S608 - names of ours
_ONCE = 500
"""Names in one question; SQLite takes more, but each needs a place."""
_READ_AT_ONCE = 50
"""Handsets whose files are held at a time while all are read; those of 10 000 would be hundreds of MB."""


class PublishedFile:
    """`ports.PublishedStore` over one SQLite file, made when it is missing. Work is done in threads."""

    def __init__(self, path: Path, realm: str, upload_key: str | None = None) -> None:
        self._path = path
        self._meta = {"schema": SCHEMA, "realm": realm}
        if upload_key is not None:
            self._meta["upload_key"] = upload_key
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def read(self, names: Collection[str] | None = None) -> dict[str, str]:
        return await asyncio.to_thread(self._locked, lambda db: _read(db, names))

    async def replace(self, texts: Mapping[str, str | None]) -> None:
        if texts:
            await asyncio.to_thread(self._locked, lambda db: _replace(db, texts))

    async def add_link(self, token: str, mac: str, name: str, valid_until: datetime) -> None:
        row = (hashlib.sha256(token.encode()).hexdigest(), mac, name.lower(), _moment(valid_until))

        def add(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM links WHERE valid_until < ?", (_moment(datetime.now(UTC)),))
                db.execute("INSERT INTO links (token, mac, name, valid_until) VALUES (?, ?, ?, ?)", row)
                _count_up(db)

        await asyncio.to_thread(self._locked, add)

    async def close(self) -> None:
        """Close the file; it is opened again when it is used."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _locked(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._connection is not None and not self._path.exists():
                    self._connection.close()  # removed under us: what we write would be read by nobody
                    self._connection = None
                if self._connection is None:
                    self._connection = self._open()
                return work(self._connection)
            except (sqlite3.Error, OSError) as exc:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                raise PublishingFailed(
                    f"The published store {self._path} cannot be used ({exc}): check that its folder can be "
                    "written and has room; handsets keep what they were given."
                ) from exc

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # After a power cut the newest publications may be gone, and the next audit writes them again.
            db.execute("PRAGMA synchronous = NORMAL")
            schema = (files("provisioning_server") / "schema.sql").read_text(encoding="utf-8")
            db.executescript(_FROM_1.format(schema=schema) if _is_of_1(db) else schema)
            if not self._meta.items() <= dict(db.execute("SELECT key, value FROM meta")).items():
                db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", self._meta.items())
            db.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('sequence', '0')")
            _offer_sha256(db)
        except BaseException:
            db.close()
            raise
        return db


def _count_up(db: sqlite3.Connection) -> None:
    db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'sequence'")


def _offer_sha256(db: sqlite3.Connection) -> None:
    """Say that every login has a SHA-256 hash too, once that is so; older programs wrote rows without."""
    if db.execute("SELECT 1 FROM meta WHERE key = 'sha256' AND value = '1'").fetchone() is None:
        db.execute(
            "INSERT OR REPLACE INTO meta (key, value) SELECT 'sha256', NOT EXISTS "
            "(SELECT 1 FROM devices WHERE ha1 IS NOT NULL AND ha1_sha256 IS NULL)"
        )


def _is_of_1(db: sqlite3.Connection) -> bool:
    """Whether it was made when every file had its content with it. Nothing has to be published anew."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return False
    return bool(db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == ("1",))


def _replace(db: sqlite3.Connection, texts: Mapping[str, str | None]) -> None:
    with db:  # commits, or rolls back when anything is raised
        db.execute("BEGIN IMMEDIATE")
        let_go = {row for name in texts for row in db.execute(_SHARED_OF, (name,))}
        for name in texts:
            if name.startswith(COMMON):
                db.execute("DELETE FROM files WHERE mac = '' AND name = ?", (name.removeprefix(COMMON),))
            else:
                db.execute("DELETE FROM files WHERE mac = ?", (name,))
                db.execute("DELETE FROM devices WHERE mac = ?", (name,))
        # All goes before anything comes: a token may pass from one handset to another.
        for name, text in texts.items():
            if text is not None:
                _put(db, "" if name.startswith(COMMON) else name, publication_of(text))
        _offer_sha256(db)
        db.executemany(_DROP_CONTENT, let_go)
        _count_up(db)


def _put(db: sqlite3.Connection, mac: str, publication: Publication) -> None:
    if mac:
        db.execute(_PUT_DEVICE, (mac, *(publication.device.get(column) for column in _COLUMNS)))
    for file in publication.files:
        tag, own = etag(file.content), True
        if mac and not file.secret and not file.bootstrap and len(file.content) > SHARED_BYTES:
            db.execute(_PUT_CONTENT, (tag, file.content))
            own = False
        content = file.content if own else None
        flags = int(file.secret), int(file.bootstrap)
        db.execute(_PUT_FILE, (mac, file.name.lower(), content, file.content_type, tag, *flags))


def _read(db: sqlite3.Connection, names: Collection[str] | None) -> dict[str, str]:
    with db:
        db.execute("BEGIN")  # devices and files of one moment
        everything = _names(db) if names is None else names
        macs = [name for name in everything if not name.startswith(COMMON)]
        common = {name.removeprefix(COMMON) for name in everything if name.startswith(COMMON)}
        texts: dict[str, str] = {}
        for part in _parts(macs, _READ_AT_ONCE):
            texts |= _texts(db.execute(_among(_DEVICES, part), part), db.execute(_among(_FILES, part), part))
        if common:
            found = (row for row in db.execute(f"{_FILES} WHERE mac = ''") if row[1] in common)
            texts |= _texts((), found)
        return texts


def _names(db: sqlite3.Connection) -> list[str]:
    """Of every handset and every common file that is there, and of handsets that left files behind."""
    macs = db.execute("SELECT mac FROM devices UNION SELECT mac FROM files WHERE mac != ''")
    common = db.execute("SELECT name FROM files WHERE mac = ''")
    return [*(str(mac) for (mac,) in macs), *(f"{COMMON}{name}" for (name,) in common)]


def _parts(macs: Sequence[str], size: int = _ONCE) -> Iterator[Sequence[str]]:
    return (macs[start : start + size] for start in range(0, len(macs), size))


def _among(statement: str, macs: Sequence[str]) -> str:
    return f"{statement} WHERE mac IN ({', '.join('?' * len(macs))})"


def _texts(devices: Iterable[Row], found: Iterable[Row]) -> dict[str, str]:
    own: dict[str, list[HandsetFile]] = {}
    texts: dict[str, str] = {}
    for mac, name, content, content_type, secret, bootstrap, tag in found:
        raw = content if isinstance(content, bytes) else str(content).encode()
        # A content that its tag does not name was changed by somebody: it must not pass for what it was.
        shown = str(content_type) if tag == etag(raw) else f"{content_type} (changed)"
        file = HandsetFile(str(name), raw, shown, secret=bool(secret), bootstrap=bool(bootstrap))
        if mac == "":
            texts[f"{COMMON}{name}"] = Publication({}, (file,)).text()
        else:
            own.setdefault(str(mac), []).append(file)
    for mac, *values in devices:
        row = dict(zip(_COLUMNS, values, strict=True))
        texts[str(mac)] = Publication(row, tuple(own.pop(str(mac), ()))).text()  # type: ignore[arg-type]
    for mac, left in own.items():  # files of a device that is gone
        texts[mac] = Publication({}, tuple(left)).text()
    return texts


_OF_HANDSETS = ("fetches", "bound", "uploads")


class JournalFile:
    """`ports.FetchJournal` over the provisioning server's file; where there is none, nothing was fetched."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetches(self, macs: Collection[str] | None = None) -> Mapping[str, Sequence[Fetched]]:
        statement = (
            "SELECT mac, name, at, status, version, scheme, address, user_agent, count FROM fetches "
            "{where} ORDER BY at DESC"
        )
        if macs is None:
            rows = await self._rows(statement.format(where=""))
        else:
            rows = []
            for part in _parts(list(macs)):
                marks = ", ".join("?" * len(part))
                rows += await self._rows(statement.format(where=f"WHERE mac IN ({marks})"), part)
        found: dict[str, list[Fetched]] = {}
        for mac, name, at, status, version, scheme, address, agent, count in rows:
            found.setdefault(str(mac), []).append(
                Fetched(
                    str(mac), str(name), _parsed(at), int(str(status)), str(version or ""), str(scheme),
                    str(address), str(agent), int(str(count)),
                )
            )  # fmt: skip
        return found

    async def bound(self) -> Mapping[str, Bound]:
        rows = await self._rows("SELECT mac, network, at, certificate FROM bound")
        return {
            str(mac): Bound(str(mac), str(network), _parsed(at), str(certificate) if certificate else None)
            for mac, network, at, certificate in rows
        }

    async def spent(self) -> frozenset[str]:
        return frozenset(str(row[0]) for row in await self._rows("SELECT id FROM spent"))

    async def macs(self) -> frozenset[str]:
        every = " UNION ".join(f"SELECT mac FROM {table}" for table in _OF_HANDSETS)  # noqa: S608 - our names
        return frozenset(str(row[0]) for row in await self._rows(every))

    async def forget(self, macs: Collection[str]) -> None:
        def erase(db: sqlite3.Connection) -> None:
            with db:
                for part in _parts(list(macs)):
                    marks = ", ".join("?" * len(part))
                    for table in _OF_HANDSETS:
                        db.execute(f"DELETE FROM {table} WHERE mac IN ({marks})", part)  # noqa: S608 - our names

        await in_journal(self._path, erase, "rw")

    async def _rows(self, statement: str, values: Sequence[str] = ()) -> list[Row]:
        return await in_journal(self._path, lambda db: list(db.execute(statement, values)), "ro") or []


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _parsed(text: object) -> datetime:
    at = datetime.fromisoformat(str(text))
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
