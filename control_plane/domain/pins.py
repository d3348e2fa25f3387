"""How wrong PINs are counted, wherever they are given: by API, at a voicemail, at a handset (R53, A53)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

PIN_FAILURES_MAX: Final = 5
"""A53 gives no number; this one where settings name no other."""
PIN_TRIES: Final = 3
"""How often one call is asked for a PIN."""
LOCKED: Final = "locked"
"""Stands in the place of the count where it became too much."""


class PinVerdict(StrEnum):
    """What became of a PIN that somebody gave."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"  # right or wrong is not told: reset the PIN first


class PinCount(NamedTuple):
    """Wrong PINs in a row, and whether that was once too often."""

    failures: int = 0
    locked: bool = False

    def after(self, *, right: bool, failures_max: int) -> PinCount:
        """The count after one more PIN; a lock stays."""
        if self.locked:
            return self
        failures = 0 if right else self.failures + 1
        return PinCount(failures, failures >= failures_max)


def verdict(count: PinCount, *, right: bool, failures_max: int) -> tuple[PinVerdict, PinCount]:
    """What one PIN comes to, and the count after it."""
    after = count.after(right=right, failures_max=failures_max)
    if after.locked:
        return PinVerdict.LOCKED, after
    return (PinVerdict.RIGHT if right else PinVerdict.WRONG), after


def verdict_of_call(count: PinCount, typed: Iterable[bool], failures_max: int) -> PinVerdict:
    """What a call comes to in which these PINs are typed (True: the right one), one for each question.

    A call is asked until one is right or the lock falls, at most PIN_TRIES times; to say nothing is no wrong
    PIN and still costs the question.
    """
    if count.locked:
        return PinVerdict.LOCKED
    for _, right in zip(range(PIN_TRIES), typed, strict=False):
        found, count = verdict(count, right=right, failures_max=failures_max)
        if found is not PinVerdict.WRONG:
            return found
    return PinVerdict.WRONG
