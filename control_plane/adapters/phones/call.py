"""One call, as the owner of a phone sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from control_plane.adapters.phones.channel import Message
from control_plane.adapters.phones.sip import SipMessage, parse_address, user_of
from control_plane.adapters.phones.tones import SAMPLE_RATE, is_heard, tone_share, wav_tail
from control_plane.adapters.phones.values import PhoneError, PhoneTimeout

if TYPE_CHECKING:
    from control_plane.adapters.phones.phone import Phone

_LISTEN_S = 0.3
"""Length of audio a tone is looked for in."""


class CallState(StrEnum):
    """calling -> ringing -> confirmed -> disconnected; a call may go to disconnected from any of them."""

    CALLING = "calling"
    RINGING = "ringing"  # out: a 1xx other than 100 came; in: not answered yet
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class RtpReport:
    """What the audio of a call runs on. `srtp_suite` is None when it is not encrypted."""

    codec: str
    srtp_suite: str | None
    remote_address: str
    received_packets: int
    sent_packets: int
    lost_packets: int


class PhoneCall:
    """A call of a phone, from its first message on. Times are seconds of the monotonic clock."""

    def __init__(self, phone: Phone, event: Message) -> None:
        self.phone = phone
        self.number: int = event["call"]
        self.direction: Literal["outgoing", "incoming"] = event["direction"]
        self.state = CallState.RINGING if self.direction == "incoming" else CallState.CALLING
        self.status_code = 0
        self.reason = ""
        self.remote: str = event["remote"]
        self.call_id = ""
        self.messages: list[SipMessage] = []
        self.digits = ""
        self.transfer_codes: list[int] = []
        self.transfer_done = False
        self.has_audio = False
        self.held = False
        self.held_by_peer = False
        self.started_at: float = event["at"]
        self.ringing_at: float | None = None
        self.answered_at: float | None = None
        self._heard: Path | None = None
        self._recorded: set[str] = set()
        if event["text"]:
            self.messages.append(SipMessage(event["at"], event["text"]))
            self.remote = self.messages[0].header("from") or ""

    def __repr__(self) -> str:
        return (
            f"<{self.direction} call of {self.phone.name}, {self.remote}: {self.state} "
            f"{self.status_code} {self.reason}>"
        )

    # -- who is at the other end

    @property
    def invite(self) -> SipMessage | None:
        """The INVITE of an incoming call."""
        return self.messages[0] if self.direction == "incoming" and self.messages else None

    @property
    def remote_uri(self) -> str:
        return parse_address(self.remote)[1]

    @property
    def remote_number(self) -> str:
        """User part of the other end's URI: the caller's number as presented, or the number called."""
        return user_of(self.remote_uri)

    @property
    def display_name(self) -> str:
        """Name presented with the number; "" for none."""
        return parse_address(self.remote)[0]

    def headers(self, name: str) -> tuple[str, ...]:
        """Values of this header in the INVITE of an incoming call."""
        return self.invite.headers(name) if self.invite else ()

    # -- waiting

    def wait_state(self, state: CallState, deadline_s: float = 5.0) -> None:
        """Wait until the call is in `state`.

        Raises:
            PhoneTimeout: it was not within `deadline_s`.
            PhoneError: the call ended instead.
        """

        def reached() -> bool:
            if self.state is state:
                return True
            if self.state is CallState.DISCONNECTED:
                raise PhoneError(f"{self!r} ended before it was {state}.")
            return False

        self._poll_until(reached, deadline_s, f"{self!r} becomes {state}")

    def wait_ringing(self, deadline_s: float = 5.0) -> None:
        """Wait until it rings. Raises: PhoneTimeout, PhoneError (the call ended or was answered first)."""
        self._poll_until(lambda: self.state is not CallState.CALLING, deadline_s, f"{self!r} becomes ringing")
        if self.state is not CallState.RINGING:
            raise PhoneError(f"{self!r} did not ring.")

    def wait_confirmed(self, deadline_s: float = 5.0) -> None:
        """Wait until it is answered and has audio. Raises: PhoneTimeout, PhoneError (the call ended)."""
        self.wait_state(CallState.CONFIRMED, deadline_s)
        self._poll_until(lambda: self.has_audio, deadline_s, f"{self!r} has audio")

    def wait_ended(self, deadline_s: float = 5.0) -> int:
        """Wait until it is over; the status code it ended with. Raises: PhoneTimeout."""
        self._poll_until(lambda: self.ended, deadline_s, f"{self!r} ends")
        return self.status_code

    @property
    def ended(self) -> bool:
        return self.state is CallState.DISCONNECTED

    def _poll_until(self, predicate: Callable[[], bool], deadline_s: float, what: str) -> None:
        self.phone.engine.poll_until(predicate, deadline_s, what)

    def _ask_unless_ended(self, do: str, **arguments: Any) -> None:
        if self.ended:
            return
        try:
            self.phone.ask(do, call=self.number, **arguments)
        except PhoneError:
            # The other end may have been quicker; what the phone reported came before its refusal.
            if not self.ended:
                raise

    # -- signalling

    def answer(self, code: int = 200) -> None:
        """Answer an incoming call: 180 and 183 ring, 200 picks up, 300 and above refuse."""
        self.phone.ask("answer", call=self.number, code=code)

    def hangup(self, deadline_s: float = 5.0) -> None:
        """End the call (BYE, CANCEL or 603, as its state asks) and wait until it is over.

        A call that is over stays so. Raises: PhoneTimeout.
        """
        self._ask_unless_ended("hangup")
        self.wait_ended(deadline_s)

    def hold(self, deadline_s: float = 5.0) -> None:
        """Put the other end on hold and wait until the media say so. Raises: PhoneTimeout."""
        self.phone.ask("hold", call=self.number)
        self._poll_until(lambda: self.held, deadline_s, f"{self!r} is on hold")

    def unhold(self, deadline_s: float = 5.0) -> None:
        """Take the other end back and wait until audio flows. Raises: PhoneTimeout."""
        self.phone.ask("unhold", call=self.number)
        self._poll_until(lambda: not self.held and self.has_audio, deadline_s, f"{self!r} is taken off hold")

    def transfer(self, target: str, deadline_s: float = 5.0) -> int:
        """Blind transfer (REFER) to a number or SIP URI; the final status the other end reports.

        On success the phone hangs up its own leg, as REFER leaves to the sender (RFC 5589 s6).
        Raises: PhoneTimeout.
        """
        self.phone.ask("transfer", call=self.number, target=target)
        return self._finish_transfer(deadline_s)

    def transfer_to(self, other: PhoneCall, deadline_s: float = 5.0) -> int:
        """Attended transfer: join the other ends of this call and of `other`, a call of the same phone.

        The final status reported. Raises: PhoneTimeout.
        """
        self.phone.ask("transfer_to", call=self.number, other=other.number)
        return self._finish_transfer(deadline_s)

    def _finish_transfer(self, deadline_s: float) -> int:
        self._poll_until(lambda: self.transfer_done or self.ended, deadline_s, f"{self!r} is transferred")
        code = self.transfer_codes[-1] if self.transfer_codes else self.status_code
        if 200 <= code < 300:
            self.hangup(deadline_s)
        return code

    # -- audio

    def send_dtmf(self, digits: str) -> None:
        """Send digits as telephone-events (RFC 4733); they go out one after the other."""
        self.phone.ask("dtmf", call=self.number, digits=digits)

    def wait_digits(self, digits: str, deadline_s: float = 5.0) -> None:
        """Wait until the digits received so far are `digits`. Raises: PhoneTimeout."""
        self._poll_until(lambda: self.digits == digits, deadline_s, f"{self!r} receives {digits}")

    def play_tone(self, hz: int) -> None:
        """Play a tone to the other end until `stop_tone`, at -10 dBFS; replaces the one being played."""
        self.phone.ask("play_tone", call=self.number, hz=hz)

    def stop_tone(self) -> None:
        self.phone.ask("stop_tone", call=self.number)

    def heard_samples(self, seconds: float = _LISTEN_S) -> Sequence[int]:
        """The last `seconds` received (8000 Hz), at most half a second old; () when there is less.

        All audio of a call is kept from its first packet on, early media included.
        """
        return wav_tail(self._heard, seconds) if self._heard else ()

    def hears(self, hz: float, within_s: float = 3.0) -> bool:
        """True as soon as the last 0.3 s received are this tone; False if they never are in `within_s`."""

        def heard() -> bool:
            return is_heard(self.heard_samples(), SAMPLE_RATE, hz)

        try:
            self._poll_until(heard, within_s, f"{self!r} hears {hz:g} Hz")
        except PhoneTimeout:
            return False
        return True

    def heard_share(self, hz: float) -> float:
        """Share of the energy of the last 0.3 s received that is this tone, for messages and asserts."""
        return tone_share(self.heard_samples(), SAMPLE_RATE, hz)

    def record(self, path: Path) -> None:
        """Write what is received from now on to a WAV file (8000 Hz, mono), until stopped or the end.

        Raises:
            PhoneError: the file exists (the library mixes up recordings of one name) or cannot be written.
        """
        if path.exists():
            raise PhoneError(f"{path} exists: record to a file name that was not used before.")
        self.phone.ask("record", call=self.number, path=str(path))

    def stop_recording(self, path: Path, deadline_s: float = 5.0) -> None:
        """Stop writing `path`, and wait until it is complete; after the call too. Raises: PhoneTimeout."""
        self._ask_unless_ended("stop_recording", path=str(path))
        self._poll_until(lambda: str(path) in self._recorded, deadline_s, f"{path} is complete")

    def rtp(self) -> RtpReport:
        """What the audio runs on now. Raises: PhoneError when the call has none."""
        return RtpReport(**self.phone.ask("rtp", call=self.number))

    @property
    def srtp(self) -> bool:
        """True when the audio is encrypted."""
        return self.rtp().srtp_suite is not None

    # -- what the phone reports

    def take(self, event: Message) -> None:
        """Take in one report of the phone about this call."""
        match event["event"]:
            case "state":
                self._enter(CallState(event["state"]), event)
            case "message":
                self.messages.append(SipMessage(event["at"], event["text"]))
            case "media":
                self.has_audio, self.held = event["active"], event["held"]
                self.held_by_peer = event["held_by_peer"]
                self._heard = Path(event["heard"]) if event["heard"] else self._heard
            case "digit":
                self.digits += event["digit"]
            case "transfer":
                self.transfer_codes.append(event["code"])
                self.transfer_done = event["final"]
            case "recorded":
                self._recorded.add(event["path"])

    def _enter(self, state: CallState, event: Message) -> None:
        at: float = event["at"]
        self.state, self.status_code, self.reason = state, event["code"], event["reason"]
        self.call_id = event["call_id"]
        # The library forgets the display name of the URI it called; it knows that of a later answer.
        self.remote = event["remote"] or self.remote
        match state:
            case CallState.RINGING if self.ringing_at is None:
                self.ringing_at = at
            case CallState.CONFIRMED if self.answered_at is None:
                self.answered_at = at
            case CallState.DISCONNECTED:
                self.has_audio = False

    def responses(self) -> tuple[int, ...]:
        """Status codes received for the call so far, in order: 100, 180, 200 ..."""
        lines = (message.start_line.split(" ") for message in self.messages)
        return tuple(int(line[1]) for line in lines if line[0] == "SIP/2.0")
