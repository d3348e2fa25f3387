"""What handsets are to be able to fetch, as a source of desired state; counts each handset's publications."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.render.artefacts import ArtefactKey, Holder, Rendered, Unit, UnitKind
from control_plane.render.handsets.assemble import Inside, Place, inside_of
from control_plane.render.handsets.publication import FIRST, sequence_in
from control_plane.render.handsets.publishing import (
    Index,
    directory_changed,
    handset_units,
    next_publication,
    render_publication,
    touched_handsets,
)
from control_plane.render.packed import digest


class HandsetFiles:
    """Renders publications. A publication that differs from the one before has the next sequence number,
    because some makes refuse a file whose version is not newer than the one they hold."""

    def __init__(self, place: Callable[[], Place]) -> None:
        self._find_place = place
        self._place = place()
        self._inside: dict[str, Inside] = {}
        self._index = Index(Model())
        self._last: dict[str, tuple[int, str]] = {}  # MAC -> sequence and digest of what was rendered last

    def place_moved(self) -> bool:
        """Whether what all handsets are told is another than at the last look (authority, address, year)."""
        before, self._place = self._place, self._find_place()
        return before != self._place

    def learn(self, held: Mapping[str, str], pushed: Mapping[ArtefactKey, str]) -> None:
        """Go on counting where the published store stands; what is known already counts more."""
        for mac, text in held.items():
            recorded = pushed.get(ArtefactKey(Holder.PUBLISHED, mac))
            if mac not in self._last and recorded is not None:
                self._last[mac] = sequence_in(text), recorded

    def units(self, model: Model, node: str) -> Iterable[Unit]:
        self._inside.clear()
        self._index = Index(model)
        return handset_units(model)

    def render(self, model: Model, node: str, unit: Unit) -> Rendered:
        if unit.kind is not UnitKind.HANDSET:
            return self._rendered(model, unit, FIRST)
        mac = unit.key[0]
        sequence, before = self._last.get(mac, (FIRST, None))
        sequence, found = next_publication(
            lambda number: self._rendered(model, unit, number), sequence, before
        )
        for text in found.values.values():
            self._last[mac] = sequence, digest(text)
        return found

    def _rendered(self, model: Model, unit: Unit, sequence: int) -> Rendered:
        def inside(org: str) -> Inside:
            found = self._inside.get(org)
            if found is None:
                found = self._inside[org] = inside_of(model, org, self._index.keys(org))
            return found

        return render_publication(model, unit, self._place, inside, sequence)

    def touched(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        return touched_handsets(self._index, before, after)

    def touched_later(self, model: Model, before: Entity | None, after: Entity | None) -> Collection[Unit]:
        self._index.note(before, after)
        org = directory_changed(before, after)
        if org is None:
            return ()
        self._inside.pop(org, None)
        return self._index.of_org(org)
