"""What the journal has of a handset goes with it: whoever sets up its MAC next learns nothing of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from control_plane.ports import Clock, EntityKind, FetchJournal, Snapshot, Store

AGAIN_S = 5.0
"""The provisioning server writes down twice a second what was fetched until the removal was published."""


class Forgotten:
    """One per journal; `turn` every second or so."""

    def __init__(self, store: Store, journal: FetchJournal, clock: Clock) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._revision: int | None = None
        self._late: dict[str, datetime] = {}
        """By MAC: until when something may still be written of a handset that is gone."""

    async def turn(self, snapshot: Snapshot) -> None:
        """Erase what is kept of handsets removed since the last turn; at the first, of all that are none.

        Raises: PublishingFailed, StoreError; the next turn tries again.
        """
        now, handsets = self._clock.now(), snapshot.model.handsets
        gone = await self._removed(snapshot)
        if gone or self._late:
            await self._journal.forget(gone | self._late.keys())
        self._revision = snapshot.revision
        until = now + timedelta(seconds=AGAIN_S)
        self._late = {mac: at for mac, at in self._late.items() if at > now and mac not in handsets}
        self._late.update({mac: until for mac in gone if mac not in handsets})

    async def _removed(self, snapshot: Snapshot) -> set[str]:
        if self._revision == snapshot.revision:
            return set()
        changes = None if self._revision is None else await self._store.changes_since(self._revision)
        if changes is None:
            return set(await self._journal.macs() - snapshot.model.handsets.keys())
        # Set up again since, it is another handset: perhaps another tenant's.
        return {
            change.key[0]
            for change in changes
            if change.kind is EntityKind.HANDSET
            and change.after is None
            and change.revision <= snapshot.revision
        }
