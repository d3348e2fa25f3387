"""One call of a phone on pjsua2, inside the phone's process: its events, its audio, what its owner asks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pjsua2 as pj

from control_plane.adapters.phones.pjsip import operation
from control_plane.adapters.phones.tones import SAMPLE_RATE

_STATES = {
    pj.PJSIP_INV_STATE_NULL: "calling",
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "ringing",
    pj.PJSIP_INV_STATE_EARLY: "ringing",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}
_FLOWING = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
_CRYPTO = re.compile(r"SRTP status: Active Crypto-suite: (\S+)")
_LOUDNESS = 10_000
"""Peak of a played tone, of 32767 (-10 dBFS): loud, and two of them mixed do not clip."""


class Owner(Protocol):
    """The phone, as its calls need it."""

    account: Any
    folder: Path

    def report(self, event: str, **fields: Any) -> None: ...

    def later(self, delay_s: float, work: Callable[[], None]) -> None: ...

    def new_line(self, direction: str, remote: str, invite: str = "") -> Line: ...

    def uri(self, target: str) -> str: ...

    def line(self, number: int) -> Line: ...

    def end_line(self, line: Line) -> None: ...


class Line(pj.Call):  # type: ignore[misc]  # untyped library
    """One call. `number` is unique in the process, unlike pjsua's call id.

    Callbacks (onCall...) only read and report; `do_...` are what the owner asks.
    """

    def __init__(self, phone: Owner, number: int, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self.thisown = False
        self.phone = phone
        self.number = number
        self.began_at = time.monotonic()
        self.ended = False
        self._heard_path = str(phone.folder / f"heard-{number}.wav")
        self._audio: list[Any] = []
        self._heard: Any = None
        self._recorders: dict[str, Any] = {}
        self._tone: Any = None

    # -- what happens to the call

    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        if info.state not in _STATES:
            return  # CONNECTING: a 200 whose ACK is on its way
        self._report(
            "state",
            state=_STATES[info.state],
            code=info.lastStatusCode,
            reason=info.lastReason,
            remote=info.remoteUri,
            call_id=info.callIdString,
        )
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.phone.later(0, partial(self.phone.end_line, self))

    def onCallTsxState(self, prm: Any) -> None:
        if prm.e.body.tsxState.type == pj.PJSIP_EVENT_RX_MSG:
            self._report("message", text=prm.e.body.tsxState.src.rdata.wholeMsg)

    def onCallMediaState(self, prm: Any) -> None:
        info = self.getInfo()  # kept: the vector inside dies with it
        audio = [(m.index, m.status) for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO]
        self.phone.later(0, partial(self._connect_audio, audio))

    def onDtmfDigit(self, prm: Any) -> None:
        self._report("digit", digit=prm.digit)

    def onCallTransferStatus(self, prm: Any) -> None:
        self._report("transfer", code=prm.statusCode, final=prm.finalNotify)

    def onCallTransferRequest(self, prm: Any) -> None:
        prm.newCall = self.phone.new_line("outgoing", prm.dstUri)

    def onCallReplaceRequest(self, prm: Any) -> None:
        prm.newCall = self.phone.new_line("incoming", "", prm.rdata.wholeMsg)

    def _report(self, event: str, **fields: Any) -> None:
        self.phone.report(event, call=self.number, **fields)

    # -- audio

    def _connect_audio(self, audio: list[tuple[int, int]]) -> None:
        """Audio began or changed: connect what records it and what plays into it."""
        if self.ended:
            return
        self._audio = [self.getAudioMedia(index) for index, status in audio if status in _FLOWING]
        if self._audio and self._heard is None:
            self._heard = self._new_recorder(self._heard_path)
        for stream in self._audio:
            for sink in (self._heard, *self._recorders.values()):
                stream.startTransmit(sink)
            if self._tone is not None:
                self._tone.startTransmit(stream)
        statuses = {status for _, status in audio}
        self._report(
            "media",
            active=bool(self._audio),
            held=pj.PJSUA_CALL_MEDIA_LOCAL_HOLD in statuses,
            held_by_peer=pj.PJSUA_CALL_MEDIA_REMOTE_HOLD in statuses,
            heard=self._heard_path if self._heard is not None else "",
        )

    def _new_recorder(self, path: str) -> Any:
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(path)
        return recorder

    def drop_media(self) -> None:
        """Let go of recorders and tone; files are complete some time later, and are then reported."""
        self.ended = True
        self._audio, self._heard, self._tone = [], None, None
        for path in list(self._recorders):
            self._close_recorder(path)

    def _close_recorder(self, path: str) -> None:
        del self._recorders[path]
        self._report_when_closed(path)

    def _report_when_closed(self, path: str) -> None:
        with Path(path).open("rb") as wav:
            # The RIFF length is 0 until pjmedia has closed the file.
            closed = wav.read(8)[4:] not in (b"", b"\0\0\0\0")
        if closed:
            self._report("recorded", path=path)
        else:
            self.phone.later(0.02, partial(self._report_when_closed, path))

    # -- what the owner asks

    def respond(self, code: int) -> None:
        """Answer as planned, unless the caller gave up or the owner acted before."""
        if not self.ended and self.getInfo().state < pj.PJSIP_INV_STATE_CONNECTING:
            self.answer(operation(code))

    def do_answer(self, code: int) -> None:
        self.answer(operation(code))

    def do_hangup(self) -> None:
        self.hangup(operation(0))

    def do_dtmf(self, digits: str) -> None:
        self.dialDtmf(digits)

    def do_play_tone(self, hz: int) -> None:
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2, tone.on_msec, tone.off_msec, tone.volume = hz, 0, 1000, 0, _LOUDNESS
        if self._tone is None:
            self._tone = pj.ToneGenerator()
            self._tone.createToneGenerator(SAMPLE_RATE, 1)
            for stream in self._audio:
                self._tone.startTransmit(stream)
        self._tone.stop()
        self._tone.play(pj.ToneDescVector([tone]), True)

    def do_stop_tone(self) -> None:
        if self._tone is not None:
            self._tone.stop()

    def do_record(self, path: str) -> None:
        recorder = self._recorders[path] = self._new_recorder(path)
        for stream in self._audio:
            stream.startTransmit(recorder)

    def do_stop_recording(self, path: str) -> None:
        if path in self._recorders:
            self._close_recorder(path)

    def do_hold(self) -> None:
        self.setHold(pj.CallOpParam(True))

    def do_unhold(self) -> None:
        parameter = pj.CallOpParam(True)
        parameter.opt.flag |= pj.PJSUA_CALL_UNHOLD
        self.reinvite(parameter)

    def do_transfer(self, target: str) -> None:
        self.xfer(self.phone.uri(target), pj.CallOpParam(True))

    def do_transfer_to(self, other: int) -> None:
        self.xferReplaces(self.phone.line(other), pj.CallOpParam(True))

    def do_rtp(self) -> dict[str, Any]:
        info = self.getInfo()
        index = next((m.index for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO), None)
        if index is None or not self.hasMedia():
            raise RuntimeError("the call has no audio")
        stream, statistics = self.getStreamInfo(index), self.getStreamStat(index)
        counts = statistics.rtcp
        crypto = _CRYPTO.search(self.dump(True, ""))
        return {
            "codec": stream.codecName,
            "srtp_suite": crypto.group(1) if crypto else None,
            "remote_address": stream.remoteRtpAddress,
            "received_packets": counts.rxStat.pkt,
            "sent_packets": counts.txStat.pkt,
            "lost_packets": counts.rxStat.loss,
        }
