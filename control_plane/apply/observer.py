"""Watches one node: who is registered, and what became of the last calls."""

from __future__ import annotations

import asyncio
import logging

from control_plane.errors import AsteriskError
from control_plane.observe.calls import CallLog
from control_plane.observe.registrations import Registrations
from control_plane.ports import AmiEvent, Clock, LinkState, NodeLink

logger = logging.getLogger(__name__)

RELIST_S = 300.0
"""A registration that ran out while an event was lost is forgotten after this long at the latest."""
RETRY_S = 1.0


class Observer:
    """Folds the events of a node; `run` lists its contacts after every connect and now and then."""

    def __init__(self, link: NodeLink, clock: Clock) -> None:
        self.registrations = Registrations()
        self.calls = CallLog()
        self._link = link
        self._clock = clock
        self._list_now = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        stop_events = self._link.subscribe(self._on_event)
        stop_state = self._link.on_state(self._on_state)
        try:
            while True:
                self._list_now.clear()
                delay_s = await self._list()
                try:
                    async with asyncio.timeout(delay_s):
                        await self._list_now.wait()
                except TimeoutError:
                    continue
        finally:
            stop_events()
            stop_state()

    async def _list(self) -> float:
        """List the contacts; the seconds until it should be done again."""
        if self._link.state is not LinkState.CONNECTED:
            return RELIST_S
        try:
            self.registrations.reset(await self._link.contacts(), self._clock.now())
        except AsteriskError as exc:
            logger.warning("the contacts could not be listed: %s", exc)
            return RETRY_S
        return RELIST_S

    def _on_event(self, event: AmiEvent) -> None:
        now = self._clock.now()
        self.registrations.take(event.name, event.headers, now)
        self.calls.take(event.name, event.headers, now)

    def _on_state(self, state: LinkState) -> None:
        if state is LinkState.CONNECTED:
            self._list_now.set()
