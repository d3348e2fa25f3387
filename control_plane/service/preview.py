"""What a change would lead to, without making it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from control_plane.domain.extension import Extension
from control_plane.domain.model import ExtensionId, Model
from control_plane.plan.changes import diff
from control_plane.plan.plan import Plan, make_plan
from control_plane.ports import Store
from control_plane.render.artefacts import ArtefactKey, Unit
from control_plane.render.packed import digest
from control_plane.render.units import render_unit, touched
from control_plane.service.extensions import revise
from control_plane.service.rules import require_extension
from control_plane.service.writing import By


@dataclass(frozen=True, slots=True)
class _Outcome:
    before: Extension
    after: Extension
    old: Model
    new: Model


class _DoNotCommit(Exception):
    """Ends a transaction that must leave nothing behind."""


async def preview_patch(store: Store, by: By, ident: ExtensionId, changes: Mapping[str, object]) -> Plan:
    """The steps a patch of an extension would add to what Asterisk is to hold; nothing is saved.

    Raises: UnknownEntity, InvalidField, Conflict - as the patch itself would.
    """
    revision = await store.revision()
    outcomes: list[_Outcome] = []
    with suppress(_DoNotCommit):
        async with store.transaction(by.actor) as tx:
            old = tx.model
            before = require_extension(old, ident)
            after = revise(tx, before, changes).entity
            outcomes.append(_Outcome(before, after, old, tx.model))
            raise _DoNotCommit
    return _plan(outcomes[0], revision)


def _plan(outcome: _Outcome, revision: int) -> Plan:
    node = outcome.new.node_of(outcome.after)
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
