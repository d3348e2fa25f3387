"""The migrations lead to the tables the program expects."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from control_plane.store import open_store
from control_plane.store.schema import METADATA
from tests.clocks import SteppingClock
from tests.contract.stores import BACKENDS, bare_location


def differences(connection: Connection) -> list[object]:
    """What Alembic would still have to do. It knows no type for SQLite's unnamed INTEGER key."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, METADATA))


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_migrations_make_the_tables_that_follow_from_the_entities(
    backend: str, tmp_path: Path
) -> None:
    """A difference here means: a field was added or changed, and needs a migration."""
    with bare_location(backend, tmp_path) as location:
        store = await open_store(location, SteppingClock())
        found = await store._database.read(differences)
        await store.close()
    assert found == []
