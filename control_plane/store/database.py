"""Connections: one writer and a few readers to an SQLite file or a PostgreSQL server, and their errors.

SQLite runs in WAL mode with synchronous=FULL: a commit that returned is on the disk, and readers never
wait for the writer (sqlite.org/wal.html, sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from control_plane.errors import Conflict, StoreBusy, StoreError, StoreUnusable

BUSY_TIMEOUT_S: Final = 5.0
READERS: Final = 4
"""SQLite readers are threads; the model is read from memory, so that few are enough."""

_BUSY_CODES: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN_CODES: Final = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_PG_BUSY_STATES: Final = {"55P03", "40001", "40P01", "57014"}
"""lock_not_available, serialization_failure, deadlock_detected, query_canceled (statement time-out)."""

T = TypeVar("T")
Work = Callable[[AsyncConnection], Coroutine[None, None, T]]


async def _uncancelled(work: Coroutine[None, None, T]) -> T:
    """The result of `work`, which goes on when the caller is cancelled; the caller is cancelled after it.

    A driver call that is cancelled half-way (aiosqlite 0.22, SQLAlchemy 2.1) costs its connection, and an
    SQLite connection dropped inside a transaction keeps the write lock until it is collected.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()  # seen, and less important than being cancelled
        raise asyncio.CancelledError
    return task.result()


async def commit(connection: AsyncConnection) -> None:
    """Commit what the writer did; when the database refuses, nothing of it stays open."""
    try:
        await connection.commit()
    except SQLAlchemyError:
        # SQLite keeps a transaction whose COMMIT it refused (sqlite.org/lang_transaction.html), and
        # SQLAlchemy takes it for ended and would hand the connection on like that.
        if connection.dialect.name == "sqlite" and not connection.invalidated:
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is not None:
                await driver.rollback()
        raise


class Writing:
    """The open transaction of the writer; work in it is not cut short by a cancellation."""

    def __init__(self, connection: AsyncConnection, name: str) -> None:
        self._connection = connection
        self._name = name

    async def run(self, work: Work[T]) -> T:
        """What `work` returns, the driver's errors translated."""
        return await _uncancelled(self._run(work))

    async def _run(self, work: Work[T]) -> T:
        with translated(self._name):
            return await work(self._connection)

    async def end(self) -> None:
        """Roll back what is not committed and let go."""
        if self._connection.sync_connection is not None:
            await self.run(AsyncConnection.close)


class Database:
    """Engines of one database; every method translates the driver's errors."""

    def __init__(self, name: str, writer: AsyncEngine, reader: AsyncEngine, busy_timeout_s: float) -> None:
        self.name = name
        self._writer = writer
        self._reader = reader
        self._busy_timeout_s = busy_timeout_s
        self._turn = asyncio.Lock()

    @property
    def is_sqlite(self) -> bool:
        return self._writer.dialect.name == "sqlite"

    async def read(self, work: Work[T]) -> T:
        """What `work` reads on a connection that cannot write.

        Each statement sees what is committed then; after `freeze` all of them see the same.
        """
        return await _uncancelled(self._on_reader(work))

    async def _on_reader(self, work: Work[T]) -> T:
        with translated(self.name):
            async with self._reader.connect() as connection:
                return await work(connection)

    async def freeze(self, connection: AsyncConnection) -> None:
        """Let the statements that follow on a reader all see the same committed state."""
        if self.is_sqlite:
            await connection.exec_driver_sql("BEGIN")
        else:
            await connection.rollback()
            await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writing]:
        """A transaction of the only writer, rolled back unless work in the block commits it.

        Raises: StoreBusy when another writer, here or in another process, does not let go in time.
        """
        try:
            await asyncio.wait_for(self._turn.acquire(), self._busy_timeout_s)
        except TimeoutError:
            raise _busy(self.name) from None
        try:
            writing = Writing(self._writer.connect(), self.name)
            try:
                await writing.run(self._begin)
                yield writing
            finally:
                await writing.end()
        finally:
            self._turn.release()

    async def _begin(self, connection: AsyncConnection) -> None:
        await connection.start()
        if self.is_sqlite:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def use_wal(self) -> None:
        """Put an SQLite file into WAL mode, which it then keeps; nothing to do on PostgreSQL."""
        if not self.is_sqlite:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._busy_timeout_s
        while True:
            try:
                with translated(self.name):
                    async with self._writer.connect() as connection:
                        await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                        return
            except StoreBusy:
                # SQLite does not call the busy handler while the mode changes (two first starts at once).
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self._reader.dispose()
        await self._writer.dispose()


def connect(location: Path | str, busy_timeout_s: float) -> Database:
    """The database at `location`: the path of an SQLite file, or `postgresql://user:password@host/name`.

    Nothing is sent yet, but the SQLite file is created, for its owner only.

    Raises: StoreUnusable.
    """
    if isinstance(location, str) and "://" in location:
        return _postgres(location, busy_timeout_s)
    return _sqlite(Path(location), busy_timeout_s)


def _sqlite(path: Path, busy_timeout_s: float) -> Database:
    _create_file(path)
    url = URL.create("sqlite+aiosqlite", database=str(path))
    # isolation_level None: Python's driver begins nothing by itself, the BEGINs above are the only ones.
    options = {"timeout": busy_timeout_s, "isolation_level": None}
    writer = _engine(url, pool_size=1, pool_timeout=busy_timeout_s, connect_args=options)
    reader = _engine(url, pool_size=READERS, pool_timeout=busy_timeout_s, connect_args=options)
    event.listen(writer.sync_engine, "connect", _prepare_sqlite_writer)
    event.listen(reader.sync_engine, "connect", _prepare_sqlite_reader)
    return Database(str(path), writer, reader, busy_timeout_s)


def _create_file(path: Path) -> None:
    """The file, readable and writable by its owner alone (SQLite gives -wal and -shm the same mode)."""
    remedy = "make it writable for the user that runs this program, or choose another state directory"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as exc:
        why = exc.strerror or "not possible"
        raise StoreUnusable(f"The database {path} cannot be opened for writing ({why}): {remedy}.") from exc
    if not os.access(path.parent, os.W_OK, effective_ids=True):
        raise StoreUnusable(f"The directory {path.parent} is not writable: {remedy}.")


def _prepare_sqlite_writer(connection: Any, _record: object) -> None:
    _run(connection, "PRAGMA foreign_keys = ON", "PRAGMA synchronous = FULL")


def _prepare_sqlite_reader(connection: Any, _record: object) -> None:
    _run(connection, "PRAGMA query_only = ON")


def _run(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()


def _postgres(dsn: str, busy_timeout_s: float) -> Database:
    try:
        url = make_url(dsn)
        if url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
            raise ArgumentError(dsn)
        url = url.set(drivername="postgresql+asyncpg")
        name = url.set(drivername="postgresql").render_as_string(hide_password=True)
        limits = {"lock_timeout": str(int(busy_timeout_s * 1000)), "application_name": "wirechief"}
        options = {"server_settings": limits, "timeout": busy_timeout_s}
        # A server may have been restarted since a connection was last used: ask before relying on it.
        pool = {"pool_timeout": busy_timeout_s, "pool_pre_ping": True, "connect_args": options}
        writer = _engine(url, pool_size=1, **pool)
        reader = _engine(url, pool_size=READERS, **pool)
    except ArgumentError:
        raise StoreUnusable(
            "The database address is not valid; it looks like postgresql://user:password@host/name."
        ) from None
    except ModuleNotFoundError as exc:
        raise StoreUnusable(
            "PostgreSQL needs the driver asyncpg: install this program with the extra 'postgres'."
        ) from exc
    return Database(name, writer, reader, busy_timeout_s)


def _engine(url: URL, **options: Any) -> AsyncEngine:
    # Parameters are hidden: they hold passwords, and errors end up in logs.
    return create_async_engine(url, hide_parameters=True, pool_use_lifo=True, max_overflow=0, **options)


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Errors of the database `name` become those of this program.

    The causes of integrity and data errors are dropped: PostgreSQL and its driver quote values, passwords
    included, in them.
    """
    try:
        yield
    except IntegrityError:
        raise Conflict(
            "The change breaks a rule of the database that was not checked before; nothing was written."
        ) from None
    except PoolTimeout as exc:
        raise _busy(name) from exc
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise StoreError(
                f"The connection to the database {name} was lost, and a change under way may or may not be "
                "kept: look before trying again."
            ) from exc
        if isinstance(exc, DataError | InterfaceError):
            raise StoreError(f"The database {name} does not take a value it was given.") from None
        raise _translation(exc, name) from exc
    except SQLAlchemyError as exc:
        raise StoreError(f"The database {name} could not do it ({type(exc).__name__}).") from exc
    except OSError as exc:
        # asyncpg lets the socket's error through when the server cannot be reached.
        raise StoreUnusable(
            f"The database {name} cannot be reached ({exc.strerror or exc}): "
            "start it, or correct its address."
        ) from exc


def _translation(error: DBAPIError, name: str) -> StoreError:
    cause = getattr(error.orig, "driver_exception", None) or error.orig
    if getattr(cause, "sqlstate", None) in _PG_BUSY_STATES:
        return _busy(name)
    # The low byte is the primary result code (sqlite.org/rescode.html).
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY_CODES:
        return _busy(name)
    if code in _BROKEN_CODES:
        return StoreUnusable(
            f"{name} is not a database or is damaged: move it away and restore the last backup, "
            "or start with an empty one."
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StoreUnusable(f"The database {name} cannot be written: free space on its disk and check it.")
    return StoreUnusable(f"The database {name} cannot be used: {cause}.")


def _busy(name: str) -> StoreBusy:
    return StoreBusy(f"Another writer holds the database {name}; try again.")
