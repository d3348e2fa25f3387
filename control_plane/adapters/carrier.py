"""The lab's carrier as somebody outside uses it: how a number behaves, and calls in to the PBX."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum

from control_plane.adapters.ami_exchange import AmiExchange, ami_exchange
from control_plane.errors import InvalidField, Rejected
from control_plane.settings import Settings

ANONYMOUS = "anonymous"
_NUMBER = re.compile(r"^\+?[0-9]{2,20}$")
_SETTLE_S = 15.0  # from the last moment a call can last to the event that says how it ended
_SEEN = ("dialled", "from", "number", "presentation", "behaviour")


class Behaviour(StrEnum):
    """What an outside number does when it is called."""

    ANSWER = "answer"  # answers and plays 620 Hz
    BUSY = "busy"
    RING = "ring"  # rings and never answers
    ECHO = "echo"  # answers and sends back what it hears


class CallEnd(StrEnum):
    """How a call from outside ended."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no answer"
    REFUSED = "refused"  # the PBX would not take it: unknown number, or no route


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """The end of one call into the PBX; `cause` is the Q.850 cause the carrier saw."""

    end: CallEnd
    cause: int
    talked_s: int


@dataclass(frozen=True, slots=True)
class SeenCall:
    """The last call from the PBX to an outside number, as it reached the carrier."""

    dialled: str
    from_header: str
    caller_number: str
    presentation: str
    behaviour: str


_ENDS = {
    "ANSWER": CallEnd.ANSWERED,
    "BUSY": CallEnd.BUSY,
    "NOANSWER": CallEnd.NO_ANSWER,
    "CANCEL": CallEnd.NO_ANSWER,
}


class Carrier:
    """The carrier of one lab, over its own manager interface."""

    def __init__(self, settings: Settings, secret: str) -> None:
        self._settings = settings
        self._secret = secret

    def _exchange(self) -> AbstractAsyncContextManager[AmiExchange]:
        settings = self._settings
        return ami_exchange(settings.carrier_address, settings.carrier_ami_port, CARRIER_USER, self._secret)

    async def set_number(self, number: str, behaviour: Behaviour) -> None:
        """How an outside number behaves from the next call on; kept over restarts.

        Raises:
            InvalidField: `number` is no telephone number.
            Unreachable: the lab is not up.
        """
        async with self._exchange() as ami:
            await ami.action(
                "DBPut",
                ("Family", "behaviour"),
                ("Key", _digits("number", number)),
                ("Val", Behaviour(behaviour).value),
            )

    async def behaviour_of(self, number: str) -> Behaviour:
        """How an outside number behaves now.

        Raises:
            InvalidField: `number` is no telephone number.
            Unreachable: the lab is not up.
        """
        digits = _digits("number", number)
        async with self._exchange() as ami:
            value = await _row(ami, "behaviour", digits)
        return Behaviour(value) if value in set(Behaviour) else Behaviour.ANSWER

    async def seen(self, number: str) -> SeenCall | None:
        """The last call from the PBX to this number; None when there was none."""
        digits = _digits("number", number)
        async with self._exchange() as ami:
            values = [await _row(ami, f"seen/{digits}", name) for name in _SEEN]
        return None if values[0] is None else SeenCall(*(value or "" for value in values))

    async def call(self, from_: str, to: str, *, talk_s: int = 5, ring_s: int = 30) -> CarrierCall:
        """Calls `to` in the PBX from `from_` ("anonymous" withholds the number) and returns how it ended.

        When it is answered the carrier plays 620 Hz and hangs up after `talk_s` seconds, or when the other
        side does; unanswered it gives up after `ring_s` seconds.

        Raises:
            InvalidField: a number that is none, or a time that is not positive.
            Unreachable: the lab is not up.
        """
        if from_ != ANONYMOUS and not _NUMBER.match(from_):
            raise InvalidField("from", 'must be digits with an optional leading +, or "anonymous"')
        if not _NUMBER.match(to):
            raise InvalidField("to", "must be 2 to 20 digits with an optional leading +")
        if min(talk_s, ring_s) < 1:
            raise InvalidField("seconds", "must be at least 1")
        call_id = secrets.token_hex(8)
        async with self._exchange() as ami:
            await ami.action("Originate", *_originate(call_id, from_, to, talk_s=talk_s, ring_s=ring_s))

            def ended(event: Mapping[str, str]) -> bool:
                return event.get("UserEvent") == "CarrierCallEnded" and event.get("Id") == call_id

            return _call_end(await ami.event(ended, ring_s + talk_s + _SETTLE_S))


CARRIER_USER = "carrier"


def _originate(call_id: str, from_: str, to: str, *, talk_s: int, ring_s: int) -> list[tuple[str, str]]:
    variables = {"CALL_ID": call_id, "FROM": from_, "TALK_S": str(talk_s), "RING_S": str(ring_s)}
    return [
        ("Channel", f"Local/{to}@call-in/n"),
        ("Context", "talk"),
        ("Exten", "s"),
        ("Priority", "1"),
        ("Timeout", str((ring_s + int(_SETTLE_S)) * 1000)),
        ("Async", "true"),
        # Two underscores: the variable reaches the other half of the Local channel, which dials.
        *(("Variable", f"__{name}={value}") for name, value in variables.items()),
    ]


def _call_end(event: Mapping[str, str]) -> CarrierCall:
    return CarrierCall(
        end=_ENDS.get(event.get("Status", ""), CallEnd.REFUSED),
        cause=int(event.get("Cause") or 0),
        talked_s=int(event.get("Talked") or 0),
    )


def _digits(field: str, number: str) -> str:
    if not _NUMBER.match(number):
        raise InvalidField(field, "must be 2 to 20 digits with an optional leading +")
    return number.removeprefix("+")


async def _row(ami: AmiExchange, family: str, key: str) -> str | None:
    try:
        await ami.action("DBGet", ("Family", family), ("Key", key))
    except Rejected:  # Asterisk's answer for a row that is not there
        return None
    event = await ami.event(lambda event: event.get("Event") == "DBGetResponse", 5.0)
    return event.get("Val", "")
