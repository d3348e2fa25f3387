"""What a killed process, a broken file or a newer version leaves behind, and what the store says to it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from control_plane.domain.voice import VoiceService
from control_plane.errors import Conflict, SchemaTooNew, StoreUnusable
from control_plane.ports import EntityKind
from control_plane.store import open_store
from control_plane.store.schema import ENTITIES
from tests.clocks import SteppingClock
from tests.contract.store_writer import label_of
from tests.contract.stores import device, extension, places, put
from tests.waiting import wait_until

KILL_ROUNDS = 6
DEADLINE_S = 30.0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "state" / "wirechief.db"


def start_writer(database: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contract.store_writer", str(database)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def kill_after(writer: subprocess.Popen[str], acknowledgements: int) -> list[int]:
    """The revisions the writer printed before it was killed in the middle of its work."""
    assert writer.stdout is not None
    with writer.stdout as lines:
        seen = [int(line) for _, line in zip(range(acknowledgements), lines, strict=False)]
        writer.send_signal(signal.SIGKILL)
        seen.extend(int(line) for line in lines)
    assert writer.wait(DEADLINE_S) == -signal.SIGKILL
    return seen


def query(database: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()


async def test_a_killed_writer_loses_nothing_it_acknowledged(database: Path) -> None:
    chance = random.Random(20260)
    acknowledged: list[int] = []
    for _ in range(KILL_ROUNDS):
        writer = start_writer(database)
        acknowledged += await asyncio.to_thread(kill_after, writer, chance.randint(1, 40))
        assert query(database, "PRAGMA integrity_check") == [("ok",)]
        assert query(database, "PRAGMA foreign_key_check") == []

        store = await open_store(database, SteppingClock())
        snapshot = await store.snapshot()
        versions = await store.versions(EntityKind.EXTENSION)
        await store.close()

        assert acknowledged[-1] <= snapshot.revision <= acknowledged[-1] + 1
        for key, found in snapshot.model.extensions.items():
            assert found.label == label_of(versions[key])
        recorded = {revision for (revision,) in query(database, "SELECT DISTINCT revision FROM audit")}
        assert recorded == set(range(1, snapshot.revision + 1))
        assert set(acknowledged) <= recorded


async def test_a_process_killed_while_it_makes_the_tables_leaves_nothing_half_made(database: Path) -> None:
    chance = random.Random(20261)
    for _ in range(3):
        writer = start_writer(database)
        # The tables follow the file within milliseconds.
        await asyncio.to_thread(wait_until, database.exists, "the writer's file", DEADLINE_S, 0.001)
        await asyncio.sleep(chance.random() * 0.05)
        await asyncio.to_thread(kill_after, writer, 0)
        store = await open_store(database, SteppingClock())
        assert (await store.snapshot()).revision == await store.revision()
        await store.close()
        for path in list(database.parent.iterdir()):
            path.unlink()


async def test_two_processes_may_make_the_same_database_at_once(database: Path) -> None:
    stores = await asyncio.gather(*(open_store(database, SteppingClock()) for _ in range(4)))
    for number, store in enumerate(stores):
        await put(store, *places(), extension(str(100 + number)))
    assert [await store.revision() for store in stores] == [4] * 4
    for store in stores:
        await store.close()


async def test_a_database_of_a_newer_version_is_left_alone(database: Path) -> None:
    await (await open_store(database, SteppingClock())).close()
    query_write(database, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="schema 9999, this one knows"):
        await open_store(database, SteppingClock())


def query_write(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


async def test_a_file_that_is_no_database_is_named_with_the_remedy(database: Path) -> None:
    await asyncio.to_thread(write_text_file, database)
    with pytest.raises(StoreUnusable, match=r"wirechief\.db is not a database or is damaged: move it away"):
        await open_store(database, SteppingClock())


def write_text_file(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("This is a text file, not a database.\n" * 100)


async def test_a_database_of_another_program_is_left_alone(database: Path) -> None:
    database.parent.mkdir()
    query_write(database, "CREATE TABLE songs (title TEXT)")
    with pytest.raises(StoreUnusable, match="holds tables of another program"):
        await open_store(database, SteppingClock())
    assert query(database, "SELECT name FROM sqlite_master") == [("songs",)]


async def test_a_place_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusable, match=r"cannot be opened for writing .*: make it writable"):
        await open_store(tmp_path / "file" / "wirechief.db", SteppingClock())
    with pytest.raises(StoreUnusable, match="cannot be opened for writing"):
        await open_store(tmp_path, SteppingClock())


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """A directory that may not be written, and no root's right to do it all the same."""
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    if user == 0:
        os.seteuid(0)
    tmp_path.chmod(0o700)


@pytest.mark.usefixtures("unprivileged")
async def test_a_read_only_directory_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"\(Permission denied\): make it writable"):
        await open_store(tmp_path / "wirechief.db", SteppingClock())


async def test_a_disk_without_room_is_named_with_the_remedy(database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places())

    def allow_no_more_pages(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    async with store._database.write() as writing:
        await writing.run(allow_no_more_pages)
    with pytest.raises(StoreUnusable, match="cannot be written: free space on its disk"):
        await put(store, *(extension(str(1_000 + number)) for number in range(500)))
    assert await store.revision() == 1
    await store.close()


async def test_a_database_restored_under_a_running_store_is_noticed(database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places())
    await put(store, extension())
    query_write(database, "UPDATE head SET revision = 1")
    with pytest.raises(StoreUnusable, match=r"went back from revision 2 to 1.*restart"):
        await put(store, extension("101"))
    await store.close()


async def test_what_the_rules_miss_the_constraints_catch_without_telling_secrets(database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places(), extension(), extension("101"), device(1))
    # Rows of a writer that goes round the store: the model in memory does not know them.
    names = [column.name for column in ENTITIES[EntityKind.DEVICE].columns]
    values = ["?" if name in ("id", "extension", "kind") else name for name in names]
    copies = f"({', '.join(names)}) SELECT {', '.join(values)} FROM devices LIMIT 1"  # noqa: S608 - our own columns
    with closing(sqlite3.connect(database)) as connection, connection:
        for smuggled in (("d1", "100", "mobile"), ("d2", "101", "mobile")):
            connection.execute(f"INSERT INTO devices {copies}", smuggled)
    with pytest.raises(Conflict, match="nothing was written") as unique:
        await put(store, device(2, kind="mobile"))
    with pytest.raises(Conflict, match="nothing was written") as reference:
        async with store.transaction("test") as transaction:
            transaction.delete(EntityKind.EXTENSION, ("acme", "101"))
    for caught in (unique, reference):
        assert "Password" not in repr(caught.value)
        assert caught.value.__cause__ is None
    assert await store.revision() == 1
    await store.close()


async def test_a_commit_the_database_refuses_leaves_the_store_usable(database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places(), extension())
    # The one reference that is checked at commit, from a row the model in memory does not know.
    query_write(database, "UPDATE numbers SET org = 'acme', extension = '100'")
    with pytest.raises(Conflict, match="nothing was written"):
        async with store.transaction("test") as transaction:
            transaction.delete(EntityKind.EXTENSION, ("acme", "100"))
    assert await put(store, extension(dnd=True)) == 2
    await store.close()


async def test_the_audit_can_only_grow(database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places())
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'nobody'"):
        with pytest.raises(sqlite3.IntegrityError, match="the audit is append-only"):
            query_write(database, statement)
    assert len(await store.audit()) == len(places())
    await store.close()


async def test_a_database_of_an_older_version_is_upgraded_with_all_it_holds(
    database: Path, tmp_path: Path
) -> None:
    """The older one was written by the version that had schema 0002, and dumped."""
    await asyncio.to_thread(restore, database, Path(__file__).with_name("schema_0002.sql"))
    fresh = await open_store(tmp_path / "fresh.db", SteppingClock())
    service = VoiceService(org="acme", site="london", quantity=1)
    await put(fresh, *places(), extension(), device(1), service)
    expected = await fresh.snapshot()
    await fresh.close()

    store = await open_store(database, SteppingClock())
    assert await store.snapshot() == expected
    assert len(await store.audit()) == len(places()) + 2
    # Changes were written with the old columns: whoever follows them takes a new snapshot.
    assert await store.changes_since(0) is None
    assert await put(store, extension(dnd=True)) == expected.revision + 1
    await store.close()


def restore(database: Path, dump: Path) -> None:
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(dump.read_text())


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnusable, match="cannot be reached") as caught:
        await open_store("postgresql://wirechief:tell-nobody@127.0.0.1:1/wirechief", SteppingClock())
    assert "tell-nobody" not in str(caught.value)


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StoreUnusable, match="postgresql://user:password@host/name"):
        await open_store("mysql://wirechief@127.0.0.1/wirechief", SteppingClock())
    with pytest.raises(StoreUnusable, match="postgresql://user:password@host/name"):
        await open_store("postgresql://", SteppingClock())
