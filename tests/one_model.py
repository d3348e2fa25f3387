"""Stores that answer little: one that holds one model, for what reads models and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

from control_plane.domain.model import Model
from control_plane.plan.tasks import Progress
from control_plane.ports import (
    ANY_ENTRY,
    NO_OUTCOMES,
    AuditEntry,
    AuditFilter,
    EntityChange,
    EntityKey,
    EntityKind,
    Snapshot,
    Store,
    Transaction,
)


class StubStore(Store):
    """Answers nothing; a test's store says what it can answer beyond that."""

    async def snapshot(self) -> Snapshot:
        raise NotImplementedError

    def transaction(self, actor: str) -> AbstractAsyncContextManager[Transaction]:
        raise NotImplementedError

    async def revision(self) -> int:
        raise NotImplementedError

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        raise NotImplementedError

    async def changes_of(self, revision: int) -> tuple[EntityChange, ...]:
        raise NotImplementedError

    async def versions(self, kind: EntityKind) -> Mapping[EntityKey, int]:
        raise NotImplementedError

    async def audit(
        self, wanted: AuditFilter = ANY_ENTRY, *, limit: int = 50, before_id: int = 0
    ) -> tuple[AuditEntry, ...]:
        raise NotImplementedError

    async def pushed(self, node: str) -> dict[str, str]:
        raise NotImplementedError

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        raise NotImplementedError

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        raise NotImplementedError


class OneModel(StubStore):
    """Its snapshot is `model`, whatever that is at the moment; it answers nothing else."""

    def __init__(self, model: Model) -> None:
        self.model = model

    async def snapshot(self) -> Snapshot:
        return Snapshot(1, self.model)
