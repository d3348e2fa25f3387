"""The life of an occupier: docs/walk.md is typed word by word, with real calls after its chapters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.adapters.carrier import CallEnd, CarrierCall
from control_plane.adapters.phones import Answer, Engine, Phone, SipAccount
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.bootstrap.wiring import Wiring
from control_plane.callpath.graph import outcome_of, parse_trace
from control_plane.domain.extension import Transport
from tests.calls.mailbox import Mailbox
from tests.calls.node import NodeUnderTest, node_under_test
from tests.integration.talk import CALLEE_HZ, CALLER_HZ, HEARD_S
from tests.lab import RunningLab
from tests.session import (
    ROOT,
    SIP_LOGS,
    Terminal,
    failures_explained,
    lab_session,
    missing,
    typed_in,
    with_sip_log,
)

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

OUTSIDE = "+442071838750"
MAIN, GRACE_DID, ALAN_DID = "+442079460100", "+442079460101", "+442079460102"
GRACE, ALAN, MESSAGES, NEIGHBOUR = (
    ("harbour", "0101"),
    ("harbour", "0102"),
    ("harbour", "0107"),
    ("acme", "101"),
)
IN_HOURS = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
IN_THE_EVENING = datetime(2026, 12, 1, 17, 30, tzinfo=UTC)
ON_A_HOLIDAY = datetime(2026, 12, 25, 10, 0, tzinfo=UTC)
EMERGENCY_HZ = 1500
RINGS_S = 0.5
FORBIDDEN = (401, 403)
NOT_FOUND = 404


@dataclass(frozen=True)
class Town:
    """The lab the document is typed in, the world outside, and the phones of people."""

    wiring: Wiring
    node: NodeUnderTest
    engine: Engine
    accounts: dict[tuple[str, str], SipAccount]
    """What phones were set up with, kept when the model forgets it."""

    async def _read(self) -> None:
        async with self.wiring.store() as store:
            model = (await store.snapshot()).model
        sip = self.wiring.sip_address
        for ident in (GRACE, ALAN, NEIGHBOUR):
            for device in model.devices.get(ident, ()):
                tls = device.transport is Transport.TLS
                self.accounts[ident] = SipAccount(
                    sip_user=device.id,
                    sip_password=device.sip_password.get_secret_value(),
                    host=sip.host,
                    port=sip.tls_port if tls else sip.port,
                    transport=device.transport.value,
                    srtp=device.srtp,
                    ca_file=self.wiring.lab().certificate_authority if tls else None,
                    local_address="127.0.0.1",
                    display_name="/".join(ident),
                )

    @contextmanager
    def phones(self, *idents: tuple[str, str]) -> Iterator[list[Phone]]:
        """The registered phones of these people, which ring for a moment and answer."""
        self.node.run(self._read())
        phones = [Phone(self.engine, self.accounts[ident]) for ident in idents]
        try:
            for phone in phones:
                phone.behaviour = Answer(after_s=RINGS_S)
                assert phone.register() == 200, f"{phone.name}: {phone.registration_reason}"
            yield phones
        finally:
            for phone in phones:
                phone.close()
            self.node.wait_quiet(lambda: self.engine.poll(0.02))

    def call_in(self, to: str, talk_s: int = 1) -> tuple[CarrierCall, str]:
        """A caller outside calls `to`: how it ended for the caller, and by what Asterisk tells of it."""
        mark = len(self.node.call_events)
        ended = self.node.run(self.node.lab.carrier.call(OUTSIDE, to, talk_s=talk_s), 60.0)
        self.node.wait_quiet(lambda: self.engine.poll(0.02))
        told = [event.headers for event in self.node.call_events[mark:] if event.headers["Path"] == ""]
        assert len(told) == 1, told
        return ended, outcome_of(parse_trace(told[0]["Trace"]))

    def mailbox(self, ident: tuple[str, str]) -> Mailbox:
        return Mailbox(self.spool.joinpath(*ident))

    @property
    def spool(self) -> Path:
        return self.node.lab.lab.node_dir / "spool" / "voicemail"


def people_can_be_called(town: Town) -> None:
    with town.phones(GRACE, ALAN, NEIGHBOUR) as (grace, alan, neighbour):
        ended, outcome = town.call_in(GRACE_DID)
        assert (ended.end, outcome) == (CallEnd.ANSWERED, "answered")
        taken = grace.wait_incoming()
        taken.wait_ended()
        assert taken.answered_at is not None and taken.answered_at - taken.started_at >= RINGS_S
        assert not alan.incoming

        call = alan.call("0101")
        call.wait_confirmed()
        answered = grace.wait_incoming(after=1)
        answered.wait_confirmed()
        assert answered.srtp and not call.srtp
        call.play_tone(CALLER_HZ)
        answered.play_tone(CALLEE_HZ)
        assert call.hears(CALLEE_HZ, HEARD_S) and answered.hears(CALLER_HZ, HEARD_S)
        call.hangup()

        emergency = grace.call("999")
        emergency.wait_confirmed()
        assert emergency.hears(EMERGENCY_HZ, within_s=15)
        emergency.hangup()

        before = len(grace.incoming), len(alan.incoming)
        for number in ("0101", "0102"):
            assert neighbour.call(number).wait_ended() == NOT_FOUND
        assert (len(grace.incoming), len(alan.incoming)) == before


def the_main_number_keeps_its_hours(town: Town) -> None:
    with town.phones(GRACE, ALAN) as (grace, alan):
        town.node.set_clock(IN_HOURS)
        ended, outcome = town.call_in(MAIN)
        assert (ended.end, outcome) == (CallEnd.ANSWERED, "answered")
        grace.wait_incoming()
        alan.wait_incoming()
        taken = (grace.incoming[0], alan.incoming[0])
        town.engine.poll_until(lambda: any(c.answered_at for c in taken), HEARD_S, "one takes the call")

        for at, talk_s in ((ON_A_HOLIDAY, 1), (IN_THE_EVENING, 15)):
            town.node.set_clock(at)
            ended, outcome = town.call_in(MAIN, talk_s)
            assert (ended.end, outcome) == (CallEnd.ANSWERED, "voicemail"), at
        assert (len(grace.incoming), len(alan.incoming)) == (1, 1), "neither rings then"
    assert len(town.mailbox(MESSAGES).messages()) == 1


def nothing_is_left(town: Town) -> None:
    for number in (MAIN, GRACE_DID, ALAN_DID):
        ended, outcome = town.call_in(number)
        assert ended.end is CallEnd.REFUSED, (number, ended, outcome)
    for ident in (GRACE, ALAN):
        with Phone(town.engine, town.accounts[ident]) as phone:
            assert phone.register() in FORBIDDEN, f"{phone.name}: {phone.registration_reason}"
    gone = {"harbour", *(town.accounts[ident].sip_user for ident in (GRACE, ALAN))}

    def left() -> list[object]:
        rows = town.node.run(town.node.link.read_rows(""))
        files = [path for path in town.spool.rglob("*") if path.is_file() and "harbour" in path.parts]
        return [*(row for row in rows.items() if any(name in text for name in gone for text in row)), *files]

    assert not left(), "a decommission that is done has nothing left to erase"
    with town.phones(NEIGHBOUR) as (neighbour,):
        ended, outcome = town.call_in("+6561000101")
        assert (ended.end, outcome) == (CallEnd.ANSWERED, "answered")
        neighbour.wait_incoming()


CHECKS: dict[str, Callable[[Town], None]] = {
    "Two people and their phones": people_can_be_called,
    "The main number": the_main_number_keeps_its_hours,
    "The occupier leaves": nothing_is_left,
}


@pytest.fixture
def terminal(asterisk_image: str, tmp_path: Path) -> Iterator[Terminal]:
    with lab_session(tmp_path, asterisk_image=asterisk_image) as terminal:
        yield terminal


@contextmanager
def town_of(terminal: Terminal) -> Iterator[Town]:
    settings = terminal.settings
    secrets = load_or_make_secrets(settings.state_dir)
    wiring = Wiring(settings, secrets)
    lab = RunningLab(settings, secrets, wiring.lab(), wiring.carrier())
    sip_logs = terminal.directory / SIP_LOGS
    with Engine(log_dir=sip_logs) as engine, node_under_test(lab) as node, failures_explained(terminal):
        yield Town(wiring, node, engine, {})


def test_the_life_of_an_occupier_is_as_the_document_says(terminal: Terminal) -> None:
    chapters = re.split(r"^## (.*)$", (ROOT / "docs/walk.md").read_text(), flags=re.MULTILINE)
    titles = chapters[1::2]
    assert set(CHECKS) <= set(titles)
    terminal.ok("lab", "up")
    with town_of(terminal) as town:
        for title, text in zip(["", *titles], chapters[::2], strict=True):
            for command in typed_in(text):
                said = terminal.type(with_sip_log(command.line))
                refused = any(shown.startswith("error: ") for shown in command.shown)
                assert said.code == refused, f"$ {command.line}\n{said.out}{said.err}"
                lost = missing(command.shown, (said.out + said.err).splitlines())
                assert lost is None, f"$ {command.line}\ndid not print: {lost}\nbut:\n{said.out}{said.err}"
            if title in CHECKS:
                CHECKS[title](town)
