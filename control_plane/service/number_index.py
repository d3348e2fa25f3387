"""The numbers in the order and form in which lists look for them, kept up with the model (R38-R43).

Looking through 50 000 numbers takes milliseconds because an entry is a small tuple; what a row shows besides
is read from the model for the rows of one page only.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.domain.number_search import searchable
from control_plane.ports import EntityChange, EntityKind, Store

BREATH = 2_000
"""Entries made before other tasks get a turn: about 5 ms."""
ONE_BY_ONE_MAX = 500
"""More changes than this are cheaper made by making everything anew."""


class Entry(NamedTuple):
    """What filters and orders look at. `status` is plain text: an enumeration is hashed by Python code."""

    e164: str
    text: str
    status: str
    assigned: bool
    org: str | None
    site: str
    main: bool
    extension: str
    name: str


def entry_of(model: Model, number: PhoneNumber) -> Entry:
    """The entry of one number."""
    return Entry(
        number.e164,
        searchable(number.e164, model.sites[number.site].numbering),
        number.status.value,
        number.person is not None,
        number.org,
        number.site,
        number.main,
        number.extension or "",
        number.name,
    )


class _Shelf:
    """Entries by number, in order."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = sorted(entries)

    def set(self, e164: str, entry: Entry | None) -> None:
        """Put, replace or (None) remove the entry of a number."""
        at = bisect_left(self.entries, (e164,))
        known = at < len(self.entries) and self.entries[at].e164 == e164
        self.entries[at : at + known] = () if entry is None else (entry,)


class NumberIndex:
    """The entries of the newest model; any number of tasks may share one.

    Entries are handed out as they are between two awaits: do not keep the list.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        self._all = _Shelf()
        self._by_org: dict[str | None, _Shelf] = {}
        self._turn = asyncio.Lock()

    def entries(self, org: str | None = None) -> list[Entry]:
        """All entries, or those of one organisation, by number."""
        if org is None:
            return self._all.entries
        shelf = self._by_org.get(org)
        return shelf.entries if shelf is not None else []

    async def follow(self) -> Model:
        """Bring the entries up to the newest model, and return that model."""
        async with self._turn:
            snapshot = await self._store.snapshot()
            if snapshot.revision == self._revision:
                return snapshot.model
            changes = await self._store.changes_since(self._revision) if self._revision >= 0 else None
            if changes is None or not self._take(snapshot.model, changes, snapshot.revision):
                await self._make(snapshot.model)
            self._revision = snapshot.revision
            return snapshot.model

    def _take(self, model: Model, changes: Iterable[EntityChange], upto: int) -> bool:
        """Apply single changes; False when all has to be made anew."""
        numbers: dict[str, None] = {}
        for change in changes:
            if change.revision > upto:
                continue
            if change.kind is EntityKind.SITE and change.before is not None:
                return False  # its region may have changed, and with it how its numbers are dialled
            if change.kind is EntityKind.NUMBER:
                numbers[change.key[0]] = None
        if len(numbers) > ONE_BY_ONE_MAX:
            return False
        for e164 in numbers:
            self._replace(model, e164)
        return True

    def _replace(self, model: Model, e164: str) -> None:
        at = bisect_left(self._all.entries, (e164,))
        if at < len(self._all.entries) and self._all.entries[at].e164 == e164:
            self._by_org[self._all.entries[at].org].set(e164, None)
        number = model.numbers.get(e164)
        entry = entry_of(model, number) if number is not None else None
        self._all.set(e164, entry)
        if entry is not None:
            self._by_org.setdefault(entry.org, _Shelf()).set(e164, entry)

    async def _make(self, model: Model) -> None:
        made: list[Entry] = []
        for count, number in enumerate(model.numbers.values(), start=1):
            made.append(entry_of(model, number))
            if count % BREATH == 0:
                await asyncio.sleep(0)
        grouped: dict[str | None, list[Entry]] = {}
        for entry in made:
            grouped.setdefault(entry.org, []).append(entry)
        self._all = _Shelf(made)
        self._by_org = {org: _Shelf(found) for org, found in grouped.items()}
