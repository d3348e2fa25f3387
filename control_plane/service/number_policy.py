"""What an installation decides about numbers, and the time they live by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from control_plane.ports import Clock

COOLDOWN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NumberPolicy:
    """`cooldown`: how long a number that was in use is offered to nobody (A21)."""

    clock: Clock
    cooldown: timedelta = COOLDOWN
