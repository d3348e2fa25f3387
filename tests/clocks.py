"""Clocks that do what a test says; the time of the machine is `control_plane.adapters.clock.SystemClock`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from control_plane.ports import Clock


class ManualClock(Clock):
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = datetime(2025, 1, 31, 12, tzinfo=UTC)) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def forward(self, seconds: float = 0.0, **delta: float) -> None:
        """By seconds, or by what `timedelta` takes."""
        self.at += timedelta(seconds=seconds, **delta)


class SteppingClock(Clock):
    """A clock that goes one second per look."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now
