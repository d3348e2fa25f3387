"""Brings the tables of a database to the newest schema when it is opened.

Alembic and all that it imports are needed only where something is to be upgraded: a command that finds the
schema it knows starts a fifth of a second sooner without.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from control_plane.errors import SchemaTooNew, StoreUnusable
from control_plane.store.database import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def known_schemas() -> tuple[str, ...]:
    """The schemas this program knows, oldest first, by the names of its migrations (`v0001_first.py`)."""
    return tuple(sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*.py")))


async def migrate(database: Database) -> None:
    """Upgrade the schema when it is older than this program; one transaction, all of it or nothing.

    Raises:
        SchemaTooNew: a newer version of this program wrote the database.
        StoreUnusable: the database belongs to another program.
    """
    known = known_schemas()
    current = await database.read(partial(_current, name=database.name))
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"The database {database.name} was written by a newer version of this program "
            f"(schema {current}, this one knows {known[-1]}): install that version, or restore an older "
            "backup."
        )
    upgrade = import_module("control_plane.store.upgrade").upgrade
    async with database.write() as writing:
        await writing.finish(upgrade)


def _current(connection: Connection, name: str) -> str | None:
    """The schema of the database; None when it is empty."""
    tables = inspect(connection).get_table_names()
    # Alembic's table, of one row (alembic.runtime.migration.MigrationContext).
    current = (
        connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        if "alembic_version" in tables
        else None
    )
    if current is None and tables:
        raise StoreUnusable(
            f"The database {name} holds tables of another program: give this one a database of its own."
        )
    return current
