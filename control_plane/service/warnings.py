"""What is wrong in a model although every change of it was allowed."""

from __future__ import annotations

from control_plane.callpath.findings import Finding, findings
from control_plane.ports import Store


class ModelFindings:
    """The findings of the newest model, computed once a revision: status pages ask often.

    Phones may make forwarding loops and chains that saving refuses (docs/decisions/handset-changes.md), and
    a change that is allowed by itself may open a way out of a restricted phone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._revision = -1
        self._found: tuple[Finding, ...] = ()

    async def now(self) -> tuple[Finding, ...]:
        """Errors first; calls go on, so nothing here stops a push. The cost grows with the extensions."""
        snapshot = await self._store.snapshot()
        if snapshot.revision != self._revision:
            self._found = findings(snapshot.model)
            self._revision = snapshot.revision
        return self._found

    async def sentences(self) -> tuple[str, ...]:
        """The findings as a person reads them."""
        return tuple(finding.text for finding in await self.now())
