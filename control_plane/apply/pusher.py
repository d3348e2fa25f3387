"""What is done to one node in one turn: follow the model, settle an audit, take in what phones changed.

Each method holds the lock that keeps other processes off the node. When a turn happens is not decided here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto

from control_plane.apply.device_checks import DeviceChecks
from control_plane.apply.executor import Executor
from control_plane.apply.handsets import (
    JOURNAL,
    Intake,
    extensions_in,
    is_row_of,
    pin_changed_by_phone,
    read_extension,
    rows_of,
    with_pin,
)
from control_plane.apply.holdings import Holdings, read_holdings
from control_plane.apply.ledger import Ledger
from control_plane.apply.outcome import Applied
from control_plane.apply.pushed import PushedRecord
from control_plane.apply.repairs import Repairs
from control_plane.apply.taskbook import Standing, TaskBook
from control_plane.domain.model import ExtensionId
from control_plane.errors import DomainError, StalePlan
from control_plane.plan.plan import Plan, without_mass_removal
from control_plane.plan.steps import VOICEMAIL_MODULE
from control_plane.ports import Clock, NodeLink, PhonePins, Store, TaskStore
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, UnitKind
from control_plane.render.units import DIALPLAN_FILE

logger = logging.getLogger(__name__)

Exclusive = Callable[[], AbstractAsyncContextManager[object]]
"""Makes a lock that keeps other processes from pushing to the same node meanwhile."""

READ_EXTENSIONS_MAX = 50
"""So many extensions changed by phone are read one by one; more are an audit's work."""

DEFERRABLE = frozenset({VOICEMAIL_MODULE})
"""Reloading voicemail costs 0.1 s at 1 000 mailboxes and over 1 s at 10 000, so edits share one."""


class Push(Enum):
    """How much of an audit's plan is carried out."""

    NOTHING = auto()
    UNASKED = auto()  # the loop's own doing: everything but removals so many that they need a person
    ALL = auto()  # somebody asked for it


class Pusher:
    """Brings one node to the desired state, and what phones changed into the model."""

    def __init__(
        self,
        node: str,
        link: NodeLink,
        store: Store,
        intake: Intake,
        exclusive: Exclusive,
        pins: PhonePins,
        clock: Clock,
        tasks: TaskStore | None = None,
    ) -> None:
        self.node = node
        self.ledger = Ledger(node)
        self.book = TaskBook(clock)
        self._repairs = Repairs(node, store, tasks, clock)
        self.record = PushedRecord(store, node, self.book)
        self.devices = DeviceChecks(node, link, self.ledger)
        self.last_applied: Applied | None = None
        self.held_back = 0  # removals that wait for somebody's apply
        self.steps_done = 0
        self.pushes = 0
        self._link = link
        self._store = store
        self._intake = intake
        self._exclusive = exclusive
        self._pins = pins
        self._executor = Executor(link, self.record.mark_reload, pins)
        self._loaded = False

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong that no push puts right, as sentences."""
        found = list(self.ledger.desired.faults.values())
        if self.devices.unreadable is not None:
            found.append(self.devices.unreadable)
        if self.held_back:
            found.append(
                f"{self.held_back} artefacts in Asterisk belong to nothing in the model, most of what it "
                "holds. Is this the right database? 'wirechief apply' removes them."
            )
        return tuple(found)

    async def read(self) -> Holdings:
        """Everything owned that Asterisk holds; may run beside other turns.

        Raises:
            AsteriskError
        """
        self.ledger.begin_read()
        try:
            return await read_holdings(self._link, (DIALPLAN_FILE,), self._pins)
        except BaseException:
            self.ledger.abandon_read()
            raise

    async def settle_audit(
        self, read: Holdings, *, push: Push, expected: Plan | None = None
    ) -> tuple[Plan, Applied | None]:
        """Compare what was read with the desired state and push the difference if told to.

        Order of reads: `read` holds the owned rows from before the journal is read here. A phone writes its
        journal row first and the owned row after it, so a phone's value among the owned rows always has its
        journal row in what is read now: the model learns of it before anything is compared, and it is never
        taken for an edit and reverted.

        Raises:
            StalePlan: the plan made now is not `expected`.
            AsteriskError, StoreError
        """
        async with self._exclusive():
            await self._take_in_journal(await self._link.read_rows(JOURNAL))
            await self._refresh()
            pushed = await self._pushed_if_needed(read)
            await self._take_in_pins(read, pushed)
            differing = self.ledger.adopt(read)
            self.ledger.await_settlement(pushed, differing)
            plan = self.ledger.plan(frozenset(self.record.owed))
            if expected is not None and expected.digest != plan.digest:
                raise StalePlan("The model or Asterisk changed since this plan was made; make a new plan.")
            match push:
                case Push.NOTHING:
                    applied = None
                case Push.UNASKED:
                    applied = await self._settle(self._cautious(plan))
                case Push.ALL:
                    self.held_back = 0
                    applied = await self._settle(plan)
            self._settle_tasks()
            return plan, applied

    async def _settle(self, plan: Plan, defer: frozenset[str] = frozenset()) -> Applied | None:
        """Run a plan; what it puts right that the model did not change is a task."""
        await self._repairs.begin(plan)
        applied = await self._run(plan, defer)
        await self._repairs.note(applied)
        return applied

    async def follow(self, *, push: bool) -> Applied | None:
        """Push what the model changed since the last turn; what became of it, None when nothing was sent."""
        async with self._exclusive():
            return await self._follow(push=push)

    async def _follow(self, *, push: bool) -> Applied | None:
        await self._refresh()
        applied = None
        if push and self.ledger.unsettled:
            applied = await self._settle(self._cautious(self.ledger.plan()), DEFERRABLE)
        self._settle_tasks()
        return applied

    def _settle_tasks(self) -> None:
        if self.ledger.trusted:
            self.book.settle(
                Standing(self.ledger.unsettled_keys, self.record.owed, self.ledger.desired.faults)
            )

    def _cautious(self, plan: Plan) -> Plan:
        """What may be done without being asked for."""
        held = sum(len(values) for values in self.ledger.mirror.by_holder.values())
        allowed, self.held_back = without_mass_removal(plan, held)
        return allowed

    async def _refresh(self) -> None:
        """Bring the desired state up to the model."""
        desired = self.ledger.desired
        moved = await desired.follow(self._store)
        if moved.revisions is None:
            tasks = await self._store.open_pushes(self.node)
            self.book.resume({r: progress for r, progress in tasks.items() if r <= desired.revision})
        else:
            self.book.take(moved.revisions, moved.keys, desired.keys_of)
        if self.ledger.trusted:
            for key in self.ledger.touch(moved.keys):
                self.record.note(key, self.ledger.mirror.get(key))

    async def reload_owed(self) -> Applied | None:
        """Do the reloads that earlier turns left for one."""
        async with self._exclusive():
            applied = await self._settle(self._cautious(self.ledger.plan(frozenset(self.record.owed))))
            self._settle_tasks()
            return applied

    async def _run(self, plan: Plan, defer: frozenset[str]) -> Applied | None:
        if plan.is_empty:
            return None
        self.book.begin(plan)
        applied = await self._executor.run(plan, defer=defer)
        self.book.note(applied)
        self.last_applied = applied
        self.pushes += 1
        settled = [*self.ledger.settle(applied, asyncio.get_running_loop().time())]
        for key, value in settled:
            self.steps_done += 1
            self.record.note(key, value)
        self.devices.note(plan, (key for key, _ in settled))
        level = logging.INFO if applied.ok else logging.WARNING
        logger.log(
            level,
            "pushed %d steps to %s: %s",
            len(plan.steps),
            self.node,
            dict(applied.counts()),
            extra={"node": self.node, "revision": plan.revision},
        )
        return applied

    async def _pushed_if_needed(self, read: Holdings) -> dict[ArtefactKey, str]:
        """The digests last pushed; read from the store only when there is something to classify."""
        differs = next(self.ledger.desired.values.differing(read), None) is not None
        if self._loaded and not differs:
            return {}
        pushed = await self.record.load()
        if not self._loaded:
            self._note_unrecorded(read, pushed)
        self._loaded = True
        return pushed

    def _note_unrecorded(self, read: Holdings, pushed: dict[ArtefactKey, str]) -> None:
        """Record what Asterisk was found to hold without a push on record, and forget what is gone."""
        for holder, values in self.ledger.desired.values.by_holder.items():
            held = read.by_holder[holder]
            for name in held.keys() & values.keys():
                key = ArtefactKey(holder, name)
                if key not in pushed and held[name] == values[name]:
                    self.record.note(key, values[name])
        for key in pushed:
            if self.ledger.desired.values.get(key) is None and read.get(key) is None:
                self.record.note(key, None)

    async def _take_in_journal(self, journal: dict[str, str]) -> None:
        """Commit journal rows to the model, then delete exactly those that are committed."""
        if journal:
            await self._link.delete_rows(await self._intake.take_in(journal))

    async def _take_in_pins(self, read: Holdings, pushed: dict[ArtefactKey, str]) -> None:
        for name, line in read.mailboxes.items():
            desired = self.ledger.desired.values.mailboxes.get(name)
            if desired is None or desired == line:
                continue
            pin = pin_changed_by_phone(desired, line, pushed.get(ArtefactKey(Holder.MAILBOX, name)))
            if pin is not None:
                await self._take_pin(name, pin)
        await self._refresh()

    async def take_in_pin(self, name: str, pin: str) -> None:
        """A voicemail owner chose a PIN by phone; `name` is "context/mailbox"."""
        async with self._exclusive():
            key = ArtefactKey(Holder.MAILBOX, name)
            line = self.ledger.mirror.get(key)
            if line is None:
                return
            self.ledger.observe(key, with_pin(line, pin))
            await self._take_pin(name, pin)

    async def _take_pin(self, name: str, pin: str) -> None:
        context, _, mailbox = name.partition("/")
        try:
            await self._intake.take_pin((context, mailbox), pin)
        except DomainError as exc:
            # The model cannot take it, so what the model says is put back.
            logger.warning("A PIN chosen by phone for mailbox %s was refused: %s", name, exc)

    async def take_in_handsets(self) -> bool:
        """Take in what phones just changed; False when it is too much and an audit should do it.

        As in an audit, the owned rows are read before the journal that is taken in.
        """
        async with self._exclusive():
            extensions = extensions_in(await self._link.read_rows(JOURNAL))
            if len(extensions) > READ_EXTENSIONS_MAX:
                return False
            for extension in extensions:
                await self._observe_extension(extension)
            journal = await self._link.read_rows(JOURNAL)
            await self._take_in_journal(rows_of(journal, extensions))
            return True

    async def _observe_extension(self, extension: ExtensionId) -> None:
        held = await read_extension(self._link, extension)
        known = self.ledger.desired.keys_of(Unit(UnitKind.EXTENSION, extension))
        names = {k.name for k in known if k.holder is Holder.ROW and is_row_of(k.name, extension)}
        for name in names | held.keys():
            key = ArtefactKey(Holder.ROW, name)
            if self.ledger.mirror.get(key) != held.get(name):
                self.ledger.observe(key, held.get(name))
