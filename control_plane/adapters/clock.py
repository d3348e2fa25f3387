"""The time of this machine."""

from __future__ import annotations

from datetime import UTC, datetime

from control_plane.ports import Clock


class SystemClock(Clock):
    """The clock of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)
