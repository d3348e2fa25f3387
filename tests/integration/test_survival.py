"""What phones set, and calls in progress, survive the control plane; both sides' changes meet in the model.

Real phones on a real Asterisk with the control plane as a process of its own. Every test begins with all of
it up and in sync, and may break anything.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.adapters.carrier import CallEnd
from control_plane.adapters.phones import CallState, Ring
from control_plane.callpath.graph import outcome_of, parse_trace
from control_plane.service.demo import did
from tests.integration.conftest import Record
from tests.integration.stack import Stack, extension_path

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

WITNESS = Path(__file__).parents[1] / "contract" / "pyst2_witness.py"
CALLS_WHILE_PATCHING, CALLS_AT_MOST = 30, 300
CHANGES_DURING_CALLS = 20
AROUND_S = 0.5


@contextmanager
def watched(stack: Stack, wanted: Mapping[str, str | None]) -> Iterator[list[str]]:
    """Read these rows over and over, over a connection of the tests' own; what was ever otherwise."""
    otherwise: list[str] = []
    looks = 0
    stop = asyncio.Event()

    async def watch() -> None:
        nonlocal looks
        while not stop.is_set():
            for name, value in wanted.items():
                held = await stack.node.link.read_row(name)
                if held != value:
                    otherwise.append(f"look {looks}: {name} = {held}")
            looks += 1
            await asyncio.sleep(0.002)

    watching = stack.node.start(watch())
    try:
        yield otherwise
    finally:
        stack.node.loop.call_soon_threadsafe(stop.set)
        watching.result(10)
    assert looks > 100, f"only {looks} looks"


def audited(stack: Stack, key: str) -> str:
    """Who changed an extension last, by the audit log."""
    page = stack.api.ok("GET", f"/audit?kind=extension&key=acme/{key}&limit=1")
    return str(page["items"][0]["actor"])


def test_calls_go_on_and_begin_while_the_control_plane_is_dead(stack: Stack, record: Record) -> None:
    talk = stack.talk("101", "102")
    stack.api.ok(
        "PATCH", extension_path("101"), {"label": "Acknowledged", "no_answer": {"ring_timeout_s": 41}}
    )
    stack.process.kill()
    assert talk.is_heard()
    stack.talk("103", "101").hangup()
    assert stack.outcome("103", "*78") == "feature"
    assert stack.outcome("101", "103") == "busy"
    assert talk.is_heard()
    record("control_plane_in_sync_s", stack.start())
    assert talk.is_heard()
    assert stack.api.extension("103")["dnd"]
    assert stack.api.extension("101")["label"] == "Acknowledged"
    assert audited(stack, "101") == "api"
    assert "41" in (stack.row("ext/acme/101") or "").split(",")
    assert stack.api.node()["last_drift"] == []
    assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == []
    talk.hangup()


def test_what_phones_set_while_the_control_plane_was_down_is_taken_in_and_never_undone(stack: Stack) -> None:
    stack.process.kill()
    for caller, code in (
        ("103", "*72101"),
        ("102", "*72103"),
        ("102", "*73"),
        ("102", "*78"),
        ("101", "*78"),
        ("101", "*79"),
    ):
        assert stack.outcome(caller, code) == "feature"
    assert stack.outcome("101", "102") == "busy", "DND is in force"
    talk = stack.talk("102", "103")
    assert talk.callee in stack.phones["101"].incoming, "forwarding is in force"
    talk.hangup()
    assert len(stack.rows("journal")) == 6
    mark = stack.process.log_mark
    rows = {
        "ext/acme/103/fwd": "1",
        "ext/acme/103/fwdto": "Local/101@wc-target/n",
        "ext/acme/102/dnd": "1",
        "ext/acme/102/fwd": None,
        "ext/acme/101/dnd": None,
    }
    with watched(stack, rows) as otherwise:
        stack.start()
        assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == []
    assert otherwise == []
    assert "pushed" not in stack.process.log_since(mark), "there was nothing to push"
    assert stack.rows("journal") == {}
    forwarding = {key: stack.api.extension(key)["forwarding"] for key in ("102", "103")}
    assert forwarding["103"] | {"vip": [], "vip_ring_devices": []} == {
        "enabled": True,
        "extensions": ["101"],
        "numbers": [],
        "vip": [],
        "vip_ring_devices": [],
    }
    assert (forwarding["102"]["enabled"], forwarding["102"]["extensions"]) == (False, ["103"])
    assert (stack.api.extension("102")["dnd"], stack.api.extension("101")["dnd"]) == (True, False)
    for key in ("102", "103"):
        assert audited(stack, key) == f"handset {stack.phones[key].account.sip_user}"


def test_a_feature_code_is_in_the_model_within_a_second(stack: Stack, record: Record) -> None:
    before = len(stack.node.events)

    def announced() -> bool:
        events = [event.headers for event in stack.node.events[before:]]
        return any(event.get("UserEvent") == "HandsetChange" for event in events)

    call = stack.phones["101"].call("*78")
    stack.until(announced, "Asterisk announces the change")
    took = stack.until(lambda: stack.api.extension("101")["dnd"], "the model has it", 1.0)
    record("phone_to_model_s", took)
    call.wait_ended(15)
    assert audited(stack, "101") == f"handset {stack.phones['101'].account.sip_user}"
    assert stack.outcome("102", "101") == "busy"
    stack.api.in_force("PATCH", extension_path("101"), {"dnd": False})
    assert stack.outcome("102", "101") == "answered"


def test_the_last_writer_of_a_field_wins_and_other_fields_are_left_alone(stack: Stack) -> None:
    path = extension_path("101")
    assert stack.outcome("101", "*78") == "feature"
    stack.until(lambda: stack.api.extension("101")["dnd"], "the model has it", 1.0)
    stack.api.in_force("PATCH", path, {"label": "Renamed"})
    assert stack.api.extension("101")["dnd"], "the phone's field was not given"
    stack.api.in_force("PATCH", path, {"dnd": False})
    assert stack.row("ext/acme/101/dnd") is None, "the API came after the phone"
    stack.api.in_force("PATCH", path, {"dnd": True, "forwarding": {"extensions": ["102"]}})
    assert stack.outcome("101", "*79") == "feature"
    stack.until(lambda: not stack.api.extension("101")["dnd"], "the phone came after the API", 1.0)
    assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == []
    found = stack.api.extension("101")
    assert (found["label"], found["forwarding"]["extensions"]) == ("Renamed", ["102"])
    assert stack.row("ext/acme/101/dnd") is None


def test_a_forwarding_loop_made_by_phones_is_stopped_reported_and_in_nobodys_way(stack: Stack) -> None:
    assert stack.outcome("101", "*72102") == "feature"
    assert stack.outcome("102", "*72101") == "feature"

    def both_forward() -> bool:
        return all(stack.api.extension(key)["forwarding"]["enabled"] for key in ("101", "102"))

    stack.until(both_forward, "the model has both", 1.0)

    before = len(stack.node.call_events)
    assert stack.outcome("103", "101") == "unavailable", "the action hangup of who was called"
    legs = [parse_trace(event.headers["Trace"]) for event in stack.node.call_events[before:]]
    assert ("leg.hops", "exceeded") in [step for leg in legs for step in leg]

    loop = "Forwarding loop: 101 -> 102 -> 101 of acme. Take one of these out of the forwarding."
    assert loop in stack.api.node()["warnings"]
    assert loop in stack.cli("lab", "status").stdout
    assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == [], "what phones set stands"
    for key in ("101", "102"):
        change = {"label": "In a loop", "dnd": False, "forwarding": {"vip": ["103"]}}
        stack.api.in_force("PATCH", extension_path(key), change)
    into = {"forwarding": {"enabled": True, "extensions": ["101"]}}
    refused = stack.api.ask("PATCH", extension_path("103"), into)
    assert refused.status == 409 and "101 -> 102 -> 101" in refused.body["detail"]
    assert stack.outcome("101", "*73") == "feature"
    stack.until(lambda: loop not in stack.api.node()["warnings"], "the loop is gone", 1.0)


def test_a_call_hears_nothing_of_settings_that_change_and_the_next_one_has_them(
    stack: Stack, tmp_path: Path
) -> None:
    api, path = stack.api, extension_path("102")
    device = f"{path}/devices/{stack.phones['102'].account.sip_user}"
    talk = stack.talk("101", "102")
    with talk.recorded(tmp_path) as heard:
        stack.engine.run_for(AROUND_S)  # audio before the first change
        api.in_force("PATCH", path, {"label": "New name", "forwarding": {"vip": ["+6531234567"]}})
        api.in_force("POST", f"{device}/credentials")
        api.in_force("PATCH", path, {"no_answer": {"action": "voicemail"}})
        marker = {"id": "passing", "name": "Its hints change the dialplan"}
        api.in_force("POST", "/organisations", marker)
        assert "hints-passing" in stack.asks("dialplan show hints-passing")
        api.in_force("DELETE", "/organisations/passing")
        stack.until(lambda: "102" in stack.asks("voicemail show users"), "the mailbox is loaded")
        api.in_force("PATCH", path, {"dnd": True, "forwarding": {"extensions": ["103"], "enabled": True}})
        stack.engine.run_for(AROUND_S)  # and after the last
    assert heard() == [], "both ends heard the other's tone all the time"
    talk.hangup()
    assert stack.outcome("101", "102") == "voicemail", "DND, with a mailbox"
    api.in_force("PATCH", path, {"dnd": False})
    talk = stack.talk("101", "102")
    assert talk.callee in stack.phones["103"].incoming, "forwarded"
    talk.hangup()
    assert stack.phones["102"].register() == 401, "the old password"
    assert stack.new_phone("102").registered


def test_a_call_never_fails_because_rows_are_replaced_at_that_moment(stack: Stack, record: Record) -> None:
    stack.phones["102"].behaviour = Ring()
    changes = 0
    stop = threading.Event()

    def change() -> None:
        nonlocal changes
        while not stop.is_set():
            turn = changes % 2
            body = {"label": f"Ben {turn}", "no_answer": {"ring_timeout_s": 20 + turn}}
            stack.api.ok("PATCH", extension_path("102"), body)
            stack.api.ok("PATCH", "/sites/singapore", {"reception": ["100", "101"][: 1 + turn]})
            changes += 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        calls = 0
        while calls < CALLS_WHILE_PATCHING or changes < CHANGES_DURING_CALLS:
            call = stack.phones["101"].call("102")
            stack.until(lambda: call.state is not CallState.CALLING, f"call {calls} rings")  # noqa: B023
            assert call.state is CallState.RINGING, f"call {calls}, after {changes} changes: {call!r}"
            call.hangup()
            calls += 1
            assert calls < CALLS_AT_MOST, f"only {changes} changes"
    finally:
        stop.set()
        changing.join(20)
    record("calls_beside_changes", calls)
    record("changes_beside_calls", changes)


def test_a_deactivated_number_is_out_of_service_both_ways_until_it_is_active_again(stack: Stack) -> None:
    number = f"/numbers/{did('103')}"
    carrier = stack.lab.carrier
    stack.api.in_force("POST", f"{number}/deactivate")
    assert stack.api.ok("GET", number)["status"] == "reserved"
    assert stack.phones["103"].register() == 401
    assert outcome_of(parse_trace(stack.called("101", "103")["Trace"])) == "inactive"
    assert stack.node.run(carrier.call("+6531234567", did("103"), talk_s=1)).end is CallEnd.REFUSED
    out = stack.phones["103"].call("101")
    assert out.wait_ended() in (401, 403)
    stack.api.in_force("POST", f"{number}/activate")
    assert stack.api.ok("GET", number)["status"] == "active"
    assert stack.phones["103"].register() == 200
    stack.talk("101", "103").hangup()
    ended = stack.node.start(carrier.call("+6531234567", did("103"), talk_s=1))
    stack.until(ended.done, "the call from outside is over", 30)
    assert ended.result().end is CallEnd.ANSWERED


def test_a_second_witness_sees_the_trace_the_control_plane_reads(stack: Stack) -> None:
    settings, secret = stack.lab.settings, stack.lab.secrets.ami.get_secret_value()
    command = [sys.executable, str(WITNESS), settings.ami_host, str(settings.ami_port), settings.ami_user]
    with subprocess.Popen([*command, "call"], stdin=-1, stdout=-1, text=True) as witness:
        assert witness.stdin is not None and witness.stdout is not None
        witness.stdin.write(secret)
        witness.stdin.close()
        assert witness.stdout.readline() == "listening\n"
        made = stack.cli("call", "--from", "101", "--to", "102", "--take-over", "--json")
        told = json.loads(witness.stdout.readline())
    report = json.loads(made.stdout)
    assert report["equal"], report["differences"]
    ours = [(step["node"], step["outcome"]) for step in report["real"]["trace"]]
    assert list(parse_trace(told["Trace"])) == ours
    assert (told["From"], told["To"], told["Path"]) == ("101", "102", "")
    for key in ("101", "102"):
        stack.new_phone(key)
