"""Questions to Asterisk and their answers on one connection.

An exchange ends in one of four ways: answered, refused, lost with the connection, or given up at its
deadline. Nothing here sends twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from control_plane.adapters.ami.wire import error_text, is_success, parse_headers
from control_plane.errors import OutcomeUnknown, Rejected

WINDOW = 500
"""Actions of one batch in flight. Asterisk answers one session in order; more only fills socket buffers."""

_T = TypeVar("_T")


class Exchange(Generic[_T]):
    """One question whose answer resolves `done`."""

    def __init__(self, what: str, loop: asyncio.AbstractEventLoop) -> None:
        self.what = what
        self.done: asyncio.Future[_T] = loop.create_future()
        self.progress = 0

    def take(self, message: bytes) -> bool:
        """Take one message carrying this exchange's id; True when no further one with that id is awaited."""
        raise NotImplementedError

    def lose(self, why: str) -> None:
        """The answer will never come."""
        if not self.done.done():
            self.done.set_exception(OutcomeUnknown(f"{self.what}: {why}; whether it was done is unknown."))

    def refuse(self, message: bytes) -> None:
        """Asterisk said no."""
        if not self.done.done():
            self.done.set_exception(
                Rejected(f"{self.what}: Asterisk refused: {error_text(parse_headers(message))}.")
            )


class Listing(Exchange[list[bytes]]):
    """A list action whose items are kept as raw bytes, for answers of tens of thousands of events.

    Resolves to the items followed by the closing event. `empty_answer` is a refusal that means "no items".
    """

    def __init__(
        self,
        what: str,
        loop: asyncio.AbstractEventLoop,
        *,
        item: bytes,
        empty_answer: bytes | None = None,
    ) -> None:
        super().__init__(what, loop)
        self._item = b"Event: " + item + b"\r\n"
        self._empty_answer = empty_answer
        self._items: list[bytes] = []

    def take(self, message: bytes) -> bool:
        self.progress += 1
        if message.startswith(self._item):
            self._items.append(message)
            return False
        if message.startswith(b"Response: "):
            return self._opened(message)
        if b"\r\nEventList: Complete" in message:
            self._items.append(message)
            self._finish()
            return True
        if b"\r\nEventList: Cancelled" in message:
            self.refuse(message)
            return True
        return False

    def _opened(self, message: bytes) -> bool:
        if is_success(message):
            return False
        if self._empty_answer is not None and self._empty_answer in message:
            self._finish()
        else:
            self.refuse(message)
        return True

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(self._items)


class Batch(Exchange[None]):
    """Many one-answer actions, at most WINDOW of them unanswered at any time.

    The first refusal stops the sending; the answers already under way are awaited before it is reported.
    """

    def __init__(
        self,
        what: str,
        loop: asyncio.AbstractEventLoop,
        *,
        subjects: Sequence[str],
        harmless: bytes | None = None,
    ) -> None:
        super().__init__(what, loop)
        self._subjects = subjects
        self._harmless = harmless
        self._answered = 0
        self._sent = 0
        self._refusal: str | None = None
        self._send: Callable[[int, int], None] = _unstarted

    def start(self, send: Callable[[int, int], None]) -> None:
        """Send the first window; `send(a, b)` writes actions a to b-1 in one go."""
        self._send = send
        self._advance()

    def take(self, message: bytes) -> bool:
        self.progress += 1
        self._answered += 1
        if not is_success(message) and not (self._harmless and self._harmless in message):
            self._refused(message)
        if self._sent - self._answered <= WINDOW // 2:
            self._advance()
        return True

    def _refused(self, message: bytes) -> None:
        if self._refusal is None:
            headers = parse_headers(message)
            index = int(headers["ActionID"].rpartition("-")[2])
            self._refusal = f"{self.what}: Asterisk refused {self._subjects[index]!r}: {error_text(headers)}."

    def _advance(self) -> None:
        if self._refusal is None and self._sent < len(self._subjects):
            start = self._sent
            self._sent = min(len(self._subjects), self._answered + WINDOW)
            self._send(start, self._sent)
        elif self._answered == self._sent and not self.done.done():
            if self._refusal is not None:
                self.done.set_exception(Rejected(self._refusal))
            else:
                self.done.set_result(None)


def _unstarted(_start: int, _end: int) -> None:
    raise RuntimeError("the batch was not started")


def lose_all(exchanges: Iterable[Exchange[object]], why: str) -> None:
    """Tell every distinct exchange that its answer will never come."""
    for exchange in set(exchanges):
        exchange.lose(why)
