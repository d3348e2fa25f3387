"""Keeps one node as the model says: level-triggered, one turn at a time, whatever happened before.

Nothing is remembered as "to be sent". What is sent follows from what is desired and what Asterisk was seen
to hold, so a lost event, a cut connection or a crash costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import nullcontext, suppress
from dataclasses import replace

from control_plane.apply.confirming import Confirmation
from control_plane.apply.handsets import Intake
from control_plane.apply.holdings import Holdings
from control_plane.apply.leftovers import NO_BOXES, Erasure
from control_plane.apply.mailboxes import NO_PINS
from control_plane.apply.outcome import Applied
from control_plane.apply.pusher import Exclusive, Push, Pusher
from control_plane.apply.reading import Reading
from control_plane.apply.setbacks import Setbacks
from control_plane.apply.state import DRIFT_SHOWN, Counts, Options, ReconcilerState, Stage
from control_plane.apply.taskbook import TaskBook
from control_plane.apply.triggers import Triggers
from control_plane.errors import ControlPlaneError, Unreachable
from control_plane.plan.plan import Plan
from control_plane.ports import Clock, LinkState, NodeLink, PhonePins, Store, TaskStore, VoicemailBoxes

logger = logging.getLogger(__name__)


class Reconciler:
    """One per node. `run` follows the model until cancelled; `plan` and `apply` work with and without it."""

    def __init__(
        self,
        node: str,
        link: NodeLink,
        store: Store,
        intake: Intake,
        clock: Clock,
        *,
        options: Options | None = None,
        exclusive: Exclusive = nullcontext,
        pins: PhonePins = NO_PINS,
        boxes: VoicemailBoxes = NO_BOXES,
        tasks: TaskStore | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self.node = node
        self._link = link
        self._store = store
        self._options = options or Options()
        self._pusher = Pusher(node, link, store, intake, exclusive, pins, clock, tasks)
        self._confirmation = Confirmation(node, store, intake.confirm)
        self._erasure = Erasure(node, link, store, intake.forget, boxes, self._options.erase_again_s)
        self._triggers = Triggers(self._erasure.is_due)
        self._turn = asyncio.Lock()
        self._turned = asyncio.Event()  # set, and replaced, at the end of every turn
        self._reading = Reading(self._pusher.read, f"audit of {node}", self._triggers.wake)
        self._setbacks = Setbacks(self._options.backoff_first_s, self._options.backoff_max_s, jitter)
        self._audit_at = 0.0
        self._reload_at: float | None = None
        self._flush_at: float | None = None
        self._check_at = 0.0
        self._counts = Counts()
        self._last_drift: tuple[str, ...] = ()
        self._last_audit_s: float | None = None
        self._revision_pushed = -1
        self._stage = Stage.WAITING

    # For those who ask.

    @property
    def state(self) -> ReconcilerState:
        """How the node stands now; cheap enough for a page that polls."""
        pusher, ledger = self._pusher, self._pusher.ledger
        values = ledger.desired.values
        return ReconcilerState(
            node=self.node,
            stage=self._stage,
            link=self._link.state,
            in_sync=self._in_sync,
            revision=ledger.desired.revision,
            revision_pushed=self._revision_pushed,
            last_error=self.problem,
            pending=self._pending(),
            last_drift=self._last_drift,
            last_applied=pusher.last_applied,
            faults=pusher.faults,
            last_audit_s=self._last_audit_s,
            rows=len(values.rows),
            mailboxes=len(values.mailboxes),
            counts=replace(self._counts, pushes=pusher.pushes, steps=pusher.steps_done),
        )

    @property
    def tasks(self) -> TaskBook:
        """How the pushes under way stand, ahead of what the store was told."""
        return self._pusher.book

    @property
    def problem(self) -> str | None:
        """Why nothing is pushed now, as a sentence; None when nothing stands in the way."""
        return self._setbacks.last_error or self._link.last_error

    def _pending(self) -> Plan | None:
        ledger = self._pusher.ledger
        if not ledger.trusted or self._in_sync:
            return None
        return ledger.plan(frozenset(self._pusher.record.owed))

    @property
    def _in_sync(self) -> bool:
        ledger = self._pusher.ledger
        seen = ledger.trusted and self._link.state is LinkState.CONNECTED and not self._triggers.lost_sight
        return seen and not ledger.unsettled and not self._pusher.record.owed

    def nudge(self) -> None:
        """Say that the model changed; the next turn starts at once instead of at the next poll."""
        self._triggers.nudge()

    def retry(self) -> None:
        """Try again at once what failed, instead of when the pause is over."""
        self._setbacks.start_over()
        self._audit_at = 0.0
        self._triggers.nudge()

    async def wait_pushed(self, revision: int, within_s: float) -> bool:
        """Nudge, and return once Asterisk was seen to hold everything of `revision`; False: not in time.

        Needs `run` to be running.
        """
        self.nudge()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not (self._in_sync and self._revision_pushed >= revision):
                    await self._turned.wait()
                return True
        return False

    async def wait_erased(self, org: str, within_s: float) -> str | None:
        """Return once nothing of what an organisation's removed extensions left is on the node; else why.

        Needs `run` to be running. Raises: StoreError.
        """
        why = await self._erasure.waiting(org)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while why is not None:
                    await self._turned.wait()
                    why = await self._erasure.waiting(org)
        return why

    async def plan(self) -> Plan:
        """What an apply would do now, from a fresh look at Asterisk. Changes phones made are taken in first.

        Raises:
            AsteriskError, StoreError
        """
        async with self._turn:
            plan, _ = await self._audit_now(push=Push.NOTHING)
            return plan

    async def apply(self, expected: Plan | None = None) -> Applied | None:
        """Push what differs now, from a fresh look at Asterisk; None when nothing does.

        Raises:
            StalePlan: what would be done now is not `expected`.
            AsteriskError, StoreError
        """
        async with self._turn:
            _, applied = await self._audit_now(push=Push.ALL, expected=expected)
            await self._pusher.devices.look()
            await self._see_what_follows()
            return applied

    async def _audit_now(self, *, push: Push, expected: Plan | None = None) -> tuple[Plan, Applied | None]:
        if self._link.state is not LinkState.CONNECTED:
            raise Unreachable(self._link.last_error or "There is no connection to Asterisk.")
        await self._reading.stop()
        started = self._now()
        read = await self._pusher.read()
        plan, applied = await self._pusher.settle_audit(read, push=push, expected=expected)
        await self._after_audit(plan, applied, started)
        while self._pusher.record.pending:  # a command may end right after this
            await self._pusher.record.flush()
        return plan, applied

    # The loop.

    async def run(self) -> None:
        """Follow the model and the node until cancelled."""
        with self._triggers.listening(self._link):
            try:
                while True:
                    await self._guarded_turn()
                    await self._triggers.wait(self._rest_s())
            finally:
                await self._reading.stop()
                with suppress(ControlPlaneError):
                    await self._pusher.record.flush()

    def _rest_s(self) -> float:
        now = self._now()
        times = [self._options.poll_s]
        if self._pusher.record.pending:
            times.append(self._options.settle_s if self._flush_at is None else self._flush_at - now)
        if self._link.state is LinkState.CONNECTED and not self._reading.under_way:
            times.append(self._audit_at - now)
        if self._reload_at is not None:
            times.append(self._reload_at - now)
        return max(0.0, min(times))

    async def _guarded_turn(self) -> None:
        """One turn; whatever goes wrong, the next one starts from what Asterisk is seen to hold."""
        async with self._turn:
            try:
                await self._take_turn()
            except ControlPlaneError as exc:
                self._fail(str(exc))
            except Exception:
                logger.exception("a turn of node %s failed", self.node, extra={"node": self.node})
                self._fail("Internal error, see the log.")
            if self._in_sync:
                self._revision_pushed = self._pusher.ledger.desired.revision
            turned, self._turned = self._turned, asyncio.Event()
            turned.set()

    async def _take_turn(self) -> None:
        if self._triggers.take_lost_sight():
            await self._lose_sight()
        if self._link.state is not LinkState.CONNECTED:
            self._stage = Stage.WAITING
            return
        if not self._reading.under_way and self._now() >= self._audit_at:
            self._reading.begin()
            if not self._pusher.ledger.trusted:
                self._stage = Stage.AUDITING
        read = self._reading.take()
        if read is not None:
            await self._finish_audit(*read)
        elif self._pusher.ledger.trusted:
            await self._follow()
        if self._pusher.ledger.trusted:
            await self._see_what_follows()

    async def _see_what_follows(self) -> None:
        """Numbers that are what they should be, and what removed extensions left."""
        await self._confirmation.look(self._pusher.ledger)
        await self._erasure.look(self._pusher.ledger.desired.revision, self._triggers.take_ended())

    async def _lose_sight(self) -> None:
        """The connection came or went: Asterisk may have restarted with rows of a second ago."""
        self._pusher.ledger.trusted = False
        self._setbacks.start_over()
        self._audit_at = self._now()
        await self._reading.stop()

    async def _finish_audit(self, read: Holdings, began: float) -> None:
        self._stage = Stage.PUSHING
        push = Push.UNASKED if self._options.auto_apply else Push.NOTHING
        plan, applied = await self._pusher.settle_audit(read, push=push)
        await self._after_audit(plan, applied, began)
        self._stage = Stage.IDLE

    async def _after_audit(self, plan: Plan, applied: Applied | None, started: float) -> None:
        now = self._now()
        self._last_audit_s = now - started
        self._counts = replace(self._counts, audits=self._counts.audits + 1)
        drift = plan.drift
        self._last_drift = drift[:DRIFT_SHOWN]
        if drift:
            logger.warning(
                "node %s: %d artefacts differ that the model did not change; the first: %s",
                self.node,
                len(drift),
                drift[0],
                extra={"node": self.node, "plan": plan.digest},
            )
        self._audit_at = now + self._options.audit_s
        self._pusher.ledger.forget_superseded(now)
        self._judge(applied)

    async def _follow(self) -> None:
        """What is due between audits."""
        pusher = self._pusher
        pins = self._triggers.take_pins()
        for name, pin in pins.items():
            await pusher.take_in_pin(name, pin)
        handset = self._triggers.take_handset()
        if handset and not await pusher.take_in_handsets():
            self._audit_at = self._now()
        hinted = self._triggers.take_nudge() or handset or bool(pins)
        if hinted or await self._store.revision() != pusher.ledger.desired.revision:
            applied = await pusher.follow(push=self._options.auto_apply)
            if applied is not None:
                self._judge(applied)
        await self._tidy_up()

    async def _tidy_up(self) -> None:
        """Reloads and digests wait until nothing else is due."""
        record = self._pusher.record
        if record.owed and self._options.auto_apply:
            now = self._now()
            if self._reload_at is None:
                self._reload_at = now + self._options.settle_s
            elif now >= self._reload_at:
                self._reload_at = None
                self._judge(await self._pusher.reload_owed())
        if self._triggers.woken:
            return
        if record.pending:
            await self._flush_when_due()
        elif self._pusher.devices.due and self._now() >= self._check_at:
            self._check_at = self._now() + self._options.devices_s
            await self._pusher.devices.look()

    async def _flush_when_due(self) -> None:
        """Changes come in bursts: one transaction for the digests of many, so that no change waits for it."""
        now = self._now()
        if self._flush_at is None:
            self._flush_at = now + self._options.settle_s
        elif now >= self._flush_at:
            self._flush_at = now + self._options.settle_s  # should the store be busy
            await self._pusher.record.flush()
            self._flush_at = now if self._pusher.record.pending else None

    def _judge(self, applied: Applied | None) -> None:
        """Whether the node is well after a push; None: nothing was left to push."""
        why = None if applied is None else applied.complaint
        if why is None:
            self._setbacks.end()
        else:
            self._fail(why)

    def _fail(self, why: str) -> None:
        """Note an error and look at Asterisk again after a while."""
        if why != self._setbacks.last_error:
            logger.warning("node %s: %s", self.node, why, extra={"node": self.node})
        self._counts = replace(self._counts, errors=self._counts.errors + 1)
        self._audit_at = self._now() + self._setbacks.note(why)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
