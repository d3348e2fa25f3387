"""How often somebody may try to log in as an account: few times, then with growing delays.

Kept in memory: an attacker cannot restart the control plane, and a database that is written for every guess
would serve him well. Names that are no account's are counted too, so that an answer tells nothing.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from control_plane.errors import TooMany
from control_plane.ports import Clock

FREE: Final = 5
"""Failures in a row before the first delay."""
FIRST_DELAY_S: Final = 30
LONGEST_DELAY_S: Final = 900
FORGOTTEN_AFTER: Final = timedelta(hours=24)
NAMES_MAX: Final = 10_000


@dataclass(slots=True)
class _Failures:
    count: int
    last: datetime
    locked_until: datetime | None = None


class Attempts:
    """Failures by name, the oldest forgotten when there are too many names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def begin(self, name: str) -> None:
        """Count an attempt as failed before it is made, so that many at once are no way around the limit.

        Raises: TooMany, while the name is locked.
        """
        now = self._clock.now()
        known = self._failures.pop(name, None)
        if known is None or now - known.last > FORGOTTEN_AFTER:
            known = _Failures(0, now)
        self._failures[name] = known
        while len(self._failures) > NAMES_MAX:
            self._failures.popitem(last=False)
        self.require_unlocked(name)
        known.count, known.last = known.count + 1, now
        if known.count >= FREE:
            delay_s = min(FIRST_DELAY_S * 2 ** min(known.count - FREE, 20), LONGEST_DELAY_S)
            known.locked_until = now + timedelta(seconds=delay_s)

    def require_unlocked(self, name: str) -> None:
        """Nothing, when an attempt may be made. Raises: TooMany."""
        until = self.locked_until(name)
        if until is not None:
            wait_s = math.ceil((until - self._clock.now()).total_seconds())
            raise TooMany(f"Too many failed attempts; try again in {wait_s} seconds.", wait_s)

    def succeeded(self, name: str) -> None:
        """Forget what failed before."""
        self._failures.pop(name, None)

    def locked_until(self, name: str) -> datetime | None:
        """Until when nobody can log in under this name; None: now."""
        known = self._failures.get(name)
        if known is None or known.locked_until is None or known.locked_until <= self._clock.now():
            return None
        return known.locked_until
