"""Carries decommissions out, each as a task: resumed after a restart, a failure, and when asked (R34)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from control_plane.domain.entities import Decommission, Organisation
from control_plane.errors import ControlPlaneError
from control_plane.plan.tasks import Progress, Task, TaskState
from control_plane.ports import Clock, Store, TaskStore
from control_plane.service import decommission
from control_plane.service.decommission import STEPS, in_words, left_of
from control_plane.service.leaving import new_task, newest_task
from control_plane.service.number_policy import NumberPolicy

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""How late a decommission is begun."""
RETRY_AFTER = timedelta(seconds=60)
"""What failed is tried again by itself."""
PUSHED_WITHIN_S = 30.0

AwaitPush = Callable[[str, int, float], Awaitable[str | None]]
"""Waits until every node holds a revision and has erased what removed extensions of an organisation left,
so many seconds at most; why one has not, None: all have."""

_ACTOR = "control plane"
_OPEN = frozenset(TaskState) - {TaskState.DONE}


class Decommissioner:
    """One per control plane. What is to be done is in the model and the tasks; nothing is kept here."""

    def __init__(
        self, store: Store, tasks: TaskStore, clock: Clock, policy: NumberPolicy, await_push: AwaitPush
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._policy = policy
        self._await_push = await_push
        self._tried: dict[str, datetime] = {}
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Carry out whatever is pending until cancelled."""
        while True:
            try:
                await self.work_off()
            except ControlPlaneError as exc:
                logger.warning("decommissions are looked at again later: %s", exc)
            await asyncio.sleep(LOOK_S)

    async def work_off(self) -> None:
        """One try at each organisation whose decommission is due.

        Raises: StoreError.
        """
        async with self._turn:
            model = (await self._store.snapshot()).model
            for organisation in model.organisations.values():
                if self._is_due(organisation):
                    await self._try(organisation.id)

    def _is_due(self, organisation: Organisation) -> bool:
        if organisation.decommission is not Decommission.FAILED:
            return organisation.decommission is Decommission.PENDING
        tried = self._tried.get(organisation.id)
        return tried is None or self._clock.now() - tried >= RETRY_AFTER

    async def _try(self, org: str) -> None:
        task = await newest_task(self._tasks, org)
        if task is None or not task.is_open:
            task = await self._tasks.add_task(_ACTOR, new_task(org))
        await self._carry_out(org, task)
        self._tried[org] = self._clock.now()

    async def _carry_out(self, org: str, task: Task) -> None:
        before = task.progress
        progress = Progress(
            TaskState.RUNNING,
            started=before.started or self._clock.now(),
            attempts=before.attempts + 1,
            steps_total=len(STEPS) + 1,
        )
        await self._tasks.set_progress(task.id, progress)
        try:
            for step in STEPS:
                progress = await self._do(step, org, task, progress)
            left = left_of((await self._store.snapshot()).model, org)
            why = "Not everything could be taken back." if left else await self._awaited(org)
        except ControlPlaneError as exc:
            why = str(exc)
        await self._end(org, task, progress if why is None else replace(progress, error=why))

    async def _end(self, org: str, task: Task, progress: Progress) -> None:
        """Done, or failed with the error of `progress`: the organisation and the task in one commit.

        Between two, a crash would leave a task that nobody takes up again.
        """
        if progress.error is None:
            pushed = _shown("push", "Asterisk holds nothing of it any more, nor does the spool", "asterisk")
            done = (*progress.steps, pushed)
            end, total = Decommission.DECOMMISSIONED, progress.steps_total
            progress = replace(progress, state=TaskState.DONE, steps=done, steps_done=total)
        else:
            end = Decommission.FAILED
            named = await self._named(org, progress.error)
            progress = replace(progress, state=TaskState.FAILED, error=named)
        async with self._store.transaction(task.actor) as tx:
            tx.set_progress(task.id, replace(progress, finished=self._clock.now()))
            organisation = tx.model.organisations.get(org)
            if organisation is not None and organisation.decommission is not Decommission.NONE:
                decommission.mark(tx, organisation, end)

    async def _awaited(self, org: str) -> str | None:
        return await self._await_push(org, await self._store.revision(), PUSHED_WITHIN_S)

    async def _named(self, org: str, why: str) -> str:
        """Why it failed, with what is left named."""
        left = left_of((await self._store.snapshot()).model, org)
        if left:
            return f"{why} Left: {in_words(left)}."
        return f"{why} Nothing of it is left in the model, but Asterisk may still hold what it had."

    async def _do(self, step: decommission.Step, org: str, task: Task, progress: Progress) -> Progress:
        gone = 0
        while count := await decommission.take_back(self._store, self._policy, task.actor, org, step):
            gone += count
        done = replace(
            progress,
            steps=(*progress.steps, _shown("remove", step.reason, f"{gone} {step.name}")),
            steps_done=progress.steps_done + 1,
        )
        await self._tasks.set_progress(task.id, done)
        return done


def _shown(op: str, reason: str, what: str) -> dict[str, object]:
    """A step as tasks show it."""
    return {
        "op": op,
        "artefact": what,
        "reason": reason,
        "drift": "model_moved",
        "unit": None,
        "secret": False,
        "touches_calls": op == "remove",
        "diff": [],
        "outcome": "done",
        "why": None,
    }
