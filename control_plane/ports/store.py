"""The model as rows: transactions, audit, tasks and log-ins."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.plan.tasks import NewTask, Progress, Subject, Task, TaskFilter


class EntityKind(StrEnum):
    """The resources of the model; each names one entity class."""

    ORGANISATION = "organisation"
    SITE = "site"
    OCCUPANCY = "occupancy"
    PERSON = "person"
    NUMBER = "number"
    EXTENSION = "extension"
    DEVICE = "device"
    TRUNK = "trunk"
    HANDSET = "handset"
    SERVICE = "service"
    SERVICE_CHANGE = "service_change"
    LEFTOVER = "leftover"
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - a kind, not a token
    CALL_GROUP = "call_group"
    MAIN_NUMBER = "main_number"


EntityKey = tuple[str, ...]
"""organisation (id,) · site (id,) · occupancy (org, site) · person (id,) · number (e164,)
· extension (org, key) · device (id,) · trunk (id,) · handset (mac,)
· service (org, site) · service_change (org, site, day) · leftover (node, org, extension)
· account (email,) · token (id,)
· call_group (org, key) · main_number (org, site)."""


@dataclass(frozen=True, slots=True)
class EntityChange:
    """One entity as a committed revision left it; `before` None: created, `after` None: deleted.

    The entities are whole, secrets included, so this value is never logged or serialised.
    """

    revision: int
    kind: EntityKind
    key: EntityKey
    before: Entity | None
    after: Entity | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The model as of `revision`."""

    revision: int
    model: Model


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what, when. `before` and `after` are JSON objects with every secret masked."""

    id: int
    revision: int
    at: datetime
    actor: str
    kind: EntityKind
    key: EntityKey
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    org: str | None = None
    """Whose it was; None: the operator's."""
    fields: tuple[str, ...] = ()
    """The dotted names of what changed, secrets included; empty when something was made or removed."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit are wanted: those that fit everything that is not None.

    `field` is a changed field or one it lies in ("forwarding" fits "forwarding.enabled"); `until` is the
    first moment no longer wanted.
    """

    actor: str | None = None
    org: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    field: str | None = None
    revision: int | None = None
    kind: EntityKind | None = None
    key: EntityKey | None = None


ANY_ENTRY = AuditFilter()

ID_MAX = 2**53 - 1
"""Largest id anybody may ask for: JSON carries it everywhere (RFC 8259 section 6), and databases take it."""


class Transaction(Protocol):
    """One write transaction: rows, audit entries and one new revision commit together or not at all."""

    @property
    def model(self) -> Model:
        """The model inside the transaction, with the puts and deletes made so far."""
        ...

    def version(self, kind: EntityKind, key: EntityKey) -> int:
        """The revision that last changed this entity (its ETag). Raises: UnknownEntity."""
        ...

    def put(self, entity: Entity) -> None:
        """Create or replace; a put that changes nothing leaves no trace."""
        ...

    def delete(self, kind: EntityKind, key: EntityKey) -> None:
        """Raises: UnknownEntity."""
        ...

    def add_task(self, task: NewTask) -> None:
        """A task that is born with this commit, or not at all."""
        ...

    def set_progress(self, id: int, progress: Progress) -> None:
        """How a task stands from this commit on."""
        ...


NO_OUTCOMES: Mapping[int, Progress] = {}


class Store(Protocol):
    """The desired state. Raises StoreBusy when another writer does not let go in time."""

    async def snapshot(self) -> Snapshot:
        """The newest committed model; cached, and brought up to date by the changes since."""
        ...

    def transaction(self, actor: str) -> AbstractAsyncContextManager[Transaction]:
        """Begin immediately; commit when the block ends well, roll back when it raises."""
        ...

    async def revision(self) -> int:
        """The newest committed revision; one cheap read."""
        ...

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        """Committed changes after `revision`, oldest first, one per entity and revision. None: too long ago
        (or another process wrote more than is worth replaying); take a snapshot instead."""
        ...

    async def changes_of(self, revision: int) -> tuple[EntityChange, ...]:
        """The changes of one revision; none when that is too long ago (or it is none)."""
        ...

    async def versions(self, kind: EntityKind) -> Mapping[EntityKey, int]:
        """The ETag revision of every entity of a kind."""
        ...

    async def audit(
        self, wanted: AuditFilter = ANY_ENTRY, *, limit: int = 50, before_id: int = 0
    ) -> tuple[AuditEntry, ...]:
        """Newest first; `before_id` continues a listing, 0 begins one."""
        ...

    async def pushed(self, node: str) -> dict[str, str]:
        """What was last pushed to and verified on a node: artefact key -> digest."""
        ...

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        """Remember digests of verified artefacts (None forgets one), and how the push tasks of these
        revisions stand, in one transaction."""
        ...

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        """Revision -> how its push to a node stands, of those that are not done; the newest MAX_OPEN."""
        ...


class TaskStore(Protocol):
    """Tasks, beside the model. Those that are done are forgotten in the end, the oldest first."""

    async def tasks(self, wanted: TaskFilter, *, limit: int = 50, before_id: int = 0) -> tuple[Task, ...]:
        """Newest first; `before_id` continues a listing, 0 begins one."""
        ...

    async def task(self, id: int) -> Task:
        """Raises: UnknownEntity."""
        ...

    async def add_task(self, actor: str, task: NewTask) -> Task:
        """A task that is no push; pushes are born with their revision."""
        ...

    async def set_progress(self, id: int, progress: Progress) -> None:
        """Keep how a task stands."""
        ...

    async def open_subjects(self) -> Mapping[tuple[str | None, int | None], tuple[Subject, ...]]:
        """(node, revision) of each open push -> what it is about; for "update in progress" (R31)."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in: of its token only the digest, and of the password it was made with a mark."""

    id: str
    account: str
    digest: str
    password_mark: str
    expires_at: datetime


class Sessions(Protocol):
    """Log-ins, and when accounts and tokens were last used. Raises StoreBusy as the store does."""

    async def begin(self, session: Session, now: datetime) -> None:
        """Keep a new log-in, and forget those that have expired by `now`."""
        ...

    async def find(self, session_id: str) -> Session | None: ...

    async def end(self, session_id: str) -> None:
        """Forget one; one that is gone already is no error."""
        ...

    async def note_seen(self, what: str, at: datetime) -> None:
        """Remember that an account or token ("account ann@example.com", "token 4f...") was used."""
        ...

    async def seen(self) -> Mapping[str, datetime]:
        """When each was last used, of those that ever were."""
        ...
