"""Plays a scenario with real phones on a real Asterisk and reports what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from control_plane.adapters.carrier import Behaviour as CarrierBehaviour
from control_plane.adapters.phones import (
    Answer,
    CallState,
    Engine,
    Phone,
    PhoneCall,
    Refuse,
    Ring,
    SipAccount,
)
from control_plane.adapters.phones import Behaviour as PhoneBehaviour
from control_plane.callpath.explain import Behaviour, Explanation
from control_plane.callpath.graph import outcome_of, parse_trace
from control_plane.domain.extension import Device, Transport
from control_plane.domain.model import Model
from tests.calls.node import NodeUnderTest
from tests.calls.scenario import (
    HANDSET,
    OUTSIDE_FOR_BUSY,
    CallSpec,
    Scenario,
    build,
    device_id,
    is_outside,
    qualified,
)

TALK_S = 0.4
LISTEN_TO_VOICEMAIL_S = 1.0
DIGIT_S = 0.25  # a digit as RFC 4733 events and the pause after it
RINGING_S = 5.0  # the shortest ringing time there is, which every scenario uses
CARRIER_TONE_HZ = 620
CALL_DEADLINE_S = 40.0

Trace = tuple[tuple[str, str], ...]

_PHONE: dict[Behaviour, PhoneBehaviour] = {
    Behaviour.ANSWER: Answer(after_s=0.5),
    Behaviour.BUSY: Refuse(486),
    Behaviour.REFUSE: Refuse(603),
    Behaviour.RING: Ring(),
}
_CARRIER: dict[Behaviour, CarrierBehaviour] = {
    Behaviour.ANSWER: CarrierBehaviour.ANSWER,
    Behaviour.BUSY: CarrierBehaviour.BUSY,
    Behaviour.RING: CarrierBehaviour.RING,
}


@dataclass(frozen=True)
class Seen:
    """What a real call did: Asterisk's traces, and which phones rang and answered."""

    outcome: str
    trace: Trace
    legs: dict[str, Trace]
    rings: frozenset[str]
    answered_by: frozenset[str]
    status: int | None


@dataclass
class Phones:
    """The registered phones of a scenario, by "org/key"; `neutral` those nobody is logged in at, by MAC."""

    engine: Engine
    by_extension: dict[str, list[Phone]] = field(default_factory=dict)
    neutral: dict[str, Phone] = field(default_factory=dict)

    def of(self, name: str) -> Phone:
        if name.startswith(HANDSET):
            return self.neutral[name.removeprefix(HANDSET)]
        return self.by_extension[name][0]

    def catch_up(self) -> None:
        """Take in all that phones have to report: each answers a request after what came before it.

        Asterisk may be through with a call before a phone that was busy has said that it was called.
        """
        for phone in (
            *(one for found in self.by_extension.values() for one in found),
            *self.neutral.values(),
        ):
            phone.behaviour = phone.behaviour


class Player:
    """Plays the calls of one scenario after its model was pushed."""

    def __init__(self, node: NodeUnderTest, engine: Engine, scenario: Scenario, model: Model) -> None:
        self.node = node
        self.engine = engine
        self.scenario = scenario
        self.model = model

    @contextmanager
    def phones(self, unregistered: frozenset[str]) -> Iterator[Phones]:
        """A phone for every device of an active extension; those not to be registered can still call."""
        with ExitStack() as stack:
            phones = Phones(self.engine)
            for (org, key), devices in self.model.devices.items():
                if not self.model.is_active(self.model.extensions[org, key]):
                    continue
                name = f"{org}/{key}"
                made = [stack.enter_context(Phone(self.engine, self.account(device))) for device in devices]
                phones.by_extension[name] = made
                for phone in made:
                    if name not in unregistered:
                        assert phone.register() == 200, f"{name} registers"
            for mac, handset in self.model.handsets.items():
                account = self._sip_account(
                    handset.neutral_user,
                    handset.neutral_password.get_secret_value(),
                    handset.neutral_transport,
                )
                phone = stack.enter_context(Phone(self.engine, account))
                assert phone.register() == 200, f"the neutral line of {mac} registers"
                phones.neutral[mac] = phone
            yield phones

    def account(self, device: Device) -> SipAccount:
        """The device's account at the node."""
        return self._sip_account(device.id, device.sip_password.get_secret_value(), device.transport)

    def _sip_account(self, user: str, password: str, transport: Transport) -> SipAccount:
        settings = self.node.lab.settings
        tls = transport is Transport.TLS
        return SipAccount(
            sip_user=user,
            sip_password=password,
            host=settings.sip_address,
            port=settings.sip_tls_port if tls else settings.sip_port,
            transport=transport.value,
            srtp=tls,
            ca_file=self.node.lab.lab.certificate_authority if tls else None,
            local_address="127.0.0.1",
        )

    def play(self, spec: CallSpec) -> Seen:
        """Make one call as told and wait until Asterisk has let go of it."""
        behaviour = {qualified(self.scenario, n): b for n, b in spec.behaviour.items()}
        if spec.at is not None:
            self.node.set_clock(spec.at)
        for key, kind in spec.last_used.items():
            row = f"last/{self.scenario.slug}/{key}"
            self.node.run(self.node.link.put_rows([(row, device_id(self.scenario.slug, key, kind))]))
        away = frozenset(name for name, what in behaviour.items() if what is Behaviour.UNREGISTERED)
        for number, what in behaviour.items():
            if "/" not in number and what in _CARRIER:
                self.node.run(self.node.lab.carrier.set_number(number, _CARRIER[what]))
        with self.phones(away) as phones, ExitStack() as busy:
            for name, members in phones.by_extension.items():
                what = behaviour.get(name, Behaviour.ANSWER)
                for phone in members:
                    phone.behaviour = _PHONE.get(what, Ring())
            for name in spec.in_call:
                busy.enter_context(self._in_call(phones.of(qualified(self.scenario, name))))
            before = len(self.node.call_events)
            status = self._call(spec, phones)
            busy.close()
            self.node.wait_quiet(lambda: self.engine.poll(0.01))
            phones.catch_up()
            seen = self._seen(before, spec, phones, status)
        for number, what in behaviour.items():
            if "/" not in number and what in _CARRIER:
                self.node.run(self.node.lab.carrier.set_number(number, CarrierBehaviour.ANSWER))
        return seen

    @contextmanager
    def _in_call(self, phone: Phone) -> Iterator[None]:
        call = phone.call(OUTSIDE_FOR_BUSY)
        call.wait_confirmed()
        yield
        call.hangup()

    def _call(self, spec: CallSpec, phones: Phones) -> int | None:
        if spec.caller == "anonymous" or is_outside(spec.caller):
            future = self.node.start(
                self.node.lab.carrier.call(spec.caller, spec.to, talk_s=1, ring_s=int(CALL_DEADLINE_S))
            )
            self.engine.poll_until(future.done, CALL_DEADLINE_S, "the call from outside ends")
            future.result()
            return None
        phone = phones.of(qualified(self.scenario, spec.caller))
        call = phone.call(spec.to)
        self.engine.poll_until(
            lambda: call.state is CallState.CONFIRMED or call.ended,
            CALL_DEADLINE_S,
            "the call is answered or ends",
        )
        if call.state is CallState.CONFIRMED:
            self._talk(spec, call, phones)
        return call.status_code

    def _talk(self, spec: CallSpec, call: PhoneCall, phones: Phones) -> None:
        for entry in spec.enter:
            self.engine.run_for(0.7)
            call.send_dtmf(f"{entry}#")
        expected = spec.expect.outcome
        if expected in {"refused", "feature", "pin_locked"}:
            self.engine.poll_until(lambda: call.ended, CALL_DEADLINE_S, "Asterisk ends the call")
            return
        if spec.enter and expected != "mailbox" and not self._settles(spec, call, phones):
            return
        if expected == "mailbox":  # the digits are still on their way, and nothing tells that it is open
            self.engine.run_for(DIGIT_S * sum(len(entry) + 1 for entry in spec.enter))
        self.engine.run_for(LISTEN_TO_VOICEMAIL_S if expected in {"voicemail", "mailbox"} else TALK_S)
        if not call.ended:
            call.hangup()

    def _settles(self, spec: CallSpec, call: PhoneCall, phones: Phones) -> bool:
        """After an authorization code the call is up before anybody takes it; False: it ended by itself."""
        takers = [qualified(self.scenario, name) for name in spec.expect.answered_by]
        if any("/" not in taker for taker in takers):
            assert call.hears(CARRIER_TONE_HZ, within_s=CALL_DEADLINE_S)
            return True
        if spec.expect.outcome == "voicemail":
            # Nothing tells the caller's side that the greeting began; it does when the ringing time is over.
            self.engine.run_for(RINGING_S + LISTEN_TO_VOICEMAIL_S)
            return True
        incoming = [phone for taker in takers for phone in phones.by_extension[taker]]
        self.engine.poll_until(
            lambda: call.ended or any(c.answered_at for phone in incoming for c in phone.incoming),
            CALL_DEADLINE_S,
            "somebody takes the call, or it ends",
        )
        return not call.ended

    def _seen(self, before: int, spec: CallSpec, phones: Phones, status: int | None) -> Seen:
        events = [event.headers for event in self.node.call_events[before:]]
        mains = [e for e in events if not e.get("Path") and e.get("Dialled") != OUTSIDE_FOR_BUSY]
        assert len(mains) == 1, f"one call was made, Asterisk told of {mains}"
        call = mains[0]["Call"]
        trace = parse_trace(mains[0].get("Trace", ""))
        legs = {
            e["Path"]: parse_trace(e.get("Trace", "")) for e in events if e.get("Path") and e["Call"] == call
        }
        rings, answered = set(), set()
        for name, members in phones.by_extension.items():
            incoming = [c for phone in members for c in phone.incoming]
            if incoming:
                rings.add(name)
            if any(c.answered_at is not None for c in incoming):
                answered.add(name)
        return Seen(outcome_of(trace), trace, legs, frozenset(rings), frozenset(answered), status)


def model_on(node: NodeUnderTest, scenario: Scenario) -> Model:
    """The scenario's model with the addresses of this lab."""
    settings = node.lab.settings
    return build(
        scenario,
        trunk_host=settings.carrier_address,
        trunk_port=settings.carrier_sip_port,
        media_address=settings.sip_address,
    )


def pairs(explanation: Explanation) -> tuple[Trace, dict[str, Trace]]:
    """An explanation's traces in the form real calls are read in."""
    return (
        tuple((step.node, step.outcome) for step in explanation.trace),
        {leg.path: tuple((s.node, s.outcome) for s in leg.trace) for leg in explanation.legs},
    )
