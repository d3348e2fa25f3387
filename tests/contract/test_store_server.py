"""What only a database server can do to the store: lose its connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from control_plane.errors import StoreError, StoreUnusable
from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import POSTGRES_DSN, extension, fresh_location, places, put

pytestmark = pytest.mark.skipif(not POSTGRES_DSN, reason="WIRECHIEF_TEST_POSTGRES_DSN names no server")

CUT_OTHERS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
async def location(tmp_path: Path) -> AsyncIterator[Path | str]:
    with fresh_location("postgresql", tmp_path) as where:
        yield where


@pytest.fixture
async def store(location: Path | str) -> AsyncIterator[SqlStore]:
    opened = await open_store(location, SteppingClock())
    await put(opened, *places())
    yield opened
    await opened.close()


@pytest.fixture
async def operator(location: Path | str, store: SqlStore) -> AsyncIterator[SqlStore]:
    opened = await open_store(location, SteppingClock())
    yield opened
    await opened.close()


async def cut_connections(operator: SqlStore) -> None:
    """As a restart of the server would, all but the operator's own."""

    def cut(connection: Connection) -> None:
        connection.execute(CUT_OTHERS)

    await operator._database.read(cut)


async def test_connections_cut_between_transactions_go_unnoticed(store: SqlStore, operator: SqlStore) -> None:
    await store.snapshot()
    await cut_connections(operator)
    assert await put(store, extension()) == 2
    assert ("acme", "100") in (await store.snapshot()).model.extensions


async def test_a_connection_cut_inside_a_transaction_is_told_and_the_store_goes_on(
    store: SqlStore, operator: SqlStore
) -> None:
    with pytest.raises(StoreError, match="was lost, and a change under way may or may not be kept"):
        async with store.transaction("test") as transaction:
            transaction.put(extension())
            await cut_connections(operator)
    assert await put(store, extension("101")) == 2
    assert set((await store.snapshot()).model.extensions) == {("acme", "101")}


async def test_a_database_that_does_not_exist_is_named() -> None:
    with pytest.raises(StoreUnusable, match='database "nowhere" does not exist'):
        await open_store(POSTGRES_DSN.rsplit("/", 1)[0] + "/nowhere", SteppingClock())
