"""Erases what a removed extension left on its node besides what the model renders.

That is voicemail in the spool (messages, greetings, a PIN), contacts its phones registered, the device used
last, and what waits in the journal and the outbox. Which extensions is in the model, so that a restart
forgets none; erasing twice does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, replace
from typing import Final

from control_plane.apply.handsets import JOURNAL, Forget
from control_plane.domain.entities import Leftover
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import AsteriskError, StoreError
from control_plane.ports import NodeLink, Store, VoicemailBoxes

logger = logging.getLogger(__name__)

CONTACTS: Final = "registrar/contact"
"""Rows `registrar/contact/<aor>;@<hash>` (res_pjsip_registrar.c)."""
OUTBOXES: Final = ("outbox", "outbox-failed")
"""Rows whose value has organisation and extension as its second and third field."""

TURNS: Final = "turn"
"""Rows `turn/<org>/<group>`: the member round robin began with last, written by calls."""

RETRY_S: Final = 10.0

Key = tuple[str, str, str]


class NoBoxes(VoicemailBoxes):
    """For a node without voicemail."""

    async def erase(self, name: str) -> bool:
        return True


NO_BOXES = NoBoxes()


@dataclass(frozen=True, slots=True)
class _Tried:
    """When something was erased last, by the loop's clock, and whether nothing was left."""

    left: Leftover
    at: float
    clean: bool


class Erasure:
    """Of one node. `look` costs nothing while nothing is to be erased and the model stands still."""

    def __init__(
        self, node: str, link: NodeLink, store: Store, forget: Forget, boxes: VoicemailBoxes, again_s: float
    ) -> None:
        self._node = node
        self._link = link
        self._store = store
        self._forget = forget
        self._boxes = boxes
        self._again_s = again_s
        self._seen = -1
        self._tried: dict[Key, _Tried] = {}
        self._due: frozenset[ExtensionId] = frozenset()
        self._groups: frozenset[ExtensionId] | None = None  # None: what is left of earlier ones is not known

    def is_due(self, ident: ExtensionId) -> bool:
        """Whether something that an extension left is, or may still come to be, on the node."""
        return ident in self._due

    async def look(self, revision: int, ended: Collection[ExtensionId] = ()) -> None:
        """Erase what the model of `revision` has for it; what fails now is tried again later.

        A call that records loses its message with the directory (Asterisk 22), but one that comes to the
        voicemail between this and its reload makes the directory anew and stores its message at its end. So
        what `ended` names, extensions that a call to them just ended of, is erased again; and, as such an end
        may go unheard, everything is `again_s` seconds after the first time, unless a new extension has
        taken the place by then.
        """
        if revision == self._seen and not self._tried:
            return
        try:
            model = (await self._store.snapshot()).model
            due = {key: left for key, left in model.leftovers.items() if left.node == self._node}
            # Before anything is erased: a call may end meanwhile.
            self._due = frozenset((left.org, left.extension) for left in due.values())
            # One that says something else is of another extension, which had the place meanwhile.
            self._tried = {key: tried for key, tried in self._tried.items() if due.get(key) == tried.left}
            for key, left in due.items():
                await self._take_step(model, key, left, ended)
            await self._forget_turns(frozenset(model.call_groups))
            self._seen = revision
        except (AsteriskError, StoreError) as exc:
            logger.warning("node %s: what removed extensions left is not erased yet: %s", self._node, exc)

    async def _forget_turns(self, groups: frozenset[ExtensionId]) -> None:
        """Erase the turns of groups that are gone; those of the others are the calls' to write."""
        if self._groups is None or self._groups - groups:
            rows = await self._link.read_rows(TURNS)
            gone = [row for row in rows if tuple(row.split("/")[1:]) not in groups]
            if gone:
                await self._link.delete_rows(gone)
        self._groups = groups

    async def waiting(self, org: str) -> str | None:
        """Why something that an organisation's removed extensions left may still be there; None: it is not.

        Raises: StoreError.
        """
        for key, left in (await self._store.snapshot()).model.leftovers.items():
            if (left.node, left.org) != (self._node, org):
                continue
            tried = self._tried.get(key)
            if tried is None or tried.left != left:
                return f"What extension {left.org}/{left.extension} left is not erased yet."
            if not tried.clean:
                return (
                    f"The voicemail of extension {left.org}/{left.extension} cannot be erased: look at its "
                    "directory in the spool."
                )
        return None

    async def _take_step(
        self, model: Model, key: Key, left: Leftover, ended: Collection[ExtensionId]
    ) -> None:
        now = asyncio.get_running_loop().time()
        tried = self._tried.get(key)
        # What is there once somebody else has its place, and it was clean before, is the new owner's.
        taken = (left.org, left.extension) in model.extensions
        if tried is not None and tried.clean and taken:
            await self._forget([left])
            return
        wait_s = 0.0 if tried is None else self._again_s if tried.clean else RETRY_S
        if tried is not None and now - tried.at < wait_s:
            if tried.clean and (left.org, left.extension) in ended:
                self._tried[key] = replace(tried, clean=await self._erase(left))
            return
        clean = await self._erase(left)
        self._tried[key] = _Tried(left, now, clean)
        if clean and (taken or (tried is not None and tried.clean)):
            await self._forget([left])

    async def _erase(self, left: Leftover) -> bool:
        name = f"{left.org}/{left.extension}"
        await self._link.delete_rows([row async for row in self._rows(left)])
        clean = await self._boxes.erase(name)
        if not clean:
            logger.error(
                "node %s: voicemail of removed extension %s cannot be erased: look at its directory in the "
                "spool",
                self._node,
                name,
            )
        return clean

    async def _rows(self, left: Leftover) -> AsyncIterator[str]:
        name = f"{left.org}/{left.extension}"
        for row in await self._link.read_rows(CONTACTS):
            if row.removeprefix(f"{CONTACTS}/").partition(";")[0] in left.devices:
                yield row
        for row in await self._link.read_rows(f"{JOURNAL}/{name}"):
            yield row
        for family in OUTBOXES:
            for row, value in (await self._link.read_rows(family)).items():
                if value.split(",")[1:3] == [left.org, left.extension]:
                    yield row
        yield f"last/{name}"
        yield f"idle/{name}"
