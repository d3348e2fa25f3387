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
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from control_plane.domain.model import Model
from control_plane.errors import (
    AsteriskError,
    MailNotSent,
    MailRefused,
    RenderError,
    StoreError,
)
from control_plane.ports import (
    AmiEvent,
    Clock,
    LinkState,
    Mail,
    Mailer,
    NodeLink,
    Recording,
    Recordings,
    Store,
)
from control_plane.service.notice import OUTBOX, BadRow, Notice, NoticeKind, compose, parse_row, recipients

logger = logging.getLogger(__name__)

DEAD = "outbox-failed"
FIRST_RETRY_S = 30
LONGEST_RETRY_S = 7200
MAX_TRIES = 20
"""With the pauses above: a little over 24 hours."""
RECORDING_GRACE = timedelta(minutes=2)
"""How long a mail waits for its recording before it goes without."""
RECORDING_RETRY_S = 10
STALE = timedelta(days=7)
"""What waits for a mail server longer than this becomes a dead letter: the outbox must not grow for ever."""
MAX_DEAD = 500
SERVER_DOWN_AFTER = 3
"""So many failures in a row mean the mail server and not the mails: the rest waits for the next round."""
EVERY_S = 60.0
RETRY_S = 5.0
ROW_BYTES = 600
REASON_BYTES = 250


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """How mail about calls stands; `problem` is one sentence when something waits that should not."""

    configured: bool
    waiting: int
    sent: int
    failed: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notice that was given up: its row and why."""

    id: str
    row: str
    reason: str


@dataclass(slots=True)
class _Delivery:
    """What was tried for one row since this process started."""

    tries: int = 0
    due: datetime | None = None
    served: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)


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
        self._store = store
        self._clock = clock
        self._node = node
        self._mailer = mailer
        self._recordings = recordings
        self._deliveries: dict[str, _Delivery] = {}
        self._waiting = 0
        self._sent = 0
        self._dead = 0
        self._problem: str | None = None
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()

    @property
    def status(self) -> OutboxStatus:
        """As of the last round."""
        problem = self._problem
        if self._mailer is None and self._waiting:
            problem = f"{self._waiting} mails wait: no mail server is set (smtp_host)."
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
        async with self._lock:
            if self._link.state is not LinkState.CONNECTED:
                return
            rows = await self._link.read_rows(OUTBOX)
            await self._bound_dead()
            model = (await self._store.snapshot()).model
            self._deliveries = {key: d for key, d in self._deliveries.items() if key in rows}
            self._waiting = len(rows)
            await self._work_off(rows, model)

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What was given up, by id. Raises: AsteriskError."""
        rows = await self._link.read_rows(DEAD)
        return tuple(_dead_letter(key, value) for key, value in sorted(rows.items()))

    async def retry_dead_letters(self) -> int:
        """Put every dead letter back into the outbox; how many there were. Raises: AsteriskError."""
        async with self._lock:
            rows = await self._link.read_rows(DEAD)
            letters = [_dead_letter(key, value) for key, value in sorted(rows.items())]
            await self._link.put_rows([(f"{OUTBOX}/{letter.id}", letter.row) for letter in letters])
            await self._link.delete_rows(rows)
            for letter in letters:
                self._deliveries.pop(f"{OUTBOX}/{letter.id}", None)
        self._wake.set()
        return len(rows)

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
                went_well = await self._one(key, rows[key], model)
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
        delivery = self._deliveries.setdefault(key, _Delivery())
        if delivery.due is not None and now < delivery.due:
            return True
        recording = await self._recording(notice)
        awaited = notice.kind is NoticeKind.VOICEMAIL and abs(now - notice.at) < RECORDING_GRACE
        if recording is None and awaited:
            delivery.due = now + timedelta(seconds=RECORDING_RETRY_S)
            return True
        mails = [compose(notice, model, to, recording, self._message_id(key)) for to in wanted]
        problem = await self._send(
            self._mailer, [mail for mail in mails if mail.to[0] not in delivery.served], delivery
        )
        return await self._settle(key, value, delivery, problem)

    async def _send(self, mailer: Mailer, mails: list[Mail], delivery: _Delivery) -> str | None:
        """Send each; why one must be tried again, or None when all are settled."""
        problem: str | None = None
        for mail in mails:
            to = mail.to[0]
            if to in delivery.refused:
                continue
            try:
                await mailer.send(mail)
            except MailRefused as exc:
                delivery.refused[to] = f"{to}: {exc}"
            except MailNotSent as exc:
                problem = str(exc)
            else:
                delivery.served.add(to)
                self._sent += 1
        return problem

    async def _settle(self, key: str, value: str, delivery: _Delivery, problem: str | None) -> bool:
        if problem is None:
            self._problem = None
            if delivery.refused:
                await self._bury(key, value, "; ".join(delivery.refused.values()))
            else:
                await self._remove(key)
            return True
        self._problem = problem
        delivery.tries += 1
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
        await self._link.delete_rows([key])
        self._deliveries.pop(key, None)
        self._waiting -= 1

    async def _bury(self, key: str, value: str, reason: str) -> None:
        """Turn a row into a dead letter: first the letter, then the row goes."""
        letter = f"{_cut(value, ROW_BYTES)}|{_cut(reason, REASON_BYTES)}"
        await self._link.put_rows([(f"{DEAD}/{key.removeprefix(f'{OUTBOX}/')}", letter)])
        await self._remove(key)
        self._dead += 1
        logger.error("mail of %s was given up: %s", key, _cut(reason, REASON_BYTES))

    async def _bound_dead(self) -> None:
        dead = await self._link.read_rows(DEAD)
        # Ids are Asterisk's unique ids: they sort by time.
        excess = sorted(dead)[: max(0, len(dead) - MAX_DEAD)]
        if excess:
            await self._link.delete_rows(excess)
        self._dead = len(dead) - len(excess)

    def _message_id(self, key: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9.-]", "", key.removeprefix(f"{OUTBOX}/"))[:40]
        # The digest tells apart what the cleaning made equal.
        return f"{plain}.{sha256(f'{self._node}/{key}'.encode()).hexdigest()[:16]}"


def _stop_if_cancelled() -> None:
    """End a task that was cancelled while something it awaited kept that to itself.

    asyncio.wait_for of Python 3.11 does when the cancellation and its result come together, and the mail
    client waits with it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _dead_letter(key: str, value: str) -> DeadLetter:
    row, _, reason = value.rpartition("|")
    return DeadLetter(key.removeprefix(f"{DEAD}/"), row, reason)


def _cut(text: str, size_bytes: int) -> str:
    plain = "".join(c if c.isprintable() and c != "|" else " " for c in text)
    return plain.encode()[:size_bytes].decode("utf-8", "ignore").strip()
