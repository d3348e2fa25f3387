"""What wakes a reconciler: nudges, events of the node, and its clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from control_plane.domain.model import ExtensionId
from control_plane.ports import AmiEvent, LinkState, NodeLink


class Triggers:
    """Flags set by listeners and taken by turns; every one of them is a hint that may be lost or doubled.

    `ends_matter` says of which extensions the end of a call to them is worth a turn: with all, each call in
    the exchange would be one.
    """

    def __init__(self, ends_matter: Callable[[ExtensionId], bool]) -> None:
        self._ends_matter = ends_matter
        self._ended: set[ExtensionId] = set()
        self._woken = asyncio.Event()
        self._nudged = False
        self._handset = False
        self._lost_sight = True  # whatever was known before listening may be stale
        self._pins: dict[str, str] = {}

    def wake(self) -> None:
        self._woken.set()

    def nudge(self) -> None:
        """The model changed."""
        self._nudged = True
        self._woken.set()

    def handset_changed(self) -> None:
        """A phone wrote a journal row."""
        self._handset = True
        self._woken.set()

    @property
    def woken(self) -> bool:
        return self._woken.is_set()

    def take_nudge(self) -> bool:
        taken, self._nudged = self._nudged, False
        return taken

    def take_handset(self) -> bool:
        taken, self._handset = self._handset, False
        return taken

    @property
    def lost_sight(self) -> bool:
        return self._lost_sight

    def take_lost_sight(self) -> bool:
        """Whether the link was lost or made since the last time: what Asterisk holds is not known then."""
        taken, self._lost_sight = self._lost_sight, False
        return taken

    def take_pins(self) -> dict[str, str]:
        """ "context/mailbox" -> PIN chosen by phone; secrets."""
        taken, self._pins = self._pins, {}
        return taken

    def take_ended(self) -> frozenset[ExtensionId]:
        """Of those that matter, the extensions that a call to them ended of."""
        taken, self._ended = frozenset(self._ended), set()
        return taken

    async def wait(self, timeout_s: float) -> None:
        """Until something wakes, at most `timeout_s`."""
        # Not wait_for: before Python 3.12 it can swallow a cancellation that comes with the result.
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        self._woken.clear()

    @contextmanager
    def listening(self, link: NodeLink) -> Iterator[None]:
        """Listen to `link` as long as the block runs."""
        stop_events = link.subscribe(self._on_event)
        stop_state = link.on_state(self._on_state)
        try:
            yield
        finally:
            stop_events()
            stop_state()

    def _on_state(self, _: LinkState) -> None:
        self._lost_sight = True
        self._woken.set()

    def _on_event(self, event: AmiEvent) -> None:
        match event.name:
            case "UserEvent" if event.headers.get("UserEvent") == "HandsetChange":
                self.handset_changed()
            case "UserEvent" if event.headers.get("UserEvent") == "CallPath":
                ident = event.headers.get("Org", ""), event.headers.get("To", "")
                if self._ends_matter(ident):
                    self._ended.add(ident)
                    self._woken.set()
            case "VoicemailPasswordChange":
                headers = event.headers
                name = f"{headers.get('Context', '')}/{headers.get('Mailbox', '')}"
                self._pins[name] = headers.get("NewPassword", "")
                self._woken.set()
            case _:
                return
