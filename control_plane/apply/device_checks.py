"""What is left to do for devices whose rows were written: see that Asterisk reads them, and watches them.

A row in AstDB tells PJSIP nothing, so both are seen to after a push, once for many.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from control_plane.apply.ledger import Ledger
from control_plane.plan.plan import Plan
from control_plane.ports import NodeLink
from control_plane.render.artefacts import ArtefactKey

logger = logging.getLogger(__name__)

AOR_ROWS = "pbx/aor/"
ENDPOINT_ROWS = "pbx/endpoint/"

PJSIP_MODULE = "res_pjsip.so"
RELOAD_AORS_MAX = 2000
"""Up to so many AORs a reload of res_pjsip costs at most 0.3 s, so any new one is worth it."""
BULK_SHARE = 10
"""Above, only when at least every tenth is new: it costs 3-5 s at 10 000 and delays some SIP requests."""

TRY_SINGLY_MAX = 100
SUSPECTS_NAMED = 10


class DeviceChecks:
    """The devices of one node that were written and not looked after yet."""

    def __init__(self, node: str, link: NodeLink, ledger: Ledger) -> None:
        self.unreadable: str | None = None
        """That Asterisk cannot read endpoint rows, as a sentence; None: nothing is known against it."""
        self._node = node
        self._link = link
        self._ledger = ledger
        self._suspects: set[str] | None = None  # endpoint rows written since the last count; None: all
        self._new_aors = 0

    @property
    def due(self) -> bool:
        """Whether devices were written that Asterisk was not yet seen to read or does not watch yet."""
        return self._suspects is None or bool(self._suspects) or self._new_aors > 0

    def note(self, plan: Plan, written: Iterable[ArtefactKey]) -> None:
        """These of the plan's rows were written and verified."""
        fresh = {s.key for s in plan.steps if s.before is None and s.key.name.startswith(AOR_ROWS)}
        for key in written:
            self._new_aors += key in fresh
            if self._suspects is not None and key.name.startswith(ENDPOINT_ROWS):
                self._suspects.add(key.name)

    async def look(self) -> None:
        """Do what is due. Raises: AsteriskError."""
        if self.due:
            await self._check_endpoints()
            await self._sync_device_states()

    async def _check_endpoints(self) -> None:
        """Set `unreadable` when Asterisk cannot read an endpoint row; one such row hides others from lists.

        A few rows are tried one by one. After a bulk push they are counted, which keeps the connection busy
        for 3 s at 10 000 endpoints (Asterisk 22 sorts its list by insertion), so not while there is work.
        """
        rows = [name for name in self._ledger.mirror.rows if name.startswith(ENDPOINT_ROWS)]
        suspects = sorted(rows if self._suspects is None else self._suspects.intersection(rows))
        if len(suspects) <= TRY_SINGLY_MAX:
            readable = await asyncio.gather(
                *(self._link.has_endpoint(name.removeprefix(ENDPOINT_ROWS)) for name in suspects)
            )
            bad = [name for name, good in zip(suspects, readable, strict=True) if not good]
            problem = f"Asterisk cannot read {', '.join(bad)}" if bad else None
        else:
            seen = await self._link.count_endpoints()
            bad = suspects if seen < len(rows) else []
            problem = f"Asterisk sees {seen} endpoints where {len(rows)} rows are" if bad else None
        self._suspects = set(bad)
        self.unreadable = None
        if problem is not None:
            named = ", ".join(bad[:SUSPECTS_NAMED])
            self.unreadable = f"{problem}: a row it cannot read hides others. Look at {named}."
            logger.error(self.unreadable, extra={"node": self._node})

    async def _sync_device_states(self) -> None:
        """Make Asterisk watch new AORs at once, where that is cheap enough.

        A row in AstDB tells PJSIP nothing, so a phone's first REGISTER leaves its state (what busy lamps
        show) Unavailable until the first OPTIONS is answered, up to qualify_frequency later: 24 s of 60
        measured on 22.10.1. After one reload it is shown with the REGISTER. Calls work either way. Not while
        a row is unreadable: a reload would then lose the state of every endpoint that row hides.
        """
        fresh, self._new_aors = self._new_aors, 0
        total = sum(name.startswith(AOR_ROWS) for name in self._ledger.mirror.rows)
        if not fresh or self.unreadable is not None:
            return
        if total <= RELOAD_AORS_MAX or fresh * BULK_SHARE >= total:
            await self._link.reload(PJSIP_MODULE)
