"""SIP by hand over UDP from a chosen loopback address: what a scanner sees, byte for byte."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from dataclasses import dataclass
from hashlib import md5
from types import TracebackType

ANSWER_S = 5.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """A SIP response; header names as they arrived, in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str

    def all(self, name: str) -> list[str]:
        return [value for held, value in self.headers if held.lower() == name.lower()]

    @property
    def challenge(self) -> str:
        return " ".join(self.all("WWW-Authenticate"))

    @property
    def shape(self) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        """What must not differ between known and unknown users: status, header names in order, and the
        challenge with its random parts (nonce, opaque) taken out."""
        plain = re.sub(r'(nonce|opaque)="[^"]*"', r'\1=""', self.challenge)
        return self.status, tuple(name for name, _ in self.headers), tuple(plain.split(","))


def parse_reply(data: bytes) -> Reply:
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = tuple(
        (name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    return Reply(int(first.split()[1]), headers, body)


class SipSocket:
    """One UDP socket on `address` towards the node; also a context manager."""

    def __init__(self, address: str, node: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((address, 0))
        self._socket.connect(node)
        self.address, self.port = self._socket.getsockname()
        self._node = node[0]

    def __enter__(self) -> SipSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._socket.close()

    async def ask(
        self, method: str, user: str, *, to: str = "", authorization: str = "", expires: int = 60
    ) -> Reply:
        """Send one request and return its final response. Raises: TimeoutError."""
        number = next(_numbers)
        uri = f"sip:{self._node}" if method == "REGISTER" else f"sip:{to or user}@{self._node}"
        lines = [
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK{number}-{self.port};rport",
            f"From: <sip:{user}@{self._node}>;tag=t{number}",
            f"To: <sip:{to or user}@{self._node}>",
            f"Call-ID: call-{number}-{self.port}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:{user}@{self.address}:{self.port}>",
            f"Expires: {expires}",
        ]
        if authorization:
            lines.append(f"Authorization: {authorization}")
        reply = await self._exchange(method, uri, lines)
        if method == "INVITE":
            ack = [line for line in lines if not line.startswith(("CSeq", "To", "Contact", "Expires"))]
            ack += [f"To: {reply.all('To')[0]}", f"CSeq: {number} ACK"]
            await self._send("ACK", uri, ack)
        return reply

    async def login(self, user: str, password: str, method: str = "REGISTER") -> Reply:
        """Ask, answer the challenge (RFC 2617, MD5, qop auth) and return the second response."""
        first = await self.ask(method, user)
        if first.status != 401:
            return first
        uri = f"sip:{self._node}" if method == "REGISTER" else f"sip:{user}@{self._node}"
        return await self.ask(
            method, user, authorization=_answer(first.challenge, method, uri, user, password)
        )

    async def _exchange(self, method: str, uri: str, lines: list[str]) -> Reply:
        call_id = next(line for line in lines if line.startswith("Call-ID")).partition(": ")[2]
        loop = asyncio.get_running_loop()
        await self._send(method, uri, lines)
        async with asyncio.timeout(ANSWER_S):
            while True:
                data = await loop.sock_recv(self._socket, 65535)
                if not data.startswith(b"SIP/2.0"):
                    continue  # OPTIONS of the node to a registered contact
                reply = parse_reply(data)
                if reply.status >= 200 and reply.all("Call-ID") == [call_id]:
                    return reply

    async def _send(self, method: str, uri: str, lines: list[str]) -> None:
        text = "\r\n".join([f"{method} {uri} SIP/2.0", *lines, "Content-Length: 0", "", ""])
        await asyncio.get_running_loop().sock_sendall(self._socket, text.encode())


def _answer(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    held = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    cnonce, count = "0a4f113b", "00000001"
    ha1 = _hash(f"{user}:{held['realm']}:{password}")
    ha2 = _hash(f"{method}:{uri}")
    response = _hash(f"{ha1}:{held['nonce']}:{count}:{cnonce}:auth:{ha2}")
    return (
        f'Digest username="{user}", realm="{held["realm"]}", nonce="{held["nonce"]}", uri="{uri}", '
        f'response="{response}", algorithm=MD5, opaque="{held["opaque"]}", qop=auth, '
        f'cnonce="{cnonce}", nc={count}'
    )


def _hash(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
