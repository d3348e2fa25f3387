"""What a change would lead to, without making it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from control_plane.domain.entities import Entity
from control_plane.domain.extension import Extension
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.model import ExtensionId, Model
from control_plane.plan.changes import diff
from control_plane.plan.plan import Plan, make_plan
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.render.artefacts import ArtefactKey, Unit
from control_plane.render.packed import digest
from control_plane.render.units import render_unit, touched
from control_plane.service.extensions import revise
from control_plane.service.groups import require_group, revise_group
from control_plane.service.handset_preview import HandsetSource, HandsetsPreview, preview_handsets
from control_plane.service.main_numbers import require_main_number, revise_main_number
from control_plane.service.places import require_trunk, revise_organisation, revise_site, revise_trunk
from control_plane.service.rules import (
    require_extension,
    require_occupancy,
    require_organisation,
    require_site,
)
from control_plane.service.tenants import require_person, revise_occupancy, revise_person
from control_plane.service.writing import By, require_version

Changes = Mapping[str, object]
Source = HandsetSource | None
"""None: what handsets would be told is not looked at."""
AtSite = Extension | CallGroup | MainNumber
E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[E]):
    before: E
    after: E
    old: Model
    new: Model


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change at one site would lead to."""

    plan: Plan
    handsets: HandsetsPreview | None

    @property
    def plans(self) -> tuple[Plan, ...]:
        return (self.plan,)

    def as_dict(self) -> dict[str, Any]:
        """For JSON and people; secrets are masked."""
        return {**self.plan.as_dict(), "handsets": _shown(self.handsets)}


@dataclass(frozen=True, slots=True)
class WidePreview:
    """What a change of something that several nodes may hold would lead to: a plan for each with steps."""

    plans: tuple[Plan, ...]
    handsets: HandsetsPreview | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON and people; secrets are masked."""
        return {"plans": [plan.as_dict() for plan in self.plans], "handsets": _shown(self.handsets)}


def _shown(handsets: HandsetsPreview | None) -> dict[str, object] | None:
    return None if handsets is None else handsets.as_dict()


class _DoNotCommit(Exception):
    """Ends a transaction that must leave nothing behind."""


async def preview_extension(
    store: Store, by: By, ident: ExtensionId, changes: Changes, source: Source = None
) -> Preview:
    """What a patch of an extension would push and, given a `source`, publish; nothing is saved.

    Raises: UnknownEntity, InvalidField, Conflict, IllegalTransition - as the patch itself would.
    """

    def change(tx: Transaction) -> tuple[AtSite, AtSite]:
        before = require_extension(tx.model, ident)
        require_version(tx, by, EntityKind.EXTENSION, ident)
        return before, revise(tx, before, changes).entity

    return await _at_its_site(*await _previewed(store, by, change), source)


async def preview_group(
    store: Store, by: By, ident: ExtensionId, changes: Changes, source: Source = None
) -> Preview:
    """The same of a call group. Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[AtSite, AtSite]:
        before = require_group(tx.model, ident)
        return before, revise_group(tx, by, ident, changes).entity

    return await _at_its_site(*await _previewed(store, by, change), source)


async def preview_main_number(
    store: Store, by: By, key: tuple[str, str], changes: Changes, source: Source = None
) -> Preview:
    """The same of a main number; `key` is (organisation, site). Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[AtSite, AtSite]:
        before = require_main_number(tx.model, key)
        return before, revise_main_number(tx, by, key, changes).entity

    return await _at_its_site(*await _previewed(store, by, change), source)


async def preview_organisation(
    store: Store, by: By, org: str, changes: Changes, source: Source = None
) -> WidePreview:
    """The same of an organisation. Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Entity, Entity]:
        return require_organisation(tx.model, org), revise_organisation(tx, by, org, changes).entity

    return await _on_each_node(*await _previewed(store, by, change), source)


async def preview_site(
    store: Store, by: By, site: str, changes: Changes, source: Source = None
) -> WidePreview:
    """The same of a site, which may move from one node to another. Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Entity, Entity]:
        return require_site(tx.model, site), revise_site(tx, by, site, changes).entity

    return await _on_each_node(*await _previewed(store, by, change), source)


async def preview_trunk(
    store: Store, by: By, trunk: str, changes: Changes, source: Source = None
) -> WidePreview:
    """The same of a trunk. Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Entity, Entity]:
        return require_trunk(tx.model, trunk), revise_trunk(tx, by, trunk, changes).entity

    return await _on_each_node(*await _previewed(store, by, change), source)


async def preview_occupancy(
    store: Store, by: By, key: tuple[str, str], changes: Changes, source: Source = None
) -> WidePreview:
    """The same of an occupancy; `key` is (organisation, site). Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Entity, Entity]:
        return require_occupancy(tx.model, *key), revise_occupancy(tx, by, key, changes).entity

    return await _on_each_node(*await _previewed(store, by, change), source)


async def preview_person(
    store: Store, by: By, key: tuple[str, str], changes: Changes, source: Source = None
) -> WidePreview:
    """The same of a person; `key` is (organisation, person). Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Entity, Entity]:
        return require_person(tx.model, *key), revise_person(tx, by, key, changes).entity

    return await _on_each_node(*await _previewed(store, by, change), source)


async def _at_its_site(outcome: _Outcome[AtSite], revision: int, source: Source) -> Preview:
    plan = _plan(outcome, revision, outcome.new.sites[outcome.after.site].node)
    return Preview(plan, await _handsets(outcome, revision, source))


async def _on_each_node(outcome: _Outcome[Entity], revision: int, source: Source) -> WidePreview:
    nodes: set[str] = set()
    for model in (outcome.old, outcome.new):
        nodes.update(site.node for site in model.sites.values())
        nodes.update(trunk.node for trunk in model.trunks.values())
    plans = (_plan(outcome, revision, node) for node in sorted(nodes))
    found = tuple(plan for plan in plans if not plan.is_empty)
    return WidePreview(found, await _handsets(outcome, revision, source))


async def _handsets(outcome: _Outcome[E], revision: int, source: Source) -> HandsetsPreview | None:
    if source is None:
        return None
    return await preview_handsets(
        source, outcome.old, outcome.new, outcome.before, outcome.after, revision + 1
    )


async def _previewed(
    store: Store, by: By, change: Callable[[Transaction], tuple[E, E]]
) -> tuple[_Outcome[E], int]:
    """What a change would lead to, and the revision it would follow on."""
    revision = await store.revision()
    outcomes: list[_Outcome[E]] = []
    with suppress(_DoNotCommit):
        async with store.transaction(by.actor) as tx:
            old = tx.model
            before, after = change(tx)
            outcomes.append(_Outcome(before, after, old, tx.model))
            raise _DoNotCommit
    return outcomes[0], revision


def _plan(outcome: _Outcome[E], revision: int, node: str) -> Plan:
    now: dict[ArtefactKey, str] = {}
    wanted: dict[ArtefactKey, str] = {}
    owners: dict[ArtefactKey, Unit] = {}
    for unit in sorted(touched(outcome.new, outcome.before, outcome.after)):
        now.update(render_unit(outcome.old, node, unit).values)
        rendered = render_unit(outcome.new, node, unit).values
        wanted.update(rendered)
        owners.update(dict.fromkeys(rendered, unit))
    pushed = {key: digest(value) for key, value in now.items()}
    return make_plan(node, revision + 1, diff(wanted, pushed, now), owners)
