"""Tasks as people ask for them: what is kept, with what the running pushes know ahead of it (R31, R32)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from control_plane.errors import ControlPlaneError, IllegalTransition
from control_plane.plan.tasks import (
    OBJECTS_KEPT,
    NewTask,
    Progress,
    Subject,
    Task,
    TaskFilter,
    TaskKind,
    TaskState,
)
from control_plane.ports import Clock, TaskStore

_OVERLAID = frozenset({TaskState.QUEUED, TaskState.RUNNING, TaskState.FAILED})
"""A push the store holds in one of these may stand otherwise by now."""


class Pushes(Protocol):
    """The pushes of one node that runs here, by revision."""

    def live(self) -> Mapping[int, Progress]:
        """Those the store may not know the end of, without their steps."""
        ...

    def one(self, revision: int) -> Progress | None:
        """One of them, with its steps."""
        ...


Nodes = Mapping[str, Pushes]
"""By node; a node that is not here is pushed to by another process, or by none."""


async def list_tasks(
    store: TaskStore, nodes: Nodes, wanted: TaskFilter, *, limit: int, before_id: int = 0
) -> tuple[Task, ...]:
    """Newest first, without their steps; `before_id` continues a listing."""
    live = {node: pushes.live() for node, pushes in nodes.items()}
    kept = replace(wanted, states=wanted.states | _OVERLAID)
    found: list[Task] = []
    while len(found) < limit:
        batch = await store.tasks(kept, limit=limit, before_id=before_id)
        current = (_now(task, live) for task in batch)
        found += [task for task in current if task.progress.state in wanted.states]
        if len(batch) < limit:
            break
        before_id = batch[-1].id
    return tuple(found[:limit])


def _now(task: Task, live: Mapping[str, Mapping[int, Progress]]) -> Task:
    if task.node is None or task.revision is None:
        return task
    progress = live.get(task.node, {}).get(task.revision)
    return task if progress is None else replace(task, progress=progress)


async def get_task(store: TaskStore, nodes: Nodes, id: int) -> Task:
    """One task with its steps. Raises: UnknownEntity."""
    task = await store.task(id)
    pushes = nodes.get(task.node) if task.node is not None else None
    progress = pushes.one(task.revision) if pushes is not None and task.revision is not None else None
    return task if progress is None else replace(task, progress=progress)


async def in_progress(store: TaskStore, nodes: Nodes) -> frozenset[Subject]:
    """What an open push is about: these show "Update in progress" (R31)."""
    live = {node: pushes.live() for node, pushes in nodes.items()}
    found: set[Subject] = set()
    for (node, revision), subjects in (await store.open_subjects()).items():
        progress = live.get(node or "", {}).get(revision or 0)
        if progress is None or progress.state is not TaskState.DONE:
            found.update(subjects)
    return frozenset(found)


def require_retriable(task: Task) -> None:
    """Raises: IllegalTransition."""
    if not task.is_open:
        raise IllegalTransition(f"Task {task.id} is done: there is nothing to retry.")


@asynccontextmanager
async def recorded(
    store: TaskStore, clock: Clock, actor: str, kind: TaskKind, subject: Subject, org: str | None = None
) -> AsyncIterator[Task]:
    """What is done in the block is a task: running, then done, or failed with the sentence of the error.

    For things asked of a handset. The error goes on to the caller.
    """
    task = await store.add_task(actor, NewTask(kind, (subject,), org))
    begun = Progress(TaskState.RUNNING, started=clock.now(), attempts=1)
    await store.set_progress(task.id, begun)
    try:
        yield task
    except BaseException as exc:
        why = str(exc) if isinstance(exc, ControlPlaneError) else "Internal error, see the log."
        failed = replace(begun, state=TaskState.FAILED, finished=clock.now(), error=why)
        await store.set_progress(task.id, failed)
        raise
    await store.set_progress(task.id, replace(begun, state=TaskState.DONE, finished=clock.now()))


def task_as_dict(task: Task, now: datetime, waiting_for: str | None = None) -> dict[str, Any]:
    """A task for JSON and people; `waiting_for` says why an open one does not go on, if that is known."""
    progress = task.progress
    return {
        "id": task.id,
        "kind": task.kind.value,
        "node": task.node,
        "revision": task.revision,
        "object": {"kind": task.subjects[0][0], "key": task.subjects[0][1]},
        "objects": [{"kind": kind, "key": key} for kind, key in task.subjects[:OBJECTS_KEPT]],
        "object_count": task.subject_count,
        "organisation": task.org,
        "actor": task.actor,
        "state": progress.state.value,
        "late": task.is_late(now),
        "created": task.created.isoformat(),
        "started": _time(progress.started),
        "finished": _time(progress.finished),
        "attempts": progress.attempts,
        "steps_total": progress.steps_total,
        "steps_done": progress.steps_done,
        "steps": [dict(step) for step in progress.steps],
        "error": progress.error,
        "waiting_for": waiting_for if task.is_open and progress.error is None else None,
        "retry": task.is_open,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
