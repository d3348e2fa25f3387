"""Repairs of what somebody or something changed in Asterisk, as tasks (R32): each drift put right is one.

A drift that cannot be put right is one task, however often it is tried. Without a store for tasks nothing is
kept, and a store that is busy keeps no repair waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from control_plane.apply.outcome import Applied, Outcome, StepResult
from control_plane.errors import StoreError
from control_plane.plan.changes import Drift
from control_plane.plan.plan import Plan, step_as_dict
from control_plane.plan.steps import Step
from control_plane.plan.tasks import (
    OBJECTS_KEPT,
    STEPS_KEPT,
    NewTask,
    Progress,
    Subject,
    Task,
    TaskFilter,
    TaskKind,
    TaskState,
    owner_of,
    subject_of,
)
from control_plane.ports import Clock, Store, TaskStore

logger = logging.getLogger(__name__)

_ACTOR: Final = "control plane"
_FINE: Final = (Outcome.DONE, Outcome.DEFERRED)
_OPEN: Final = frozenset(TaskState) - {TaskState.DONE}
PROBLEMS_TOLD: Final = 3


def repairs_of(plan: Plan) -> tuple[Step, ...]:
    """The steps that put right what the model did not change."""
    return tuple(step for step in plan.steps if step.drift is not Drift.MODEL_MOVED)


class Repairs:
    """Of one node; at most one task is open."""

    def __init__(self, node: str, store: Store, tasks: TaskStore | None, clock: Clock) -> None:
        self._node = node
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._open: Task | None = None
        self._resumed = False

    async def begin(self, plan: Plan) -> None:
        """This plan is about to run; without repairs in it, an open task is done."""
        steps = repairs_of(plan)
        try:
            await self._resume()
            if not steps:
                await self._end((), None)
            elif self._tasks is not None:
                task = self._open or await self._tasks.add_task(_ACTOR, await self._new(steps))
                before = task.progress
                begun = Progress(
                    TaskState.RUNNING,
                    started=before.started or self._clock.now(),
                    attempts=before.attempts + 1,
                    steps_total=len(steps),
                )
                self._open = replace(task, progress=begun)
        except StoreError as exc:
            logger.warning("node %s: a repair is not kept as a task: %s", self._node, exc)

    async def note(self, applied: Applied | None) -> None:
        """The plan was run."""
        if applied is None:
            return
        results = [r for r in applied.results if r.step.drift is not Drift.MODEL_MOVED]
        try:
            await self._end(results, applied.error)
        except StoreError as exc:
            logger.warning("node %s: the end of a repair is not kept: %s", self._node, exc)

    async def _resume(self) -> None:
        """Take up the task that an earlier process left open."""
        if self._resumed or self._tasks is None:
            return
        wanted = TaskFilter(states=_OPEN, kind=TaskKind.REPAIR, node=self._node)
        found = await self._tasks.tasks(wanted, limit=1)
        self._open, self._resumed = (found[0] if found else None), True

    async def _end(self, results: Iterable[StepResult], error: str | None) -> None:
        task, found = self._open, list(results)
        if task is None or self._tasks is None:
            return
        wrong = [result for result in found if result.outcome not in _FINE]
        named = "; ".join(f"{r.step.op} {r.step.key}: {r.why or r.outcome}" for r in wrong[:PROBLEMS_TOLD])
        failed = bool(wrong) or error is not None
        told = [*wrong, *(result for result in found if result.outcome in _FINE)][:STEPS_KEPT]
        progress = replace(
            task.progress,
            state=TaskState.FAILED if failed else TaskState.DONE,
            finished=self._clock.now(),
            steps_done=len(found) - len(wrong) if found else task.progress.steps_total,
            steps=tuple({**step_as_dict(r.step), "outcome": r.outcome.value, "why": r.why} for r in told),
            error=error or named or None,
        )
        await self._tasks.set_progress(task.id, progress)
        self._open = replace(task, progress=progress) if failed else None

    async def _new(self, steps: Iterable[Step]) -> NewTask:
        """The node names it, as the operator's; those whose things it is about are its further owners."""
        model = (await self._store.snapshot()).model
        found = (subject_of(None if s.unit is None else str(s.unit), str(s.key)) for s in steps)
        about = dict.fromkeys(subject for subject in found if subject is not None)
        owners = (owner_of(model, subject) for subject in about)
        others = frozenset(org for org in owners if org is not None and org in model.organisations)
        subjects: tuple[Subject, ...] = (("node", self._node), *about)
        return NewTask(TaskKind.REPAIR, subjects[:OBJECTS_KEPT], node=self._node, others=others)
