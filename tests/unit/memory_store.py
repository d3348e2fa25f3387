"""A Store in memory: the same promises as the real one as far as use cases can tell, without a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from control_plane.domain.accounts import Account, Token
from control_plane.domain.entities import (
    Entity,
    Leftover,
    Occupancy,
    Organisation,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, Extension
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.voice import ServiceChange, VoiceService
from control_plane.errors import UnknownEntity
from control_plane.plan.tasks import NewTask, Progress, Subject, Task, TaskFilter
from control_plane.ports import (
    ANY_ENTRY,
    NO_OUTCOMES,
    AuditEntry,
    AuditFilter,
    Clock,
    EntityChange,
    EntityKey,
    EntityKind,
    Session,
    Snapshot,
    Transaction,
)
from control_plane.service.bulk import Imported, NewExtension, put_extensions
from control_plane.service.logins import Logins
from control_plane.store.codec import changed_fields
from tests.clocks import ManualClock

_KINDS: dict[type[Entity], tuple[EntityKind, tuple[str, ...]]] = {
    Organisation: (EntityKind.ORGANISATION, ("id",)),
    Site: (EntityKind.SITE, ("id",)),
    Occupancy: (EntityKind.OCCUPANCY, ("org", "site")),
    Person: (EntityKind.PERSON, ("id",)),
    PhoneNumber: (EntityKind.NUMBER, ("e164",)),
    Extension: (EntityKind.EXTENSION, ("org", "key")),
    Device: (EntityKind.DEVICE, ("id",)),
    Account: (EntityKind.ACCOUNT, ("email",)),
    Token: (EntityKind.TOKEN, ("id",)),
    Trunk: (EntityKind.TRUNK, ("id",)),
    Handset: (EntityKind.HANDSET, ("mac",)),
    VoiceService: (EntityKind.SERVICE, ("org", "site")),
    ServiceChange: (EntityKind.SERVICE_CHANGE, ("org", "site", "on")),
    Leftover: (EntityKind.LEFTOVER, ("node", "org", "extension")),
    CallGroup: (EntityKind.CALL_GROUP, ("org", "key")),
    MainNumber: (EntityKind.MAIN_NUMBER, ("org", "site")),
}
_MAPPINGS = {kind: kind.value + "s" for kind in EntityKind} | {
    EntityKind.OCCUPANCY: "occupancies",
    EntityKind.PERSON: "people",
}

Ident = tuple[EntityKind, EntityKey]


def ident_of(entity: Entity) -> Ident:
    kind, names = _KINDS[type(entity)]
    return kind, tuple(str(getattr(entity, name)) for name in names)


async def added(store: MemoryStore, *rows: NewExtension) -> Imported:
    """These extensions in one transaction, all or none."""
    async with store.transaction("test") as tx:
        return put_extensions(tx, rows)


class _Writing:
    def __init__(self, store: MemoryStore) -> None:
        self.entities = dict(store.entities)
        self.versions = dict(store.version_of)
        self.revision = store.last_revision + 1
        self.changed: dict[Ident, Entity | None] = {}

    @property
    def model(self) -> Model:
        return _model(self.entities.values())

    def version(self, kind: EntityKind, key: EntityKey) -> int:
        try:
            return self.versions[kind, key]
        except KeyError:
            raise UnknownEntity(kind.value, "/".join(key)) from None

    def put(self, entity: Entity) -> None:
        ident = ident_of(entity)
        if self.entities.get(ident) == entity:
            return
        self.changed.setdefault(ident, self.entities.get(ident))
        self.entities[ident] = entity
        self.versions[ident] = self.revision

    def delete(self, kind: EntityKind, key: EntityKey) -> None:
        self.version(kind, key)
        self.changed.setdefault((kind, key), self.entities[kind, key])
        del self.entities[kind, key], self.versions[kind, key]

    def add_task(self, task: NewTask) -> None:
        raise NotImplementedError("tasks of a transaction are tested on the real store")

    def set_progress(self, id: int, progress: Progress) -> None:
        raise NotImplementedError("tasks of a transaction are tested on the real store")


def _model(entities: Iterable[Entity]) -> Model:
    groups: dict[str, Any] = {}
    for entity in entities:
        groups.setdefault(_MAPPINGS[ident_of(entity)[0]], []).append(entity)
    return Model.of(**groups)


class MemoryStore:
    """Implements control_plane.ports.Store."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or ManualClock()
        self.entities: dict[Ident, Entity] = {}
        self.version_of: dict[Ident, int] = {}
        self.last_revision = 0
        self.entries: list[AuditEntry] = []
        self.changes: list[EntityChange] = []

    async def snapshot(self) -> Snapshot:
        return Snapshot(self.last_revision, _model(self.entities.values()))

    def transaction(self, actor: str) -> AbstractAsyncContextManager[Transaction]:
        return self._transaction(actor)

    @asynccontextmanager
    async def _transaction(self, actor: str) -> AsyncIterator[Transaction]:
        writing = _Writing(self)
        yield writing
        if not writing.changed:
            return
        self.entities, self.version_of = writing.entities, writing.versions
        self.last_revision = writing.revision
        for (kind, key), before in writing.changed.items():
            after = writing.entities.get((kind, key))
            self.changes.append(EntityChange(self.last_revision, kind, key, before, after))
            self.entries.append(
                AuditEntry(
                    id=len(self.entries) + 1,
                    revision=self.last_revision,
                    at=self.clock.now(),
                    actor=actor,
                    kind=kind,
                    key=key,
                    before=before.model_dump(mode="json") if before is not None else None,
                    after=after.model_dump(mode="json") if after is not None else None,
                    org=getattr(after or before, "org", None),
                    fields=changed_fields(before, after),
                )
            )

    async def revision(self) -> int:
        return self.last_revision

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        return tuple(change for change in self.changes if change.revision > revision)

    async def changes_of(self, revision: int) -> tuple[EntityChange, ...]:
        return tuple(change for change in self.changes if change.revision == revision)

    async def versions(self, kind: EntityKind) -> Mapping[EntityKey, int]:
        return {key: version for (of, key), version in self.version_of.items() if of is kind}

    async def audit(
        self, wanted: AuditFilter = ANY_ENTRY, *, limit: int = 50, before_id: int = 0
    ) -> tuple[AuditEntry, ...]:
        found = (
            entry
            for entry in reversed(self.entries)
            if (not before_id or entry.id < before_id)
            and (wanted.kind is None or entry.kind is wanted.kind)
            and (wanted.key is None or entry.key == wanted.key)
            and (wanted.org is None or entry.org == wanted.org)
            and (wanted.revision is None or entry.revision == wanted.revision)
        )
        return tuple(entry for entry, _ in zip(found, range(limit), strict=False))

    async def pushed(self, node: str) -> dict[str, str]:
        return {}

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        return {}

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        return None


class MemoryTasks:
    """Implements control_plane.ports.TaskStore for a model without pushes."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or ManualClock()
        self.kept: dict[int, Task] = {}

    async def tasks(self, wanted: TaskFilter, *, limit: int = 50, before_id: int = 0) -> tuple[Task, ...]:
        newest_first = (task for _, task in sorted(self.kept.items(), reverse=True))
        found = (
            task
            for task in newest_first
            if task.progress.state in wanted.states
            and (wanted.org is None or task.concerns(wanted.org))
            and (not before_id or task.id < before_id)
        )
        return tuple(islice(found, limit))

    async def task(self, id: int) -> Task:
        if id not in self.kept:
            raise UnknownEntity("task", str(id))
        return self.kept[id]

    async def add_task(self, actor: str, task: NewTask) -> Task:
        made = Task(
            id=len(self.kept) + 1,
            kind=task.kind,
            node=task.node,
            revision=task.revision,
            subjects=task.subjects,
            subject_count=len(task.subjects),
            org=task.org,
            actor=actor,
            created=self.clock.now(),
            progress=Progress(),
            others=task.others,
        )
        self.kept[made.id] = made
        return made

    async def set_progress(self, id: int, progress: Progress) -> None:
        self.kept[id] = replace(self.kept[id], progress=progress)

    async def open_subjects(self) -> Mapping[tuple[str | None, int | None], tuple[Subject, ...]]:
        return {}


class MemorySessions:
    """Implements control_plane.ports.Sessions."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.times: dict[str, datetime] = {}

    async def begin(self, session: Session, now: datetime) -> None:
        self.sessions = {key: kept for key, kept in self.sessions.items() if kept.expires_at > now}
        self.sessions[session.id] = session
        self.times[f"account {session.account}"] = now

    async def find(self, session_id: str) -> Session | None:
        return self.sessions.get(session_id)

    async def end(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)

    async def note_seen(self, what: str, at: datetime) -> None:
        self.times[what] = at

    async def seen(self) -> Mapping[str, datetime]:
        return dict(self.times)


class PlainPasswords:
    """Implements control_plane.ports.Passwords at once, and counts the checks."""

    def __init__(self) -> None:
        self.checks = 0

    async def hashed(self, password: str) -> str:
        return f"hash of {password}"

    async def matches(self, password_hash: str, password: str) -> bool:
        self.checks += 1
        return password_hash == f"hash of {password}"


def memory_logins(store: MemoryStore) -> Logins:
    """Log-ins over a store in memory."""
    return Logins(store, MemorySessions(), PlainPasswords(), store.clock)
