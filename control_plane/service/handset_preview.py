"""What a change would publish for handsets, without publishing it; few are rendered, however many there are.

As with rows of Asterisk, the model as it is stands against the model as it would be: where the published
store is behind, that is for `plan`. Only the number of a publication is read there; some files have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from control_plane.domain.entities import Entity, Organisation
from control_plane.domain.model import Model
from control_plane.errors import ControlPlaneError, PublishingFailed, UnknownEntity
from control_plane.plan.changes import diff
from control_plane.plan.plan import HANDSETS, Plan, make_plan
from control_plane.ports import PublishedStore
from control_plane.render.artefacts import ArtefactKey, Rendered, Unit
from control_plane.render.handsets.assemble import Inside, Place, device_of, inside_of
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.publication import FIRST, sequence_in, settings_in
from control_plane.render.handsets.publishing import (
    Scan,
    directory_changed,
    next_publication,
    render_publication,
    touched_handsets,
)
from control_plane.render.packed import digest

Values = Mapping[ArtefactKey, str]

RENDERED = 20
"""Handsets rendered for one preview, each as it is and as it would be: 5 ms each."""


@dataclass(frozen=True, slots=True)
class HandsetSource:
    """What rendering a handset takes beside the model."""

    published: PublishedStore
    place: Callable[[], Place]


@dataclass(frozen=True, slots=True)
class HandsetsPreview:
    """What a change would publish."""

    plan: Plan
    told: tuple[str, ...]
    """MACs whose settings change: they are told to fetch (NOTIFY check-sync) where they are registered."""
    more: int
    """Handsets the change reaches beyond those rendered, so that theirs may change too."""
    directories: int
    """Handsets that nothing but the directory of changes for; published once changes pause for a moment."""
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON and people; secrets are masked."""
        shown = self.plan.as_dict()
        return {
            "counts": shown["counts"],
            "steps": shown["steps"],
            "told": list(self.told),
            "more": self.more,
            "directories": self.directories,
            "problems": list(self.problems),
        }


async def preview_handsets(
    source: HandsetSource, old: Model, new: Model, before: Entity, after: Entity, revision: int
) -> HandsetsPreview:
    """What changing one entity of `old`, which leads to `new`, would publish as `revision`."""
    places = Scan(new)
    reached = frozenset[Unit]() if before == after else touched_handsets(places, before, after)
    org = directory_changed(before, after)
    if org is not None and isinstance(after, Organisation):
        reached |= places.of_org(org)  # its name stands in the settings of some makes
    chosen = _varied(new, reached)[:RENDERED]
    place = source.place()
    sides = _Side(place, old), _Side(place, new)
    if org is None:
        sides[1].insides = sides[0].insides
    numbers, problems = await _numbers(source, chosen)
    now: dict[ArtefactKey, str] = {}
    wanted: dict[ArtefactKey, str] = {}
    owners: dict[ArtefactKey, Unit] = {}
    told: list[str] = []
    for unit in chosen:
        mac = unit.key[0]
        try:
            is_, will_be = _both(unit, *sides, numbers.get(mac, FIRST))
        except (ControlPlaneError, ValueError, LookupError) as exc:
            problems.append(f"{unit} cannot be rendered: {exc}")
            continue
        now.update(is_)
        wanted.update(will_be)
        owners.update(dict.fromkeys(will_be, unit))
        if any(settings_in(is_[key])[0] != settings_in(text)[0] for key, text in will_be.items()):
            told.append(mac)
        await asyncio.sleep(0)  # others get their turn: rendering takes milliseconds
    changes = diff(wanted, {key: digest(text) for key, text in now.items()}, now)
    return HandsetsPreview(
        make_plan(HANDSETS, revision, changes, owners),
        tuple(sorted(told)),
        len(reached) - len(chosen),
        0 if org is None else _directories(*sides, org, places.of_org(org) - reached),
        tuple(problems),
    )


class _Side:
    """One model, and its organisations from inside."""

    def __init__(self, place: Place, model: Model) -> None:
        self.place = place
        self.model = model
        self.insides: dict[str, Inside] = {}

    def inside(self, org: str) -> Inside:
        found = self.insides.get(org)
        if found is None:
            found = self.insides[org] = inside_of(self.model, org, Scan(self.model).keys(org))
        return found

    def rendered(self, unit: Unit, sequence: int) -> Rendered:
        return render_publication(self.model, unit, self.place, self.inside, sequence)


def _both(unit: Unit, old: _Side, new: _Side, sequence: int) -> tuple[Values, Values]:
    """What is published of `unit` and what would be: the same handset on both sides.

    Raises: ControlPlaneError, ValueError, LookupError.
    """
    is_ = old.rendered(unit, sequence).values
    before = next(map(digest, is_.values()), None)
    _, will_be = next_publication(lambda number: new.rendered(unit, number), sequence, before)
    return is_, will_be.values


async def _numbers(source: HandsetSource, chosen: Iterable[Unit]) -> tuple[dict[str, int], list[str]]:
    """MAC -> the number of what is published of it."""
    macs = [unit.key[0] for unit in chosen]
    if not macs:
        return {}, []
    try:
        texts = await source.published.read(macs)
    except PublishingFailed as exc:
        return {}, [str(exc)]
    return {mac: sequence_in(text) for mac, text in texts.items()}, []


def _varied(model: Model, units: Iterable[Unit]) -> list[Unit]:
    """`units` by MAC, but first one of each model with and without somebody logged in.

    So a change that shows in no handset that is rendered hardly shows in the others.
    """
    seen: set[tuple[str, bool]] = set()
    first: list[Unit] = []
    rest: list[Unit] = []
    for unit in sorted(units):
        handset = model.handsets[unit.key[0]]
        kind = handset.model, handset.device is not None
        (rest if kind in seen else first).append(unit)
        seen.add(kind)
    return first + rest


def _directories(old: _Side, new: _Side, org: str, colleagues: Iterable[Unit]) -> int:
    """How many of these handsets of `org` have a directory that is another in `new`."""
    if old.inside(org).contacts == new.inside(org).contacts:
        return 0
    handsets = [new.model.handsets[unit.key[0]] for unit in colleagues]
    with_book = {name for name in {handset.model for handset in handsets} if _has_book(name)}
    # Nobody logged in, no directory.
    return sum(h.model in with_book and device_of(new.model, h) is not None for h in handsets)


def _has_book(model: str) -> bool:
    try:
        return "phonebook" in CATALOGUE.family(CATALOGUE.model(model)).supports
    except UnknownEntity:
        return False
