"""`wirechief task ...`: changes on their way to Asterisk and handsets (Operations > Tasks, R32)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from control_plane.bootstrap.client import Client
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.output import JsonOption, facts, print_json, say, table
from control_plane.cli.pushing import push_now, show_steps
from control_plane.plan.tasks import TaskFilter, TaskState
from control_plane.ports import ID_MAX
from control_plane.service.rights import root
from control_plane.service.tasks import get_task, list_tasks, require_retriable, task_as_dict
from control_plane.service.undo import undoing

task_app = group("task")

Id = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The number of a task.")]
_LOOK_AGAIN_S = 0.2
RETRY_S = 10.0
NOBODY_PUSHES = "The control plane does not run: 'wirechief apply' pushes, 'wirechief lab up' starts it."

Json = dict[str, Any]


@task_app.command("list")
def list_(
    state: Annotated[TaskState | None, typer.Option("--state", help="Only tasks of this state.")] = None,
    about: Annotated[
        str | None, typer.Option("--about", help='Only about this: "extension acme/100", "number +44...".')
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List tasks, newest first."""
    found = _tasks(wire(), state, about, limit)
    if as_json:
        print_json(found)
    elif not found:
        say("No task.")
    else:
        columns = ("id", "created (UTC)", "what", "by", "state", "steps", "error")
        table("", columns, (_row(task) for task in found))


@task_app.command("show")
def show(id: Id, as_json: JsonOption = False) -> None:
    """Show a task: how it stands, its steps and why each was made; secrets are masked."""
    _show(_task(wire(), id), as_json)


@task_app.command("retry")
def retry(id: Id, as_json: JsonOption = False) -> None:
    """Try again, at once, what is not done, and show how it went. Exit 1 when it is still not done."""
    wiring = wire()
    if wiring.pid_file.running() is not None:
        Client(wiring).retry_task(id)
        found = _watched(wiring, id, within_s=RETRY_S)
    else:
        run(_require_retriable(wiring, id))
        push_now(wiring)
        found = _task(wiring, id)
    _show(found, as_json)
    if found["state"] != TaskState.DONE:
        raise typer.Exit(1)


@task_app.command("watch")
def watch(
    id: Id,
    within_s: Annotated[float, typer.Option("--within", min=0, help="Seconds to wait at most.")] = 120.0,
    as_json: JsonOption = False,
) -> None:
    """Wait until a task is done and show it. Exit 1 when it is not done in time."""
    found = _watched(wire(), id, within_s)
    _show(found, as_json)
    if found["state"] != TaskState.DONE:
        raise typer.Exit(1)


def _tasks(wiring: Wiring, state: TaskState | None, about: str | None, limit: int) -> list[Json]:
    if wiring.pid_file.running() is not None:
        asked = {"limit": limit, "state": state.value if state else None, "about": about}
        return Client(wiring).tasks({name: value for name, value in asked.items() if value is not None})
    return run(_tasks_here(wiring, state, about, limit))


async def _tasks_here(wiring: Wiring, state: TaskState | None, about: str | None, limit: int) -> list[Json]:
    thing, _, key = (about or "").partition(" ")
    wanted = TaskFilter(
        states=frozenset(TaskState if state is None else [state]),
        subject=None if about is None else (thing, key),
    )
    async with wiring.store() as store:
        found = await list_tasks(store, {}, wanted, limit=limit)
    return [task_as_dict(task, wiring.clock.now(), NOBODY_PUSHES) for task in found]


def _task(wiring: Wiring, id: int) -> Json:
    if wiring.pid_file.running() is not None:
        return Client(wiring).task(id)
    return run(_task_here(wiring, id))


async def _task_here(wiring: Wiring, id: int) -> Json:
    async with wiring.store() as store:
        task = await get_task(store, {}, id)
        entries = await undoing(store, root(by().actor), task)
        return task_as_dict(task, wiring.clock.now(), NOBODY_PUSHES) | {"undo": entries}


async def _require_retriable(wiring: Wiring, id: int) -> None:
    async with wiring.store() as store:
        require_retriable(await store.task(id))


def _watched(wiring: Wiring, id: int, within_s: float) -> Json:
    deadline = time.monotonic() + within_s
    while True:
        found = _task(wiring, id)
        if found["state"] == TaskState.DONE or time.monotonic() > deadline:
            return found
        time.sleep(_LOOK_AGAIN_S)


def _row(task: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(task["id"]),
        task["created"][:19].replace("T", " "),
        _about(task),
        task["actor"],
        _state(task),
        f"{task['steps_done']}/{task['steps_total']}",
        task["error"] or task["waiting_for"] or "",
    )


def _about(task: Mapping[str, Any]) -> str:
    others = task["object_count"] - 1
    named = f"{task['kind']} {task['object']['kind']} {task['object']['key']}"
    return f"{named} and {others} more" if others else named


def _state(task: Mapping[str, Any]) -> str:
    return f"{task['state']}, late" if task["late"] else str(task["state"])


def _show(task: Json, as_json: bool) -> None:
    if as_json:
        print_json(task)
        return
    facts(
        f"task {task['id']}",
        {
            "what": _about(task),
            "state": _state(task),
            "error": task["error"] or "none",
            "waits for": task["waiting_for"] or "nothing",
            "by": task["actor"],
            "revision": str(task["revision"] or ""),
            "created": task["created"],
            "started": task["started"] or "",
            "finished": task["finished"] or "",
            "attempts": str(task["attempts"]),
            "steps": f"{task['steps_done']} of {task['steps_total']} done",
        },
    )
    show_steps(task["steps"])
    if task["undo"]:
        say(f"To undo the change: {'; '.join(f'wirechief audit undo {entry}' for entry in task['undo'])}")
