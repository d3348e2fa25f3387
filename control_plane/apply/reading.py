"""An audit's look at Asterisk, which goes on beside the turns of a reconciler.

Reading takes up to a second at 10 000 extensions; changes of the model go on being pushed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from control_plane.apply.holdings import Holdings

Read = Callable[[], Coroutine[Any, Any, Holdings]]


class Reading:
    """At most one at a time.

    Args:
        on_end: called whenever one has ended, stopped ones included.
    """

    def __init__(self, read: Read, name: str, on_end: Callable[[], None]) -> None:
        self._read = read
        self._name = name
        self._on_end = on_end
        self._task: asyncio.Task[Holdings] | None = None
        self._started = 0.0

    @property
    def under_way(self) -> bool:
        """Whether one was begun and neither taken nor stopped."""
        return self._task is not None

    def begin(self) -> None:
        """Begin one; there must be none under way."""
        self._started = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._read(), name=self._name)
        self._task.add_done_callback(lambda _: self._on_end())

    def take(self) -> tuple[Holdings, float] | None:
        """What was read and when that began (the loop's time); None while it goes on, or there is none.

        Raises: AsteriskError.
        """
        if self._task is None or not self._task.done():
            return None
        task, self._task = self._task, None
        return task.result(), self._started

    async def stop(self) -> None:
        """End the one under way; what it found does not count any more."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])  # awaiting the task itself would hide that this one is cancelled
        if not task.cancelled():
            task.exception()  # seen
