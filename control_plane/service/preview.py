"""What a change would lead to, without making it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

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
from control_plane.service.main_numbers import require_main_number, revise_main_number
from control_plane.service.rules import require_extension
from control_plane.service.writing import By, require_version

Changes = Mapping[str, object]
Shown = Extension | CallGroup | MainNumber


@dataclass(frozen=True, slots=True)
class _Outcome:
    before: Shown
    after: Shown
    old: Model
    new: Model


class _DoNotCommit(Exception):
    """Ends a transaction that must leave nothing behind."""


async def preview_extension(store: Store, by: By, ident: ExtensionId, changes: Changes) -> Plan:
    """The steps a patch of an extension would add to what Asterisk is to hold; nothing is saved.

    Raises: UnknownEntity, InvalidField, Conflict, IllegalTransition - as the patch itself would.
    """

    def change(tx: Transaction) -> tuple[Shown, Shown]:
        before = require_extension(tx.model, ident)
        require_version(tx, by, EntityKind.EXTENSION, ident)
        return before, revise(tx, before, changes).entity

    return await _previewed(store, by, change)


async def preview_group(store: Store, by: By, ident: ExtensionId, changes: Changes) -> Plan:
    """The same of a call group. Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Shown, Shown]:
        before = require_group(tx.model, ident)
        return before, revise_group(tx, by, ident, changes).entity

    return await _previewed(store, by, change)


async def preview_main_number(store: Store, by: By, key: tuple[str, str], changes: Changes) -> Plan:
    """The same of a main number; `key` is (organisation, site). Raises: as the patch itself would."""

    def change(tx: Transaction) -> tuple[Shown, Shown]:
        before = require_main_number(tx.model, key)
        return before, revise_main_number(tx, by, key, changes).entity

    return await _previewed(store, by, change)


async def _previewed(store: Store, by: By, change: Callable[[Transaction], tuple[Shown, Shown]]) -> Plan:
    revision = await store.revision()
    outcomes: list[_Outcome] = []
    with suppress(_DoNotCommit):
        async with store.transaction(by.actor) as tx:
            old = tx.model
            before, after = change(tx)
            outcomes.append(_Outcome(before, after, old, tx.model))
            raise _DoNotCommit
    return _plan(outcomes[0], revision)


def _plan(outcome: _Outcome, revision: int) -> Plan:
    node = outcome.new.sites[outcome.after.site].node
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
