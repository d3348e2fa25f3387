"""The last calls with their traces: what the dialplan tells when a channel ends, put together by call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from control_plane.callpath.graph import outcome_of, parse_trace

CALLS_KEPT = 500


@dataclass(frozen=True, slots=True)
class CallPart:
    """One way through the call path: the call itself, or one forwarded leg of it.

    `path` is empty for the call itself and names the extensions passed for a leg ("101>102").
    """

    path: str
    org: str
    caller: str
    callee: str
    dialled: str
    trace: tuple[tuple[str, str], ...]
    """(node id, outcome), in the order they were passed."""
    code: str = ""
    """Id of the authorization code used, never its digits."""

    @property
    def outcome(self) -> str:
        """The name of the end the trace leads to; "unfinished" when it stops short of one."""
        return outcome_of(self.trace)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call by its linkedid. `ended` is when the call itself was over; legs are told before and after."""

    call: str
    first_told: datetime
    ended: datetime | None = None
    parts: tuple[CallPart, ...] = field(default=())

    @property
    def main(self) -> CallPart | None:
        return next((part for part in self.parts if not part.path), None)

    @property
    def legs(self) -> tuple[CallPart, ...]:
        return tuple(part for part in self.parts if part.path)


class CallLog:
    """The last calls of one node. Not thread-safe; time is an argument."""

    def __init__(self, kept: int = CALLS_KEPT) -> None:
        self._kept = kept
        self._calls: OrderedDict[str, CallRecord] = OrderedDict()

    def finished(self) -> tuple[CallRecord, ...]:
        """The calls that are over, the last to end first."""
        over = [record for record in self._calls.values() if record.ended is not None]
        return tuple(sorted(over, key=lambda record: record.ended or record.first_told, reverse=True))

    def get(self, call: str) -> CallRecord | None:
        return self._calls.get(call)

    def take(self, name: str, headers: Mapping[str, str], now: datetime) -> CallRecord | None:
        """Fold one AMI event in; the record it changed, None when it was about something else.

        An event that comes twice changes nothing the second time.
        """
        call = headers.get("Call", "")
        if name != "UserEvent" or headers.get("UserEvent") != "CallPath" or not call:
            return None
        record = self._calls.pop(call, None) or CallRecord(call, now)
        part = _part(headers)
        if part not in record.parts:
            record = replace(record, parts=(*record.parts, part))
        if not part.path and record.ended is None:
            record = replace(record, ended=now)
        self._calls[call] = record
        while len(self._calls) > self._kept:
            self._calls.popitem(last=False)
        return record


def _part(headers: Mapping[str, str]) -> CallPart:
    return CallPart(
        path=headers.get("Path", ""),
        org=headers.get("Org", ""),
        caller=headers.get("From", ""),
        callee=headers.get("To", ""),
        dialled=headers.get("Dialled", ""),
        trace=parse_trace(headers.get("Trace", "")),
        code=headers.get("Code", ""),
    )
