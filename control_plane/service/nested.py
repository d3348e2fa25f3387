"""Use cases inside a transaction that is under way: all of them take effect together, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from control_plane.ports import Snapshot, Store, Transaction


def within(store: Store, tx: Transaction) -> Store:
    """A store whose transactions are parts of `tx`, and whose model is the one inside it.

    The rest of the port is not for use inside a transaction, and is not there.
    """
    return cast(Store, _Within(store, tx))


class _Within:
    def __init__(self, store: Store, tx: Transaction) -> None:
        self._store = store
        self._tx = tx

    async def snapshot(self) -> Snapshot:
        return Snapshot(await self._store.revision(), self._tx.model)

    @asynccontextmanager
    async def transaction(self, actor: str) -> AsyncIterator[Transaction]:
        yield self._tx
