"""What a database and its driver report, as the errors of this program."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from control_plane.errors import Conflict, StoreBusy, StoreError, StoreUnusable

_BUSY_CODES: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_BROKEN_CODES: Final = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_PG_BUSY_STATES: Final = {"55P03", "40001", "40P01", "57014"}
"""lock_not_available, serialization_failure, deadlock_detected, query_canceled (statement time-out)."""


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
        raise busy(name) from exc
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


def _translation(error: DBAPIError, name: str) -> StoreError:
    cause = error.orig
    state = getattr(cause, "sqlstate", "")
    if state in _PG_BUSY_STATES:
        return busy(name)
    if state is None:  # psycopg had nobody to talk to
        why = str(cause).split("\n", 1)[0]
        return StoreUnusable(
            f"The database {name} cannot be reached ({why}): start it, or correct its address."
        )
    # The low byte is the primary result code (sqlite.org/rescode.html).
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY_CODES:
        return busy(name)
    if code in _BROKEN_CODES:
        return StoreUnusable(
            f"{name} is not a database or is damaged: move it away and restore the last backup, "
            "or start with an empty one."
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StoreUnusable(f"The database {name} cannot be written: free space on its disk and check it.")
    return StoreUnusable(f"The database {name} cannot be used: {cause}.")


def busy(name: str) -> StoreBusy:
    """For a writer that waited for its turn in vain."""
    return StoreBusy(f"Another writer holds the database {name}; try again.")
