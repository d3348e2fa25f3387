"""What happens to numbers and voice services because time passes, not because somebody asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.errors import StoreError
from control_plane.ports import Store
from control_plane.service.number_life import end_cooldowns
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.voice_services import apply_due_changes

logger = logging.getLogger(__name__)

EVERY_S = 30.0


class Upkeep:
    """Ends cooldowns and carries out scheduled changes; what was due while it did not run is done at once."""

    def __init__(
        self, store: Store, policy: NumberPolicy, nudge: Callable[[], None], every_s: float = EVERY_S
    ) -> None:
        self._store = store
        self._policy = policy
        self._nudge = nudge
        self._every_s = every_s

    async def run(self) -> None:
        """Do what is due, again and again, until cancelled."""
        while True:
            try:
                await self.do_due()
            except StoreError as exc:
                logger.warning("cooldowns and scheduled changes wait: %s", exc)
            await asyncio.sleep(self._every_s)

    async def do_due(self) -> int:
        """Do what is due now; how many things that were.

        Raises: StoreError.
        """
        done = await end_cooldowns(self._store, self._policy)
        done += await apply_due_changes(self._store, self._policy)
        if done:
            logger.info("%d cooldowns ended or scheduled changes carried out", done)
            self._nudge()
        return done
