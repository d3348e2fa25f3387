"""Connections: one writer and a few readers to an SQLite file or a PostgreSQL server.

SQLite runs in WAL mode with synchronous=FULL: a commit that returned is on the disk, and readers never
wait for the writer (sqlite.org/wal.html, sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from asyncio import Future
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from control_plane.errors import StoreBusy, StoreUnusable
from control_plane.store.failures import busy, translated

BUSY_TIMEOUT_S: Final = 5.0
READERS: Final = 4
"""SQLite readers are threads; the model is read from memory, so that few are enough."""

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done on a connection, in one go and in a thread of the database."""


async def _uncancelled(work: Future[T]) -> T:
    """The result of `work`, which goes on when the caller is cancelled; the caller is cancelled after it.

    A thread cannot be cancelled, and nobody else may use its connection before it is done.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        work.exception()  # seen, and less important than being cancelled
        raise asyncio.CancelledError
    return work.result()


def commit(connection: Connection) -> None:
    """Commit what the writer did; when the database refuses, nothing of it stays open."""
    try:
        connection.commit()
    except SQLAlchemyError:
        # SQLite keeps a transaction whose COMMIT it refused (sqlite.org/lang_transaction.html), and
        # SQLAlchemy takes it for ended and would hand the connection on like that.
        driver = None if connection.invalidated else connection.connection.driver_connection
        if connection.dialect.name == "sqlite" and driver is not None:
            driver.rollback()
        raise


class Threads:
    """Threads that work on the connections of one engine: each piece of work is one way there and back.

    A driver that goes to its thread for every statement, as aiosqlite does, took half of each change.
    """

    def __init__(self, name: str, count: int, database: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._database = database

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, the driver's errors translated; it is not cut short by a cancellation."""
        return await _uncancelled(asyncio.get_running_loop().run_in_executor(self._pool, self._do, work))

    def _do(self, work: Callable[[], T]) -> T:
        with translated(self._database):
            return work()

    def end(self) -> None:
        self._pool.shutdown()


class Writing:
    """The transaction of the writer: it begins with the first work and ends with the last."""

    def __init__(self, engine: Engine, threads: Threads) -> None:
        self._engine = engine
        self._threads = threads
        self._connection: Connection | None = None

    async def run(self, work: Work[T]) -> T:
        """What `work` returns. Raises: StoreBusy when another process does not let go in time."""
        return await self._threads.run(lambda: work(self._begun()))

    async def finish(self, work: Work[T]) -> T:
        """What `work` returns, committed; the transaction is over."""

        def committed() -> T:
            connection = self._begun()
            result = work(connection)
            commit(connection)
            self._let_go()
            return result

        return await self._threads.run(committed)

    async def end(self) -> None:
        """Roll back what is not committed and let go."""
        if self._connection is not None:
            await self._threads.run(self._let_go)

    def _begun(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
            if self._engine.dialect.name == "sqlite":
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


class Database:
    """Engines of one database; every method translates the driver's errors."""

    def __init__(self, name: str, writer: Engine, reader: Engine, busy_timeout_s: float) -> None:
        self.name = name
        self._writer = writer
        self._reader = reader
        self._busy_timeout_s = busy_timeout_s
        self._turn = asyncio.Lock()
        self._closed = False
        self._write_threads = Threads("store-writer", 1, name)
        self._read_threads = Threads("store-reader", READERS, name)

    @property
    def is_sqlite(self) -> bool:
        return self._writer.dialect.name == "sqlite"

    async def read(self, work: Work[T]) -> T:
        """What `work` reads on a connection that cannot write.

        Each statement sees what is committed then; after `freeze` all of them see the same.
        """

        def on_reader() -> T:
            with self._reader.connect() as connection:
                return work(connection)

        return await self._read_threads.run(on_reader)

    def freeze(self, connection: Connection) -> None:
        """Let the statements that follow on a reader all see the same committed state."""
        if self.is_sqlite:
            connection.exec_driver_sql("BEGIN")
        else:
            connection.rollback()
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Writing]:
        """A transaction of the only writer, rolled back unless the block finishes it.

        Raises: StoreBusy when another writer does not let go in time.
        """
        try:
            # Not wait_for: before Python 3.12 it may swallow a cancellation, and who cancels waits for ever.
            async with asyncio.timeout(self._busy_timeout_s):
                await self._turn.acquire()
        except TimeoutError:
            raise busy(self.name) from None
        try:
            writing = Writing(self._writer, self._write_threads)
            try:
                yield writing
            finally:
                await writing.end()
        finally:
            self._turn.release()

    async def use_wal(self) -> None:
        """Put an SQLite file into WAL mode, which it then keeps; nothing to do on PostgreSQL."""
        if not self.is_sqlite:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._busy_timeout_s
        while True:
            try:
                await self._write_threads.run(self._switch_to_wal)
                return
            except StoreBusy:
                # SQLite does not call the busy handler while the mode changes (two first starts at once).
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(0.02)

    def _switch_to_wal(self) -> None:
        with self._writer.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")

    async def close(self) -> None:
        """Close every connection, when the work under way is done; closing again does nothing."""
        if self._closed:
            return
        self._closed = True
        await self._read_threads.run(self._reader.dispose)
        await self._write_threads.run(self._writer.dispose)
        self._read_threads.end()
        self._write_threads.end()


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
    url = URL.create("sqlite", database=str(path))
    # isolation_level None: Python's driver begins nothing by itself, the BEGINs above are the only ones.
    options = {"timeout": busy_timeout_s, "isolation_level": None}
    writer = _engine(url, pool_size=1, pool_timeout=busy_timeout_s, connect_args=options)
    reader = _engine(url, pool_size=READERS, pool_timeout=busy_timeout_s, connect_args=options)
    event.listen(writer, "connect", _prepare_sqlite_writer)
    event.listen(reader, "connect", _prepare_sqlite_reader)
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
        url = url.set(drivername="postgresql+psycopg")
        name = url.set(drivername="postgresql").render_as_string(hide_password=True)
        options = {
            "options": f"-c lock_timeout={int(busy_timeout_s * 1000)}",
            "application_name": "wirechief",
            "connect_timeout": max(2, math.ceil(busy_timeout_s)),  # whole seconds, at least two (libpq)
        }
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
            "PostgreSQL needs the driver psycopg: install this program with the extra 'postgres'."
        ) from exc
    return Database(name, writer, reader, busy_timeout_s)


def _engine(url: URL, **options: Any) -> Engine:
    # Parameters are hidden: they hold passwords, and errors end up in logs.
    return create_engine(
        url,
        hide_parameters=True,
        pool_use_lifo=True,
        max_overflow=0,
        json_deserializer=_from_json,
        **options,
    )


def _from_json(text: str) -> Any:
    """Most lists of a model are empty, and there are tens of thousands."""
    return [] if text == "[]" else json.loads(text)
