"""Log-ins, and when accounts and tokens were last used: in the model's database, and no part of the model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.ports import Session
from control_plane.store.database import Database, Work
from control_plane.store.schema import SEEN, SESSIONS

_SEE: Final = {
    dialect: statement.on_conflict_do_update(index_elements=["what"], set_={"at": statement.excluded.at})
    for dialect, statement in (("sqlite", sqlite.insert(SEEN)), ("postgresql", postgresql.insert(SEEN)))
}


class SqlSessions:
    """ports.Sessions over the store's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, session: Session, now: datetime) -> None:
        row = {
            "id": session.id,
            "account": session.account,
            "digest": session.digest,
            "password_mark": session.password_mark,
            "expires_at": _text(session.expires_at),
        }

        def write(connection: Connection) -> None:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.expires_at <= _text(now)))
            connection.execute(insert(SESSIONS), row)
            _note_seen(connection, f"account {session.account}", now)

        await self._write(write)

    async def find(self, session_id: str) -> Session | None:
        def read(connection: Connection) -> Session | None:
            row = connection.execute(select(SESSIONS).where(SESSIONS.c.id == session_id)).first()
            if row is None:
                return None
            return Session(
                row.id, row.account, row.digest, row.password_mark, datetime.fromisoformat(row.expires_at)
            )

        return await self._database.read(read)

    async def end(self, session_id: str) -> None:
        def write(connection: Connection) -> None:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.id == session_id))

        await self._write(write)

    async def note_seen(self, what: str, at: datetime) -> None:
        def write(connection: Connection) -> None:
            _note_seen(connection, what, at)

        await self._write(write)

    async def seen(self) -> Mapping[str, datetime]:
        def read(connection: Connection) -> dict[str, datetime]:
            rows = connection.execute(select(SEEN.c.what, SEEN.c.at))
            return {row.what: datetime.fromisoformat(row.at) for row in rows}

        return await self._database.read(read)

    async def _write(self, work: Work[None]) -> None:
        async with self._database.write() as writing:
            await writing.finish(work)


def _note_seen(connection: Connection, what: str, at: datetime) -> None:
    connection.execute(_SEE[connection.dialect.name], [{"what": what, "at": _text(at)}])


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
