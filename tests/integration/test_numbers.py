"""The life of a number on a real node: what phones and callers can do with it in each state."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.adapters.carrier import CallEnd
from control_plane.adapters.engine import docker
from control_plane.adapters.phones import PhoneCall, Refuse
from control_plane.service.demo import OCCUPIER, SITE
from tests.calls.mailbox import Mailbox
from tests.integration.stack import Stack, extension_path

OUTSIDE = "+6531234567"
FAMILIES = ("pbx", "ext", "vip", "did", "hint", "last", "registrar", "journal", "outbox", "code")


def path_of(number: str, action: str = "") -> str:
    return f"/numbers/{number}/{action}".rstrip("/")


def status(stack: Stack, number: str) -> str:
    found: str = stack.api.ok("GET", path_of(number))["status"]
    return found


def refused(stack: Stack, number: str, action: str, body: object = None) -> str:
    answer = stack.api.ask("POST", path_of(number, action), body)
    assert answer.status == 409, answer.body
    return str(answer.body["detail"])


def from_outside(stack: Stack, number: str) -> CallEnd:
    """How a call from the carrier ends; who rings answers at once."""
    call = stack.node.start(stack.lab.carrier.call(OUTSIDE, number, talk_s=1))
    stack.until(call.done, "the call from outside is over", 30)
    end: CallEnd = call.result().end
    return end


def traces_of(stack: Stack, words: tuple[str, ...]) -> dict[str, str]:
    """AstDB rows in which any of these appears."""
    rows = {key: value for family in FAMILIES for key, value in stack.rows(family).items()}
    return {k: v for k, v in rows.items() if any(word in f"{k}={v}" for word in words)}


@pytest.fixture
def numbers(stack: Stack) -> Iterator[list[str]]:
    """Free numbers for one test, and a voice service for each; what it leaves is taken away."""
    taken = {number["e164"] for number in stack.api.ok("GET", "/numbers?limit=1000")["items"]}
    free = [n for n in (f"+65610002{i:02}" for i in range(100)) if n not in taken][:3]
    for number in free:
        stack.api.ok("POST", "/numbers", {"e164": number, "site": SITE})
    service = f"/organisations/{OCCUPIER}/services/{SITE}"
    quantity = stack.api.ok("GET", service)["quantity"]
    stack.api.ok("PATCH", service, {"quantity": quantity + 1})
    yield free
    stack.until_in_sync()
    for number in free:
        key = number[-4:]
        if key in stack.phones:
            stack.phones.pop(key).close()
        if status(stack, number) == "active":
            if stack.api.ok("GET", path_of(number))["person"]:
                stack.api.ok("POST", path_of(number, "unassign"))
            stack.api.in_force("POST", path_of(number, "deactivate"))
        if status(stack, number) == "reserved":
            stack.api.in_force("POST", path_of(number, "deallocate"))
        if status(stack, number) == "available":
            stack.api.ok("DELETE", path_of(number))
    stack.api.ok("PATCH", service, {"quantity": quantity})


def speak_to(stack: Stack, key: str, mailbox: Mailbox) -> PhoneCall:
    """A call to a busy extension, two seconds into the message that it leaves."""
    stack.phones[key].behaviour = Refuse(code=486)
    call = stack.phones["101"].call(key)
    stack.until(mailbox.recording_now, "the message is being recorded", 40)
    call.play_tone(880)
    heard = time.monotonic() + 2
    stack.until(lambda: time.monotonic() > heard, "something was said", 5)
    return call


def activate_with_phone(stack: Stack, number: str) -> str:
    """Allocate and activate a number and give its extension a phone; the extension."""
    stack.api.ok("POST", path_of(number, "allocate"), {"org": OCCUPIER})
    stack.api.in_force("POST", path_of(number, "activate"))
    key: str = stack.api.ok("GET", path_of(number))["extension"]
    stack.api.in_force("POST", f"{extension_path(key)}/devices", {"kind": "desktop"})
    stack.new_phone(key)
    return key


def test_only_an_active_number_rings_registers_and_calls(stack: Stack, numbers: list[str]) -> None:
    """R23, R55: every step of the life, and what it does to calls."""
    number = numbers[0]
    assert from_outside(stack, number) is CallEnd.REFUSED
    assert "allocate it" in refused(stack, number, "activate")

    stack.api.in_force("POST", path_of(number, "allocate"), {"org": OCCUPIER})
    assert status(stack, number) == "reserved"
    assert from_outside(stack, number) is CallEnd.REFUSED
    assert "activate it" in refused(stack, number, "assign", {"person": "ada"})

    stack.api.in_force("POST", path_of(number, "activate"))
    assert status(stack, number) == "active"
    key = number[-4:]
    stack.api.in_force("POST", f"{extension_path(key)}/devices", {"kind": "desktop"})
    stack.new_phone(key)
    assert from_outside(stack, number) is CallEnd.ANSWERED
    stack.talk("101", key).hangup()
    assert "is not active" not in refused(stack, number, "deallocate")

    stack.api.in_force("POST", path_of(number, "deactivate"))
    assert status(stack, number) == "reserved"
    assert from_outside(stack, number) is CallEnd.REFUSED
    assert stack.phones[key].register() == 401
    assert stack.outcome("101", key) == "inactive"

    stack.api.in_force("POST", path_of(number, "activate"))
    assert stack.phones[key].register() == 200
    assert from_outside(stack, number) is CallEnd.ANSWERED

    stack.api.in_force("POST", path_of(number, "deactivate"))
    stack.api.in_force("POST", path_of(number, "deallocate"))
    assert status(stack, number) == "cooldown"
    assert from_outside(stack, number) is CallEnd.REFUSED
    assert stack.phones[key].register() == 401
    assert "cooldown" in refused(stack, number, "allocate", {"org": OCCUPIER})


def test_an_assigned_number_bears_the_name_of_its_person_and_is_not_deactivated(
    stack: Stack, numbers: list[str]
) -> None:
    """R26, R27, R48, A48."""
    number = numbers[0]
    key = activate_with_phone(stack, number)
    stack.api.ok("POST", f"/organisations/{OCCUPIER}/people", {"id": "grace", "name": "Grace Hopper"})
    assigned = stack.api.in_force("POST", path_of(number, "assign"), {"person": "grace"})
    assert (assigned["label_1"], assigned["label_2"]) == ("Grace", "Hopper")
    called = stack.phones["101"]
    called.behaviour = Refuse(code=486)
    before = len(called.incoming)
    stack.phones[key].call("101").wait_ended()
    assert "Grace Hopper" in called.incoming[before].remote
    assert "assigned to grace (R26): unassign it first" in refused(stack, number, "deactivate")
    stack.api.in_force("PATCH", path_of(number), {"label_1": "Front", "label_2": "Desk"})
    details = stack.api.ok("GET", path_of(number, "details"))
    assert details["assignment"] == {"kind": "person", "text": "Front / Desk"}
    stack.api.in_force("POST", path_of(number, "unassign"))
    details = stack.api.ok("GET", path_of(number, "details"))
    assert details["assignment"] == {"kind": "text", "text": "Front / Desk"}
    stack.api.ok("DELETE", f"/organisations/{OCCUPIER}/people/grace")


def test_a_deallocated_number_leaves_nothing_of_its_tenant(stack: Stack, numbers: list[str]) -> None:
    """Messages, greetings, PIN, forwarding, VIPs, credentials and contacts are gone from the node."""
    number = numbers[0]
    key = activate_with_phone(stack, number)
    device = stack.device(key).id
    stack.api.in_force(
        "PATCH",
        extension_path(key),
        {
            "no_answer": {"action": "voicemail", "ring_timeout_s": 5},
            "forwarding": {"extensions": ["102"], "vip": [OUTSIDE]},
        },
    )
    mailbox = Mailbox(spool(stack) / OCCUPIER / key)
    mailbox.put_greetings()
    call = speak_to(stack, key, mailbox)
    call.hangup()
    stack.until(lambda: bool(mailbox.messages()), "the message is kept")
    assert any(device in row for row in stack.rows("registrar"))
    assert traces_of(stack, (device, f"{OCCUPIER}/{key}", number))

    stack.api.in_force("POST", path_of(number, "deactivate"))
    assert mailbox.messages(), "settings and messages stay while the organisation has the number (A30)"
    stack.api.in_force("POST", path_of(number, "deallocate"))
    stack.until(lambda: not mailbox.directory.exists(), "the mailbox is erased")
    words = (device, f"{OCCUPIER}/{key}", f"{OCCUPIER},{key}", number)
    stack.until(lambda: not traces_of(stack, words), f"no row is left: {traces_of(stack, words)}")
    assert key not in stack.asks(f"voicemail show users for {OCCUPIER}")


def test_a_message_left_while_the_number_is_taken_back_goes_when_the_call_ends(
    stack: Stack, numbers: list[str]
) -> None:
    number = numbers[0]
    key = activate_with_phone(stack, number)
    stack.api.in_force(
        "PATCH", extension_path(key), {"no_answer": {"action": "voicemail", "ring_timeout_s": 5}}
    )
    mailbox = Mailbox(spool(stack) / OCCUPIER / key)
    call = speak_to(stack, key, mailbox)
    stack.api.in_force("POST", path_of(number, "deactivate"))
    stack.api.in_force("POST", path_of(number, "deallocate"))
    stack.until(lambda: not mailbox.directory.exists(), "the mailbox is erased, with the recording in it")
    # What stands for a message: a call that comes to the voicemail between this and its reload makes it anew.
    mailbox.put_greetings()
    call.hangup()
    stack.until(lambda: not mailbox.directory.exists(), "the mailbox is erased again", 30)
    words = (f"{OCCUPIER}/{key}", f"{OCCUPIER},{key}", number)
    stack.until(lambda: not traces_of(stack, words), f"no row is left: {traces_of(stack, words)}")


def test_what_was_left_is_erased_after_a_restart_too(stack: Stack, numbers: list[str]) -> None:
    number = numbers[0]
    key = activate_with_phone(stack, number)
    device = stack.device(key).id
    mailbox = Mailbox(spool(stack) / OCCUPIER / key)
    mailbox.put_greetings()
    stack.process.kill()
    for step in ("deactivate", "deallocate"):
        done = stack.cli("number", step, number, auto_apply=False)
        assert done.returncode == 0, done.stderr
    assert mailbox.directory.exists()
    stack.start()
    stack.until(lambda: not mailbox.directory.exists(), "the mailbox is erased")
    stack.until(lambda: not traces_of(stack, (device,)), "no row of its phone is left")


def test_a_number_waits_for_a_node_that_is_away_and_can_be_taken_back(
    stack: Stack, numbers: list[str]
) -> None:
    """A21: PENDING says that Asterisk was not seen to follow, and hangs for no one."""
    number = numbers[0]
    stack.api.in_force("POST", path_of(number, "allocate"), {"org": OCCUPIER})
    docker("kill", stack.lab.lab.node_name)
    try:
        found = stack.api.ok("POST", path_of(number, "activate"))
        assert (found["status"], found["pending_to"]) == ("pending", "active")
        assert "wait until Asterisk was seen to follow" in refused(stack, number, "assign", {"person": "ada"})
        found = stack.api.ok("POST", path_of(number, "deactivate"))
        assert (found["status"], found["pending_to"]) == ("pending", "reserved")
        stack.api.ok("POST", path_of(number, "activate"))
    finally:
        stack.lab.lab.start_node()
    stack.wait_witness()
    stack.until(lambda: status(stack, number) == "active", "Asterisk is seen to follow", 40)


def test_requests_at_once_never_get_one_number_twice_nor_more_than_is_paid_for(
    stack: Stack, numbers: list[str]
) -> None:
    """R24, R69: ten requests for three numbers, then three for one voice service."""

    def allocate(_: int) -> int:
        body = {"org": OCCUPIER, "count": 1}
        return int(stack.api.ask("POST", f"/sites/{SITE}/numbers/allocate", body).status)

    with ThreadPoolExecutor(10) as pool:
        answers = sorted(pool.map(allocate, range(10)))
        assert answers == [200] * 3 + [409] * 7
        done = sorted(pool.map(lambda n: int(stack.api.ask("POST", path_of(n, "activate")).status), numbers))
    assert done == [200, 409, 409]
    service = stack.api.ok("GET", f"/organisations/{OCCUPIER}/services/{SITE}")
    assert service["used"] == service["quantity"]


def spool(stack: Stack) -> Path:
    """Where the node keeps voicemail."""
    return stack.lab.settings.state_dir / "node" / "spool" / "voicemail"
