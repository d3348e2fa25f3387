"""Tells the model which PENDING numbers Asterisk was seen to follow (A21).

Level-triggered like the push: what waits is found in the model, and what Asterisk holds in the ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from control_plane.apply.handsets import Confirm
from control_plane.apply.ledger import Ledger
from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.errors import StoreError
from control_plane.ports import EntityKind, Store
from control_plane.render.artefacts import Unit, UnitKind

logger = logging.getLogger(__name__)


class Confirmation:
    """Of one node; `look` costs nothing while no number waits and the model stands still."""

    def __init__(self, node: str, store: Store, confirm: Confirm) -> None:
        self._node = node
        self._store = store
        self._confirm = confirm
        self._seen = -1  # the revision up to which changes were looked at
        self._waiting: set[str] = set()

    async def look(self, ledger: Ledger) -> None:
        """Confirm what `ledger` shows to be in force; a store that is busy is asked again next time."""
        try:
            await self._note_waiting(ledger.desired.revision)
            if self._waiting:
                await self._confirm_held(ledger)
        except StoreError as exc:
            logger.warning("node %s: numbers wait to be confirmed: %s", self._node, exc)

    async def _note_waiting(self, revision: int) -> None:
        if revision <= self._seen:
            return
        changes = await self._store.changes_since(self._seen) if self._seen >= 0 else None
        if changes is None:
            numbers: Iterable[object] = (await self._store.snapshot()).model.numbers.values()
        else:
            numbers = (change.after for change in changes if change.kind is EntityKind.NUMBER)
        self._waiting.update(
            n.e164 for n in numbers if isinstance(n, PhoneNumber) and n.status is NumberStatus.PENDING
        )
        self._seen = revision

    async def _confirm_held(self, ledger: Ledger) -> None:
        model = (await self._store.snapshot()).model
        versions = await self._store.versions(EntityKind.NUMBER)
        held: list[tuple[str, int]] = []
        for e164 in tuple(self._waiting):
            number = model.numbers.get(e164)
            here = number is not None and model.sites[number.site].node == self._node
            if number is None or not here or number.status is not NumberStatus.PENDING:
                self._waiting.discard(e164)
                continue
            version = versions.get((e164,), 0)
            # What changed after the ledger's revision was not rendered yet, so it says nothing about it.
            if version <= ledger.desired.revision and _is_held(ledger, number):
                held.append((e164, version))
        if held:
            await self._confirm(held)


def _is_held(ledger: Ledger, number: PhoneNumber) -> bool:
    if not number.routes:
        # Rows that go are no longer told apart by unit, so all that should go must be gone.
        return not ledger.removals_unsettled
    units = [Unit(UnitKind.NUMBER, (number.e164,))]
    if number.org is not None and number.extension is not None:
        units.append(Unit(UnitKind.EXTENSION, (number.org, number.extension)))
    return all(ledger.holds(unit) for unit in units)
