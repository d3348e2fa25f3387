"""Failures in a row of something that is tried until it works, and how long to wait before each next try."""

from __future__ import annotations

import random

DOUBLINGS_MAX = 10


class Setbacks:
    """Of one target. The pause doubles with each failure; many that fail at once do not stay in step.

    Args:
        first_s: the pause after one failure; up to half of any pause is taken off by chance.
        longest_s: of any pause.
    """

    def __init__(self, first_s: float, longest_s: float, jitter: random.Random | None = None) -> None:
        self.last_error: str | None = None
        """Why the last try failed, as a sentence; None once one worked."""
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter or random.Random()
        self._in_a_row = 0

    def note(self, why: str) -> float:
        """One more; the seconds to wait."""
        self.last_error = why
        doubled = self._first_s * 2.0 ** min(self._in_a_row, DOUBLINGS_MAX)
        self._in_a_row += 1
        return min(self._longest_s, doubled) * self._jitter.uniform(0.5, 1.0)

    def start_over(self) -> None:
        """The next pause is a first one again: what is tried next may well work. The error stays."""
        self._in_a_row = 0

    def end(self) -> None:
        """A try worked."""
        self._in_a_row = 0
        self.last_error = None
