"""The phones themselves, calling each other without a server: a call test can only be as good as they are."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.phones import (
    Answer,
    CallState,
    Engine,
    Phone,
    PhoneCall,
    PhoneError,
    PhoneTimeout,
    Refuse,
    Ring,
    SipAccount,
)

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")

ADDRESS = "127.0.40.1"

MakePhone = Callable[..., Phone]


@pytest.fixture(scope="module")
def phone_engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture
def make_phone(phone_engine: Engine) -> Iterator[MakePhone]:
    """Phones that are closed after the test."""
    phones: list[Phone] = []

    def make(name: str, **settings: Any) -> Phone:
        account = SipAccount(sip_user=name, local_address=ADDRESS, **settings)
        phones.append(Phone(phone_engine, account))
        return phones[-1]

    yield make
    for phone in phones:
        phone.close()


@pytest.fixture
def ann(make_phone: MakePhone) -> Phone:
    return make_phone("ann")


@pytest.fixture
def bob(make_phone: MakePhone) -> Phone:
    return make_phone("bob")


def connect(caller: Phone, callee: Phone) -> tuple[PhoneCall, PhoneCall]:
    """Both ends of an answered call."""
    callee.behaviour = Answer(after_s=0)
    before = len(callee.incoming)
    out = caller.call(callee.uri)
    out.wait_confirmed()
    inbound = callee.wait_incoming(after=before)
    inbound.wait_confirmed()
    return out, inbound


def test_a_phone_rings_and_answers_after_its_time(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Answer(after_s=0.4)
    out = ann.call(bob.uri)
    out.wait_confirmed()
    assert out.responses() == (100, 180, 200)
    assert out.ringing_at is not None
    assert out.answered_at is not None
    assert out.started_at <= out.ringing_at < out.answered_at
    assert 0.35 < out.answered_at - out.started_at < 2.0
    assert bob.wait_incoming().remote_number == "ann"


def test_a_phone_that_answers_at_once_does_not_ring(ann: Phone, bob: Phone) -> None:
    out, _ = connect(ann, bob)
    assert out.ringing_at is None
    assert 180 not in out.responses()


@pytest.mark.parametrize("code", [486, 603, 480])
def test_a_refused_call_ends_with_the_code_it_was_refused_with(ann: Phone, bob: Phone, code: int) -> None:
    bob.behaviour = Refuse(code)
    out = ann.call(bob.uri)
    assert out.wait_ended() == code
    assert out.answered_at is None
    assert bob.wait_incoming().wait_ended() == code


def test_a_caller_who_gives_up_stops_the_ringing(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Ring()
    out = ann.call(bob.uri)
    out.wait_ringing()
    inbound = bob.wait_incoming()
    assert inbound.state is CallState.RINGING
    out.hangup()
    assert out.status_code == 487
    assert inbound.wait_ended() == 487
    assert [m.start_line.split(" ")[0] for m in inbound.messages][:2] == ["INVITE", "CANCEL"]


def test_a_ringing_phone_is_answered_or_refused_by_hand(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Ring()
    out = ann.call(bob.uri)
    out.wait_ringing()
    bob.wait_incoming().answer()
    out.wait_confirmed()
    out.hangup()
    second = ann.call(bob.uri)
    second.wait_ringing()
    bob.wait_incoming(after=1).answer(603)
    assert second.wait_ended() == 603


def test_both_ends_hear_the_tone_of_the_other_and_not_their_own(ann: Phone, bob: Phone) -> None:
    out, inbound = connect(ann, bob)
    out.play_tone(440)
    inbound.play_tone(660)
    assert inbound.hears(440)
    assert out.hears(660)
    assert out.heard_share(440) < 0.05
    inbound.play_tone(880)
    assert out.hears(880)
    inbound.stop_tone()
    assert not out.hears(440, within_s=0.8)
    assert out.heard_share(880) < 0.05
    report = out.rtp()
    assert (report.codec, report.srtp_suite) == ("PCMU", None)
    assert report.received_packets > 20


def test_a_tone_started_before_the_answer_is_heard_after_it(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Answer(after_s=0.2)
    out = ann.call(bob.uri)
    out.play_tone(520)
    out.wait_confirmed()
    assert bob.wait_incoming().hears(520)


def test_audio_before_the_answer_is_heard(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Ring()
    out = ann.call(bob.uri)
    out.wait_ringing()
    inbound = bob.wait_incoming()
    inbound.answer(183)
    inbound.play_tone(700)
    assert out.hears(700)
    assert out.state is CallState.RINGING


def test_digits_arrive_in_order_and_whole(ann: Phone, bob: Phone) -> None:
    out, inbound = connect(ann, bob)
    out.send_dtmf("4711*#")
    inbound.wait_digits("4711*#")


def test_a_held_call_knows_it_and_comes_back_with_audio(ann: Phone, bob: Phone, phone_engine: Engine) -> None:
    out, inbound = connect(ann, bob)
    out.hold()
    phone_engine.poll_until(lambda: inbound.held_by_peer, 2, "bob is held")
    out.unhold()
    out.play_tone(440)
    assert inbound.hears(440)
    assert not inbound.held_by_peer


def test_a_blind_transfer_joins_the_other_end_to_the_target(
    ann: Phone, bob: Phone, make_phone: MakePhone, phone_engine: Engine
) -> None:
    eve = make_phone("eve")
    eve.behaviour = Answer(after_s=0)
    out, inbound = connect(ann, bob)
    assert out.transfer(eve.uri) == 200
    assert out.ended
    phone_engine.poll_until(lambda: len(bob.calls) == 2, 2, "bob calls eve")
    joined = bob.calls[1]
    joined.wait_confirmed()
    joined.play_tone(440)
    assert eve.wait_incoming().hears(440)
    assert inbound.wait_ended() == 200


def test_a_transfer_to_a_busy_phone_leaves_the_call_alone(
    ann: Phone, bob: Phone, make_phone: MakePhone
) -> None:
    eve = make_phone("eve")
    eve.behaviour = Refuse(486)
    out, inbound = connect(ann, bob)
    assert out.transfer(eve.uri) == 486
    assert out.state is CallState.CONFIRMED
    inbound.play_tone(440)
    assert out.hears(440)


def test_an_attended_transfer_joins_the_two_other_ends(
    ann: Phone, bob: Phone, make_phone: MakePhone, phone_engine: Engine
) -> None:
    eve = make_phone("eve")
    first, _ = connect(ann, bob)
    first.hold()
    second, _ = connect(ann, eve)
    assert first.transfer_to(second) == 200
    phone_engine.poll_until(lambda: len(bob.calls) == 2, 2, "bob calls eve in place of ann")
    bob.calls[1].wait_confirmed()
    bob.calls[1].play_tone(440)
    assert eve.incoming[-1].hears(440)


def test_headers_and_name_of_the_caller_are_seen(make_phone: MakePhone, bob: Phone) -> None:
    meyer = make_phone("100", display_name='Bob "R2" Meyer')
    meyer.call(bob.uri, [("Diversion", "<sip:101@pbx>;reason=no-answer"), ("X-Floor", "3")])
    inbound = bob.wait_incoming()
    assert inbound.display_name == 'Bob "R2" Meyer'
    assert inbound.remote_number == "100"
    assert inbound.headers("diversion") == ("<sip:101@pbx>;reason=no-answer",)
    assert inbound.headers("x-floor") == ("3",)


def test_a_recording_is_a_complete_file_of_what_was_heard(ann: Phone, bob: Phone, tmp_path: Path) -> None:
    out, inbound = connect(ann, bob)
    inbound.play_tone(440)
    assert out.hears(440)
    out.record(tmp_path / "part.wav")
    out.record(tmp_path / "rest.wav")
    ann.engine.run_for(0.6)
    out.stop_recording(tmp_path / "part.wav")
    out.hangup()
    out.stop_recording(tmp_path / "rest.wav")
    for name in ("part.wav", "rest.wav"):
        with wave.open(str(tmp_path / name)) as recorded:
            assert (recorded.getframerate(), recorded.getnchannels()) == (8000, 1)
            assert recorded.getnframes() > 3000
    with pytest.raises(PhoneError, match=r"rest\.wav exists"):
        out.record(tmp_path / "rest.wav")


def test_calls_over_tcp(make_phone: MakePhone) -> None:
    out, inbound = connect(make_phone("ann", transport="tcp"), make_phone("bob", transport="tcp"))
    assert inbound.invite is not None
    assert "SIP/2.0/TCP" in (inbound.invite.header("via") or "")
    out.hangup()
    assert inbound.wait_ended() == 200


def make_certificate(folder: Path, address: str) -> tuple[Path, Path]:
    """A self-signed certificate for an IP address, and its key."""
    certificate, key = folder / f"{address}.crt", folder / f"{address}.key"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2"
    subject = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *subject, *files], check=True, capture_output=True, timeout=30)
    return certificate, key


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), ADDRESS)


def test_calls_over_tls_with_srtp_are_encrypted_and_heard(
    make_phone: MakePhone, certificate: tuple[Path, Path]
) -> None:
    files = {"certificate_file": certificate[0], "key_file": certificate[1], "ca_file": certificate[0]}
    ann, bob = (make_phone(name, transport="tls", srtp=True, **files) for name in ("ann", "bob"))
    out, inbound = connect(ann, bob)
    out.play_tone(440)
    assert inbound.hears(440)
    assert out.srtp
    assert (inbound.rtp().srtp_suite or "").startswith("AES_")


def test_a_server_with_an_unknown_certificate_is_not_called(
    make_phone: MakePhone, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    bob = make_phone("bob", transport="tls", certificate_file=certificate[0], key_file=certificate[1])
    stranger, _ = make_certificate(tmp_path, ADDRESS)
    ann = make_phone("ann", transport="tls", ca_file=stranger)
    assert ann.call(bob.uri).wait_ended() == 503
    assert not bob.incoming


def test_plain_audio_is_refused_by_a_phone_that_demands_srtp(make_phone: MakePhone) -> None:
    ann, bob = make_phone("ann"), make_phone("bob", srtp=True)
    assert ann.call(bob.uri).wait_ended() == 488


def test_a_phone_has_four_lines_and_says_when_they_are_taken(
    ann: Phone, make_phone: MakePhone, phone_engine: Engine
) -> None:
    bob = make_phone("bob")
    bob.behaviour = Answer(after_s=0)
    calls = [ann.call(bob.uri) for _ in range(4)]
    for call in calls:
        call.wait_confirmed()
    with pytest.raises(PhoneError, match="all 4 lines of the phone are in use"):
        ann.call(bob.uri)
    for call in calls:
        call.hangup()
        ann.call(bob.uri).wait_confirmed()


def test_many_phones_talk_at_once(make_phone: MakePhone) -> None:
    callers = [make_phone(f"caller{n}") for n in range(12)]
    callees = [make_phone(f"callee{n}") for n in range(12)]
    pairs = [connect(a, b) for a, b in zip(callers, callees, strict=True)]
    for n, (out, _) in enumerate(pairs):
        out.play_tone(400 + 50 * n)
    for n, (_, inbound) in enumerate(pairs):
        assert inbound.hears(400 + 50 * n)


def test_a_phone_answers_while_its_owner_looks_elsewhere(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Answer(after_s=0.1)
    out = ann.call(bob.uri)
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True, timeout=20)
    out.wait_confirmed()
    assert out.answered_at is not None
    assert out.answered_at - out.started_at < 0.4


def test_waiting_in_vain_says_what_for(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Ring()
    out = ann.call(bob.uri)
    with pytest.raises(PhoneTimeout, match=r"Not within 0\.3 s: .*ann.* becomes confirmed"):
        out.wait_confirmed(0.3)


def test_waiting_for_an_answer_ends_when_the_call_does(ann: Phone, bob: Phone) -> None:
    bob.behaviour = Refuse(486)
    with pytest.raises(PhoneError, match=r"486 Busy Here.*ended before it was confirmed"):
        ann.call(bob.uri).wait_confirmed()


def test_an_address_of_another_machine_is_refused_in_words(phone_engine: Engine) -> None:
    with pytest.raises(PhoneError, match=r"Phone ann cannot listen: .*requested address"):
        Phone(phone_engine, SipAccount(sip_user="ann", local_address="192.0.2.77"))


def test_a_target_that_is_no_uri_is_refused_in_words(ann: Phone) -> None:
    with pytest.raises(PhoneError, match="Phone ann cannot dial: Invalid Request URI"):
        ann.call("sip:")
    assert not ann.calls


def test_registering_where_nobody_listens_is_answered_503(make_phone: MakePhone) -> None:
    ann = make_phone("ann", transport="tcp", host=ADDRESS, port=9)
    assert ann.register() == 503
    assert not ann.registered


def test_a_phone_that_dies_is_named_and_leaves_the_others_alone(ann: Phone, bob: Phone) -> None:
    with Engine() as engine:
        eve = Phone(engine, SipAccount(sip_user="eve", local_address=ADDRESS))
        port = int(eve.address.rpartition(":")[2])
        os.kill(process_listening_on(port), signal.SIGKILL)
        with pytest.raises(PhoneError, match=r"Phone eve ended by itself\."):
            engine.run_for(2)
        with pytest.raises(PhoneError, match=r"Phone eve is closed"):
            eve.call(bob.uri)
    out, _ = connect(ann, bob)
    assert not out.ended


def process_listening_on(port: int) -> int:
    """Process that has a UDP socket on this port (it is one of our grandchildren)."""
    rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in rows if row[1].endswith(f":{port:04X}"))
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == Path(f"socket:[{inode}]"):
                return int(link.parts[2])
        except OSError:  # a process or descriptor that went while it was looked at
            continue
    raise AssertionError(f"nobody listens on {port}")


def test_a_log_has_the_messages_and_not_the_password(tmp_path: Path) -> None:
    account = SipAccount(sip_user="bob", sip_password="pa55-w0rd", local_address=ADDRESS)
    assert "pa55" not in repr(account)
    with (
        Engine(log_dir=tmp_path) as engine,
        Phone(engine, SipAccount(sip_user="ann", local_address=ADDRESS)) as ann,
        Phone(engine, account) as bob,
    ):
        bob.call(ann.uri).wait_confirmed()
        assert bob.log_file is not None and bob.log_file.parent == tmp_path
        assert stat.S_IMODE(bob.log_file.stat().st_mode) == 0o600
    log = bob.log_file.read_text()
    assert f"INVITE {ann.uri} SIP/2.0" in log
    assert "pa55" not in log


CRASH = """
from control_plane.adapters.phones import *
engine = Engine()
ann, bob = (Phone(engine, SipAccount(sip_user=n, local_address="127.0.40.1")) for n in "ab")
call = ann.call(bob.uri)
call.wait_confirmed()
call.play_tone(440)
raise SystemExit(7)
"""


def test_a_program_that_ends_in_the_middle_of_a_call_ends_with_its_own_status() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (7, "")
