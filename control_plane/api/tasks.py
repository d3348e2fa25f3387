"""Operations > Tasks: changes on their way to Asterisk and handsets, and what became of them (R32)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from control_plane.api import documents
from control_plane.api.caller import Calling
from control_plane.api.context import ApiPorts, Ports
from control_plane.api.task_schemas import TaskOut, TaskPage
from control_plane.domain.model import Model
from control_plane.plan.tasks import Subject, Task, TaskFilter, TaskKind, TaskState
from control_plane.ports import ID_MAX
from control_plane.service import leaving
from control_plane.service import tasks as use_cases
from control_plane.service.rights import Caller
from control_plane.service.task_view import as_seen, is_own, may_retry, require_may_retry, waiting_for
from control_plane.service.tasks import Nodes
from control_plane.service.undo import undoing
from control_plane.service.writing import By

TaskId = Annotated[int, Path(ge=1, le=ID_MAX)]

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("", response_model=TaskPage, responses=documents.LIST)
async def list_tasks(
    ports: Ports,
    caller: Calling,
    state: Annotated[TaskState | None, Query(description="Only tasks of this state.")] = None,
    kind: Annotated[TaskKind | None, Query(description="Only this kind of task.")] = None,
    org: Annotated[str | None, Query(description="Only tasks about things of this organisation.")] = None,
    about: Annotated[
        str | None,
        Query(max_length=100, description='Only tasks about this, such as "extension acme/100".'),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Tasks per page.")] = 50,
    before: Annotated[int, Query(ge=0, le=ID_MAX, description="`next` of the page before.")] = 0,
) -> dict[str, Any]:
    """Tasks, newest first, without their steps."""
    thing, _, key = (about or "").partition(" ")
    model = (await ports.store.snapshot()).model
    if not caller.sees_everything:
        strange = about is not None and not is_own(model, caller.org or "", (thing, key))
        if strange or org not in (None, caller.org):
            return {"items": [], "next": None}
        org = caller.org
    wanted = TaskFilter(
        states=frozenset(TaskState if state is None else [state]),
        kind=kind,
        org=org,
        subject=None if about is None else (thing, key),
    )
    found = await use_cases.list_tasks(ports.tasks, pushes_of(ports), wanted, limit=limit, before_id=before)
    following = found[-1].id if len(found) == limit else None
    return {"items": [_shown(ports, caller, model, task) for task in found], "next": following}


@router.get("/{task}", response_model=TaskOut, responses=documents.LIST)
async def get_task(ports: Ports, caller: Calling, task: TaskId) -> dict[str, Any]:
    """One task with its steps; secrets are masked. A failed one says how the change is undone."""
    found = await use_cases.get_task(ports.tasks, pushes_of(ports), task)
    model = (await ports.store.snapshot()).model
    return _shown(ports, caller, model, found) | {"undo": await undoing(ports.store, caller, found)}


@router.post("/{task}/retry", status_code=202, response_model=TaskOut, responses=documents.RETRY)
async def retry_task(ports: Ports, caller: Calling, task: TaskId) -> dict[str, Any]:
    """Try again at once what is not done; the answer does not wait for the outcome."""
    model = (await ports.store.snapshot()).model
    found = await use_cases.get_task(ports.tasks, pushes_of(ports), task)
    require_may_retry(caller, as_seen(caller, model, found))
    use_cases.require_retriable(found)
    if found.kind is TaskKind.DECOMMISSION and found.org is not None:
        await leaving.request(ports.store, ports.tasks, By(caller.name), found.org)
    if found.node is not None and found.node in ports.nodes:
        ports.nodes[found.node].reconciler.retry()
    return _shown(ports, caller, (await ports.store.snapshot()).model, found)


def pushes_of(ports: ApiPorts) -> Nodes:
    """The running pushes, by node."""
    return {name: node.reconciler.tasks for name, node in ports.nodes.items()}


async def _moving(ports: Ports) -> frozenset[Subject]:
    return await use_cases.in_progress(ports.tasks, pushes_of(ports))


Moving = Annotated[frozenset[Subject], Depends(_moving)]
"""What an open push is about: it shows "Update in progress" (R31)."""


def _shown(ports: ApiPorts, caller: Caller, model: Model, task: Task) -> dict[str, Any]:
    node = ports.nodes.get(task.node) if task.node is not None else None
    problem = waiting_for(caller, node.reconciler.problem) if node is not None else None
    seen = as_seen(caller, model, task)
    shown = use_cases.task_as_dict(seen, ports.clock.now(), problem)
    return shown | {"retry": shown["retry"] and may_retry(caller, seen)}
