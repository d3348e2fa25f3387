"""Rotations that a handset did not follow in time, as tasks: failed until it does, or the old secrets end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from control_plane.domain.handsets import Handset
from control_plane.errors import NotFollowed
from control_plane.plan.tasks import Task, TaskFilter, TaskKind, TaskState
from control_plane.ports import Clock, TaskStore
from control_plane.service.tasks import recorded

ACTOR: Final = "rotation"
_FAILED: Final = TaskFilter(states=frozenset({TaskState.FAILED}), kind=TaskKind.HANDSET)
_PAGE: Final = 500


class LateRotations:
    """Keeps one failed task for each rotation that is late; what was kept before a restart is found again."""

    def __init__(self, tasks: TaskStore, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock
        self._open: dict[str, Task] | None = None  # by MAC

    async def keep(self, rotating: Iterable[str], late: Iterable[tuple[Handset, datetime, str]]) -> None:
        """Note those that are `late` (handset, rotated at, why), and end the tasks of who rotates no more.

        Raises: StoreError.
        """
        known = await self._known()
        for mac in known.keys() - set(rotating):
            await self._end(known.pop(mac))
        for handset, since, why in late:
            before = known.get(handset.mac)
            if before is not None and before.created > since:
                continue
            if before is not None:  # rotated again meanwhile
                await self._end(known.pop(handset.mac))
            known[handset.mac] = await self._note(handset, why)

    async def _known(self) -> dict[str, Task]:
        if self._open is None:
            self._open = {}
            before_id = 0
            while batch := await self._tasks.tasks(_FAILED, limit=_PAGE, before_id=before_id):
                for task in batch:
                    if task.actor == ACTOR:
                        self._open.setdefault(task.subjects[0][1], task)
                before_id = batch[-1].id
        return self._open

    async def _note(self, handset: Handset, why: str) -> Task:
        with suppress(NotFollowed):
            async with recorded(
                self._tasks, self._clock, ACTOR, TaskKind.HANDSET, ("handset", handset.mac), handset.org
            ) as task:
                raise NotFollowed(why)
        return task

    async def _end(self, task: Task) -> None:
        held = await self._tasks.task(task.id)
        done = replace(held.progress, state=TaskState.DONE, finished=self._clock.now(), error=None)
        await self._tasks.set_progress(task.id, done)
