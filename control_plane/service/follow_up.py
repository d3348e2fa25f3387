"""Sees to it that handsets have what is published: tells them to fetch, and ends old secrets once they did.

Nothing is remembered beyond a restart that could not be seen again: who is behind stands in the journal, and
which secrets are doubled stands in the model.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import AsteriskError, ControlPlaneError, DomainError, PublishingFailed
from control_plane.ports import Fetched, Snapshot, TaskStore
from control_plane.service.forgotten import Forgotten
from control_plane.service.handset_status import has_settings
from control_plane.service.handset_view import Provisioning
from control_plane.service.handsets import retire_access
from control_plane.service.late_rotations import ACTOR, LateRotations
from control_plane.service.sip_rotation import SipRotation, retire_passwords, sip_rotation
from control_plane.service.writing import By

logger = logging.getLogger(__name__)

BY = By(ACTOR)
AGAIN_S = (15.0, 60.0, 300.0, 1800.0, 3600.0)
"""After a NOTIFY that a handset did not follow, the next; a fetch takes seconds, a reboot minutes."""
ABSENT_S = 5.0
"""When to look again at a handset that is registered nowhere; most fetch before they register."""
AT_ONCE = 20
"""NOTIFYs in a row before others get a turn: handsets of a whole site fetch in waves, not at one moment."""

CONTACT_ROWS = "registrar/contact"
"""Rows `registrar/contact/<aor>;@<hash>` of AstDB, JSON objects (Asterisk 22 res_pjsip/location.c)."""
LOOK_SPACING = 20

Rotating = list[tuple[Handset, datetime | None]]
Published = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class FollowUpOptions:
    """Times in seconds."""

    tick_s: float = 1.0
    late_s: float = 3600.0
    """A handset that did not follow a rotation for so long is named to the operator."""


@dataclass(slots=True)
class Attempt:
    """What was done about one handset that is behind."""

    count: int = 0
    last: datetime | None = None
    next: datetime | None = None
    problem: str | None = None


class FollowUp:
    """One per published store; `run` until cancelled."""

    def __init__(
        self,
        provisioning: Provisioning,
        published: Published,
        options: FollowUpOptions | None = None,
        tasks: TaskStore | None = None,
    ) -> None:
        self._provisioning = provisioning
        self._store = provisioning.store
        self._journal = provisioning.journal
        self._clock = provisioning.clock
        self._published = published
        self._options = options or FollowUpOptions()
        self._late = LateRotations(tasks, provisioning.clock) if tasks is not None else None
        self._behind: dict[str, Attempt] = {}
        self._forgotten = Forgotten(provisioning.store, provisioning.journal, provisioning.clock)
        self._woken = asyncio.Event()
        self._looked_at_all = False
        self._look_at = datetime.min.replace(tzinfo=UTC)
        self._rotating: tuple[int, Rotating] = (-1, [])
        """Of this revision: to find them takes 10 ms of 10 000, which a quiet second need not spend."""
        self._runs_out: dict[str, tuple[SipRotation, int]] = {}
        """By MAC: when the registration of who has two SIP passwords ran out, at the last look before its
        fetch; of this rotation and no other."""

    def published(self, macs: Collection[str]) -> None:
        """These have something new to fetch, perhaps."""
        self._behind.update({mac: Attempt() for mac in macs})
        self._woken.set()

    def attempt(self, mac: str) -> Attempt | None:
        """What was done about a handset that is behind; None when it is not known to be."""
        return self._behind.get(mac)

    async def late(self) -> tuple[str, ...]:
        """The handsets that did not follow a rotation in time."""
        limit = self._clock.now() - timedelta(seconds=self._options.late_s)
        doubled = self._rotating_of(await self._store.snapshot())
        return tuple(handset.mac for handset, at in doubled if at is not None and at < limit)

    async def run(self) -> None:
        """Follow up until cancelled."""
        while True:
            try:
                await self.turn()
            except ControlPlaneError as exc:
                logger.warning("handsets could not be followed up: %s", exc)
            except Exception:
                logger.exception("a turn of following up handsets failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.tick_s):
                    await self._woken.wait()
            self._woken.clear()

    async def turn(self) -> None:
        """Look once at all that are behind or have doubled secrets.

        Raises: ControlPlaneError.
        """
        snapshot, now = await self._store.snapshot(), self._clock.now()
        model = snapshot.model
        await self._forget_removed(snapshot)
        if not self._looked_at_all:
            self._behind = {mac: Attempt() for mac in model.handsets} | self._behind
            self._looked_at_all = True
        doubled = self._rotating_of(snapshot)
        await self._note_late(model, doubled, now)
        due = [mac for mac, attempt in self._behind.items() if attempt.next is None or attempt.next <= now]
        wanted = {*due, *(handset.mac for handset, _ in doubled)}
        if not wanted:
            return
        fetches = await self._journal.fetches(wanted)
        await self._tell(model, due, fetches, now)
        expiries = await self._expiries(model, doubled, now)
        if expiries is None:
            return
        for handset, _ in doubled:
            await self._retire(model, handset, fetches.get(handset.mac, ()), expiries)

    def _rotating_of(self, snapshot: Snapshot) -> Rotating:
        revision, found = self._rotating
        if revision != snapshot.revision:
            found = rotating(snapshot.model)
            self._rotating = snapshot.revision, found
        return found

    async def _forget_removed(self, snapshot: Snapshot) -> None:
        try:
            await self._forgotten.turn(snapshot)
        except PublishingFailed as exc:
            logger.warning("what removed handsets fetched is not erased yet: %s", exc)

    async def _note_late(self, model: Model, doubled: Rotating, now: datetime) -> None:
        if self._late is None:
            return
        limit = now - timedelta(seconds=self._options.late_s)
        late = [(h, at, self._why_late(model, h)) for h, at in doubled if at is not None and at < limit]
        await self._late.keep((handset.mac for handset, _ in doubled), late)

    def _why_late(self, model: Model, handset: Handset) -> str:
        if sip_rotation(model, handset) is not None:
            what = "SIP password: it was not seen to fetch it and then to register with it"
        else:
            what = "address and login: it was not seen to fetch with them"
        return (
            f"Handset {handset.mac} did not follow the rotation of its {what}, within "
            f"{self._options.late_s / 60:.0f} minutes. The old ones still work. Start it anew, or "
            f"'wirechief handset rotate {handset.mac} --end' ends the old ones now."
        )

    async def _expiries(self, model: Model, doubled: Rotating, now: datetime) -> Mapping[str, int] | None:
        """When the registration of each SIP user runs out (epoch); None: it is too early to look again.

        All contacts are read at once (0.1 s for 10 000), so the next look waits twenty times as long.
        """
        if not any(sip_rotation(model, handset) for handset, _ in doubled):
            return {}
        if now < self._look_at:
            return None
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            rows = await self._provisioning.link.read_rows(CONTACT_ROWS)
        except AsteriskError:
            return None
        self._look_at = now + timedelta(seconds=LOOK_SPACING * (clock() - started))
        return {
            name.removeprefix(f"{CONTACT_ROWS}/").rpartition(";@")[0]: _expiry(v) for name, v in rows.items()
        }

    async def _tell(
        self, model: Model, due: Iterable[str], fetches: Mapping[str, Sequence[Fetched]], now: datetime
    ) -> None:
        told = 0
        for mac in due:
            handset, text = model.handsets.get(mac), self._published(mac)
            if handset is None or (text is not None and has_settings(text, fetches.get(mac, ()))):
                self._behind.pop(mac, None)
                continue
            contact = self._provisioning.contact(handset)
            if told >= AT_ONCE:
                continue
            if text is None or contact is None:
                self._behind[mac].next = now + timedelta(seconds=ABSENT_S)
                continue
            told += 1
            await self._try(self._behind[mac], mac, now)
        if told >= AT_ONCE:
            self._woken.set()

    async def _try(self, attempt: Attempt, mac: str, now: datetime) -> None:
        try:
            await self._provisioning.notify(mac)
            attempt.problem = None
        except (AsteriskError, DomainError) as exc:
            attempt.problem = str(exc)
        wait_s = AGAIN_S[min(attempt.count, len(AGAIN_S) - 1)]
        attempt.count += 1
        attempt.last, attempt.next = now, now + timedelta(seconds=wait_s)

    async def _retire(
        self, model: Model, handset: Handset, fetches: Sequence[Fetched], expiries: Mapping[str, int]
    ) -> None:
        """End the old secrets of a handset that was seen to use the new ones.

        The address and login: it fetched its settings as they are published now, which it was told at the old
        address. The SIP password: it said REGISTER since the last look before that fetch, so its registration
        runs out later than it did then; Asterisk tells nobody of a registration that is only renewed.
        """
        text, rotation = self._published(handset.mac), sip_rotation(model, handset)
        followed = text is not None and has_settings(text, fetches)
        fetched = max((f.at for f in fetches if f.served), default=None) if followed else None
        if rotation is not None:
            runs_out = expiries.get(rotation.user, 0)
            of, before = self._runs_out.get(handset.mac, (None, 0))
            if of != rotation or not _since(fetched, rotation.since):
                self._runs_out[handset.mac] = rotation, runs_out
            elif runs_out > before:
                await retire_passwords(self._store, BY, handset.mac, rotation)
                del self._runs_out[handset.mac]
        if handset.is_rotating and _since(fetched, handset.rotated_at):
            await retire_access(self._store, BY, handset)


def rotating(model: Model) -> Rotating:
    """The handsets with a doubled secret, and since when."""
    found: Rotating = []
    for handset in model.handsets.values():
        rotation = sip_rotation(model, handset)
        if rotation is not None:
            found.append((handset, rotation.since))
        elif handset.is_rotating:
            found.append((handset, handset.rotated_at))
    return found


def _since(fetched: datetime | None, rotated_at: datetime | None) -> bool:
    """Whether it fetched after the rotation, whose settings are rendered a moment later."""
    return fetched is not None and (rotated_at is None or fetched >= rotated_at)


def _expiry(row: str) -> int:
    """When a contact of Asterisk's registrar runs out; 0 for what is none."""
    try:
        return int(json.loads(row)["expiration_time"])
    except (ValueError, KeyError, TypeError):
        return 0


__all__ = ["Attempt", "FollowUp", "FollowUpOptions", "rotating"]
