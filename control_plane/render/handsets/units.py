"""Seconds in the units the makes count in. Nothing rounds down to "never"."""

from __future__ import annotations


def minutes(seconds: int) -> int:
    """Whole minutes, rounded up, at least one."""
    return max(1, -(-seconds // 60))


def hours(seconds: int) -> int:
    """Whole hours, rounded up, at least one."""
    return max(1, -(-seconds // 3600))


def offset_text(seconds: int) -> str:
    """An offset from UTC as +1, -5 or +5:30."""
    whole, rest = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{whole}" + (f":{rest:02d}" if rest else "")


def days(seconds: int) -> int:
    """Whole days, rounded up, at least one."""
    return max(1, -(-seconds // 86_400))
