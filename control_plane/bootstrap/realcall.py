"""A real call by headless phones, and what Asterisk says it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from control_plane.adapters.ami import AmiLink
from control_plane.adapters.carrier import Behaviour as CarrierBehaviour
from control_plane.adapters.carrier import Carrier
from control_plane.adapters.phones import (
    Answer,
    CallState,
    Engine,
    Phone,
    PhoneCall,
    PhoneTimeout,
    Refuse,
    Ring,
)
from control_plane.adapters.phones import Behaviour as PhoneBehaviour
from control_plane.bootstrap.background import Background
from control_plane.bootstrap.callphones import CallPhones, require_free
from control_plane.bootstrap.callvalues import (
    CallReport,
    CallRequest,
    asks_code,
    is_right,
    untold,
    would_ring_for_ever,
)
from control_plane.bootstrap.remembered import read_remembered
from control_plane.bootstrap.wiring import Wiring
from control_plane.callpath.compare import Trace, compare
from control_plane.callpath.explain import (
    Behaviour,
    Circumstances,
    Explanation,
    HandsetCaller,
    InsideCaller,
    OutsideCaller,
    explain,
)
from control_plane.callpath.graph import FEATURE, MAILBOX, PIN_LOCKED, REFUSED, outcome_of, parse_trace
from control_plane.domain.extension import Device
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import InvalidField, LabError
from control_plane.ports import AmiEvent

CALL_S = 240.0
"""Longer than three ringing times of 60 s in a row: own, forward, no-answer number."""
ENDS_ITSELF_S = 30.0
"""Two questions for a code that time out, with their announcements, take about 20 s; three for a PIN 25 s."""
TRACE_S = 5.0
"""Within which all legs of a call have told their trace once it is over."""
BETWEEN_CODES_S = 3.0
"""A wrong code is answered with an announcement before the next is asked."""
BEFORE_CODE_S = 0.7
DIGIT_S = 0.25
"""A digit as RFC 4733 events and the pause after it."""
FIRST_ANSWER_S = 0.5
NEXT_ANSWER_S = 0.4

_PHONE: Mapping[Behaviour, PhoneBehaviour] = {
    Behaviour.BUSY: Refuse(486),
    Behaviour.REFUSE: Refuse(603),
    Behaviour.RING: Ring(),
}
_CARRIER: Mapping[Behaviour, CarrierBehaviour] = {
    Behaviour.ANSWER: CarrierBehaviour.ANSWER,
    Behaviour.BUSY: CarrierBehaviour.BUSY,
    Behaviour.REFUSE: CarrierBehaviour.BUSY,
    Behaviour.RING: CarrierBehaviour.RING,
}
_OF_CARRIER: Mapping[CarrierBehaviour, Behaviour] = {
    CarrierBehaviour.BUSY: Behaviour.BUSY,
    CarrierBehaviour.RING: Behaviour.RING,
}


def real_call(
    wiring: Wiring, model: Model, request: CallRequest, report: Callable[[str], None]
) -> CallReport:
    """Registers the phones that may ring, makes the call, and compares the two traces.

    Raises:
        LabError: no phones can be had here, a device does not register, or Asterisk told no trace.
        Conflict: a device is registered from elsewhere (and not `take_over`).
        Unreachable: the lab is not up.
    """
    with Background() as background, Engine(log_dir=request.sip_log) as engine:
        link = wiring.link()
        background.run(link.connect())
        try:
            return _Caller(wiring, model, request, background, engine, link, report).run()
        finally:
            background.run(link.close())


class _Caller:
    """One call from registration to the last trace."""

    def __init__(
        self,
        wiring: Wiring,
        model: Model,
        request: CallRequest,
        background: Background,
        engine: Engine,
        link: AmiLink,
        report: Callable[[str], None],
    ) -> None:
        self._wiring = wiring
        self._model = model
        self._request = request
        self._background = background
        self._engine = engine
        self._link = link
        self._report = report
        self._phones: dict[ExtensionId, list[Phone]] = {}
        self._told: list[Mapping[str, str]] = []

    def run(self) -> CallReport:
        carrier = self._wiring.carrier()
        explained = self._explain(carrier)
        called = self._called_extensions(explained)
        wanted = [*self._calling_devices(), *self._devices(called)]
        require_free(self._model, self._request, wanted, set(self._background.run(self._link.contacts())))
        stop = self._link.subscribe(self._take)
        try:
            with ExitStack() as stack:
                stack.enter_context(self._outside(carrier))
                phones = CallPhones(self._wiring, self._engine, stack, self._report)
                for ident in called:
                    self._phones[ident] = [phones.registered(device) for device in self._devices([ident])]
                caller = self._caller(phones)
                self._set_behaviours()
                status = self._call(caller, explained, carrier)
                main, legs = self._traces(len(explained.legs), status)
                self._engine.poll(0)
                return self._reported(explained, main, legs, status)
        finally:
            stop()

    # What will happen.

    def _explain(self, carrier: Carrier) -> Explanation:
        request = self._request
        known = self._background.run(read_remembered(self._link))
        right = tuple(is_right(self._model, request, code) for code in request.codes)

        def explained(behaviour: Mapping[str, Behaviour]) -> Explanation:
            now = Circumstances(
                behaviour,
                last_used=known.last_used,
                codes=right,
                logs_in=request.logs_in,
                at=self._wiring.clock.now(),
                began_with=known.began_with,
                last_call_ended=known.last_call_ended,
            )
            return explain(self._model, request.caller, request.dialled, now)

        # Numbers outside that nobody spoke of do what the carrier was last told.
        behaviour = dict(request.behaviour)
        for name in explained(behaviour).rings:
            if "/" not in name and name not in behaviour:
                as_set = self._background.run(carrier.behaviour_of(name))
                behaviour[name] = _OF_CARRIER.get(as_set, Behaviour.ANSWER)
        return explained(behaviour)

    def _behaviour_of(self, name: str) -> Behaviour:
        return self._request.behaviour.get(name, Behaviour.ANSWER)

    # Phones.

    def _calling_devices(self) -> list[Device]:
        caller = self._request.caller
        return [self._calling_device(caller)] if isinstance(caller, InsideCaller) else []

    def _calling_device(self, caller: InsideCaller) -> Device:
        devices = self._model.devices.get((caller.org, caller.key), ())
        if not devices:
            raise InvalidField("from", f"extension {caller.key} has no device to call from: add one first")
        return devices[0]

    def _called_extensions(self, explained: Explanation) -> list[ExtensionId]:
        names = dict.fromkeys(name for name in explained.rings if "/" in name)
        found = [(org, key) for org, _, key in (name.partition("/") for name in names)]
        return [ident for ident in found if self._behaviour_of("/".join(ident)) is not Behaviour.UNREGISTERED]

    def _devices(self, extensions: list[ExtensionId]) -> list[Device]:
        return [device for ident in extensions for device in self._model.devices.get(ident, ())]

    def _set_behaviours(self) -> None:
        """Who answers does so one after the other, so that one of several wins clearly."""
        number = 0
        for name, phones in self._phones.items():
            what = self._behaviour_of("/".join(name))
            for phone in phones:
                phone.behaviour = _PHONE.get(what) or Answer(FIRST_ANSWER_S + number * NEXT_ANSWER_S)
                number += what is Behaviour.ANSWER

    def _caller(self, phones: CallPhones) -> Phone | OutsideCaller:
        """The phone that calls; who calls from outside has none of ours."""
        match self._request.caller:
            case OutsideCaller() as outside:
                return outside
            case HandsetCaller(mac):
                return phones.neutral(self._model.handsets[mac])
            case InsideCaller(org, key) as inside:
                if (org, key) in self._phones:
                    return self._phones[org, key][0]
                return phones.registered(self._calling_device(inside))

    @contextmanager
    def _outside(self, carrier: Carrier) -> Iterator[None]:
        """Numbers outside do as told for the length of the call, and then what they did before."""
        before: dict[str, CarrierBehaviour] = {}
        try:
            for number, what in self._request.behaviour.items():
                if "/" not in number and what in _CARRIER:
                    before[number] = self._background.run(carrier.behaviour_of(number))
                    self._background.run(carrier.set_number(number, _CARRIER[what]))
            yield
        finally:
            for number, behaviour in before.items():
                self._background.run(carrier.set_number(number, behaviour))

    # The call.

    def _call(self, caller: Phone | OutsideCaller, explained: Explanation, carrier: Carrier) -> int | None:
        request = self._request
        if isinstance(caller, OutsideCaller):
            number = caller.number or "anonymous"
            talk_s = max(1, round(request.seconds))
            coming = self._background.start(
                carrier.call(number, request.dialled, talk_s=talk_s, ring_s=int(CALL_S))
            )
            self._engine.poll_until(coming.done, CALL_S + talk_s, "the call from outside ends")
            coming.result()
            return None
        call = caller.call(request.dialled)
        patience_s = request.seconds if would_ring_for_ever(explained) else CALL_S
        with suppress(PhoneTimeout):
            self._engine.poll_until(
                lambda: call.state is CallState.CONFIRMED or call.ended, patience_s, "the call is answered"
            )
        if call.state is CallState.CONFIRMED:
            self._talk(call, explained)
        if not call.ended:
            call.hangup()
        return call.status_code

    def _talk(self, call: PhoneCall, explained: Explanation) -> None:
        request = self._request
        if asks_code(explained):
            self._type_codes(call, explained)
        if request.digits and not call.ended:
            self._send(call, request.digits)
        if explained.outcome in (REFUSED.name, FEATURE.name, PIN_LOCKED.name):
            with suppress(PhoneTimeout):
                self._engine.poll_until(lambda: call.ended, ENDS_ITSELF_S, "Asterisk ends the call")
            return
        self._engine.run_for(request.seconds)

    def _type_codes(self, call: PhoneCall, explained: Explanation) -> None:
        """Type what is asked for; after the right code, wait until the other side is called.

        The call is up from the first question on, so its state does not tell.
        """
        channels = self._background.run(self._link.active_channels())
        who = (self._request.logs_in,) if self._request.logs_in else ()
        for number, code in enumerate((*who, *self._request.codes)):
            self._engine.run_for(BEFORE_CODE_S if number == 0 else BETWEEN_CODES_S)
            if not call.ended:
                self._send(call, f"{code}#")
        if explained.outcome in (REFUSED.name, PIN_LOCKED.name, MAILBOX.name, FEATURE.name):
            return
        with suppress(PhoneTimeout):
            self._engine.poll_until(
                lambda: call.ended or self._background.run(self._link.active_channels()) > channels,
                ENDS_ITSELF_S,
                "the other side is called",
            )

    def _send(self, call: PhoneCall, digits: str) -> None:
        call.send_dtmf(digits)
        self._engine.run_for(DIGIT_S * len(digits))

    # What Asterisk told.

    def _take(self, event: AmiEvent) -> None:
        if event.name == "UserEvent" and event.headers.get("UserEvent") == "CallPath":
            self._told.append(event.headers)

    def _traces(self, legs: int, status: int | None) -> tuple[Trace, dict[str, Trace]]:
        """Raises LabError when Asterisk did not tell the call's trace."""
        deadline = time.monotonic() + TRACE_S
        while True:
            # Asterisk sends queued events before it answers the next action.
            self._background.run(self._link.ping())
            main = next((e for e in self._told if self._is_ours(e)), None)
            if main is not None:
                below = {
                    e["Path"]: e for e in self._told if e.get("Path") and e.get("Call") == main.get("Call")
                }
                if len(below) >= legs or time.monotonic() > deadline:
                    told = {path: parse_trace(e.get("Trace", "")) for path, e in below.items()}
                    return parse_trace(main.get("Trace", "")), told
            if time.monotonic() > deadline:
                raise LabError(untold(status, self._wiring.lab().node_name, self._request.sip_log))
            self._engine.run_for(0.05)

    def _is_ours(self, event: Mapping[str, str]) -> bool:
        if event.get("Path"):
            return False
        match self._request.caller:
            case InsideCaller(org, key):
                ours = event.get("Origin") == org and event.get("From") == key
            case OutsideCaller(trunk, _):
                ours = event.get("Origin") == trunk
            case HandsetCaller(mac):
                ours = event.get("From") == mac
        return ours and event.get("Dialled") == self._request.dialled

    def _reported(
        self, explained: Explanation, trace: Trace, legs: dict[str, Trace], status: int | None
    ) -> CallReport:
        incoming = {
            "/".join(name): [call for phone in phones for call in phone.incoming]
            for name, phones in self._phones.items()
        }
        return CallReport(
            explained=explained,
            comparison=compare(explained, trace, legs, status),
            outcome=outcome_of(trace),
            status=status,
            rang=tuple(name for name, calls in incoming.items() if calls),
            answered_by=tuple(n for n, calls in incoming.items() if any(c.answered_at for c in calls)),
        )
