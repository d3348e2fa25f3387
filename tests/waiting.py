"""Waiting for a state that nobody tells of: a condition with a deadline, looked at again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_AGAIN_S = 0.02


def wait_until(
    condition: Callable[[], object], what: str, within_s: float, look_again_s: float = LOOK_AGAIN_S
) -> None:
    """Return once `condition` holds. Raises: AssertionError with `what` did not come when time is over."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(look_again_s)


async def until(condition: Callable[[], object], what: str, within_s: float) -> None:
    """The same in an event loop, where others go on meanwhile."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(LOOK_AGAIN_S)
