"""Hearing a tone, and reading SIP text: the pure half of the phones."""

from __future__ import annotations

import math
import random
import struct
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.adapters.phones.sip import (
    SipMessage,
    parse_address,
    parse_headers,
    parse_message_waiting,
    user_of,
)
from control_plane.adapters.phones.tones import is_heard, tone_share, wav_tail

RATE = 8000


def sine(hz: float, seconds: float = 0.3, peak: int = 10_000, phase: float = 0.0) -> list[int]:
    return [round(peak * math.sin(2 * math.pi * hz * n / RATE + phase)) for n in range(int(seconds * RATE))]


def mixed(*signals: list[int]) -> list[int]:
    return [sum(samples) for samples in zip(*signals, strict=True)]


@given(hz=st.floats(100, 3900), phase=st.floats(0, 2 * math.pi), peak=st.integers(500, 30_000))
def test_a_pure_tone_is_all_of_itself_at_any_pitch_phase_and_loudness(
    hz: float, phase: float, peak: int
) -> None:
    assert tone_share(sine(hz, peak=peak, phase=phase), RATE, hz) > 0.95


@given(hz=st.floats(100, 3900), other=st.floats(100, 3900))
def test_a_tone_is_not_heard_in_another_one(hz: float, other: float) -> None:
    if abs(hz - other) > 10:
        assert tone_share(sine(other), RATE, hz) < 0.2


@given(st.lists(st.integers(-32768, 32767), max_size=400), st.floats(1, 3999))
def test_a_share_is_between_none_and_all(samples: list[int], hz: float) -> None:
    assert 0.0 <= tone_share(samples, RATE, hz) <= 1.0


def test_silence_and_no_samples_have_no_share() -> None:
    assert tone_share([0] * 2400, RATE, 440) == 0.0
    assert tone_share([], RATE, 440) == 0.0


def test_two_equal_tones_have_half_each_and_neither_is_heard() -> None:
    both = mixed(sine(440), sine(660))
    assert tone_share(both, RATE, 440) == pytest.approx(0.5, abs=0.02)
    assert tone_share(both, RATE, 660) == pytest.approx(0.5, abs=0.02)
    assert not is_heard(both, RATE, 440)


def test_noise_is_no_tone() -> None:
    noise = random.Random(1).choices(range(-10_000, 10_000), k=2400)
    assert max(tone_share(noise, RATE, hz) for hz in range(200, 3600, 100)) < 0.05


def test_a_tone_under_some_noise_is_heard_and_an_inaudible_one_is_not() -> None:
    noise = random.Random(1).choices(range(-2000, 2000), k=2400)
    assert is_heard(mixed(sine(440), noise), RATE, 440)
    assert not is_heard(sine(440, peak=40), RATE, 440)


@pytest.mark.parametrize("hz", [0, -440, 4000, 5000])
def test_a_pitch_the_rate_cannot_carry_is_refused(hz: float) -> None:
    with pytest.raises(ValueError, match=r"hz: .* half the sample rate 8000"):
        tone_share([1, 2, 3], RATE, hz)


def test_the_tail_of_a_finished_file_is_its_last_samples(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack("<4000h", *range(4000)))
    assert wav_tail(path, 0.1) == tuple(range(3200, 4000))


def test_the_tail_of_a_growing_file_ignores_its_header_and_half_a_sample(tmp_path: Path) -> None:
    path = tmp_path / "growing.wav"
    path.write_bytes(b"\0" * 44 + struct.pack("<1000h", *range(1000)) + b"\x7f")
    assert wav_tail(path, 0.1) == tuple(range(200, 1000))


def test_there_is_no_tail_before_there_is_enough_audio_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    assert wav_tail(path, 0.1) == ()
    path.write_bytes(b"\0" * 50)
    assert wav_tail(path, 0.1) == ()


INVITE = "\r\n".join(
    [
        "INVITE sip:100@127.0.0.1 SIP/2.0",
        'f: "Meyer \\"Bob\\", R." <sip:+4930123@10.0.0.1>;tag=1',
        "Diversion: <sip:101@pbx>;reason=no-answer",
        "Diversion: <sip:102@pbx>;reason=unconditional",
        "Subject: one",
        "  two",
        "",
        "v=0\r\nFrom: not a header",
    ]
)


def test_headers_are_found_by_long_name_whatever_was_sent() -> None:
    message = SipMessage(1.5, INVITE)
    assert message.start_line == "INVITE sip:100@127.0.0.1 SIP/2.0"
    assert message.header("From") == '"Meyer \\"Bob\\", R." <sip:+4930123@10.0.0.1>;tag=1'
    assert len(message.headers("diversion")) == 2
    assert message.header("SUBJECT") == "one two"
    assert message.header("Reason") is None
    assert message.body == "v=0\r\nFrom: not a header"


def test_a_response_without_body_has_its_headers() -> None:
    assert parse_headers("SIP/2.0 200 OK\r\nl: 0\r\n\r\n") == (("content-length", "0"),)


@pytest.mark.parametrize(
    ("value", "name", "uri"),
    [
        ('"Meyer \\"Bob\\", R." <sip:+4930123@10.0.0.1>;tag=1', 'Meyer "Bob", R.', "sip:+4930123@10.0.0.1"),
        ("Bob <sips:bob@b:5061;transport=tls>", "Bob", "sips:bob@b:5061;transport=tls"),
        ("<sip:anonymous@anonymous.invalid>", "", "sip:anonymous@anonymous.invalid"),
        ("sip:100@pbx;tag=9", "", "sip:100@pbx"),
    ],
)
def test_an_address_is_split_into_name_and_uri(value: str, name: str, uri: str) -> None:
    assert parse_address(value) == (name, uri)


@pytest.mark.parametrize(
    ("uri", "user"), [("sip:+4930@pbx:5060", "+4930"), ("SIPS:a;x=1@pbx", "a"), ("sip:pbx", "")]
)
def test_the_number_is_the_user_part(uri: str, user: str) -> None:
    assert user_of(uri) == user


def test_message_waiting_counts_are_new_and_old() -> None:
    body = "Messages-Waiting: yes\r\nMessage-Account: sip:*97@pbx\r\nVoice-Message: 2/7 (0/0)\r\n"
    assert parse_message_waiting(body) == (2, 7)
    assert parse_message_waiting("Messages-Waiting: no\r\n") is None
