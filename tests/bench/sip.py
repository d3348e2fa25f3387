"""The least SIP over UDP that a REGISTER needs, so that no phone's own time is measured."""

from __future__ import annotations

import itertools
import re
import socket
import time
from hashlib import md5

ANSWER_S = 3.0
RETRY_S = 0.001
"""Pause after a refused REGISTER: without one, refusals alone would keep a core busy."""
_numbers = itertools.count(1)
_CHALLENGE = re.compile(r'(\w+)="?([^",\r\n]+)"?')


def challenge_of(message: str) -> dict[str, str]:
    """The fields of a digest challenge in a 401."""
    line = next(line for line in message.split("\r\n") if line.lower().startswith("www-authenticate:"))
    return dict(_CHALLENGE.findall(line))


def authorization(challenge: dict[str, str], method: str, uri: str, user: str, password: str) -> str:
    """The Authorization header for a challenge (RFC 2617, MD5, qop auth)."""
    cnonce, count = "0a4f113b", "00000001"
    ha1 = _hash(f"{user}:{challenge['realm']}:{password}")
    ha2 = _hash(f"{method}:{uri}")
    response = _hash(f"{ha1}:{challenge['nonce']}:{count}:{cnonce}:auth:{ha2}")
    return (
        f'Authorization: Digest username="{user}", realm="{challenge["realm"]}", '
        f'nonce="{challenge["nonce"]}", uri="{uri}", response="{response}", algorithm=MD5, '
        f'opaque="{challenge.get("opaque", "")}", qop=auth, cnonce="{cnonce}", nc={count}'
    )


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


def status_of(message: str) -> int:
    """The status of a response; 0 for a request."""
    return int(message.split(" ", 2)[1]) if message.startswith("SIP/2.0 ") else 0


class Registrar:
    """One UDP socket that registers users at the node; also a context manager."""

    def __init__(self, address: str, node: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self._socket.connect(node)
        self._socket.settimeout(ANSWER_S)
        self._here = "{}:{}".format(*self._socket.getsockname())
        self._node = node[0]

    def __enter__(self) -> Registrar:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def challenge(self, user: str) -> dict[str, str]:
        """A fresh challenge for `user`."""
        return challenge_of(self._register(user, ""))

    def attempt(self, user: str, password: str, challenge: dict[str, str]) -> dict[str, str] | None:
        """Answer a challenge: None when registered, else the next challenge."""
        uri = f"sip:{self._node}"
        answer = self._register(user, authorization(challenge, "REGISTER", uri, user, password))
        return None if status_of(answer) == 200 else challenge_of(answer)

    def wait_registered(
        self, user: str, password: str, challenge: dict[str, str], within_s: float
    ) -> tuple[float, int]:
        """Try until `password` is taken; the time (perf_counter) and the number of attempts.

        Raises: TimeoutError.
        """
        deadline = time.perf_counter() + within_s
        for attempt in itertools.count(1):
            again = self.attempt(user, password, challenge)
            if again is None:
                return time.perf_counter(), attempt
            if time.perf_counter() > deadline:
                break
            challenge = again
            time.sleep(RETRY_S)
        raise TimeoutError(f"the new password was not taken within {within_s:g} s")

    def _register(self, user: str, authorization_line: str) -> str:
        number = next(_numbers)
        call_id = f"bench-{number}-{self._here}"
        lines = [
            f"REGISTER sip:{self._node} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{number}x{self._here[-5:]};rport",
            f"From: <sip:{user}@{self._node}>;tag=t{number}",
            f"To: <sip:{user}@{self._node}>",
            f"Call-ID: {call_id}",
            f"CSeq: {number} REGISTER",
            "Max-Forwards: 70",
            f"Contact: <sip:{user}@{self._here}>",
            "Expires: 600",
            *([authorization_line] if authorization_line else []),
            "Content-Length: 0",
            "",
            "",
        ]
        self._socket.send("\r\n".join(lines).encode())
        deadline = time.perf_counter() + ANSWER_S
        while time.perf_counter() < deadline:
            answer = self._socket.recv(65535).decode()
            if f"Call-ID: {call_id}\r\n" in answer and status_of(answer) >= 200:
                return answer
        raise TimeoutError("no answer to a REGISTER")
