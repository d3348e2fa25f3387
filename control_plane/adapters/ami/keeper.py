"""Keeps one AMI session alive: connects, watches, reconnects with backoff, and tells who listens."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from control_plane.adapters.ami import wire
from control_plane.adapters.ami.address import AmiAddress, AmiTiming
from control_plane.adapters.ami.session import Session
from control_plane.errors import AsteriskError, LoginRefused, OutcomeUnknown, Unreachable
from control_plane.ports import AmiEvent, LinkState

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class LinkEvent(StrEnum):
    """What moves the link from one state to another."""

    ATTEMPT = "attempt"
    READY = "ready"
    LOST = "lost"
    REFUSED = "refused"
    CLOSED = "closed"


TRANSITIONS: dict[tuple[LinkState, LinkEvent], LinkState] = {
    (LinkState.DISCONNECTED, LinkEvent.ATTEMPT): LinkState.CONNECTING,
    (LinkState.DISCONNECTED, LinkEvent.CLOSED): LinkState.DISCONNECTED,
    (LinkState.LOGIN_REFUSED, LinkEvent.ATTEMPT): LinkState.CONNECTING,
    (LinkState.LOGIN_REFUSED, LinkEvent.CLOSED): LinkState.DISCONNECTED,
    (LinkState.CONNECTING, LinkEvent.READY): LinkState.CONNECTED,
    (LinkState.CONNECTING, LinkEvent.LOST): LinkState.DISCONNECTED,
    (LinkState.CONNECTING, LinkEvent.REFUSED): LinkState.LOGIN_REFUSED,
    (LinkState.CONNECTING, LinkEvent.CLOSED): LinkState.DISCONNECTED,
    (LinkState.CONNECTED, LinkEvent.LOST): LinkState.DISCONNECTED,
    (LinkState.CONNECTED, LinkEvent.CLOSED): LinkState.DISCONNECTED,
}


def backoff_s(failures: int, timing: AmiTiming) -> float:
    """Seconds to wait after so many failures in a row: doubling, bounded, with jitter.

    The jitter keeps many links that lost the same node from calling it in step.
    """
    ceiling = min(timing.backoff_max_s, timing.backoff_first_s * 2.0 ** min(failures, 16))
    return ceiling * random.uniform(0.5, 1.0)


class Keeper:
    """The life of the link to one node; all methods belong to the loop it was connected in.

    Raises UnsafeValue when the user name or secret cannot be sent over AMI.

    After `connect` was called once the link keeps trying until `close`, also when that first call raised.
    """

    def __init__(self, address: AmiAddress, timing: AmiTiming | None = None) -> None:
        wire.encode_action(
            (("Username", address.username), ("Secret", address.secret.get_secret_value())),
            "AMI user name or secret",
        )
        self._address = address
        self._timing = timing or AmiTiming()
        self._state = LinkState.DISCONNECTED
        self._last_error: str | None = "not connected yet"
        self._session: Session | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._retry_now = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[AmiEvent], None]] = []
        self._state_listeners: list[Callable[[LinkState], None]] = []

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def last_error(self) -> str | None:
        return self._last_error

    async def connect(self) -> None:
        """Return when connected; see the port. Called again, it tries at once instead of waiting."""
        if self._session is not None:
            return
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(outcome)
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name=f"ami {self._address}")
        self._retry_now.set()
        await outcome

    async def close(self) -> None:
        """End the connection and the attempts to have one."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        supervisor.cancel()
        await asyncio.wait({supervisor})
        self._last_error = "closed"
        self._move(LinkEvent.CLOSED)
        self._tell_waiting(Unreachable("The link was closed."))

    async def _supervise(self) -> None:
        failures = -1
        while True:
            self._retry_now.clear()
            self._move(LinkEvent.ATTEMPT)
            try:
                lasted_s = await self._live()
            except LoginRefused as exc:
                self._failed(LinkEvent.REFUSED, exc)
                await self._pause(self._timing.refused_retry_s)
                continue
            except Unreachable as exc:
                self._failed(LinkEvent.LOST, exc)
                lasted_s = 0.0
            except Exception:  # a fault of this program must not leave the node unattended for good
                logger.exception("The link to Asterisk at %s failed unexpectedly", self._address)
                self._failed(LinkEvent.LOST, Unreachable(f"The link to {self._address} failed; see the log."))
                lasted_s = 0.0
            # Who accepts connections only to drop them is treated as who accepts none.
            failures = 0 if lasted_s > self._timing.backoff_max_s else failures + 1
            await self._pause(backoff_s(failures, self._timing))

    async def _pause(self, delay_s: float) -> None:
        # Not wait_for: before Python 3.12 it may swallow a cancellation, and `close` would wait for ever.
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._retry_now.wait()

    def _failed(self, event: LinkEvent, exc: AsteriskError) -> None:
        self._last_error = str(exc)
        logger.warning("%s", exc)
        self._move(event)
        self._tell_waiting(exc)

    def _tell_waiting(self, exc: AsteriskError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for outcome in waiting:
            if outcome.done():
                continue
            if exc is None:
                outcome.set_result(None)
            else:
                outcome.set_exception(type(exc)(str(exc)))

    async def _live(self) -> float:
        """Have a session until it is lost; the seconds it lasted."""
        session = await Session.open(self._address, self._timing, self._dispatch)
        loop = asyncio.get_running_loop()
        started = loop.time()
        self._session, self._last_error = session, None
        try:
            self._move(LinkEvent.READY)
            self._tell_waiting(None)
            await self._watch(session)
        finally:
            self._session = None
            session.drop("the link was closed")
        self._last_error = f"Asterisk at {self._address}: {session.lost.result()}."
        logger.warning("%s", self._last_error)
        self._move(LinkEvent.LOST)
        return loop.time() - started

    async def _watch(self, session: Session) -> None:
        """Return when the session is lost; a peer that stopped answering is dropped.

        No ping while an answer is awaited: Asterisk works off a session in order, so the ping would only
        wait behind it, and every exchange has a deadline of its own that wakes this up.
        """
        while not session.lost.done():
            await self._next_look(session)
            if session.lost.done() or (session.busy and not session.suspect.is_set()):
                continue
            session.suspect.clear()
            try:
                await session.ask({"Action": "Ping"}, what="Ping", deadline_s=self._timing.ping_answer_s)
            except OutcomeUnknown:
                session.drop(f"no answer to a ping within {self._timing.ping_answer_s:g} s")
            except Unreachable:
                return

    async def _next_look(self, session: Session) -> None:
        suspicion = asyncio.create_task(session.suspect.wait())
        either: set[asyncio.Future[Any]] = {session.lost, suspicion}
        try:
            await asyncio.wait(
                either,
                timeout=self._timing.ping_every_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            suspicion.cancel()

    def _move(self, event: LinkEvent) -> None:
        self._state = TRANSITIONS[self._state, event]
        for listener in tuple(self._state_listeners):
            try:
                listener(self._state)
            except Exception:  # a listener's fault must not end the supervisor
                logger.exception("A listener of the link's state failed")

    def _dispatch(self, event: AmiEvent) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # a listener's fault must not end the connection
                logger.exception("A listener of AMI events failed on %s", event.name)

    def subscribe(self, listener: Callable[[AmiEvent], None]) -> Callable[[], None]:
        return _enlist(self._listeners, listener)

    def on_state(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        return _enlist(self._state_listeners, listener)

    def _open_session(self) -> Session:
        if self._session is None:
            raise Unreachable(self._last_error or f"There is no connection to Asterisk at {self._address}.")
        return self._session


def _enlist(listeners: list[Callable[[_T], None]], listener: Callable[[_T], None]) -> Callable[[], None]:
    listeners.append(listener)

    def leave() -> None:
        if listener in listeners:
            listeners.remove(listener)

    return leave
