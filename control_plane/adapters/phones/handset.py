"""One phone on pjsua2, inside the phone's own process. The only module that imports pjsua2.

pjsua2 has no types, so everything here is `Any` at its edge. Rules it is written by, each from a crash:
- no worker threads: the process polls, so callbacks come on its one thread;
- Account and Call objects are never destroyed (`thisown = False`, and a list keeps them): their destructors
  act on an id that the library has reused by then;
- what a getter returns is kept in a variable while a part of it is read: the parts die with it;
- callbacks take what they need out of their argument, which is gone when they return, and leave the work to
  the loop: a Python exception in a callback would abort the process;
- recorders and tone generators are dropped before libDestroy; a recorder closes its file some time later,
  and a file name is used once.
"""

from __future__ import annotations

import heapq
import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pjsua2 as pj

from control_plane.adapters.phones.sip import parse_message_waiting
from control_plane.adapters.phones.tones import SAMPLE_RATE
from control_plane.adapters.phones.values import MAX_CALLS_PER_PHONE, SipAccount

Report = Callable[..., None]

_STATES = {
    pj.PJSIP_INV_STATE_NULL: "calling",
    pj.PJSIP_INV_STATE_CALLING: "calling",
    pj.PJSIP_INV_STATE_INCOMING: "ringing",
    pj.PJSIP_INV_STATE_EARLY: "ringing",
    pj.PJSIP_INV_STATE_CONFIRMED: "confirmed",
    pj.PJSIP_INV_STATE_DISCONNECTED: "disconnected",
}
_TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
_CRYPTO = re.compile(r"SRTP status: Active Crypto-suite: (\S+)")
_LOUDNESS = 10_000
"""Peak of a played tone, of 32767 (-10 dBFS): loud, and two of them mixed do not clip."""

_PJ_ETOOMANY = 70010
_LINE_FREE_S = 5.0

_SOCKET_RELEASE_S = 0.7
_CALLS_PER_RELEASE = 20
"""pjlib gives the two sockets of a call back half a second after it, and aborts when 64 are out: a phone
that is told to call faster than this waits a little."""


class _Line(pj.Call):  # type: ignore[misc]  # untyped library
    """One call. `number` is unique in the process, unlike pjsua's call id."""

    def __init__(self, handset: Handset, number: int, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(handset.account, call_id)
        self.thisown = False
        self.handset = handset
        self.number = number
        self.began_at = time.monotonic()
        self.audio: list[Any] = []
        self.heard: Any = None
        self.recorders: dict[str, Any] = {}
        self.tone: Any = None

    def onCallState(self, prm: Any) -> None:
        info = self.getInfo()
        if info.state not in _STATES:
            return  # CONNECTING: a 200 whose ACK is on its way
        self.handset.report(
            "state",
            call=self.number,
            state=_STATES[info.state],
            code=info.lastStatusCode,
            reason=info.lastReason,
            remote=info.remoteUri,
            local=info.localUri,
            call_id=info.callIdString,
        )
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.handset.later(0, partial(self.handset.end_media, self))

    def onCallTsxState(self, prm: Any) -> None:
        if prm.e.body.tsxState.type == pj.PJSIP_EVENT_RX_MSG:
            text = prm.e.body.tsxState.src.rdata.wholeMsg
            self.handset.report("message", call=self.number, text=text)

    def onCallMediaState(self, prm: Any) -> None:
        info = self.getInfo()  # kept: the vector inside dies with it
        media = [(m.index, m.type, m.status) for m in info.media]
        self.handset.later(0, partial(self.handset.connect_media, self, media))

    def onDtmfDigit(self, prm: Any) -> None:
        self.handset.report("digit", call=self.number, digit=prm.digit)

    def onCallTransferStatus(self, prm: Any) -> None:
        self.handset.report("transfer", call=self.number, code=prm.statusCode, final=prm.finalNotify)

    def onCallTransferRequest(self, prm: Any) -> None:
        prm.newCall = self.handset.new_line("outgoing", prm.dstUri)

    def onCallReplaceRequest(self, prm: Any) -> None:
        prm.newCall = self.handset.new_line("incoming", self.getInfo().remoteUri, prm.rdata.wholeMsg)


class _Account(pj.Account):  # type: ignore[misc]  # untyped library
    def __init__(self, handset: Handset) -> None:
        super().__init__()
        self.thisown = False
        self.handset = handset

    def onRegState(self, prm: Any) -> None:
        active = bool(self.getInfo().regIsActive)
        self.handset.report("registration", code=prm.code, reason=prm.reason, active=active)

    def onIncomingCall(self, prm: Any) -> None:
        self.handset.take_call(prm.callId, prm.rdata.wholeMsg)

    def onMwiInfo(self, prm: Any) -> None:
        counts = parse_message_waiting(prm.rdata.wholeMsg)
        if counts is not None:
            self.handset.report("message_waiting", new=counts[0], old=counts[1])


class Handset:
    """The phone: does what its owner asks (methods named do_...) and reports what happens to it."""

    def __init__(self, account: SipAccount, report: Report, folder: Path, log_file: Path | None) -> None:
        self._settings = account
        self.report = report
        self._folder = folder
        self._numbers = itertools.count(1)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._lines: dict[int, _Line] = {}
        self._ended: list[_Line] = []
        self._behaviour: dict[str, Any] = {"kind": "Answer", "after_s": 0.2, "code": 200}
        self._endpoint = pj.Endpoint()
        self._endpoint.libCreate()
        self._endpoint.libInit(_library_config(log_file))
        self._endpoint.audDevManager().setNullDev()
        self._order_codecs()
        self._transport = self._endpoint.transportCreate(
            _TRANSPORTS[account.transport], _transport_config(account)
        )
        self._endpoint.libStart()
        self.address: str = self._endpoint.transportGetInfo(self._transport).localName
        self.account = _Account(self)
        self.account.create(self._account_config())

    # -- the loop

    @property
    def busy(self) -> bool:
        """True while something is under way that wants short poll intervals."""
        return bool(self._lines or self._due)

    def poll(self, wait_ms: int) -> None:
        """Let the SIP stack work for at most `wait_ms`, then do what has become due."""
        if self._due:
            wait_ms = max(0, min(wait_ms, int(1000 * (self._due[0][0] - time.monotonic()))))
        self._endpoint.libHandleEvents(wait_ms)
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2]()

    def later(self, delay_s: float, work: Callable[[], None]) -> None:
        """Have the loop do `work` after `delay_s`."""
        heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), work))

    def do(self, name: str, arguments: dict[str, Any]) -> Any:
        """Do one request of the owner and return its value.

        Raises:
            RuntimeError: it cannot be done; the text says why.
        """
        with _plain_errors():
            return getattr(self, f"do_{name}")(**arguments)

    @classmethod
    def open(cls, account: SipAccount, report: Report, folder: Path, log_file: Path | None) -> Handset:
        """A phone that listens.

        Raises:
            RuntimeError: the address cannot be bound, a file is missing, ...
        """
        with _plain_errors():
            return cls(account, report, folder, log_file)

    def stop(self, grace_s: float = 0.5) -> None:
        """Hang up, unregister (a stale contact would swallow somebody's next call) and end the stack."""
        deadline = time.monotonic() + grace_s
        self._endpoint.hangupAllCalls()
        if self.account.getInfo().regIsActive:
            self.account.setRegistration(False)
        while time.monotonic() < deadline and (self._lines or self.account.getInfo().regIsActive):
            self.poll(10)
        for line in self._lines.values():
            line.heard, line.tone, line.recorders = None, None, {}
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_TX_MSG | pj.PJSUA_DESTROY_NO_RX_MSG)

    # -- set-up

    def _order_codecs(self) -> None:
        for codec in self._endpoint.codecEnum2():
            name = codec.codecId.split("/")[0]
            wanted = self._settings.codecs
            priority = 255 - wanted.index(name) if name in wanted else 0
            self._endpoint.codecSetPriority(codec.codecId, priority)

    def _account_config(self) -> Any:
        settings, config = self._settings, pj.AccountConfig()
        # Without a registrar the address of record is where the phone itself is reached.
        domain = settings.host or self.address
        name = f'"{_quoted(settings.display_name)}" ' if settings.display_name else ""
        config.idUri = f"{name}<sip:{settings.sip_user}@{domain}>"
        if settings.host:
            config.regConfig.registrarUri = self._uri("")
        config.regConfig.registerOnAdd = False
        config.regConfig.timeoutSec = settings.expiry_s
        config.regConfig.retryIntervalSec = 0
        if settings.sip_password:
            config.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", "*", settings.sip_user, 0, settings.sip_password)
            )
        config.sipConfig.transportId = self._transport
        config.natConfig.sipOutboundUse = 0
        config.mwiConfig.enabled = settings.subscribe_mwi
        media = config.mediaConfig
        media.transportConfig.port = 0
        media.transportConfig.boundAddress = settings.local_address or ""
        media.lockCodecEnabled = False  # else a second offer follows each answer with two codecs
        media.srtpUse = pj.PJMEDIA_SRTP_MANDATORY if settings.srtp else pj.PJMEDIA_SRTP_DISABLED
        media.srtpSecureSignaling = 0
        media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        return config

    def _uri(self, user: str) -> str:
        settings = self._settings
        # '#' would start a fragment and must be escaped in the user part (RFC 3261 s25.1).
        at = quote(user, safe="*+-_.!~'()&=$,;?/") + "@" if user else ""
        return f"sip:{at}{settings.host}:{settings.port};transport={settings.transport}"

    # -- calls

    def new_line(self, direction: str, remote: str, invite: str = "", call_id: int | None = None) -> _Line:
        """Begin to keep a call, and report it."""
        number = next(self._numbers)
        line = _Line(self, number, pj.PJSUA_INVALID_ID if call_id is None else call_id)
        self._lines[number] = line
        self.report("call", call=number, direction=direction, remote=remote, text=invite)
        return line

    def take_call(self, call_id: int, invite: str) -> None:
        """An INVITE came: do what the owner told the phone to do with calls."""
        line = self.new_line("incoming", "", invite, call_id)
        behaviour = self._behaviour
        match behaviour["kind"]:
            case "Refuse":
                self.later(0, partial(self._respond, line, behaviour["code"]))
            case "Answer":
                if behaviour["after_s"] > 0:
                    self.later(0, partial(self._respond, line, 180))
                self.later(behaviour["after_s"], partial(self._respond, line, behaviour["code"]))
            case _:
                self.later(0, partial(self._respond, line, 180))

    def _respond(self, line: _Line, code: int) -> None:
        # The caller may have given up, or the owner acted, before this became due.
        if line.number in self._lines and line.getInfo().state < pj.PJSIP_INV_STATE_CONNECTING:
            line.answer(_operation(code))

    def connect_media(self, line: _Line, media: list[tuple[int, int, int]]) -> None:
        """Audio of the call began or changed: connect what records it and what plays into it."""
        if line.number not in self._lines:
            return
        flowing = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
        audio = [(i, status) for i, kind, status in media if kind == pj.PJMEDIA_TYPE_AUDIO]
        line.audio = [line.getAudioMedia(i) for i, status in audio if status in flowing]
        if line.audio and line.heard is None:
            path = self._folder / f"heard-{line.number}.wav"
            line.heard = self._start_recorder(line, str(path))
        for stream in line.audio:
            for sink in (line.heard, *line.recorders.values()):
                stream.startTransmit(sink)
            if line.tone is not None:
                line.tone.startTransmit(stream)
        held = any(status == pj.PJSUA_CALL_MEDIA_LOCAL_HOLD for _, status in audio)
        held_by_peer = any(status == pj.PJSUA_CALL_MEDIA_REMOTE_HOLD for _, status in audio)
        path_heard = f"{self._folder}/heard-{line.number}.wav" if line.heard is not None else ""
        self.report(
            "media",
            call=line.number,
            active=bool(line.audio),
            held=held,
            held_by_peer=held_by_peer,
            heard=path_heard,
        )

    def _start_recorder(self, line: _Line, path: str) -> Any:
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(path)
        for stream in line.audio:
            stream.startTransmit(recorder)
        return recorder

    def end_media(self, line: _Line) -> None:
        """The call is over: close its files and let its line go."""
        if self._lines.pop(line.number, None) is None:
            return
        self._ended.append(line)
        line.audio, line.heard, line.tone = [], None, None
        for path in list(line.recorders):
            self._close_recorder(line, path)

    def _close_recorder(self, line: _Line, path: str) -> None:
        del line.recorders[path]
        self._report_when_closed(line.number, path)

    def _report_when_closed(self, number: int, path: str) -> None:
        with Path(path).open("rb") as wav:
            # The RIFF length is 0 until pjmedia has closed the file, which it does some time later.
            closed = wav.read(8)[4:] not in (b"", b"\0\0\0\0")
        if closed:
            self.report("recorded", call=number, path=path)
        else:
            self.later(0.02, partial(self._report_when_closed, number, path))

    # -- what the owner asks

    def do_register(self) -> None:
        self.account.setRegistration(True)

    def do_unregister(self) -> None:
        self.account.setRegistration(False)

    def do_behave(self, **behaviour: Any) -> None:
        self._behaviour = behaviour

    def do_call(self, target: str, headers: list[tuple[str, str]]) -> int:
        uri = target if target.lower().startswith(("sip:", "sips:")) else self._uri(target)
        if len(self._lines) >= MAX_CALLS_PER_PHONE:
            raise RuntimeError(f"all {MAX_CALLS_PER_PHONE} lines of the phone are in use")
        line = self.new_line("outgoing", uri)
        operation = pj.CallOpParam(True)
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            operation.txOption.headers.append(header)
        try:
            self._make_call(line, uri, operation)
        except pj.Error:
            self._ended.append(self._lines.pop(line.number, line))
            self.report("withdrawn", call=line.number)
            raise
        return line.number

    def _make_call(self, line: _Line, uri: str, operation: Any) -> None:
        # A call we hung up is reported ended at once, but holds its line until its BYE is answered.
        deadline = time.monotonic() + _LINE_FREE_S
        while True:
            if not self._too_many_sockets():
                try:
                    line.makeCall(uri, operation)
                    return
                except pj.Error as error:
                    if error.status != _PJ_ETOOMANY or time.monotonic() > deadline:
                        raise
            self.poll(5)

    def _too_many_sockets(self) -> bool:
        since = time.monotonic() - _SOCKET_RELEASE_S
        recent = itertools.takewhile(lambda line: line.began_at > since, reversed(self._ended))
        return sum(1 for _ in recent) >= _CALLS_PER_RELEASE

    def do_answer(self, call: int, code: int) -> None:
        self._line(call).answer(_operation(code))

    def do_hangup(self, call: int, code: int) -> None:
        if call in self._lines:
            self._lines[call].hangup(_operation(code))

    def do_dtmf(self, call: int, digits: str) -> None:
        self._line(call).dialDtmf(digits)

    def do_play_tone(self, call: int, hz: int) -> None:
        line = self._line(call)
        tone = pj.ToneDesc()
        tone.freq1, tone.freq2, tone.on_msec, tone.off_msec, tone.volume = hz, 0, 1000, 0, _LOUDNESS
        if line.tone is None:
            line.tone = pj.ToneGenerator()
            line.tone.createToneGenerator(SAMPLE_RATE, 1)
            for stream in line.audio:
                line.tone.startTransmit(stream)
        line.tone.stop()
        line.tone.play(pj.ToneDescVector([tone]), True)

    def do_stop_tone(self, call: int) -> None:
        line = self._line(call)
        if line.tone is not None:
            line.tone.stop()

    def do_record(self, call: int, path: str) -> None:
        line = self._line(call)
        line.recorders[path] = self._start_recorder(line, path)

    def do_stop_recording(self, call: int, path: str) -> None:
        self._close_recorder(self._line(call), path)

    def do_hold(self, call: int) -> None:
        self._line(call).setHold(pj.CallOpParam(True))

    def do_unhold(self, call: int) -> None:
        operation = pj.CallOpParam(True)
        operation.opt.flag |= pj.PJSUA_CALL_UNHOLD
        self._line(call).reinvite(operation)

    def do_transfer(self, call: int, target: str) -> None:
        uri = target if target.lower().startswith(("sip:", "sips:")) else self._uri(target)
        self._line(call).xfer(uri, pj.CallOpParam(True))

    def do_transfer_to(self, call: int, other: int) -> None:
        self._line(call).xferReplaces(self._line(other), pj.CallOpParam(True))

    def do_rtp(self, call: int) -> dict[str, Any]:
        line = self._line(call)
        info = line.getInfo()
        index = next((m.index for m in info.media if m.type == pj.PJMEDIA_TYPE_AUDIO), None)
        if index is None or not line.hasMedia():
            raise RuntimeError("the call has no audio")
        stream, statistics = line.getStreamInfo(index), line.getStreamStat(index)
        counts = statistics.rtcp
        crypto = _CRYPTO.search(line.dump(True, ""))
        return {
            "codec": stream.codecName,
            "srtp_suite": crypto.group(1) if crypto else None,
            "remote_address": stream.remoteRtpAddress,
            "received_packets": counts.rxStat.pkt,
            "sent_packets": counts.txStat.pkt,
            "lost_packets": counts.rxStat.loss,
        }

    def _line(self, number: int) -> _Line:
        line = self._lines.get(number)
        if line is None:
            raise RuntimeError("the call has ended")
        return line


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except pj.Error as error:
        raise RuntimeError(error.reason or error.title) from error


def _library_config(log_file: Path | None) -> Any:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = MAX_CALLS_PER_PHONE
    config.uaConfig.userAgent = "wirechief phone"
    config.logConfig.level = config.logConfig.consoleLevel = 0
    if log_file is not None:
        config.logConfig.level = 5
        config.logConfig.msgLogging = 1
        config.logConfig.filename = str(log_file)
    config.medConfig.clockRate = SAMPLE_RATE
    config.medConfig.noVad = True
    config.medConfig.ecTailLen = 0
    return config


def _transport_config(account: SipAccount) -> Any:
    config = pj.TransportConfig()
    config.port = account.local_port
    config.boundAddress = account.local_address or ""
    if account.transport == "tls":
        config.tlsConfig.method = pj.PJSIP_TLSV1_2_METHOD
        config.tlsConfig.verifyServer = account.ca_file is not None
        config.tlsConfig.CaListFile = str(account.ca_file or "")
        config.tlsConfig.certFile = str(account.certificate_file or "")
        config.tlsConfig.privKeyFile = str(account.key_file or "")
    return config


def _operation(code: int) -> Any:
    operation = pj.CallOpParam()
    operation.statusCode = code
    return operation


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')
