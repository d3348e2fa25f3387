"""Brings the published store to the desired state: what handsets may fetch. Knows nothing of Asterisk.

Level-triggered like the reconciler of a node: what is written follows from what is desired and what the store
was seen to hold. So publishing goes on while Asterisk is away, and a push while the published store is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.holdings import Holdings
from control_plane.apply.ledger import Ledger
from control_plane.apply.outcome import Applied, Outcome, StepResult
from control_plane.apply.pushed import PushedRecord
from control_plane.apply.pusher import Exclusive
from control_plane.apply.setbacks import Setbacks
from control_plane.apply.state import DRIFT_SHOWN
from control_plane.errors import ControlPlaneError, PublishingFailed, StalePlan
from control_plane.plan.plan import HANDSETS, Plan, without_mass_removal
from control_plane.plan.steps import Step
from control_plane.ports import PublishedStore, Store
from control_plane.render.artefacts import ArtefactKey, Holder, UnitKind

logger = logging.getLogger(__name__)

BATCH = 200
"""Handsets rendered, and handsets written in one transaction, before anything else gets a turn."""


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """Times in seconds."""

    poll_s: float = 0.5
    audit_s: float = 300.0
    """All files are read for an audit, 0.1 ms a handset."""
    settle_s: float = 2.0
    """How long directories wait for further changes: renaming ten people is one publication."""
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    auto_apply: bool = True


@dataclass(frozen=True, slots=True)
class PublisherState:
    """How publishing stands."""

    in_sync: bool
    revision: int
    revision_published: int
    handsets: int
    waiting: int
    """Handsets whose directory is still to be brought up to date."""
    pending: Plan | None
    last_error: str | None
    last_drift: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(slots=True)
class _Book:
    """What the loop remembers between turns."""

    audit_at: float = 0.0
    later_at: float | None = None
    drift: tuple[str, ...] = ()
    revision: int = -1
    held_back: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    turned: asyncio.Event = field(default_factory=asyncio.Event)


Listener = Callable[[Collection[str]], None]
"""Told the MACs whose publication just changed; must not block."""


class Publisher:
    """One per published store. `run` follows the model until cancelled; `plan` and `apply` need no `run`."""

    def __init__(
        self,
        published: PublishedStore,
        store: Store,
        files: HandsetFiles,
        *,
        options: PublisherOptions | None = None,
        exclusive: Exclusive = nullcontext,
        on_published: Listener = lambda macs: None,
        jitter: random.Random | None = None,
    ) -> None:
        self._published = published
        self._store = store
        self._options = options or PublisherOptions()
        self._exclusive = exclusive
        self._on_published = on_published
        self._setbacks = Setbacks(self._options.backoff_first_s, self._options.backoff_max_s, jitter)
        self._files = files
        self._ledger = Ledger(HANDSETS, files)
        self._record = PushedRecord(store, HANDSETS)
        self._turn = asyncio.Lock()
        self._book = _Book()

    # For those who ask.

    @property
    def state(self) -> PublisherState:
        """How publishing stands now."""
        desired, book = self._ledger.desired, self._book
        faults = list(desired.faults.values())
        if book.held_back:
            faults.append(
                f"{book.held_back} published handsets belong to nothing in the model. Is this the right "
                "database? 'wirechief apply' withdraws them."
            )
        return PublisherState(
            in_sync=self._in_sync,
            revision=desired.revision,
            revision_published=book.revision,
            handsets=sum(unit.kind is UnitKind.HANDSET for unit in desired.rendered),
            waiting=len(desired.waiting),
            pending=self._ledger.plan() if self._ledger.trusted and self._ledger.unsettled else None,
            last_error=self._setbacks.last_error,
            last_drift=book.drift,
            faults=tuple(faults),
        )

    @property
    def _in_sync(self) -> bool:
        return self._ledger.trusted and not self._ledger.unsettled and not self._ledger.desired.waiting

    def nudge(self) -> None:
        """Say that the model changed."""
        self._book.woken.set()

    def text_of(self, mac: str) -> str | None:
        """What a handset is to be able to fetch, as last rendered; a secret."""
        return self._ledger.desired.values.by_holder[Holder.PUBLISHED].get(mac)

    async def wait_published(self, revision: int, within_s: float) -> bool:
        """Nudge, and return once all of `revision` but directories is published; False: not in time."""
        self.nudge()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._book.revision < revision:
                    await self._book.turned.wait()
                return True
        return False

    async def plan(self) -> Plan:
        """What an apply would do now, from a fresh look.

        Raises:
            PublishingFailed, StoreError
        """
        async with self._turn:
            return await self._audit()

    async def apply(self, expected: Plan | None = None) -> Applied | None:
        """Publish what differs now, from a fresh look; None when nothing does.

        Raises:
            StalePlan: what would be done now is not `expected`.
            PublishingFailed, StoreError
        """
        async with self._turn:
            plan = await self._audit()
            if expected is not None and expected.digest != plan.digest:
                raise StalePlan(
                    "The model or the published files changed since this plan was made; plan again."
                )
            self._book.held_back = 0
            applied = await self._run(plan)
            while self._record.pending:
                await self._record.flush()
            self._judge(applied)
            return applied

    # The loop.

    async def run(self) -> None:
        """Follow the model until cancelled."""
        try:
            while True:
                await self._guarded_turn()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rest_s()):
                        await self._book.woken.wait()
                self._book.woken.clear()
        finally:
            with suppress(ControlPlaneError):
                await self._record.flush()

    def _rest_s(self) -> float:
        now = self._now()
        times = [self._options.poll_s, self._book.audit_at - now]
        if self._book.later_at is not None:
            times.append(self._book.later_at - now)
        return max(0.0, min(times))

    async def _guarded_turn(self) -> None:
        async with self._turn:
            try:
                await self._take_turn()
            except ControlPlaneError as exc:
                self._fail(str(exc))
            except Exception:
                logger.exception("a turn of publishing failed")
                self._fail("Internal error, see the log.")
            if self._ledger.trusted and not self._ledger.unsettled:
                self._book.revision = self._ledger.desired.revision
            turned, self._book.turned = self._book.turned, asyncio.Event()
            turned.set()

    async def _take_turn(self) -> None:
        if self._now() >= self._book.audit_at:
            plan = await self._audit()
            if self._options.auto_apply:
                self._judge(await self._run(self._cautious(plan)))
        elif self._ledger.trusted:
            await self._follow()
        if self._record.pending and not self._book.woken.is_set():
            await self._record.flush()

    async def _follow(self) -> None:
        desired, book = self._ledger.desired, self._book
        if await self._store.revision() != desired.revision:
            waiting = len(desired.waiting)
            self._note((await desired.follow(self._store)).keys)
            if len(desired.waiting) > waiting:
                book.later_at = self._now() + self._options.settle_s
        elif desired.waiting and book.later_at is not None and self._now() >= book.later_at:
            self._note(await desired.catch_up(self._store, BATCH))
            book.later_at = self._now() if desired.waiting else None
        if self._ledger.unsettled and self._options.auto_apply:
            async with self._exclusive():
                self._judge(await self._run(self._cautious(self._ledger.plan())))

    def _cautious(self, plan: Plan) -> Plan:
        """What may be done without being asked for."""
        held = len(self._ledger.mirror.by_holder[Holder.PUBLISHED])
        allowed, self._book.held_back = without_mass_removal(plan, held)
        return allowed

    async def _audit(self) -> Plan:
        """Look at everything, and make the plan."""
        async with self._exclusive():
            desired = self._ledger.desired
            read = Holdings()
            read.by_holder[Holder.PUBLISHED].update(await self._published.read())
            pushed = await self._record.load()
            self._files.learn(read.by_holder[Holder.PUBLISHED], pushed)
            if self._files.place_moved():
                desired.revision = -1  # everything is rendered again
            await desired.follow(self._store)
            while desired.waiting:
                await desired.catch_up(self._store, BATCH)
            self._book.later_at = None
            self._ledger.await_settlement(pushed, self._ledger.adopt(read))
        plan = self._ledger.plan()
        drift = plan.drift
        self._book.drift = drift[:DRIFT_SHOWN]
        if drift:
            logger.warning(
                "%d published handsets differ that the model did not change: %s", len(drift), drift[0]
            )
        self._book.audit_at = self._now() + self._options.audit_s
        return plan

    async def _run(self, plan: Plan) -> Applied | None:
        if plan.is_empty:
            return None
        started = self._now()
        results: list[StepResult] = []
        error: str | None = None
        for start in range(0, len(plan.steps), BATCH):
            batch = plan.steps[start : start + BATCH]
            if error is None:
                try:
                    results += await self._write(batch)
                    continue
                except PublishingFailed as exc:
                    error = str(exc)
            results += [StepResult(step, Outcome.SKIPPED, error) for step in batch]
        applied = Applied(plan, tuple(results), error, self._now() - started)
        settled = list(self._ledger.settle(applied, self._now()))
        for key, value in settled:
            self._record.note(key, value)
        logger.info("published %d of %d: %s", len(settled), len(plan.steps), dict(applied.counts()))
        self._on_published([key.name for key, value in settled if value is not None])
        return applied

    async def _write(self, steps: Iterable[Step]) -> list[StepResult]:
        """One transaction, read back. Raises: PublishingFailed."""
        wanted = {step.key.name: step.after for step in steps}
        await self._published.replace(wanted)
        held = await self._published.read(wanted)
        return [
            StepResult(step, Outcome.DONE)
            if held.get(step.key.name) == step.after
            else StepResult(step, Outcome.FAILED, "reads back differently from what was written")
            for step in steps
        ]

    def _note(self, changed: Iterable[ArtefactKey]) -> None:
        for key in self._ledger.touch(changed):
            self._record.note(key, self._ledger.mirror.get(key))

    def _judge(self, applied: Applied | None) -> None:
        why = None if applied is None else applied.complaint
        if why is None:
            self._setbacks.end()
        else:
            self._fail(why)

    def _fail(self, why: str) -> None:
        """Note an error and look at everything again after a while."""
        if why != self._setbacks.last_error:
            logger.warning("publishing: %s", why)
        self._ledger.trusted = False
        self._book.audit_at = self._now() + self._setbacks.note(why)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
