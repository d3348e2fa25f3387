"""A person at a voicemail: greetings on disk, messages left, menus listened to."""

from __future__ import annotations

import array
import math
import os
import re
import time
import wave
from dataclasses import dataclass
from pathlib import Path

from control_plane.adapters.engine import ASTERISK_UID
from control_plane.adapters.phones import Engine, Phone, PhoneCall
from control_plane.adapters.phones.tones import rms

RATE = 8000
BUSY_HZ, UNAVAILABLE_HZ = 700, 500
"""Greetings are tones here, so that it is heard which one was played."""
MESSAGE_HZ = 880
SPEECH_RMS = 300.0
KEY_GAP_S = 0.9
"""A person looks for the next key; the phone itself takes 0.2 s for each."""


@dataclass(frozen=True)
class Mailbox:
    """One mailbox in the spool, seen from outside Asterisk."""

    directory: Path

    def put_greetings(self) -> None:
        """Greetings as their owner would have recorded them."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, hz in (("busy", BUSY_HZ), ("unavail", UNAVAILABLE_HZ)):
            samples = (round(8000 * math.sin(2 * math.pi * hz * i / RATE)) for i in range(RATE))
            with wave.open(str(self.directory / f"{name}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                file.writeframes(array.array("h", samples).tobytes())
        if os.getuid() == 0:
            for path in (self.directory.parent, self.directory, *self.directory.iterdir()):
                os.chown(path, ASTERISK_UID, ASTERISK_UID)

    @property
    def pin_file(self) -> Path:
        return self.directory / "secret.conf"

    def recording_now(self) -> bool:
        return any((self.directory / "tmp").glob("*.wav"))

    def messages(self, folder: str = "INBOX") -> list[Path]:
        """WAV files of whole messages: those whose description was written too."""
        found = sorted((self.directory / folder).glob("msg*.wav"))
        return [wav for wav in found if "duration=" in wav.with_suffix(".txt").read_text()]


def samples_of(wav: Path) -> array.array[int]:
    """The audio of a message. Asserts that it is what phones and mail programs play: mono, 16 bit, 8 kHz."""
    with wave.open(str(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return array.array("h", file.readframes(file.getnframes()))


def described(wav: Path, name: str) -> str:
    """One field of the message's description."""
    found = re.search(rf"^{name}=(.*)$", wav.with_suffix(".txt").read_text(), re.MULTILINE)
    assert found is not None, name
    return found[1]


class Voicemail:
    """Calls to and about one mailbox."""

    def __init__(self, engine: Engine, box: Mailbox) -> None:
        self.engine = engine
        self.box = box

    def reach(self, caller: Phone, number: str) -> PhoneCall:
        """Call a number whose voicemail will answer."""
        call = caller.call(number)
        call.wait_confirmed(deadline_s=15)
        return call

    def wait_recording(self, call: PhoneCall) -> None:
        """Skip greeting and instructions, and wait until Asterisk records."""
        deadline = time.monotonic() + 20
        while not self.box.recording_now():
            assert time.monotonic() < deadline, f"{call!r} is not recorded"
            call.send_dtmf("#")
            self._look(self.box.recording_now, 1.5)

    def _look(self, condition: object, within_s: float) -> None:
        end = time.monotonic() + within_s
        assert callable(condition)
        while time.monotonic() < end and not condition():
            self.engine.poll(0.05)

    def leave(self, caller: Phone, number: str, seconds: float = 1.5) -> Path:
        """Leave a message with a tone in it; the WAV."""
        before = set(self.box.messages())
        call = self.reach(caller, number)
        self.wait_recording(call)
        call.play_tone(MESSAGE_HZ)
        self.engine.run_for(seconds)
        call.hangup()
        return self.wait_message(before)

    def wait_message(self, before: set[Path], deadline_s: float = 5.0) -> Path:
        self.engine.poll_until(
            lambda: bool(set(self.box.messages()) - before), deadline_s, "the message is on disk"
        )
        (wav,) = set(self.box.messages()) - before
        return wav

    def wait_speech(self, call: PhoneCall, deadline_s: float = 8.0) -> None:
        """Until somebody is talking."""
        self.engine.poll_until(
            lambda: rms(call.heard_samples()) > SPEECH_RMS, deadline_s, f"a voice is heard on {call!r}"
        )

    def type(self, call: PhoneCall, keys: str) -> None:
        """Wait for the prompt, then press keys; the prompt they end is over when this returns."""
        self.wait_speech(call)
        call.send_dtmf(keys)
        self.engine.run_for(KEY_GAP_S + 0.2 * len(keys))

    def change_pin(self, owner: Phone, old: str, new: str) -> None:
        """As the menu asks for it: 0, mailbox options; 5, the password; twice the new one."""
        was = self.box.pin_file.read_text() if self.box.pin_file.exists() else ""
        call = self.reach(owner, "*97")
        for keys in (f"{old}#", "0", "5", f"{new}#", f"{new}#"):
            self.type(call, keys)
        self.engine.poll_until(
            lambda: self.box.pin_file.exists() and self.box.pin_file.read_text() != was,
            5,
            "the PIN is in the spool",
        )
        call.hangup()
