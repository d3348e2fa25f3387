"""Voicemail with the control plane: mail with the recording, and PINs that both sides can set."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from control_plane.adapters.phones import Engine, Phone, Refuse
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.pins import PIN_TRIES
from control_plane.service.extensions import patch_extension
from control_plane.service.writing import By
from tests.calls.mailbox import MESSAGE_HZ, Mailbox, Voicemail
from tests.calls.node import NodeUnderTest, written_by_asterisk
from tests.calls.plane import Plane
from tests.calls.player import Player, model_on
from tests.calls.scenario import Scenario
from tests.integration.smtp_server import Inbox, mail_server

OLD_PIN = "4711"
CHOSEN_PIN, SET_PIN, CHOSEN_WHILE_DOWN = "83629174", "52918364", "70463815"


@pytest.fixture(scope="module")
def inbox(node: NodeUnderTest) -> Iterator[Inbox]:
    server = mail_server()
    yield node.run(server.__aenter__())
    node.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def plane(node: NodeUnderTest, engine: Engine, inbox: Inbox) -> Iterator[Plane]:
    """A control plane with a database of its own beside the session's node."""
    changes = {"smtp_host": "127.0.0.1", "smtp_port": inbox.port, "smtp_starttls": False}
    plane = Plane(node, engine, Wiring(node.lab.settings.model_copy(update=changes), node.lab.secrets))
    plane.start()
    try:
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What the control plane logs meanwhile, at the level it runs with."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, keep = logging.getLogger(), Keep()
    level = root.level
    root.addHandler(keep)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(keep)
    root.setLevel(level)


@dataclass(frozen=True)
class Scene:
    """Extension 100 has a voicemail, 101 calls."""

    org: str
    voicemail: Voicemail
    owner: Phone
    caller: Phone


@contextmanager
def scene(plane: Plane, engine: Engine, title: str) -> Iterator[Scene]:
    no_answer = {"action": "voicemail", "ring_timeout_s": 5, "notify": ["ann@example.com"]}
    extensions = {"100": {"no_answer": no_answer}, "101": {}}
    calls = [{"from": "101", "to": "100", "expect": {"outcome": "voicemail"}}]
    scenario = Scenario.model_validate({"title": title, "extensions": extensions, "calls": calls})
    model = model_on(plane.node, scenario)
    plane.only(model)
    box = Mailbox(plane.node.lab.lab.node_dir / "spool" / "voicemail" / scenario.slug / "100")
    box.put_greetings()
    with Player(plane.node, engine, scenario, model).phones(frozenset()) as phones:
        owner, caller = (phones.of(f"{scenario.slug}/{key}") for key in ("100", "101"))
        owner.behaviour = Refuse(486)
        yield Scene(scenario.slug, Voicemail(engine, box), owner, caller)


def test_the_owner_is_mailed_the_recording(plane: Plane, engine: Engine, inbox: Inbox) -> None:
    with scene(plane, engine, "a mail") as s:
        before = len(inbox.mails)
        wav = s.voicemail.leave(s.caller, "100")
        plane.until(lambda: len(inbox.mails) > before, "the mail arrives")
        mail = inbox.mails[-1]
        assert mail["To"] == "ann@example.com"
        assert mail["Subject"] == "Voicemail from Ext 101 (101) for Ext 100 (100)"
        (attachment,) = mail.iter_attachments()
        assert attachment.get_content_type() == "audio/wav"
        assert attachment.get_content() == wav.read_bytes()
        plane.until(lambda: plane.run(plane.node.link.read_rows("outbox")) == {}, "the outbox is empty")


def test_a_message_left_while_the_control_plane_is_down_is_mailed_later(
    plane: Plane, engine: Engine, inbox: Inbox
) -> None:
    with scene(plane, engine, "a late mail") as s:
        plane.stop()
        try:
            before = len(inbox.mails)
            wav = s.voicemail.leave(s.caller, "100")
        finally:
            plane.start()
        plane.until(lambda: len(inbox.mails) > before, "the mail arrives")
        mail = inbox.mails[-1]
        assert [part.get_content() for part in mail.iter_attachments()] == [wav.read_bytes()]


def pin(plane: Plane, org: str) -> str:
    return plane.extension(org, "100").voicemail_pin.get_secret_value()


def lets_in(s: Scene, number: str, within_s: float = 20.0) -> bool:
    """Whether this PIN lets the owner listen to a message."""
    call = s.voicemail.reach(s.owner, "*97")
    s.voicemail.type(call, f"{number}#")
    s.voicemail.type(call, "1")
    heard = call.hears(MESSAGE_HZ, within_s)
    call.hangup()
    return heard


def test_a_pin_chosen_by_phone_reaches_the_model_and_one_set_later_wins(
    plane: Plane, engine: Engine, log: list[str]
) -> None:
    with scene(plane, engine, "PINs") as s:
        s.voicemail.leave(s.caller, "100")
        s.voicemail.change_pin(s.owner, OLD_PIN, CHOSEN_PIN)
        plane.until(lambda: pin(plane, s.org) == CHOSEN_PIN, "the model has the PIN")
        plane.settled()
        plane.run(plane.node.link.reload("app_voicemail.so"))
        assert plane.parts is not None
        assert plane.run(plane.parts.reconciler.plan()).is_empty
        assert lets_in(s, CHOSEN_PIN)
        changed = plane.extension(s.org, "100").model_copy(update={"voicemail_pin": SecretStr(SET_PIN)})
        plane.put(changed)
        assert not s.voicemail.box.pin_file.exists()
        s.voicemail.leave(s.caller, "100")
        assert not lets_in(s, CHOSEN_PIN, within_s=8)
        assert lets_in(s, SET_PIN)
    told = "\n".join([*log, *written_by_asterisk(plane.node)])
    for secret in (CHOSEN_PIN, SET_PIN):
        assert secret not in told
    plain = [e for e in plane.node.events if e.name != "VoicemailPasswordChange"]
    assert not any(CHOSEN_PIN in str(event.headers) for event in plain)
    audit = plane.run(plane.store.audit(limit=20))
    assert "handset voicemail" in {entry.actor for entry in audit}
    assert not any(secret in str(audit) for secret in (CHOSEN_PIN, SET_PIN))


def test_a_pin_chosen_while_the_control_plane_is_down_reaches_the_model(plane: Plane, engine: Engine) -> None:
    with scene(plane, engine, "a late PIN") as s:
        plane.stop()
        try:
            s.voicemail.change_pin(s.owner, OLD_PIN, CHOSEN_WHILE_DOWN)
        finally:
            plane.start()
        assert pin(plane, s.org) == CHOSEN_WHILE_DOWN


def test_a_pin_shorter_than_the_model_allows_is_refused_on_the_phone(plane: Plane, engine: Engine) -> None:
    with scene(plane, engine, "a short PIN") as s:
        call = s.voicemail.reach(s.owner, "*97")
        for keys in (f"{OLD_PIN}#", "0", "5", "123#"):
            s.voicemail.type(call, keys)
        s.voicemail.wait_speech(call)
        call.hangup()
        plane.node.wait_quiet(lambda: engine.poll(0.01))
        assert not s.voicemail.box.pin_file.exists()
        assert pin(plane, s.org) == OLD_PIN


def test_wrong_pins_typed_on_a_phone_lock_it_in_the_model_and_a_new_pin_unlocks_it(
    plane: Plane, engine: Engine
) -> None:
    """R53, A53: two while nobody listens, the rest with the control plane there."""
    with scene(plane, engine, "a locked PIN") as s:
        s.voicemail.leave(s.caller, "100")
        plane.stop()
        try:
            wrong_pins(s, 2)
        finally:
            plane.start()
        assert plane.extension(s.org, "100").pin_failures == 2
        plane.settled()
        wrong_pins(s, 3)
        plane.until(lambda: plane.extension(s.org, "100").pin_locked, "the model knows of the lock")
        plane.settled()
        assert plane.run(plane.node.link.read_row(f"ext/{s.org}/100/pin")) == "locked"
        assert not lets_in(s, OLD_PIN, within_s=1)
        (entry,) = plane.run(plane.store.audit(limit=1))
        assert entry.actor.startswith("handset ") and "pin_locked" in entry.fields
        plane.run(patch_extension(plane.store, By("ada"), (s.org, "100"), {"voicemail_pin": SET_PIN}))
        plane.settled()
        assert plane.run(plane.node.link.read_row(f"ext/{s.org}/100/pin")) is None
        assert lets_in(s, SET_PIN)


def wrong_pins(s: Scene, count: int) -> None:
    call = s.voicemail.reach(s.owner, "*97")
    for _ in range(count):
        s.voicemail.type(call, "19283745#")
    if count == PIN_TRIES:
        call.wait_ended(15)
    else:
        call.hangup()
