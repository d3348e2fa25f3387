"""What people hear, and what stays secret, on real calls."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from control_plane.adapters.phones import Answer, CallState, Engine, Phone, PhoneCall, Ring
from control_plane.domain.extension import DeviceKind
from tests.calls.node import NodeUnderTest
from tests.calls.player import CARRIER_TONE_HZ, Phones, Player, model_on
from tests.calls.scenario import Scenario

EMERGENCY_TONE_HZ = 1500
CODE = "73918264"


@contextmanager
def playing(node: NodeUnderTest, engine: Engine, **model: object) -> Iterator[tuple[Scenario, Phones]]:
    """The phones of a small model, registered; every test's model has an organisation of its own."""
    data = {"title": "In the test", "calls": [{"from": "100", "to": "1", "expect": {"outcome": "?"}}]}
    scenario = Scenario.model_validate(data | model)
    built = model_on(node, scenario)
    node.hold(built)
    with Player(node, engine, scenario, built).phones(frozenset()) as phones:
        yield scenario, phones


def phone(scenario: Scenario, phones: Phones, key: str) -> Phone:
    return phones.of(f"{scenario.slug}/{key}")


@pytest.mark.parametrize(
    ("caller", "callee"), [("udp", "udp"), ("tls", "tls"), ("tls", "udp"), ("udp", "tcp")]
)
def test_both_sides_hear_each_other(node: NodeUnderTest, engine: Engine, caller: str, callee: str) -> None:
    extensions = {"100": {"transport": caller}, "101": {"transport": callee}}
    with playing(node, engine, extensions=extensions) as (scenario, phones):
        call = phone(scenario, phones, "100").call("101")
        call.wait_confirmed()
        answered = phone(scenario, phones, "101").wait_incoming()
        call.play_tone(440)
        answered.play_tone(880)
        assert answered.hears(440)
        assert call.hears(880)
        assert call.srtp is (caller == "tls")
        assert answered.srtp is (callee == "tls")
        call.hangup()


def test_the_caller_hears_the_number_outside(node: NodeUnderTest, engine: Engine) -> None:
    with playing(node, engine, extensions={"100": {"number": "+6561000100"}}) as (scenario, phones):
        call = phone(scenario, phones, "100").call("+6588889001")
        call.wait_confirmed()
        assert call.hears(CARRIER_TONE_HZ)
        call.hangup()
    seen = node.run(node.lab.carrier.seen("+6588889001"))
    assert seen is not None
    assert seen.caller_number == "+6561000100"


def test_an_extension_without_a_number_shows_the_sites(node: NodeUnderTest, engine: Engine) -> None:
    with playing(node, engine, extensions={"100": {}}) as (scenario, phones):
        call = phone(scenario, phones, "100").call("+6588889002")
        call.wait_confirmed()
        call.hangup()
    seen = node.run(node.lab.carrier.seen("+6588889002"))
    assert seen is not None
    assert seen.caller_number == "+6561999999"


@pytest.mark.parametrize("restricted", [False, True])
def test_an_emergency_call_is_announced(node: NodeUnderTest, engine: Engine, restricted: bool) -> None:
    with playing(node, engine, extensions={"100": {"restricted": restricted}}) as (scenario, phones):
        call = phone(scenario, phones, "100").call("995")
        call.wait_confirmed()
        assert call.hears(EMERGENCY_TONE_HZ, within_s=15)
        call.hangup()


def test_a_forwarded_call_shows_the_original_caller_and_who_forwarded(
    node: NodeUnderTest, engine: Engine
) -> None:
    extensions = {
        "100": {},
        "101": {"number": "+6561000101", "forwarding": {"enabled": True, "numbers": ["+6588889003"]}},
        "102": {"forwarding": {"enabled": True, "extensions": ["103"]}},
        "103": {},
    }
    with playing(node, engine, extensions=extensions) as (scenario, phones):
        caller = phone(scenario, phones, "100")
        call = caller.call("102")
        call.wait_confirmed()
        assert phone(scenario, phones, "103").incoming[-1].remote_number == "100"
        call.hangup()
        call = caller.call("101")
        call.wait_confirmed()
        call.hangup()
    seen = node.run(node.lab.carrier.seen("+6588889003"))
    assert seen is not None
    assert seen.caller_number == "+6561000101"


def test_the_digits_of_a_code_are_nowhere_to_be_read(node: NodeUnderTest, engine: Engine) -> None:
    with playing(node, engine, extensions={"100": {"restricted": True}}, code=CODE) as (scenario, phones):
        call = phone(scenario, phones, "100").call("+6588889004")
        call.wait_confirmed()
        engine.run_for(0.7)
        call.send_dtmf(f"{CODE}#")
        assert call.hears(CARRIER_TONE_HZ, within_s=15)
        call.hangup()
        node.wait_quiet(lambda: engine.poll(0.01))
    told = [event.headers for event in node.call_events if event.headers.get("Dialled") == "+6588889004"]
    assert [event["Code"] for event in told] == ["testcode"]
    assert not any(CODE in str(event.headers) for event in node.events)
    rows = node.run(node.link.read_rows("code"))
    assert not any(CODE in value for value in rows.values())
    for text in written_by_asterisk(node):
        assert CODE not in text


def written_by_asterisk(node: NodeUnderTest) -> Iterator[str]:
    """Its log files and what its container printed."""
    for file in Path(node.lab.lab.node_dir / "log").rglob("*"):
        if file.is_file():
            yield file.read_text(errors="replace")
    done = subprocess.run(
        ["docker", "logs", node.lab.lab.node_name], capture_output=True, text=True, check=True, timeout=20
    )
    yield done.stdout + done.stderr


def test_the_device_used_last_rings_next_time(node: NodeUnderTest, engine: Engine) -> None:
    """R87: with no explicit choice the last answered incoming or outgoing device rings."""
    extensions = {"100": {}, "101": {"devices": ["ip_phone", "mobile"]}}
    with playing(node, engine, extensions=extensions) as (scenario, phones):
        ip_phone, mobile = phones.by_extension[f"{scenario.slug}/101"]
        caller = phone(scenario, phones, "100")

        def who_rings() -> str:
            before = (len(ip_phone.incoming), len(mobile.incoming))
            call = caller.call("101")
            call.wait_confirmed()
            call.hangup()
            node.wait_quiet(lambda: engine.poll(0.01))
            rang = (len(ip_phone.incoming) - before[0], len(mobile.incoming) - before[1])
            return {(1, 0): "ip_phone", (0, 1): "mobile"}[rang]

        assert who_rings() == "ip_phone"
        outgoing = mobile.call("100")
        outgoing.wait_confirmed()
        outgoing.hangup()
        node.wait_quiet(lambda: engine.poll(0.01))
        assert who_rings() == "mobile"
        assert who_rings() == "mobile"


def test_several_devices_ring_together_and_the_first_answer_wins(node: NodeUnderTest, engine: Engine) -> None:
    kinds = [kind.value for kind in DeviceKind]
    extensions = {"100": {}, "101": {"devices": kinds, "ring_devices": kinds}}
    with playing(node, engine, extensions=extensions) as (scenario, phones):
        devices = phones.by_extension[f"{scenario.slug}/101"]
        for device in devices:
            device.behaviour = Ring()
        devices[1].behaviour = Answer(after_s=0.5)
        call = phone(scenario, phones, "100").call("101")
        call.wait_confirmed()
        rung = [device.wait_incoming() for device in devices]
        engine.poll_until(lambda: rung[0].ended and rung[2].ended, 5, "the other devices stop ringing")
        assert [one.state for one in rung].count(CallState.CONFIRMED) == 1
        call.hangup()


def test_an_inactive_number_cannot_register(node: NodeUnderTest, engine: Engine) -> None:
    data = {
        "title": "Inactive",
        "extensions": {"100": {"number": "+6561000100", "status": "reserved"}, "101": {}},
        "calls": [{"from": "101", "to": "100", "expect": {"outcome": "inactive"}}],
    }
    scenario = Scenario.model_validate(data)
    model = model_on(node, scenario)
    node.hold(model)
    player = Player(node, engine, scenario, model)
    device = model.devices[scenario.slug, "100"][0]
    with Phone(engine, player.account(device)) as refused:
        assert refused.register() == 401


def test_hold_and_transfer_keep_the_audio(node: NodeUnderTest, engine: Engine) -> None:
    with playing(node, engine, extensions={"100": {}, "101": {}, "102": {}}) as (scenario, phones):
        call = phone(scenario, phones, "100").call("101")
        call.wait_confirmed()
        other = phone(scenario, phones, "101").incoming[-1]
        other.play_tone(660)
        assert call.hears(660)
        call.hold()
        call.unhold()
        third = phone(scenario, phones, "102")
        assert call.transfer("102") == 200
        answered: PhoneCall = third.wait_incoming()
        answered.wait_confirmed()
        assert answered.hears(660)
        other.hangup()


def test_a_hostile_dialled_string_reaches_nothing(node: NodeUnderTest, engine: Engine) -> None:
    """Only what a keypad has gets past the entry, whatever a SIP client puts into the request."""
    settings = node.lab.settings
    with playing(node, engine, extensions={"100": {}, "101": {}}) as (scenario, phones):
        caller = phone(scenario, phones, "100")
        for hostile in ("101&Local/101@from-device", '1"]?101', "101${GLOBAL(x)}", "101,n,Hangup()", "101;x"):
            user = quote(hostile, safe="")
            call = caller.call(f"sip:{user}@{settings.sip_address}:{settings.sip_port}")
            call.wait_ended()
            assert call.status_code in {404, 484}, (hostile, call.status_code)
        assert phone(scenario, phones, "101").incoming == ()


def test_a_caller_from_outside_can_be_transferred_to_a_colleague(node: NodeUnderTest, engine: Engine) -> None:
    """The transferred channel acts for who transferred it: an outsider has no organisation here."""
    extensions = {"101": {"number": "+6561000101"}, "102": {}}
    with playing(node, engine, extensions=extensions) as (scenario, phones):
        outside = node.start(node.lab.carrier.call("+6591112222", "+6561000101", talk_s=5, ring_s=20))
        call = phone(scenario, phones, "101").wait_incoming()
        call.wait_confirmed()
        # Its ACK comes before Asterisk has joined the two; a REFER in between is answered with 400.
        assert call.hears(CARRIER_TONE_HZ)
        assert call.transfer("102") == 200
        colleague = phone(scenario, phones, "102").wait_incoming()
        colleague.wait_confirmed()
        assert colleague.remote_number == "+6591112222"
        assert colleague.hears(CARRIER_TONE_HZ)
        engine.poll_until(outside.done, 20, "the call from outside ends")
