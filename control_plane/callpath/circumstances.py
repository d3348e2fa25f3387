"""What is asked of `explain` and what it answers: values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Behaviour(StrEnum):
    """What the phones of an extension, or a number outside, do with a call."""

    ANSWER = "answer"
    BUSY = "busy"  # 486
    REFUSE = "refuse"  # 603
    RING = "ring"
    UNREGISTERED = "unregistered"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the model does not hold: the state of phones and of the world at the time of the call.

    Keys of `behaviour` are "org/key" or an E.164 number; what is not named answers. `in_call` lists "org/key"
    with a call up. `last_used` gives device ids. `codes` are what the caller types when asked for an
    authorization code or a PIN: True for the right one; where they are fewer than the questions, the rest is
    left to time out.

    `logs_in` is the extension typed at a handset nobody is logged in at, when it is asked who logs in.

    `at` is when the call is made (aware), needed where business hours matter. `began_with` gives for
    "org/group key" the member round robin began with last; `last_call_ended` for "org/key" when the last call
    of a member of a call group ended, in any scale (missing: never).
    """

    behaviour: Mapping[str, Behaviour] = field(default_factory=dict)
    in_call: frozenset[str] = frozenset()
    last_used: Mapping[str, str] = field(default_factory=dict)
    codes: tuple[bool, ...] = ()
    logs_in: str = ""
    at: datetime | None = None
    began_with: Mapping[str, str] = field(default_factory=dict)
    last_call_ended: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One node passed."""

    node: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Leg:
    """One forwarded leg; `path` is "100>101" like the channel's own."""

    path: str
    outcome: str
    trace: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a call ends, the nodes on the way, and the forwarded legs it opens.

    `rings` lists what rings at the same time ("org/key" or E.164); `answered_by` those of them that answer.
    """

    outcome: str
    trace: tuple[Step, ...]
    legs: tuple[Leg, ...] = ()
    rings: tuple[str, ...] = ()
    answered_by: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The shape `--json` and the API give."""
        return {
            "outcome": self.outcome,
            "trace": [{"node": s.node, "outcome": s.outcome, "why": s.why} for s in self.trace],
            "legs": [
                {
                    "path": leg.path,
                    "outcome": leg.outcome,
                    "trace": [{"node": s.node, "outcome": s.outcome, "why": s.why} for s in leg.trace],
                }
                for leg in self.legs
            ],
            "rings": list(self.rings),
            "answered_by": list(self.answered_by),
        }


@dataclass(frozen=True, slots=True)
class InsideCaller:
    """A call from a device of an extension."""

    org: str
    key: str


@dataclass(frozen=True, slots=True)
class OutsideCaller:
    """A call from the carrier; `number` None or not a number: anonymous."""

    trunk: str
    number: str | None


@dataclass(frozen=True, slots=True)
class HandsetCaller:
    """A call from the neutral line of a handset; `mac` as handsets are kept by."""

    mac: str


CallerId = InsideCaller | OutsideCaller | HandsetCaller
