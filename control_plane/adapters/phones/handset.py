"""One phone on pjsua2, inside the phone's own process.

pjsua2 has no types, so everything it touches is `Any`. Rules this is written by, each from a crash:
- no worker threads: the process polls, so callbacks come on its one thread;
- Account and Call objects are never destroyed (`thisown = False`, and a list keeps them): their destructors
  act on an id that the library has reused by then;
- what a getter returns is kept in a variable while a part of it is read: the parts die with it;
- callbacks take what they need out of their argument, which is gone when they return, and leave the work to
  the loop: a Python exception in a callback would abort the process;
- recorders and tone generators are dropped before libDestroy; a recorder closes its file some time later,
  and a file name is used once.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pjsua2 as pj

from control_plane.adapters.phones.line import Line
from control_plane.adapters.phones.pjsip import (
    TRANSPORTS,
    account_config,
    library_config,
    plain_errors,
    transport_config,
    uri_of,
)
from control_plane.adapters.phones.sip import parse_message_waiting
from control_plane.adapters.phones.values import MAX_CALLS_PER_PHONE, SipAccount

Report = Callable[..., None]

_PJ_ETOOMANY = 70010
_LINE_FREE_S = 5.0
"""How long a call waits for the line of one that was hung up: its BYE may be sent again for that long."""

_SOCKET_RELEASE_S = 0.7
_CALLS_PER_RELEASE = 20
"""pjlib gives the two sockets of a call back half a second after it, and aborts when 64 are out: a phone
that is told to call faster than this waits a little."""


class _Account(pj.Account):  # type: ignore[misc]  # untyped library
    def __init__(self, handset: Handset) -> None:
        super().__init__()
        self.thisown = False
        self.handset = handset

    def onRegState(self, prm: Any) -> None:
        self.handset.take_registration(prm.code, prm.reason, active=bool(self.getInfo().regIsActive))

    def onIncomingCall(self, prm: Any) -> None:
        self.handset.take_call(prm.callId, prm.rdata.wholeMsg)

    def onMwiInfo(self, prm: Any) -> None:
        counts = parse_message_waiting(prm.rdata.wholeMsg)
        if counts is not None:
            self.handset.report("message_waiting", new=counts[0], old=counts[1])


class Handset:
    """The phone: does what its owner asks (methods named do_..., here and on a line) and reports."""

    def __init__(self, account: SipAccount, report: Report, folder: Path, log_file: Path | None) -> None:
        self._settings = account
        self._tell = report
        self.folder = folder
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._lines: dict[int, Line] = {}
        self._ended: list[Line] = []
        self._registered = False
        self._behaviour: dict[str, Any] = {"kind": "Answer", "after_s": 0.2, "code": 200}
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        self._endpoint.libInit(library_config(log_file))
        self._endpoint.audDevManager().setNullDev()
        self._order_codecs()
        transport_id = self._endpoint.transportCreate(
            TRANSPORTS[account.transport], transport_config(account)
        )
        self._endpoint.libStart()
        self.address: str = self._endpoint.transportGetInfo(transport_id).localName
        self.account = _Account(self)
        self.account.create(account_config(account, self.address, transport_id))

    @classmethod
    def open(cls, account: SipAccount, report: Report, folder: Path, log_file: Path | None) -> Handset:
        """A phone that listens.

        Raises:
            RuntimeError: the address cannot be bound, a file is missing, ...
        """
        with plain_errors():
            return cls(account, report, folder, log_file)

    def _order_codecs(self) -> None:
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.split("/")[0]
            wanted = self._settings.codecs
            priority = 255 - wanted.index(name) if name in wanted else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)

    # -- the loop

    @property
    def busy(self) -> bool:
        """True while something is under way that wants short poll intervals."""
        return bool(self._lines or self._due)

    def poll(self, wait_ms: int) -> None:
        """Let the SIP stack work for at most `wait_ms`, then do what has become due."""
        if self._due:
            wait_ms = max(0, min(wait_ms, int(1000 * (self._due[0][0] - time.monotonic()))))
        self._endpoint.libHandleEvents(wait_ms)
        while self._due and self._due[0][0] <= time.monotonic():
            try:
                with plain_errors():
                    heapq.heappop(self._due)[2]()
            except RuntimeError as error:
                # Nobody asked for it just now, so nobody can be answered; the phone goes on.
                self.report("trouble", text=str(error))

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """Have the loop do `work` after `delay_s`."""
        heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), work))

    def report(self, event: str, **fields: Any) -> None:
        """Tell the owner."""
        self._tell(event, **fields)

    def do(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do one request of the owner and return its value.

        Raises:
            RuntimeError: it cannot be done; the text says why.
        """
        with plain_errors():
            if "call" not in arguments:
                return getattr(self, f"do_{name}")(**arguments)
            line = self.line(arguments.pop("call"))
            return getattr(line, f"do_{name}")(**arguments)

    def stop(self, grace_s: float = 1.0) -> None:
        """Hang up, unregister (a stale contact would swallow somebody's next call) and end the stack."""
        deadline = time.monotonic() + grace_s
        with plain_errors():
            self._endpoint.hangupAllCalls()
            if self._registered:
                self.account.setRegistration(False)
            while time.monotonic() < deadline and (self._lines or self._registered):
                self.poll(10)
            for line in list(self._lines.values()):
                line.drop_media()
            self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_TX_MSG | pj.PJSUA_DESTROY_NO_RX_MSG)

    def take_registration(self, code: int, reason: str, *, active: bool) -> None:
        """The registrar gave its final answer to a REGISTER."""
        # The library calls the account inactive as soon as it sends the removal; this waits for the answer.
        self._registered = active and code == 200
        self.report("registration", code=code, reason=reason, active=active)

    # -- calls

    def uri(self, target: str) -> str:
        """A number at the phone's server, or a SIP URI, as a SIP URI."""
        return uri_of(self._settings, target)

    def line(self, number: int) -> Line:
        """The call of this number. Raises: RuntimeError when it has ended."""
        line = self._lines.get(number)
        if line is None:
            raise RuntimeError("the call has ended")
        return line

    def new_line(
        self, direction: str, remote: str, invite: str = "", call_id: int = pj.PJSUA_INVALID_ID
    ) -> Line:
        """Begin to keep a call, and report it."""
        number = next(self._numbers)
        line = self._lines[number] = Line(self, number, call_id)
        self.report("call", call=number, direction=direction, remote=remote, text=invite)
        return line

    def end_line(self, line: Line) -> None:
        """The call is over: close its files and let its line go."""
        if self._lines.pop(line.number, None) is not None:
            self._ended.append(line)
            line.drop_media()

    def take_call(self, call_id: int, invite: str) -> None:
        """An INVITE came: do what the owner told the phone to do with calls."""
        line = self.new_line("incoming", "", invite, call_id)
        behaviour = self._behaviour
        match behaviour["kind"]:
            case "Refuse":
                self.later(0, partial(line.respond, behaviour["code"]))
            case "Answer":
                if behaviour["after_s"] > 0:
                    self.later(0, partial(line.respond, 180))
                self.later(behaviour["after_s"], partial(line.respond, behaviour["code"]))
            case _:
                self.later(0, partial(line.respond, 180))

    # -- what the owner asks

    def do_register(self) -> None:
        self.account.setRegistration(True)

    def do_unregister(self) -> None:
        self.account.setRegistration(False)

    def do_behave(self, **behaviour: Any) -> None:
        self._behaviour = behaviour

    def do_dial(self, target: str, headers: list[tuple[str, str]]) -> int:
        if len(self._lines) >= MAX_CALLS_PER_PHONE:
            raise RuntimeError(f"all {MAX_CALLS_PER_PHONE} lines of the phone are in use")
        uri = self.uri(target)
        line = self.new_line("outgoing", uri)
        parameter = pj.CallOpParam(True)
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            parameter.txOption.headers.append(header)
        try:
            self._make_call(line, uri, parameter)
        except pj.Error:
            self._ended.append(self._lines.pop(line.number, line))
            self.report("withdrawn", call=line.number)
            raise
        return line.number

    def _make_call(self, line: Line, uri: str, parameter: Any) -> None:
        # A call we hung up is reported ended at once, but holds its line until its BYE is answered.
        deadline = time.monotonic() + _LINE_FREE_S
        while True:
            if not self._too_many_sockets():
                try:
                    line.makeCall(uri, parameter)
                    return
                except pj.Error as error:
                    if error.status != _PJ_ETOOMANY or time.monotonic() > deadline:
                        raise
            self.poll(5)

    def _too_many_sockets(self) -> bool:
        since = time.monotonic() - _SOCKET_RELEASE_S
        recent = itertools.takewhile(lambda line: line.began_at > since, reversed(self._ended))
        return sum(1 for _ in recent) >= _CALLS_PER_RELEASE
