"""Voicemail by real phones: what is recorded, what is heard, who is told, who gets in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from control_plane.adapters.phones import Engine, Phone, Refuse, Ring, tone_share
from control_plane.ports import ConfigLine
from control_plane.render.mailboxes import mailbox_file
from control_plane.render.units import MESSAGE_MAX_S, RECORDER_OVERRUN_S
from tests.calls.mailbox import (
    BUSY_HZ,
    MESSAGE_HZ,
    RATE,
    UNAVAILABLE_HZ,
    Mailbox,
    Voicemail,
    described,
    samples_of,
)
from tests.calls.node import NodeUnderTest, written_by_asterisk
from tests.calls.player import Player, model_on
from tests.calls.scenario import Scenario

PIN = "4711"
WRONG_PIN = "19283745"
VOICEMAIL = {"action": "voicemail", "ring_timeout_s": 5}


@dataclass(frozen=True)
class Scene:
    """Extension 100 has a voicemail, 101 calls."""

    node: NodeUnderTest
    org: str
    voicemail: Voicemail
    owner: Phone
    caller: Phone

    @property
    def box(self) -> Mailbox:
        return self.voicemail.box


@contextmanager
def scene(
    node: NodeUnderTest, engine: Engine, title: str, *, registered: bool = True, **callee: object
) -> Iterator[Scene]:
    """Each title has an organisation, and so a mailbox, of its own."""
    extensions = {"100": {"no_answer": VOICEMAIL} | callee, "101": {}}
    calls = [{"from": "101", "to": "100", "expect": {"outcome": "voicemail"}}]
    scenario = Scenario.model_validate({"title": title, "extensions": extensions, "calls": calls})
    model = model_on(node, scenario)
    node.hold(model)
    box = Mailbox(node.lab.lab.node_dir / "spool" / "voicemail" / scenario.slug / "100")
    away = frozenset() if registered else frozenset({f"{scenario.slug}/100"})
    box.put_greetings()
    with Player(node, engine, scenario, model).phones(away) as phones:
        owner, caller = (phones.of(f"{scenario.slug}/{key}") for key in ("100", "101"))
        owner.behaviour = Refuse(486)
        yield Scene(node, scenario.slug, Voicemail(engine, box), owner, caller)


def test_a_message_holds_what_the_caller_said(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "a message") as s:
        wav = s.voicemail.leave(s.caller, "100", seconds=2.0)
        samples = samples_of(wav)
        assert 1.0 <= len(samples) / RATE <= 4.0
        middle = len(samples) // 2
        assert tone_share(samples[middle : middle + 2400], RATE, MESSAGE_HZ) > 0.9
        assert '"Ext 101" <101>' in described(wav, "callerid")


def test_the_lamp_is_lit_by_a_message_and_goes_out_when_it_was_heard(
    node: NodeUnderTest, engine: Engine
) -> None:
    with scene(node, engine, "the lamp") as s:
        engine.poll_until(lambda: s.owner.message_waiting is not None, 5, "the phone is told of its mailbox")
        assert s.owner.message_waiting == (0, 0)
        s.voicemail.leave(s.caller, "100")
        engine.poll_until(lambda: s.owner.message_waiting == (1, 0), 5, "the lamp is lit")
        call = s.voicemail.reach(s.owner, "*97")
        s.voicemail.type(call, f"{PIN}#")
        s.voicemail.type(call, "1")
        assert call.hears(MESSAGE_HZ, within_s=25)
        call.hangup()
        engine.poll_until(lambda: s.owner.message_waiting == (0, 1), 5, "the lamp is out")
        assert not s.box.messages()
        assert len(s.box.messages("Old")) == 1


def test_a_wrong_pin_is_refused_three_times_and_then_the_call_ends(
    node: NodeUnderTest, engine: Engine
) -> None:
    with scene(node, engine, "a wrong PIN") as s:
        s.voicemail.leave(s.caller, "100")
        call = s.voicemail.reach(s.owner, "*97")
        for _ in range(3):
            s.voicemail.type(call, f"{WRONG_PIN}#")
        call.wait_ended(15)
        node.wait_quiet(lambda: engine.poll(0.01))
        assert len(s.box.messages()) == 1
        assert s.owner.message_waiting == (1, 0)
        assert node.run(node.link.read_row(f"ext/{s.org}/100/pin")) == "3"
        assert last_trace(node)[1:] == ["out.feature:voicemail", "mailbox.there:yes", "mailbox.pin:wrong"]
        # Each is told by itself: a row may be taken in while the next PIN is typed.
        told = node.run(node.link.read_rows(f"journal/{s.org}/100/pin"))
        assert [value.split(",")[0] for _, value in sorted(told.items())] == ["1", "2", "3"]
        assert not any(WRONG_PIN in f"{key} {value}" for key, value in told.items())
    assert not any(WRONG_PIN in str(event.headers) for event in node.events)
    assert WRONG_PIN not in node.lab.log
    assert not any(WRONG_PIN in text for text in written_by_asterisk(node))


def last_trace(node: NodeUnderTest) -> list[str]:
    return node.call_events[-1].headers["Trace"].split()


def test_so_many_wrong_pins_lock_the_mailbox_with_no_control_plane_there(
    node: NodeUnderTest, engine: Engine
) -> None:
    """R53, A53. Three were wrong before; the right PIN does not open it any more; messages go on."""
    with scene(node, engine, "a lock", pin_failures=3) as s:
        s.voicemail.leave(s.caller, "100")
        call = s.voicemail.reach(s.owner, "*97")
        for _ in range(2):
            s.voicemail.type(call, f"{WRONG_PIN}#")
        call.wait_ended(15)
        node.wait_quiet(lambda: engine.poll(0.01))
        assert last_trace(node)[-1] == "mailbox.pin:locked"
        assert node.run(node.link.read_row(f"ext/{s.org}/100/pin")) == "locked"
        call = s.voicemail.reach(s.owner, "*97")
        s.voicemail.wait_speech(call)  # the announcement
        call.send_dtmf(f"{PIN}#1")
        call.wait_ended(15)
        node.wait_quiet(lambda: engine.poll(0.01))
        assert last_trace(node)[-1] == "mailbox.pin:locked"
        assert not call.hears(MESSAGE_HZ, within_s=0.1)
        s.voicemail.leave(s.caller, "100")


def test_the_right_pin_forgets_the_wrong_ones(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "forgotten failures", pin_failures=2) as s:
        call = s.voicemail.reach(s.owner, "*97")
        s.voicemail.type(call, f"{WRONG_PIN}#")
        s.voicemail.type(call, f"{PIN}#")
        s.voicemail.wait_speech(call)
        call.hangup()
        node.wait_quiet(lambda: engine.poll(0.01))
        assert last_trace(node)[-2:] == ["mailbox.pin:right", "mailbox.open:opened"]
        assert node.run(node.link.read_row(f"ext/{s.org}/100/pin")) is None
        told = node.run(node.link.read_rows(f"journal/{s.org}/100/pin"))
        assert sorted(value.split(",")[0] for value in told.values()) == ["0", "3"]


def test_hanging_up_instead_of_a_pin_counts_for_nothing(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "no PIN") as s:
        call = s.voicemail.reach(s.owner, "*97")
        s.voicemail.wait_speech(call)
        call.hangup()
        node.wait_quiet(lambda: engine.poll(0.01))
        assert last_trace(node)[-1] == "mailbox.pin:cancelled"
        assert node.run(node.link.read_row(f"ext/{s.org}/100/pin")) is None


def test_nobody_gets_into_a_mailbox_but_from_its_own_extension(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "somebody else's mailbox") as s:
        call = s.caller.call("*97")  # 101 has no mailbox
        call.wait_ended(15)
        assert not call.hears(MESSAGE_HZ, within_s=0.1)


@pytest.mark.parametrize(
    ("title", "registered", "behaviour", "hz"),
    [
        ("busy", True, Refuse(486), BUSY_HZ),
        ("declined", True, Refuse(603), BUSY_HZ),
        ("not registered", False, Refuse(486), UNAVAILABLE_HZ),
        ("no answer", True, Ring(), UNAVAILABLE_HZ),
    ],
)
def test_the_greeting_says_why_nobody_answers(
    node: NodeUnderTest,
    engine: Engine,
    title: str,
    registered: bool,
    behaviour: Refuse | Ring,
    hz: int,
) -> None:
    with scene(node, engine, f"greeting: {title}", registered=registered) as s:
        s.owner.behaviour = behaviour
        call = s.voicemail.reach(s.caller, "100")
        assert call.hears(hz)
        call.hangup()


def test_do_not_disturb_leads_to_voicemail_without_ringing(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "do not disturb", dnd=True) as s:
        before = len(node.events)
        call = s.voicemail.reach(s.caller, "100")
        assert call.hears(BUSY_HZ)
        s.voicemail.wait_recording(call)
        engine.run_for(1.5)
        call.hangup()
        s.voicemail.wait_message(set())
        assert s.owner.incoming == ()
        engine.poll_until(lambda: s.owner.message_waiting == (1, 0), 5, "the lamp is lit")
        node.wait_quiet(lambda: engine.poll(0.01))
        told = {e.headers["UserEvent"] for e in node.events[before:] if e.name == "UserEvent"}
        assert told == {"CallPath", "Outbox"}


def test_a_message_is_a_row_of_the_outbox_until_somebody_takes_it(
    node: NodeUnderTest, engine: Engine
) -> None:
    with scene(node, engine, "the outbox") as s:
        before = len(node.events)
        wav = s.voicemail.leave(s.caller, "100")
        node.wait_quiet(lambda: engine.poll(0.01))
        told = [e.headers for e in node.events[before:] if e.name == "UserEvent"]
        (row,) = [event["Row"] for event in told if event["UserEvent"] == "Outbox"]
        (path,) = [event for event in told if event["UserEvent"] == "CallPath"]
        assert (path["Org"], path["To"], path["Trace"].split()[-1]) == (
            s.org,
            "100",
            "in.no_answer:voicemail",
        )
        kind, org, extension, caller, epoch, stem = (node.run(node.link.read_row(row)) or "").split(",")
        assert (kind, org, extension, caller) == ("voicemail", s.org, "100", "101")
        ended = int(described(wav, "origtime")) + int(described(wav, "duration"))
        assert abs(int(epoch) - ended) <= 3
        assert stem == wav.stem
        node.run(node.link.delete_rows([row]))


def test_a_call_that_leaves_no_message_is_no_row(node: NodeUnderTest, engine: Engine) -> None:
    with scene(node, engine, "hung up at the greeting") as s:
        before = len(node.events)
        call = s.voicemail.reach(s.caller, "100")
        assert call.hears(BUSY_HZ)
        call.hangup()
        node.wait_quiet(lambda: engine.poll(0.01))
        told = [e.headers["UserEvent"] for e in node.events[before:] if e.name == "UserEvent"]
        assert told == ["CallPath"]
        assert not s.box.messages()


def test_a_recording_ends_at_the_limit_of_its_mailbox(node: NodeUnderTest, engine: Engine) -> None:
    """R114: a minute. Here the same option says three seconds, which Asterisk overruns by up to one."""
    limit = f"maxsecs={MESSAGE_MAX_S - RECORDER_OVERRUN_S}"
    with scene(node, engine, "the limit") as s:
        file = mailbox_file(f"{s.org}/100")
        held = node.run(node.link.read_config(file)) or {}
        (old,) = [one for one in held[s.org] if one.name == "100"]
        assert old.value.endswith(f"|{limit}")
        short = ConfigLine("100", old.value.replace(limit, "maxsecs=3"))
        node.run(node.link.edit_config(file, s.org, delete=[old], append=[short]))
        node.run(node.link.reload("app_voicemail.so"))
        call = s.voicemail.reach(s.caller, "100")
        s.voicemail.wait_recording(call)
        call.play_tone(MESSAGE_HZ)
        call.wait_ended(15)
        wav = s.voicemail.wait_message(set())
        assert 2.9 <= len(samples_of(wav)) / RATE <= 3 + RECORDER_OVERRUN_S + 0.05


def test_the_limit_is_a_minute_also_where_a_mailbox_names_none(node: NodeUnderTest) -> None:
    text = (node.lab.lab.node_dir / "etc" / "voicemail.conf").read_text()
    assert f"\nmaxsecs = {MESSAGE_MAX_S - RECORDER_OVERRUN_S}\n" in text
