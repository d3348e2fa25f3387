"""A SIP caller and a SIP callee without media: call, answer, hang up, as fast as Asterisk allows."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from tests.bench.sip import authorization, challenge_of, status_of

CALL_S = 20.0
_BUFFER_BYTES = 4 * 1024 * 1024
_CONTACT = re.compile(r"(?im)^contact:\s*<?([^>\r\n]+)")
_numbers = itertools.count(1)


def header(message: str, name: str) -> str:
    """The first header of that name, with its name."""
    match = re.search(rf"(?im)^{name}:[^\r\n]*", message)
    if match is None:
        raise ValueError(f"a message without {name}")
    return match[0]


def _headers(message: str, name: str) -> list[str]:
    return re.findall(rf"(?im)^{name}:[^\r\n]*", message)


def _sdp(address: str, port: int) -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )


def _frame(lines: list[str], body: str = "") -> bytes:
    typed = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, *typed, f"Content-Length: {len(body)}", "", body]).encode()


class _Udp(asyncio.DatagramProtocol):
    """One socket; text in, text out."""

    def __init__(self) -> None:
        self.here = ""
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The loop's own class derives from it only since Python 3.12.
        self.transport = cast(asyncio.DatagramTransport, transport)
        found: socket.socket = transport.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self.address, port = transport.get_extra_info("sockname")
        self.here = f"{self.address}:{port}"


class Callee(_Udp):
    """Answers every INVITE at once and counts the calls that were hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0
        self._enough: tuple[int, asyncio.Future[None]] | None = None

    async def wait_ended(self, total: int) -> None:
        """Return when `total` calls have been hung up. Raises: TimeoutError."""
        if self.ended < total:
            self._enough = total, asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._enough[1], CALL_S)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = data.decode()
        method = message.partition(" ")[0]
        if method in ("ACK", "SIP/2.0"):
            return
        lines = ["SIP/2.0 200 OK", *_headers(message, "Via"), header(message, "From")]
        to = header(message, "To")
        lines.append(to if ";tag=" in to else f"{to};tag=callee")
        lines += [header(message, "Call-ID"), header(message, "CSeq"), f"Contact: <sip:{self.here}>"]
        self.transport.sendto(_frame(lines, _sdp(self.address, 9) if method == "INVITE" else ""), addr)
        self.ended += method == "BYE"
        if self._enough and self.ended >= self._enough[0] and not self._enough[1].done():
            self._enough[1].set_result(None)


@dataclass
class _Dialog:
    """One call of the caller."""

    user: str
    password: str
    uri: str
    call_id: str
    began: float
    done: asyncio.Future[float]
    cseq: int = 1
    setup_s: float = 0.0
    answered: set[str] = field(default_factory=set)


class Caller(_Udp):
    """Places authenticated calls through the node and hangs each up as soon as it is answered."""

    def __init__(self, node: tuple[str, int]) -> None:
        super().__init__()
        self._node = node
        self._dialogs: dict[str, _Dialog] = {}

    async def call(self, user: str, password: str, dialled: str) -> float:
        """Seconds from the first INVITE to the answer; returns when the call is hung up.

        Raises: TimeoutError, ConnectionError (the call was refused).
        """
        number = next(_numbers)
        loop = asyncio.get_running_loop()
        call_id = f"call-{number}-{self.here}"
        uri = f"sip:{dialled}@{self._node[0]}"
        dialog = _Dialog(user, password, uri, call_id, time.perf_counter(), loop.create_future())
        self._dialogs[call_id] = dialog
        try:
            self._invite(dialog)
            return await asyncio.wait_for(dialog.done, CALL_S)
        finally:
            del self._dialogs[call_id]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        message = data.decode()
        status = status_of(message)
        call_id = header(message, "Call-ID").partition(":")[2].strip()
        dialog = self._dialogs.get(call_id)
        cseq = header(message, "CSeq").partition(":")[2].strip()
        if dialog is None or status < 200:
            return
        known = cseq in dialog.answered  # a retransmission
        dialog.answered.add(cseq)
        if cseq.endswith("BYE"):
            if not known:
                dialog.done.set_result(dialog.setup_s)
        else:
            self._invite_answered(dialog, message, status, cseq.split()[0], known)

    def _invite_answered(self, dialog: _Dialog, message: str, status: int, cseq: str, known: bool) -> None:
        self._acknowledge(dialog, message, status, cseq)
        if known:
            return
        if status == 401 and dialog.cseq == 1:
            dialog.cseq += 1
            challenge = challenge_of(message)
            self._invite(dialog, authorization(challenge, "INVITE", dialog.uri, dialog.user, dialog.password))
        elif status == 200:
            dialog.setup_s = time.perf_counter() - dialog.began
            dialog.cseq += 1
            self._in_dialog(dialog, message, "BYE", dialog.cseq)
        elif not dialog.done.done():
            dialog.done.set_exception(ConnectionError(f"{dialog.uri} was refused with {status}"))

    def _lines(self, dialog: _Dialog, method: str, uri: str, cseq: int) -> list[str]:
        return [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.here};branch=z9hG4bK{next(_numbers)}x{self.here[-5:]};rport",
            f"From: <sip:{dialog.user}@{self._node[0]}>;tag={dialog.call_id.split('-')[1]}",
            f"Call-ID: {dialog.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]

    def _invite(self, dialog: _Dialog, authorization_line: str = "") -> None:
        lines = self._lines(dialog, "INVITE", dialog.uri, dialog.cseq)
        lines += [f"To: <{dialog.uri}>", f"Contact: <sip:{dialog.user}@{self.here}>"]
        lines += [authorization_line] if authorization_line else []
        self.transport.sendto(_frame(lines, _sdp(self.address, 9)), self._node)

    def _acknowledge(self, dialog: _Dialog, message: str, status: int, cseq: str) -> None:
        if status == 200:
            self._in_dialog(dialog, message, "ACK", int(cseq))
            return
        # RFC 3261 section 17.1.1.3: the ACK of a refusal has the INVITE's own branch.
        lines = self._lines(dialog, "ACK", dialog.uri, int(cseq))
        lines[1] = header(message, "Via")
        self.transport.sendto(_frame([*lines, header(message, "To")]), self._node)

    def _in_dialog(self, dialog: _Dialog, message: str, method: str, cseq: int) -> None:
        contact = _CONTACT.search(message)
        uri = contact[1] if contact else dialog.uri
        lines = self._lines(dialog, method, uri, cseq)
        self.transport.sendto(_frame([*lines, header(message, "To")]), self._node)


async def bound(make: Callable[[], _Udp], address: str) -> _Udp:
    """A protocol on a UDP port of `address`."""
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(make, local_addr=(address, 0))
    return protocol
