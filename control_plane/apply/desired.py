"""The desired artefacts of one node, kept rendered and brought up to date unit by unit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from control_plane.apply.holdings import Holdings, content_of, text_of
from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.errors import ControlPlaneError
from control_plane.ports import EntityChange, Store
from control_plane.render.artefacts import ArtefactKey, Holder, Rendered, Unit, UnitKind
from control_plane.render.units import render_unit, touched, units

logger = logging.getLogger(__name__)

BREATH_S = 0.005
"""How long units are rendered before other tasks get a turn; a handset takes ten times an extension."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The keys that may have changed, and the units each revision touched; None: everything was rendered."""

    keys: frozenset[ArtefactKey] = frozenset()
    revisions: Mapping[int, frozenset[Unit]] | None = field(default_factory=dict)


class Source(Protocol):
    """What a node's desired state is rendered from: which units there are, and which a change touches."""

    def units(self, model: Model, node: str) -> Iterable[Unit]: ...

    def render(self, model: Model, node: str, unit: Unit) -> Rendered: ...

    def touched(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        """Units to render at once."""
        ...

    def touched_later(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        """Units that may wait for more changes of this kind."""
        ...


class AsteriskSource:
    """Rows, mailboxes and dialplan of one Asterisk."""

    def units(self, model: Model, node: str) -> Iterable[Unit]:
        return units(model, node)

    def render(self, model: Model, node: str, unit: Unit) -> Rendered:
        return render_unit(model, node, unit)

    def touched(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        return touched(model, before, after)

    def touched_later(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        return ()


ASTERISK = AsteriskSource()


@dataclass(slots=True)
class Desired:
    """What `node` should hold as of `revision` (-1: nothing was rendered yet)."""

    node: str
    source: Source = ASTERISK
    revision: int = -1
    values: Holdings = field(default_factory=Holdings)
    faults: dict[Unit, str] = field(default_factory=dict)
    waiting: dict[Unit, None] = field(default_factory=dict)
    """Units that a change touched and that are rendered later, many at a time."""
    _keys: dict[Unit, tuple[ArtefactKey, ...]] = field(default_factory=dict)
    _owners: dict[ArtefactKey, Unit] = field(default_factory=dict)

    async def follow(self, store: Store) -> Followed:
        """Bring this up to the newest revision; what that moved.

        The cost is that of the units touched since the last call. Everything is rendered again only when the
        store no longer knows the single changes.
        """
        snapshot = await store.snapshot()
        if snapshot.revision == self.revision:
            return Followed()
        changes = await store.changes_since(self.revision) if self.revision >= 0 else None
        revisions: Mapping[int, frozenset[Unit]] | None = None
        if changes is None:
            every = self.source.units(snapshot.model, self.node)
            wanted: Iterable[Unit] = list(dict.fromkeys([*every, *self._keys]))
        else:
            # A change newer than the snapshot must wait for its own snapshot, or it would be rendered from
            # a model that does not have it and then never again.
            seen = [change for change in changes if change.revision <= snapshot.revision]
            revisions = self._touched(snapshot.model, seen)
            wanted = dict.fromkeys(unit for found in revisions.values() for unit in sorted(found))
        for unit in wanted:
            self.waiting.pop(unit, None)
        changed = await self._render_all(snapshot.model, wanted)
        self.revision = snapshot.revision
        return Followed(changed, revisions)

    async def catch_up(self, store: Store, most: int) -> frozenset[ArtefactKey]:
        """Render up to `most` of the units that wait; returns the keys that may have changed."""
        batch = list(islice(self.waiting, most))
        for unit in batch:
            del self.waiting[unit]
        return await self._render_all((await store.snapshot()).model, batch)

    def _touched(self, model: Model, changes: Sequence[EntityChange]) -> dict[int, frozenset[Unit]]:
        for change in changes:
            self.waiting.update(dict.fromkeys(self.source.touched_later(model, change.before, change.after)))
        return units_touched(model, changes, self.source)

    @property
    def owners(self) -> Mapping[ArtefactKey, Unit]:
        """What each desired key was rendered from; a view, not a copy."""
        return self._owners

    @property
    def is_blind(self) -> bool:
        """Whether a unit was never rendered, so that rows which seem to belong to nobody may be its own."""
        return any(unit not in self._keys for unit in self.faults)

    @property
    def rendered(self) -> Collection[Unit]:
        """The units that render to something."""
        return self._keys.keys()

    def keys_of(self, unit: Unit) -> tuple[ArtefactKey, ...]:
        """What `unit` renders to."""
        return self._keys.get(unit, ())

    async def _render_all(self, model: Model, wanted: Iterable[Unit]) -> frozenset[ArtefactKey]:
        rendered: list[tuple[Unit, Mapping[ArtefactKey, str]]] = []
        now = asyncio.get_running_loop().time
        breath = now() + BREATH_S
        for unit in wanted:
            values = self._render(model, unit)
            if values is not None:
                rendered.append((unit, values))
            if now() >= breath:
                await asyncio.sleep(0)
                breath = now() + BREATH_S
        changed: set[ArtefactKey] = set()
        # All old keys go before any new one comes: a key may pass from one unit to another.
        for unit, values in rendered:
            changed.update(self._forget(unit, values))
        for unit, values in rendered:
            self._hold(unit, values, changed)
        return frozenset(changed)

    def _render(self, model: Model, unit: Unit) -> Mapping[ArtefactKey, str] | None:
        """None when the unit cannot be rendered: it keeps what it had, and all others go on."""
        try:
            values = self.source.render(model, self.node, unit).values
            if unit.kind is UnitKind.NODE:  # the only one that renders to a file
                values = {key: _canonical(key, value) for key, value in values.items()}
        except (ControlPlaneError, ValueError, LookupError) as exc:
            self.faults[unit] = f"{unit} cannot be rendered: {exc}"
            logger.error("%s", self.faults[unit], extra={"node": self.node})
            return None
        self.faults.pop(unit, None)
        return values

    def _forget(self, unit: Unit, values: Mapping[ArtefactKey, str]) -> Iterable[ArtefactKey]:
        for key in self._keys.pop(unit, ()):
            if key not in values and self._owners.get(key) == unit:
                del self._owners[key]
                self.values.set(key, None)
                yield key

    def _hold(self, unit: Unit, values: Mapping[ArtefactKey, str], changed: set[ArtefactKey]) -> None:
        """Take in what `unit` renders to; adds to `changed`."""
        owners, by_holder = self._owners, self.values.by_holder
        kept = []
        for key, value in values.items():
            owner = owners.setdefault(key, unit)
            if owner is not unit and owner != unit:
                self.faults[unit] = f"{unit} and {owner} both render {key}; {owner} keeps it"
                continue
            kept.append(key)
            holder, name = key
            held = by_holder[holder]
            if held.get(name) != value:
                held[name] = value
                changed.add(key)
        if kept:
            self._keys[unit] = tuple(kept)


def _canonical(key: ArtefactKey, value: str) -> str:
    return text_of(content_of(value)) if key.holder is Holder.FILE else value


def units_touched(
    model: Model, changes: Iterable[EntityChange], source: Source = ASTERISK
) -> dict[int, frozenset[Unit]]:
    """Revision -> the units that show its changes at once; `model` is the newest."""
    found: dict[int, frozenset[Unit]] = {}
    for change in changes:
        units_of_it = frozenset(source.touched(model, change.before, change.after))
        found[change.revision] = found.get(change.revision, frozenset()) | units_of_it
    return found
