"""Empties one node's outbox: missed calls and voicemail become mail (R113, R114, R116).

The dialplan leaves a row per notice in AstDB, so nothing is lost while the control plane is down. A row goes
only after its mail was taken by the mail server (at least once; the Message-ID is made from the row, so that
a second copy can be told), or when nobody wants it. What cannot be sent stays visible as a dead letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from datetime import timedelta

from control_plane.domain.model import Model
from control_plane.errors import (
    AsteriskError,
    Conflict,
    RenderError,
    StoreError,
    UnknownEntity,
)
from control_plane.ports import (
    AmiEvent,
    Clock,
    LinkState,
    Mailer,
    NodeLink,
    Recording,
    Recordings,
    Store,
)
from control_plane.service.delivery import Delivery
from control_plane.service.mail_rows import DeadLetter, MailRows, short_reason
from control_plane.service.mails import KeptMail, OutboxStatus, given_up, is_of, waiting
from control_plane.service.notice import (
    OUTBOX,
    BadRow,
    Notice,
    NoticeKind,
    compose,
    message_id,
    parse_row,
    recipients,
)

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 30
LONGEST_RETRY_S = 7200
MAX_TRIES = 20
"""With the pauses above: a little over 24 hours."""
RECORDING_GRACE = timedelta(minutes=2)
"""How long a mail waits for its recording before it goes without."""
RECORDING_RETRY_S = 10
STALE = timedelta(days=7)
"""What waits for a mail server longer than this becomes a dead letter: the outbox must not grow for ever."""
SERVER_DOWN_AFTER = 3
"""So many failures in a row mean the mail server and not the mails: the rest waits for the next round."""
EVERY_S = 60.0
RETRY_S = 5.0
NO_SERVER = "no mail server is set (smtp_host)"


class Outbox:
    """The outbox of one node.

    Args:
        mailer: None: no mail server is set; rows wait and the status says so.
    """

    def __init__(
        self,
        link: NodeLink,
        store: Store,
        clock: Clock,
        *,
        node: str,
        mailer: Mailer | None,
        recordings: Recordings,
    ) -> None:
        self._link = link
        self._rows = MailRows(link)
        self._store = store
        self._clock = clock
        self._node = node
        self._mailer = mailer
        self._recordings = recordings
        self._deliveries: dict[str, Delivery] = {}
        self._waiting = 0
        self._sent = 0
        self._dead = 0
        self._problem: str | None = None
        self._round_lock = asyncio.Lock()
        self._row_lock = asyncio.Lock()
        """Held for one mail at a time, so that who asks for something waits for one and not for all."""
        self._discarded: set[str] = set()
        """Keys of this round's rows that are gone."""
        self._wake = asyncio.Event()

    @property
    def status(self) -> OutboxStatus:
        """As of the last round."""
        problem = self._problem
        if self._mailer is None and self._waiting:
            problem = f"{self._waiting} mails wait: {NO_SERVER}."
        return OutboxStatus(self._mailer is not None, self._waiting, self._sent, self._dead, problem)

    async def run(self) -> None:
        """Drain on connect, when the dialplan says something was added, and periodically; until cancelled."""
        unsubscribe = (self._link.subscribe(self._on_event), self._link.on_state(self._on_state))
        try:
            while True:
                delay = await self._round()
                _stop_if_cancelled()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            for stop in unsubscribe:
                stop()

    async def drain(self) -> None:
        """One round over all rows that are due.

        Raises:
            AsteriskError: the connection broke; what was sent is not sent again by this process.
            StoreError: the model cannot be read.
        """
        async with self._round_lock:
            if self._link.state is not LinkState.CONNECTED:
                return
            self._discarded.clear()
            rows = await self._rows.waiting()
            self._dead = await self._rows.bound()
            model = (await self._store.snapshot()).model
            self._deliveries = {key: d for key, d in self._deliveries.items() if key in rows}
            self._waiting = len(rows)
            await self._work_off(rows, model)

    async def mails(self) -> list[KeptMail]:
        """What was given up, then what waits, the newest first in each.

        Raises: AsteriskError, StoreError.
        """
        # In this order: what is given up meanwhile is told twice rather than not at all.
        rows = await self._rows.waiting()
        letters = await self._rows.dead()
        model = (await self._store.snapshot()).model
        found = [given_up(self._node, letter, model) for letter in letters]
        for key, row in rows.items():
            delivery = self._deliveries.get(key, Delivery())
            problem = NO_SERVER if self._mailer is None else delivery.problem
            found.append(waiting(self._node, key, row, model, delivery.tries, problem, delivery.due))
        return sorted(found, key=lambda mail: mail.order, reverse=True)

    async def retry(self, id: str | None = None, org: str | None = None) -> int:
        """Try again now what was given up, and what waits for its next try; how many mails that is.

        Args:
            id: only this one.
            org: only those about extensions of this organisation.

        Raises: AsteriskError, Conflict (MailRows); UnknownEntity: there is no mail `id`.
        """

        def is_meant(ident: str, row: str) -> bool:
            return id in (None, ident) and (org is None or is_of(org, row))

        async with self._row_lock:
            rows = await self._rows.waiting()
            keys = [key for key, row in rows.items() if is_meant(key.removeprefix(f"{OUTBOX}/"), row)]
            letters = [letter for letter in await self._rows.dead() if is_meant(letter.id, letter.row)]
            if id is not None and not keys and not letters:
                raise UnknownEntity("mail", id)
            back = {letter.id for letter in letters if await self._put_back(letter, one=id is not None)}
            for key in keys:
                delivery = self._deliveries.setdefault(key, Delivery())
                delivery.due = None
                delivery.refused.clear()
            self._dead = max(0, self._dead - len(back))
        self._wake.set()
        return len(back.union(key.removeprefix(f"{OUTBOX}/") for key in keys))

    async def _put_back(self, letter: DeadLetter, *, one: bool) -> bool:
        try:
            await self._rows.put_back(letter)
        except Conflict as exc:
            if one:
                raise
            logger.warning("node %s: %s", self._node, exc)
            return False
        return True

    async def discard(self, id: str, by: str) -> None:
        """Forget a mail, waiting or given up; it is never sent.

        Raises: AsteriskError, Conflict (MailRows); UnknownEntity: there is no mail `id`.
        """
        key = f"{OUTBOX}/{id}"
        async with self._row_lock:
            is_waiting = key in await self._rows.waiting()
            is_dead = any(letter.id == id for letter in await self._rows.dead())
            if not is_waiting and not is_dead:
                raise UnknownEntity("mail", id)
            await self._rows.discard(id)
            self._discarded.add(key)
            self._deliveries.pop(key, None)
            self._waiting = max(0, self._waiting - is_waiting)
            self._dead = max(0, self._dead - is_dead)
        logger.warning("mail %s of node %s was discarded by %s", id, self._node, by)

    def _on_event(self, event: AmiEvent) -> None:
        if event.name == "UserEvent" and event.headers.get("UserEvent") == "Outbox":
            self._wake.set()

    def _on_state(self, state: LinkState) -> None:
        if state is LinkState.CONNECTED:
            self._wake.set()

    async def _round(self) -> float:
        """Drain; seconds until the next round is due."""
        try:
            await self.drain()
        except (AsteriskError, StoreError) as exc:
            logger.warning("outbox of node %s tries again in %.0f s: %s", self._node, RETRY_S, exc)
            return RETRY_S
        now = self._clock.now()
        due = [(d.due - now).total_seconds() for d in self._deliveries.values() if d.due is not None]
        return max(0.1, min([EVERY_S, *due]))

    async def _work_off(self, rows: Mapping[str, str], model: Model) -> None:
        failures = 0
        for key in sorted(rows):
            _stop_if_cancelled()
            try:
                async with self._row_lock:
                    went_well = key in self._discarded or await self._one(key, rows[key], model)
            except RenderError as exc:
                # A key or value that AMI cannot carry: not written by our dialplan, not ours to remove.
                logger.warning("outbox row of node %s left alone: %s", self._node, exc)
                continue
            failures = 0 if went_well else failures + 1
            if failures == SERVER_DOWN_AFTER:
                break

    async def _one(self, key: str, value: str, model: Model) -> bool:
        """Do what is due for one row; False when the mail server did not take it."""
        try:
            notice = parse_row(key, value)
        except BadRow as exc:
            await self._bury(key, value, f"the row cannot be read: {exc}")
            return True
        wanted = recipients(notice, model)
        if not wanted:
            await self._remove(key)
            return True
        now = self._clock.now()
        if self._mailer is None:
            if now - notice.at > STALE:
                await self._bury(key, value, f"no mail server was set for {STALE.days} days")
            return True
        delivery = self._deliveries.setdefault(key, Delivery())
        if delivery.due is not None and now < delivery.due:
            return True
        recording = await self._recording(notice)
        awaited = notice.kind is NoticeKind.VOICEMAIL and abs(now - notice.at) < RECORDING_GRACE
        if recording is None and awaited:
            delivery.due = now + timedelta(seconds=RECORDING_RETRY_S)
            return True
        mails = [compose(notice, model, to, recording, message_id(self._node, key)) for to in wanted]
        served = len(delivery.served)
        problem = await delivery.attempt(self._mailer, mails)
        self._sent += len(delivery.served) - served
        return await self._settle(key, value, delivery, problem)

    async def _settle(self, key: str, value: str, delivery: Delivery, problem: str | None) -> bool:
        if problem is None:
            self._problem = None
            if delivery.refused:
                await self._bury(key, value, "; ".join(delivery.refused.values()))
            else:
                await self._remove(key)
            return True
        self._problem = problem
        if delivery.tries >= MAX_TRIES:
            await self._bury(key, value, f"given up after {delivery.tries} tries: {problem}")
            return False
        pause_s = min(FIRST_RETRY_S * 2 ** (delivery.tries - 1), LONGEST_RETRY_S) * random.uniform(0.9, 1.1)
        delivery.due = self._clock.now() + timedelta(seconds=pause_s)
        logger.warning("mail of %s waits %.0f s after try %d: %s", key, pause_s, delivery.tries, problem)
        return False

    async def _recording(self, notice: Notice) -> Recording | None:
        if notice.kind is not NoticeKind.VOICEMAIL:
            return None
        return await self._recordings.read(
            notice.org, notice.extension, stem=notice.detail, caller=notice.caller, ended=notice.at
        )

    async def _remove(self, key: str) -> None:
        await self._rows.remove(key)
        self._forget(key)

    def _forget(self, key: str) -> None:
        self._deliveries.pop(key, None)
        self._waiting -= 1

    async def _bury(self, key: str, value: str, reason: str) -> None:
        delivery = self._deliveries.get(key, Delivery())
        await self._rows.bury(key, value, delivery.tries, self._clock.now(), reason)
        self._forget(key)
        self._dead += 1
        logger.error("mail of %s was given up: %s", key, short_reason(reason))


def _stop_if_cancelled() -> None:
    """End a task that was cancelled while something it awaited kept that to itself.

    asyncio.wait_for of Python 3.11 does when the cancellation and its result come together, and the mail
    client waits with it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
