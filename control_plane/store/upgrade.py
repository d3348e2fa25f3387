"""Upgrades a database by the migrations it has not had yet."""

from __future__ import annotations

from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, delete, text, update

from control_plane.store.migrate import MIGRATIONS
from control_plane.store.schema import CHANGES, HEAD

_LOCK: Final = 0x77697265
"""Any number of our own: only one process migrates a PostgreSQL database at a time."""


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest, within the open transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(migrations(connection), "head")
    # Changes were recorded with the columns of the old schema; readers take a new snapshot instead.
    connection.execute(delete(CHANGES))
    connection.execute(update(HEAD).values(floor=HEAD.c.revision, retained=0))


def migrations(connection: Connection | None = None) -> Config:
    """What Alembic needs to know: where the migrations are, and on which connection they run."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
