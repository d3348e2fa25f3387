"""The least that can speak AMI: what the product's link is measured against, and a second witness.

Blocking, no checks, no reconnect: a baseline must not do more than the work itself.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence

ANSWER_S = 20.0
WINDOW = 500
_END = b"\r\n\r\n"
Rows = Sequence[tuple[str, str]]


class RawAmi:
    """One logged-in connection; also a context manager."""

    def __init__(self, host: str, port: int, user: str, secret: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=ANSWER_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""
        self._ask(
            f"Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: off\r\n\r\n", b"Message: "
        )

    def __enter__(self) -> RawAmi:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def put(self, rows: Rows) -> None:
        """DBPut each row, at most WINDOW unanswered."""
        frames = [_put(key, value) for key, value in rows]
        sent = answered = 0
        while answered < len(frames):
            if sent < len(frames) and sent - answered <= WINDOW // 2:
                upto = min(len(frames), answered + WINDOW)
                self._socket.sendall(b"".join(frames[sent:upto]))
                sent = upto
            answered += self._count_answers()

    def get(self, key: str) -> str | None:
        """One row, None when it is not there."""
        family, _, name = key.rpartition("/")
        answer = self._ask(
            f"Action: DBGet\r\nFamily: {family}\r\nKey: {name}\r\n\r\n", b"DBGetComplete", b"Response: Error"
        )
        start = answer.find(b"\r\nVal: ")
        return None if start < 0 else answer[start + 7 : answer.find(b"\r\n", start + 7)].decode()

    def tree(self, family: str) -> int:
        """DBGetTree of a family; how many rows came."""
        answer = self._ask(f"Action: DBGetTree\r\nFamily: {family}\r\n\r\n", b"EventList: Complete")
        return answer.count(b"Event: DBGetTreeResponse")

    def wipe(self, families: Iterable[str]) -> None:
        """Delete every row of these families."""
        for family in families:
            self._ask(f"Action: DBDelTree\r\nFamily: {family}\r\n\r\n", b"Response: ")

    def wait_for(self, key: str, value: str | None, within_s: float, pause_s: float) -> float:
        """The time (perf_counter) at which the row was seen to hold `value`.

        Raises: TimeoutError.
        """
        deadline = time.perf_counter() + within_s
        while self.get(key) != value:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"row {key} did not get its value within {within_s:g} s")
            time.sleep(pause_s)
        return time.perf_counter()

    def _ask(self, action: str, *ends: bytes) -> bytes:
        """Send, and read until a message with one of `ends` is complete."""
        self._socket.sendall(action.encode())
        parts = [self._held]
        self._held = b""
        tail = b""
        while True:
            tail = (tail + parts[-1])[-65536:]
            if tail.endswith(_END) and any(end in tail[-512:] for end in ends):
                return b"".join(parts)
            parts.append(self._receive())

    def _count_answers(self) -> int:
        data = self._held + self._receive()
        complete, found, self._held = data.rpartition(_END)
        if b"Response: Error" in complete:
            raise RuntimeError("Asterisk refused a row of the baseline")
        return complete.count(b"Response: Success") if found else 0

    def _receive(self) -> bytes:
        data = self._socket.recv(262144)
        if not data:
            raise ConnectionError("Asterisk closed the baseline's connection")
        return data


def _put(key: str, value: str) -> bytes:
    family, _, name = key.rpartition("/")
    return f"Action: DBPut\r\nFamily: {family}\r\nKey: {name}\r\nVal: {value}\r\n\r\n".encode()
