"""Brings the tables of a database to the newest schema when it is opened."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, delete, inspect, text, update

from control_plane.errors import SchemaTooNew, StoreUnusable
from control_plane.store.database import Database
from control_plane.store.schema import CHANGES, HEAD

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x77697265
"""Any number of our own: only one process migrates a PostgreSQL database at a time."""


async def migrate(database: Database) -> None:
    """Upgrade the schema when it is older than this program; one transaction, all of it or nothing.

    Raises:
        SchemaTooNew: a newer version of this program wrote the database.
        StoreUnusable: the database belongs to another program.
    """
    scripts = ScriptDirectory.from_config(_config())
    newest = scripts.get_current_head()
    known = frozenset(script.revision for script in scripts.walk_revisions())
    current = await database.read(partial(_current, name=database.name))
    if current == newest:
        return
    if current is not None and current not in known:
        raise SchemaTooNew(
            f"The database {database.name} was written by a newer version of this program "
            f"(schema {current}, this one knows {newest}): install that version, or restore an older backup."
        )
    async with database.write() as writing:
        await writing.finish(_upgrade)


def _current(connection: Connection, name: str) -> str | None:
    """The schema of the database; None when it is empty."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is None and inspect(connection).get_table_names():
        raise StoreUnusable(
            f"The database {name} holds tables of another program: give this one a database of its own."
        )
    return found


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config(connection), "head")
    # Changes were recorded with the columns of the old schema; readers take a new snapshot instead.
    connection.execute(delete(CHANGES))
    connection.execute(update(HEAD).values(floor=HEAD.c.revision, retained=0))


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
