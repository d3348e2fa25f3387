"""The durable memory of a node's pushes: digests of what was verified there, reloads owed, tasks settled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from control_plane.apply.taskbook import TaskBook
from control_plane.ports import Store
from control_plane.render.artefacts import ArtefactKey, Holder
from control_plane.render.packed import digest

FLUSH_MAX = 2000
"""Digests written in one transaction: about 20 ms during which no request can write."""

_RELOAD = "reload:"
_OWED = "owed"


class PushedRecord:
    """Digests are queued and written when there is time: a push never waits for them.

    Losing the queue costs nothing but a name: after a crash a difference may be called the model's doing
    where somebody edited Asterisk. Owed reloads are written at once, because nothing else would tell.
    """

    def __init__(self, store: Store, node: str, book: TaskBook | None = None) -> None:
        self._store = store
        self._node = node
        self._book = book
        self._queue: dict[str, str | None] = {}  # values, not digests: those are made when there is time
        self.owed: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether digests or outcomes of tasks wait to be written."""
        return bool(self._queue) or (self._book is not None and self._book.pending)

    async def load(self) -> dict[ArtefactKey, str]:
        """Every digest last written or queued, and `owed` as it was left."""
        stored: dict[str, str | None] = dict(await self._store.pushed(self._node))
        stored.update(_digested(self._queue))
        self.owed = {name.removeprefix(_RELOAD) for name in stored if name.startswith(_RELOAD)}
        return dict(_digests(stored))

    def note(self, key: ArtefactKey, value: str | None) -> None:
        """Asterisk was seen to hold `value`; None: nothing."""
        self._queue[f"{key.holder}:{key.name}"] = value

    async def mark_reload(self, module: str, owed: bool) -> None:
        """Remember, at once, that `module` owes a reload or was reloaded."""
        await self._store.record_pushed(self._node, {f"{_RELOAD}{module}": _OWED if owed else None})
        if owed:
            self.owed.add(module)
        else:
            self.owed.discard(module)

    async def flush(self) -> None:
        """Write up to FLUSH_MAX queued digests and some outcomes; they stay queued when that fails."""
        batch = dict(islice(self._queue.items(), FLUSH_MAX))
        outcomes = self._book.unwritten() if self._book is not None else {}
        if not (batch or outcomes):
            return
        told = {revision: make() for revision, make in outcomes.items()}
        await self._store.record_pushed(self._node, _digested(batch), told)
        if self._book is not None:
            self._book.written(outcomes)
        for name, value in batch.items():
            if self._queue.get(name, _RELOAD) == value:
                del self._queue[name]


def _digested(values: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name: None if value is None else digest(value) for name, value in values.items()}


def _digests(stored: Mapping[str, str | None]) -> Iterator[tuple[ArtefactKey, str]]:
    for name, value in stored.items():
        holder, _, rest = name.partition(":")
        if value is not None and f"{holder}:" != _RELOAD:
            yield ArtefactKey(Holder(holder), rest), value
