"""One short exchange over AMI: log in, send a few actions, wait for an event, leave.

For starting an Asterisk and for the lab's carrier. The push has an adapter of its own, with reconnection
and pipelining; none of that is here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable, UnsafeValue

ANSWER_S = 10.0
_MAX_LINE = 1000  # bytes; manager.c reads lines of at most 1024 with their end
_LIMIT = 1 << 20


class AmiExchange:
    """A logged-in connection. Made by `ami_exchange`, and used by one task at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._events: list[Mapping[str, str]] = []

    async def action(self, name: str, *headers: tuple[str, str]) -> Mapping[str, str]:
        """The response to one action; events that arrive before it are kept for `event`.

        Raises:
            UnsafeValue: a header would break out of its line, or is longer than AMI takes. Nothing is sent.
            Rejected: Asterisk answered with an error.
            OutcomeUnknown: no answer within 10 s, or the connection broke.
        """
        action_id = str(next(self._ids))
        lines = [_line(key, value) for key, value in (("Action", name), ("ActionID", action_id), *headers)]
        self._writer.write("".join([*lines, "\r\n"]).encode())
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._writer.drain()
                while (message := await self._message()).get("ActionID") != action_id or (
                    "Response" not in message
                ):
                    self._keep(message)
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as exc:
            raise OutcomeUnknown(f"Asterisk did not answer the action {name}.") from exc
        if message["Response"] == "Error":
            raise Rejected(f"Asterisk refused {name}: {message.get('Message', 'no reason given')}.")
        return message

    async def event(self, wanted: Callable[[Mapping[str, str]], bool], within_s: float) -> Mapping[str, str]:
        """The first event that is wanted, also one that arrived already.

        Raises:
            OutcomeUnknown: none came in time, or the connection broke.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    for event in self._events:
                        if wanted(event):
                            self._events.remove(event)
                            return event
                    self._keep(await self._message())
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as exc:
            raise OutcomeUnknown(f"The event did not come within {within_s:g} s.") from exc

    @property
    def kept_events(self) -> tuple[Mapping[str, str], ...]:
        """Events that have arrived and that nobody has asked for yet."""
        return tuple(self._events)

    def _keep(self, message: Mapping[str, str]) -> None:
        if "Event" in message:
            self._events.append(message)

    async def _message(self) -> Mapping[str, str]:
        block = await self._reader.readuntil(b"\r\n\r\n")
        lines = block.decode(errors="replace").split("\r\n")
        return dict(line.split(": ", 1) for line in lines if ": " in line)


@asynccontextmanager
async def ami_exchange(host: str, port: int, user: str, secret: str) -> AsyncIterator[AmiExchange]:
    """A logged-in AMI connection, closed at the end.

    Raises:
        Unreachable: nothing speaks AMI there.
        LoginRefused: the user or the secret is wrong.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port, limit=_LIMIT)
    except (TimeoutError, OSError) as exc:
        raise Unreachable(f"The manager interface {host}:{port} does not answer.") from exc
    try:
        try:
            async with asyncio.timeout(ANSWER_S):
                await reader.readuntil(b"\r\n")  # the greeting with AMI's own version
        except (TimeoutError, OSError, asyncio.IncompleteReadError) as exc:
            raise Unreachable(f"{host}:{port} does not speak AMI.") from exc
        exchange = AmiExchange(reader, writer)
        try:
            await exchange.action("Login", ("Username", user), ("Secret", secret))
        except Rejected:
            raise LoginRefused(f"The manager interface {host}:{port} refused user {user!r}.") from None
        except OutcomeUnknown as exc:
            raise Unreachable(f"The manager interface {host}:{port} did not finish the login.") from exc
        yield exchange
    finally:
        writer.close()


async def wait_until_booted(host: str, port: int, user: str, secret: str, *, within_s: float) -> None:
    """Returns when the Asterisk there is fully booted: every module loaded, calls can be taken.

    Raises:
        Unreachable: that did not happen in time.
        LoginRefused: the user or the secret is wrong.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while (left := deadline - loop.time()) > 0:
        try:
            async with ami_exchange(host, port, user, secret) as exchange:
                await exchange.event(lambda event: event.get("Event") == "FullyBooted", left)
                return
        except (Unreachable, OutcomeUnknown):
            # Not listening yet, or listening and still loading: try again, with a pause that costs nothing.
            await asyncio.sleep(0.05)
    raise Unreachable(f"The Asterisk at {host}:{port} was not fully booted within {within_s:g} s.")


def _line(key: str, value: str) -> str:
    if any(char in key + value for char in "\r\n\0"):
        raise UnsafeValue(key, "must have no line break or NUL")
    line = f"{key}: {value}\r\n"
    if len(line.encode()) > _MAX_LINE:
        raise UnsafeValue(key, f"is too long: an AMI line has at most {_MAX_LINE} bytes")
    return line
