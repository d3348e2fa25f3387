"""The journal: fetches, written twice a second, and what may happen once, written at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from provisioning_server.errors import JournalUnavailable, ServerError

logger = logging.getLogger(__name__)

FLUSH_S = 0.5
NAMES_PER_DEVICE = 200
"""A handset that is told 404 for ever new names does not fill the disk. What one statement adds is not
counted before the next, so there may be ROWS_AT_ONCE more."""
ROWS_AT_ONCE = 100
_PAUSE_S = 0.005
"""Between two statements: each keeps the interpreter busy, and no request shall wait for all of them."""
SPENT_KEPT = timedelta(days=400)
_BUSY_S = 5.0
_MAX_PENDING = 50_000
_MAX_TEXT = 200
_SCHEMA = Path(__file__).with_name("journal.sql")
T = TypeVar("T")

_COLUMNS = 10
_PUT_FETCHES = """
INSERT INTO fetches (mac, name, at, status, etag, version, scheme, address, user_agent, count)
SELECT column1, column2, strftime('%Y-%m-%dT%H:%M:%f+00:00', column3, 'unixepoch'),
    column4, column5, column6, column7, column8, column9, column10
FROM (VALUES {rows})
WHERE EXISTS (SELECT 1 FROM fetches WHERE mac = column1 AND name = column2)
   OR (SELECT count(*) FROM fetches WHERE mac = column1) < ?
ON CONFLICT (mac, name) DO UPDATE SET at = excluded.at, status = excluded.status, etag = excluded.etag,
    version = excluded.version, scheme = excluded.scheme, address = excluded.address,
    user_agent = excluded.user_agent, count = count + excluded.count
"""
_PUT_BOUND = "INSERT OR IGNORE INTO bound (mac, certificate, network, at) VALUES (?, ?, ?, ?)"
_SPEND = "INSERT OR IGNORE INTO spent (id, at, address) VALUES (?, ?, ?)"
_UPLOAD = """
INSERT INTO uploads (mac, name, at, sealed)
SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM uploads) < ?5
"""


class Fetch(NamedTuple):
    """One file asked for by a known device."""

    mac: str
    name: str
    status: int
    scheme: str
    address: str
    user_agent: str
    etag: str | None = None
    version: str | None = None


_Row = tuple[Fetch, float, int]
"""A fetch, its moment (Unix time), and how many there were since the last flush."""


def printable(text: str, limit: int = _MAX_TEXT) -> str:
    """`text` as it may stand in a journal or log: printable ASCII, not too long."""
    if text.isascii() and text.isprintable():
        return text[:limit]
    return "".join(char if " " <= char <= "~" else "?" for char in text[:limit])


class Journal:
    """Written by one thread of its own, so the disk never makes a request wait that need not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._connection: sqlite3.Connection | None = None
        self._spent: set[str] = set()
        self._bound: set[str] = set()
        self._data_version = -1
        self._fetches: dict[tuple[str, str], _Row] = {}
        self._new_bound: list[tuple[str, str | None, str, str]] = []
        self._dropped = 0

    async def open(self) -> None:
        """Opens or makes the journal.

        Raises:
            ServerError: it cannot be written.
        """
        try:
            await self._in_thread(self._open)
        except (sqlite3.Error, OSError) as exc:
            raise ServerError(
                f"The journal {self._path} cannot be written ({exc}): make it writable."
            ) from exc

    async def close(self) -> None:
        """Writes what waits and closes."""
        await self.flush()
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def run(self) -> None:
        """Writes what waits, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    def fetched(self, fetch: Fetch) -> None:
        """Takes note of a fetch; a second or so later it is in the file."""
        fetches, count = self._fetches, 1
        key = fetch[:2]
        before = fetches.get(key)
        if before is not None:
            count += before[2]
        elif len(fetches) >= _MAX_PENDING:
            self._dropped += 1
            return
        fetches[key] = (fetch, time.time(), count)

    def is_bound(self, mac: str) -> bool:
        """Whether it is known from where the device logged in first."""
        return mac in self._bound

    def bind(self, mac: str, certificate: str | None, network: str) -> None:
        """Takes note of where a device logged in first; later ones change nothing."""
        if mac not in self._bound:
            self._bound.add(mac)
            self._new_bound.append((mac, certificate, network, _now()))

    def is_spent(self, identifier: str) -> bool:
        """Whether this was spent, as far as this process knows; `spend` knows for certain."""
        return identifier in self._spent

    async def spend(self, identifier: str, address: str) -> bool:
        """Whether the caller is the first ever to spend this; on disk when it returns.

        Raises:
            JournalUnavailable: it cannot be written, so nobody has spent it.
        """
        if identifier in self._spent:
            return False
        self._spent.add(identifier)  # whoever comes while we write is second
        try:
            return await self._in_thread(lambda: self._write(_SPEND, (identifier, _now(), address)) == 1)
        except sqlite3.Error as exc:
            self._spent.discard(identifier)
            raise JournalUnavailable(str(exc)) from exc

    async def upload(self, mac: str, name: str, sealed: bytes, limit: int) -> bool:
        """Keeps a sealed file; False when `limit` of them wait already.

        Raises:
            JournalUnavailable: it cannot be written.
        """
        row = (mac, printable(name), _now(), sealed, limit)
        try:
            return await self._in_thread(lambda: self._write(_UPLOAD, row) == 1)
        except sqlite3.Error as exc:
            raise JournalUnavailable(str(exc)) from exc

    async def flush(self) -> None:
        """Writes what waits now; what cannot be written is dropped with a line in the log."""
        if not self._fetches and not self._new_bound:
            return
        fetches, bound = list(self._fetches.values()), self._new_bound
        self._fetches, self._new_bound = {}, []
        if self._dropped:
            logger.warning("event=journal_full dropped=%d", self._dropped)
            self._dropped = 0
        try:
            await self._in_thread(lambda: self._put(fetches, bound))
        except sqlite3.Error as exc:
            self._bound.difference_update(row[0] for row in bound)
            logger.error("event=journal_failed lost=%d reason=%r", len(fetches), str(exc))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA.read_text())
        connection.execute("DELETE FROM spent WHERE at < ?", ((datetime.now(UTC) - SPENT_KEPT).isoformat(),))
        self._spent = {row[0] for row in connection.execute("SELECT id FROM spent")}
        self._connection = connection
        self._look_who_is_bound(connection)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, statement: str, values: tuple[Any, ...]) -> int:
        return self._opened().execute(statement, values).rowcount

    def _look_who_is_bound(self, connection: sqlite3.Connection) -> None:
        """The control plane erases what there is of a handset that was removed: the next of its MAC is new.

        Asks SQLite first whether another process has written.
        """
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._bound = {row[0] for row in connection.execute("SELECT mac FROM bound")}
            self._data_version = version

    def _put(self, fetches: list[_Row], bound: list[tuple[str, str | None, str, str]]) -> None:
        connection = self._opened()
        fetches.sort(key=lambda row: row[0].mac)  # neighbours are on one page of the table
        connection.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(fetches), ROWS_AT_ONCE):
                if start:
                    time.sleep(_PAUSE_S)
                _put_fetches(connection, fetches[start : start + ROWS_AT_ONCE])
            connection.executemany(_PUT_BOUND, bound)
            connection.execute("COMMIT")
            self._look_who_is_bound(connection)
        except sqlite3.Error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the journal is closed")
        return self._connection


def _put_fetches(connection: sqlite3.Connection, fetches: list[_Row]) -> None:
    """Writes up to ROWS_AT_ONCE of them in one statement: SQLite works without the interpreter's lock, so
    while it does requests are answered. One statement for each row would take the lock back for each."""
    values: list[str | int | float | None] = []
    for (mac, name, status, scheme, address, agent, etag, version), at, count in fetches:
        values += (mac, printable(name), at, status, etag, version)
        # A plain text: of a member of an enumeration sqlite3 would look for an adapter.
        values += (str(scheme), address, printable(agent), count)
    connection.execute(_statement(len(fetches)), (*values, NAMES_PER_DEVICE))


@lru_cache(maxsize=ROWS_AT_ONCE)
def _statement(rows: int) -> str:
    places = f"({', '.join('?' * _COLUMNS)})"
    return _PUT_FETCHES.format(rows=", ".join([places] * rows))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
