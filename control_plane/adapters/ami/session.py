"""One AMI connection, from the TCP handshake to its loss; the sole importer of panoramisk.

panoramisk gives the connection, the action objects with their ids, and the folding of list answers. What
this replaces, because it is a hazard there (each shown by a test against a scripted peer): encoding without
checks, decoding per TCP segment, re-sending after a reconnect, answers that never resolve, a refused login
that passes silently, and the automatic reconnect. A session never reconnects and never sends twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager
from panoramisk.message import Message

from control_plane.adapters.ami import wire
from control_plane.adapters.ami.address import AmiAddress, AmiTiming
from control_plane.adapters.ami.exchange import Batch, Exchange, Listing, lose_all
from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable
from control_plane.ports import AmiEvent

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: the response's headers in order, and the events of a list."""

    headers: Mapping[str, str]
    events: tuple[Mapping[str, str], ...] = field(default=())

    @property
    def ok(self) -> bool:
        return self.headers.get("Response") in ("Success", "Follows", "Goodbye")

    @property
    def error(self) -> str:
        """What Asterisk says about a refusal."""
        return wire.error_text(self.headers)


class _ActionExchange(Exchange[Reply]):
    """An action whose answer panoramisk folds: one response, or a response and the events of its list."""

    def __init__(self, what: str, loop: asyncio.AbstractEventLoop, action: Any) -> None:
        super().__init__(what, loop)
        self._action = action

    def take(self, message: bytes) -> bool:
        self.progress += 1
        parsed = Message.from_line(message.decode("utf-8", "replace"))
        if parsed is None or not self._action.add_message(parsed):
            return False
        answer = self._action.future.result()
        first, *rest = answer if isinstance(answer, list) else [answer]
        if not self.done.done():
            self.done.set_result(Reply(_plain(first), tuple(_plain(event) for event in rest)))
        return True


def _plain(message: Any) -> dict[str, str]:
    """A panoramisk message as a dict; it makes a list of repeated headers, of which the last counts."""
    return {
        name: value[-1] if isinstance(value, list) else value
        for name, value in message.items()
        if name != "content"
    }


class _Protocol(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's protocol with its encoder, decoder, dispatch and loss handling replaced."""

    def __init__(self, on_event: Callable[[AmiEvent], None]) -> None:
        self.awaited: dict[bytes, Exchange[Any]] = {}
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._framer = wire.Framer()
        self._on_event = on_event

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._framer.feed(data)
        except wire.NotAmi as exc:
            self.drop(str(exc))
            return
        if self._framer.greeting is not None and not self.greeted.done():
            self.greeted.set_result(None)
        for message in messages:
            self._route(message)

    def _route(self, message: bytes) -> None:
        ident = wire.action_id(message)
        exchange = self.awaited.get(ident) if ident is not None else None
        if ident is not None and exchange is not None:
            if exchange.take(message):
                self.awaited.pop(ident, None)
        elif message.startswith(b"Event: "):
            headers = wire.parse_headers(message)
            self._on_event(AmiEvent(headers["Event"], headers))
        # Anything else answers a question given up or answered already: its outcome stays unknown.

    def drop(self, why: str) -> None:
        """Break the connection now, without waiting for the peer."""
        self._ended(why)
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended("the connection broke" if exc else "Asterisk closed the connection")

    def _ended(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)
        if not self.greeted.done():
            self.greeted.set_result(None)
        lose_all(self.awaited.values(), why)
        self.awaited.clear()

    def close(self) -> None:
        """panoramisk's close keeps unanswered actions for sending again; this only closes."""
        self.transport.close()


class _Manager(Manager):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's manager without its own login, pinger and reconnect."""

    def connection_made(self, f: asyncio.Future[Any]) -> None:
        """Leave the outcome to who awaits `connect()`."""


class Session:
    """One logged-in connection. Methods raise Unreachable, OutcomeUnknown, Rejected as the port says."""

    def __init__(self, protocol: _Protocol, address: AmiAddress, timing: AmiTiming) -> None:
        self._protocol = protocol
        self._address = address
        self._timing = timing
        self._loop = asyncio.get_running_loop()
        # Unguessable, so that no event made by a caller can pass for an answer.
        self._token = secrets.token_hex(6)
        self._count = 0
        self.suspect = asyncio.Event()

    @classmethod
    async def open(
        cls, address: AmiAddress, timing: AmiTiming, on_event: Callable[[AmiEvent], None]
    ) -> Session:
        """Connect, log in and wait for FullyBooted.

        Raises:
            Unreachable: no connection, no AMI there, or no FullyBooted in time.
            LoginRefused: Asterisk refused the user or password.
        """
        booted = asyncio.get_running_loop().create_future()

        def relay(event: AmiEvent) -> None:
            if event.name == "FullyBooted" and not booted.done():
                booted.set_result(None)
            on_event(event)

        session = cls(await _connect(address, timing, relay), address, timing)
        try:
            await session._log_in()
            await session._until(
                booted, timing.boot_s, "did not report FullyBooted (the user needs read=system)"
            )
        except BaseException:
            session.drop("the login did not complete")
            raise
        return session

    async def _log_in(self) -> None:
        address = self._address
        await self._until(self._protocol.greeted, self._timing.answer_s, "sent no greeting")
        login = {"Action": "Login", "Username": address.username, "Events": "on"}
        login["Secret"] = address.secret.get_secret_value()
        try:
            reply = await self.ask(login, what=f"Login to {address}")
        except OutcomeUnknown as exc:
            raise Unreachable(f"Asterisk at {address} did not answer the login.") from exc
        if not reply.ok:
            raise LoginRefused(
                f"Asterisk at {address} refused AMI user {address.username!r}: {reply.error};"
                " check the user, its secret and its permit list in manager.conf."
            )

    async def _until(self, event: asyncio.Future[None], deadline_s: float, problem: str) -> None:
        either: tuple[asyncio.Future[Any], ...] = (event, self.lost)
        await asyncio.wait(either, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():
            raise Unreachable(f"Asterisk at {self._address}: {self.lost.result()}.")
        if not event.done():
            raise Unreachable(f"Asterisk at {self._address} {problem} within {deadline_s:g} s.")

    @property
    def lost(self) -> asyncio.Future[str]:
        """Resolves to the reason when the connection is gone."""
        lost: asyncio.Future[str] = self._protocol.lost
        return lost

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._protocol.awaited)

    def drop(self, why: str) -> None:
        """End the connection; what is unanswered becomes OutcomeUnknown."""
        self._protocol.drop(why)

    async def ask(self, action: Mapping[str, str], *, what: str, deadline_s: float | None = None) -> Reply:
        """The answer to one action, refusals included; `what` names it in errors, never its values.

        Raises:
            UnsafeValue, Unreachable, OutcomeUnknown.
        """
        request = Action(dict(action, ActionID=self._next_id()))
        frame = wire.encode_action(request.items(), what)
        exchange = _ActionExchange(what, self._loop, request)
        self._expect(exchange, [request.id.encode()])
        self._protocol.transport.write(frame)
        return await self._settle(exchange, deadline_s)

    async def order(self, action: Mapping[str, str], *, what: str, deadline_s: float | None = None) -> Reply:
        """As `ask`, for actions that must succeed.

        Raises:
            Rejected: Asterisk answered with an error.
        """
        reply = await self.ask(action, what=what, deadline_s=deadline_s)
        if not reply.ok:
            raise Rejected(f"{what}: Asterisk refused: {reply.error}.")
        return reply

    async def list_items(
        self, action: Mapping[str, str], *, what: str, item: str, empty_answer: str | None = None
    ) -> list[bytes]:
        """Raw items of a list action and its closing event, or nothing when Asterisk says `empty_answer`."""
        ident = self._next_id()
        frame = wire.encode_action([*action.items(), ("ActionID", ident)], what)
        empty = None if empty_answer is None else empty_answer.encode()
        exchange = Listing(what, self._loop, item=item.encode(), empty_answer=empty)
        self._expect(exchange, [ident.encode()])
        self._protocol.transport.write(frame)
        return await self._settle(exchange, None)

    async def run_batch(
        self,
        actions: Iterable[tuple[str, Sequence[tuple[str, str]]]],
        *,
        what: str,
        harmless: str | None = None,
    ) -> None:
        """Do many one-answer actions, pipelined; each is (subject named in errors, headers).

        Everything is encoded before anything is sent. `harmless` is a refusal that counts as success.
        """
        prefix = self._next_id()
        subjects: list[str] = []
        frames: list[bytes] = []
        for subject, headers in actions:
            identified = [*headers, ("ActionID", f"{prefix}-{len(frames)}")]
            frames.append(wire.encode_action(identified, subject))
            subjects.append(subject)
        mark = None if harmless is None else harmless.encode()
        batch = Batch(what, self._loop, subjects=subjects, harmless=mark)

        def send(start: int, end: int) -> None:
            if not self.lost.done():
                self._expect(batch, [f"{prefix}-{index}".encode() for index in range(start, end)])
                self._protocol.transport.write(b"".join(frames[start:end]))

        self._require_open()
        batch.start(send)
        await self._settle(batch, None)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._token}.{self._count}"

    def _require_open(self) -> None:
        if self.lost.done() or self._protocol.transport.is_closing():
            raise Unreachable(f"There is no connection to Asterisk at {self._address}.")

    def _expect(self, exchange: Exchange[Any], idents: Iterable[bytes]) -> None:
        self._require_open()
        self._protocol.awaited.update(dict.fromkeys(idents, exchange))

    async def _settle(self, exchange: Exchange[_T], deadline_s: float | None) -> _T:
        """The exchange's result; its deadline counts from the last sign of progress."""
        deadline_s = self._timing.answer_s if deadline_s is None else deadline_s
        try:
            while True:
                seen = exchange.progress
                await asyncio.wait({exchange.done}, timeout=deadline_s)
                if exchange.done.done():
                    return exchange.done.result()
                if exchange.progress == seen:
                    self.suspect.set()
                    raise OutcomeUnknown(
                        f"{exchange.what}: no answer within {deadline_s:g} s; whether it was done is unknown."
                    )
        finally:
            if exchange.done.done():
                exchange.done.exception()  # seen, also when the waiter was cancelled meanwhile
            else:
                self._forget(exchange)

    def _forget(self, exchange: Exchange[Any]) -> None:
        awaited = self._protocol.awaited
        for ident in [ident for ident, other in awaited.items() if other is exchange]:
            del awaited[ident]


async def _connect(address: AmiAddress, timing: AmiTiming, on_event: Callable[[AmiEvent], None]) -> _Protocol:
    manager = _Manager(
        host=address.host,
        port=address.port,
        ssl=address.tls or False,
        loop=asyncio.get_running_loop(),
        protocol_factory=lambda: _Protocol(on_event),
    )
    # What the factory makes, as asyncio's create_connection has it.
    connecting: asyncio.Task[tuple[asyncio.Transport, _Protocol]] = manager.connect()
    try:
        # Not wait_for: before Python 3.12 it may swallow a cancellation that comes with the connection.
        async with asyncio.timeout(timing.connect_s):
            _, protocol = await connecting
    except asyncio.CancelledError:
        _abandon(connecting)
        raise
    except TimeoutError as exc:
        _abandon(connecting)
        raise Unreachable(f"Asterisk at {address} did not accept within {timing.connect_s:g} s.") from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise Unreachable(f"Asterisk at {address} cannot be reached: {reason}.") from exc
    return protocol


def _abandon(connecting: asyncio.Task[tuple[asyncio.Transport, _Protocol]]) -> None:
    """Close the connection if it was made in the moment in which it was given up."""
    if connecting.done() and not connecting.cancelled() and connecting.exception() is None:
        _, protocol = connecting.result()
        protocol.drop("nobody waits for it any more")
