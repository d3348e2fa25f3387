"""The store: the desired state in a database, with the newest model kept in memory.

The memory follows the database: every read first asks for the newest revision and replays what is missing,
so that other processes may write as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path

from sqlalchemy import Connection

from control_plane.domain.entities import Entity
from control_plane.domain.features import FEATURE_CODES, FeatureCode
from control_plane.domain.model import Model
from control_plane.domain.pins import PIN_FAILURES_MAX
from control_plane.errors import StoreUnusable, UnknownEntity
from control_plane.plan.tasks import Changed, NewTask, Progress, Subject, Task, TaskFilter, pushes
from control_plane.ports import (
    ANY_ENTRY,
    NO_OUTCOMES,
    AuditEntry,
    AuditFilter,
    Clock,
    EntityChange,
    EntityKey,
    EntityKind,
    Snapshot,
)
from control_plane.store import rows, tasks
from control_plane.store.codec import describe, kind_of
from control_plane.store.database import BUSY_TIMEOUT_S, Database, connect
from control_plane.store.migrate import migrate
from control_plane.store.rules import require_consistent
from control_plane.store.sessions import SqlSessions
from control_plane.store.state import Draft, State, advanced

MAX_AUDIT_PAGE = 1_000
OWN_COMMITS = 256
OWN_CHANGES_MAX = 16
"""The newest commits of this process, as long as they are small, are kept: who follows changes, as the push
does after each, reads one revision number and no rows."""


async def open_store(
    location: Path | str,
    clock: Clock,
    *,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
    feature_codes: tuple[FeatureCode, ...] = FEATURE_CODES,
    pin_failures_max: int = PIN_FAILURES_MAX,
) -> SqlStore:
    """The store at `location`, its schema brought up to date; close it when done.

    `location` is the path of an SQLite file, created for its owner only when missing, or
    `postgresql://user:password@host/name`. `feature_codes` and `pin_failures_max` are
    part of every model it gives.

    Raises: SchemaTooNew, StoreBusy, StoreUnusable.
    """
    database = connect(location, busy_timeout_s)
    try:
        await database.use_wal()
        await migrate(database)
    except BaseException:
        await database.close()
        raise
    return SqlStore(database, clock, Model(feature_codes=feature_codes, pin_failures_max=pin_failures_max))


class SqlTransaction:
    """The open transaction of one block; see the port."""

    def __init__(self, base: State, revision: int) -> None:
        self._base = base
        self._draft = Draft(base)
        self._revision = revision
        self._touched: dict[tuple[EntityKind, EntityKey], None] = {}
        self._open = True
        self.new_tasks: list[NewTask] = []
        self.progress: dict[int, Progress] = {}

    @property
    def model(self) -> Model:
        return self._draft.model

    def version(self, kind: EntityKind, key: EntityKey) -> int:
        if self._draft.find(kind, key) is None:
            raise UnknownEntity(kind.value, "/".join(key))
        if (kind, key) in self._touched and self._is_changed(kind, key):
            return self._revision
        return self._base.versions[kind][key]

    def put(self, entity: Entity) -> None:
        kind = kind_of(entity)
        self._set(kind.kind, kind.key(entity), entity)

    def delete(self, kind: EntityKind, key: EntityKey) -> None:
        if self._draft.find(kind, key) is None:
            raise UnknownEntity(kind.value, "/".join(key))
        self._set(kind, key, None)

    def add_task(self, task: NewTask) -> None:
        self.new_tasks.append(task)

    def set_progress(self, id: int, progress: Progress) -> None:
        self.progress[id] = progress

    def _set(self, kind: EntityKind, key: EntityKey, entity: Entity | None) -> None:
        if not self._open:
            raise RuntimeError(f"the transaction is over: {describe(kind, key)} would not be written")
        if self._draft.find(kind, key) != entity:
            self._draft.set(kind, key, entity)
            self._touched[kind, key] = None

    def _is_changed(self, kind: EntityKind, key: EntityKey) -> bool:
        return self._base.find(kind, key) != self._draft.find(kind, key)

    def close(self) -> None:
        """From now on a put is a mistake, and says so."""
        self._open = False

    def outcome(self) -> tuple[State, tuple[EntityChange, ...]]:
        """The state this block leads to and what it changed in all, in the order of first touch.

        Raises: InvalidField, Conflict when rules between entities do not hold.
        """
        changes = []
        for kind, key in self._touched:
            before, after = self._base.find(kind, key), self._draft.find(kind, key)
            if before != after:
                changes.append(EntityChange(self._revision, kind, key, before, after))
                self._draft.set_version(kind, key, None if after is None else self._revision)
        state = self._draft.finished(self._revision)
        require_consistent(
            state,
            [(c.kind, c.after) for c in changes if c.after is not None],
            [(c.kind, c.key) for c in changes if c.after is None],
        )
        return state, tuple(changes)


class SqlStore:
    """ports.Store over SQLite or PostgreSQL; any number of tasks may share one."""

    def __init__(self, database: Database, clock: Clock, settled: Model) -> None:
        self._database = database
        self.sessions = SqlSessions(database)
        self._clock = clock
        self._state = State(model=settled)
        self._refreshing = asyncio.Lock()
        self._own: deque[tuple[EntityChange, ...]] = deque(maxlen=OWN_COMMITS)

    async def close(self) -> None:
        """Close every connection; the store cannot be used afterwards."""
        await self._database.close()

    async def snapshot(self) -> Snapshot:
        return (await self._newest()).snapshot

    async def versions(self, kind: EntityKind) -> Mapping[EntityKey, int]:
        return (await self._newest()).versions[kind]

    async def revision(self) -> int:
        return await self._database.read(rows.read_revision)

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        newest = await self.revision()
        if newest == self._state.revision and 0 <= newest - revision <= len(self._own):
            own = islice(self._own, len(self._own) - (newest - revision), None)
            return tuple(chain.from_iterable(own))

        def read(connection: Connection) -> tuple[EntityChange, ...] | None:
            self._database.freeze(connection)
            return _changes(connection, rows.read_head(connection), revision)

        return await self._database.read(read)

    async def changes_of(self, revision: int) -> tuple[EntityChange, ...]:
        return await self._database.read(partial(rows.read_changes, after=revision - 1, upto=revision))

    async def audit(
        self, wanted: AuditFilter = ANY_ENTRY, *, limit: int = 50, before_id: int = 0
    ) -> tuple[AuditEntry, ...]:
        """As the port says; `limit` is cut to MAX_AUDIT_PAGE."""
        return await self._database.read(
            partial(rows.read_audit, wanted=wanted, limit=min(limit, MAX_AUDIT_PAGE), before_id=before_id)
        )

    async def pushed(self, node: str) -> dict[str, str]:
        return await self._database.read(partial(rows.read_pushed, node=node))

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        def write(connection: Connection) -> None:
            rows.write_pushed(connection, node, digests)
            tasks.write_outcomes(connection, node, outcomes)

        if digests or outcomes:
            async with self._database.write() as writing:
                await writing.finish(write)

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        return await self._database.read(partial(tasks.read_open_pushes, node=node))

    async def open_subjects(self) -> Mapping[tuple[str | None, int | None], tuple[Subject, ...]]:
        return await self._database.read(tasks.read_open_subjects)

    async def tasks(self, wanted: TaskFilter, *, limit: int = 50, before_id: int = 0) -> tuple[Task, ...]:
        return await self._database.read(
            partial(tasks.read_tasks, wanted=wanted, limit=limit, before_id=before_id)
        )

    async def task(self, id: int) -> Task:
        found = await self._database.read(partial(tasks.read_task, id=id))
        if found is None:
            raise UnknownEntity("task", str(id))
        return found

    async def add_task(self, actor: str, task: NewTask) -> Task:
        at = self._clock.now()

        async with self._database.write() as writing:
            made = await writing.finish(partial(tasks.insert_task, task=task, actor=actor, at=at))
        return await self.task(made)

    async def set_progress(self, id: int, progress: Progress) -> None:
        async with self._database.write() as writing:
            await writing.finish(partial(tasks.write_progress, id=id, progress=progress))

    @asynccontextmanager
    async def transaction(self, actor: str) -> AsyncIterator[SqlTransaction]:
        """As the port says. A block cancelled while it commits is cancelled once the outcome is certain."""
        async with self._database.write() as writing:
            head, base = await writing.run(self._begin)
            transaction = SqlTransaction(base, head.revision + 1)
            try:
                yield transaction
            finally:
                transaction.close()
            state, changes = transaction.outcome()
            born = [*pushes(state.model, state.revision, map(_changed, changes)), *transaction.new_tasks]
            written = rows.Commit(
                state.revision, self._clock.now(), actor, changes, born, transaction.progress
            )
            if changes:
                # Published here and not in the thread that writes: only the event loop changes the memory.
                await writing.finish(partial(rows.write_commit, head=head, commit=written))
                self._committed(written, state)
            elif born or transaction.progress:
                await writing.finish(partial(rows.write_tasks, commit=written))

    def _begin(self, connection: Connection) -> tuple[rows.Head, State]:
        head = rows.lock_head(connection)
        return head, self._brought_up(connection, head)

    def _committed(self, written: rows.Commit, state: State) -> None:
        if state.revision != self._state.revision + 1 or len(written.changes) > OWN_CHANGES_MAX:
            self._own.clear()
        if len(written.changes) <= OWN_CHANGES_MAX:
            self._own.append(tuple(written.changes))
        self._publish(state)

    async def _newest(self) -> State:
        async with self._refreshing:
            newer = await self._database.read(self._newer)
            if newer is not None and newer.revision > self._state.revision:
                self._own.clear()  # another process committed in between
                self._publish(newer)
        return self._state

    def _newer(self, connection: Connection) -> State | None:
        """The newest state; None when the one in memory is."""
        if rows.read_revision(connection) == self._state.revision:
            return None
        self._database.freeze(connection)
        head = rows.read_head(connection)
        known = self._state  # moves on when this process commits
        return self._brought_up(connection, head) if head.revision > known.revision else None

    def _brought_up(self, connection: Connection, head: rows.Head) -> State:
        """The state in memory brought to `head`, by the changes since or, when they are gone, as a whole."""
        known = self._state
        if known.revision == head.revision:
            return known
        if known.revision > head.revision:
            raise StoreUnusable(
                f"The database {self._database.name} went back from revision {known.revision} to "
                f"{head.revision}, as after a restore: restart this program."
            )
        changes = _changes(connection, head, known.revision)
        if changes is None or known.revision == 0:
            return rows.read_state(connection, head.revision, self._state.model)
        return advanced(known, head.revision, changes)

    def _publish(self, state: State) -> None:
        if state.revision > self._state.revision:
            self._state = state


def _changed(change: EntityChange) -> Changed:
    return Changed(change.kind.value, change.key, change.before, change.after)


def _changes(connection: Connection, head: rows.Head, revision: int) -> tuple[EntityChange, ...] | None:
    if revision < head.floor:
        return None
    return () if revision >= head.revision else rows.read_changes(connection, revision)
