"""The statements about tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Text, and_, bindparam, cast, delete, func, insert, select, update

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
from control_plane.store.schema import TASKS

RETAINED_TASKS: Final = 10_000
"""Tasks that are over are forgotten once so many newer ones were made."""
MAX_OPEN: Final = 10_000
"""Open tasks read at once: with a node away for long, the older ones wait for the newer."""

_OPEN: Final = (TaskState.QUEUED.value, TaskState.RUNNING.value, TaskState.FAILED.value)
_INSERT: Final = insert(TASKS)
_PROGRESS: Final = {
    "state": bindparam("new_state"),
    "started": bindparam("new_started"),
    "finished": bindparam("new_finished"),
    "attempts": bindparam("new_attempts"),
    "steps_total": bindparam("new_steps_total"),
    "steps_done": bindparam("new_steps_done"),
    "steps": bindparam("new_steps", type_=TASKS.c.steps.type),
    "error": bindparam("new_error"),
}
_SET_BY_REVISION: Final = (
    update(TASKS)
    .where(TASKS.c.node == bindparam("of_node"), TASKS.c.revision == bindparam("of_revision"))
    .values(_PROGRESS)
)
_SET_BY_ID: Final = update(TASKS).where(TASKS.c.id == bindparam("of_id")).values(_PROGRESS)
_BRIEF: Final = tuple(column for column in TASKS.c if column.name != "steps")
_NEWEST: Final = select(func.max(TASKS.c.id))


def insert_tasks(connection: Connection, tasks: Iterable[NewTask], actor: str, at: datetime) -> None:
    """Write new tasks; the caller commits."""
    rows = [_row(task, actor, at) for task in tasks]
    if rows:
        connection.execute(_INSERT, rows)


def insert_task(connection: Connection, task: NewTask, actor: str, at: datetime) -> int:
    """Write one new task; its id. The caller commits."""
    found = connection.execute(_INSERT.returning(TASKS.c.id), [_row(task, actor, at)])
    return int(found.scalar_one())


def _row(task: NewTask, actor: str, at: datetime) -> dict[str, Any]:
    return {
        "kind": task.kind.value,
        "node": task.node,
        "revision": task.revision,
        "org": task.org,
        "orgs": _orgs_text(task),
        "subjects": [" ".join(subject) for subject in task.subjects],
        "subject_count": len(task.subjects),
        "actor": actor,
        "created": _text(at),
        "state": TaskState.QUEUED.value,
        "attempts": 0,
        "steps_total": 0,
        "steps_done": 0,
        "steps": [],
    }


def _orgs_text(task: NewTask) -> str:
    found = sorted(task.others | ({task.org} if task.org is not None else set()))
    return f" {' '.join(found)} " if found else ""


def write_outcomes(connection: Connection, node: str, outcomes: Mapping[int, Progress]) -> None:
    """How the pushes of these revisions stand; the caller commits."""
    if outcomes:
        connection.execute(
            _SET_BY_REVISION,
            [
                {"of_node": node, "of_revision": revision, **_progress_row(progress)}
                for revision, progress in outcomes.items()
            ],
        )
        _shorten(
            connection, node, [r for r, progress in outcomes.items() if progress.state is TaskState.DONE]
        )
        _forget(connection)


def _shorten(connection: Connection, node: str, done: Iterable[int]) -> None:
    """Of a change of many things that is done, only the first are kept."""
    long = select(TASKS.c.id, TASKS.c.subjects).where(
        TASKS.c.node == node, TASKS.c.revision.in_(done), TASKS.c.subject_count > OBJECTS_KEPT
    )
    for row in connection.execute(long).all():
        kept = {"subjects": row.subjects[:OBJECTS_KEPT]}
        connection.execute(update(TASKS).where(TASKS.c.id == row.id).values(kept))


def write_progress(connection: Connection, id: int, progress: Progress) -> None:
    """How one task stands; the caller commits."""
    connection.execute(_SET_BY_ID, [{"of_id": id, **_progress_row(progress)}])
    _forget(connection)


def _forget(connection: Connection) -> None:
    newest = connection.execute(_NEWEST).scalar_one_or_none() or 0
    old = and_(TASKS.c.id <= newest - RETAINED_TASKS, TASKS.c.finished.is_not(None))
    connection.execute(delete(TASKS).where(old))


def _progress_row(progress: Progress) -> dict[str, Any]:
    return {
        "new_state": progress.state.value,
        "new_started": _text(progress.started),
        "new_finished": _text(progress.finished),
        "new_attempts": progress.attempts,
        "new_steps_total": progress.steps_total,
        "new_steps_done": progress.steps_done,
        "new_steps": [dict(step) for step in progress.steps],
        "new_error": progress.error,
    }


def read_tasks(connection: Connection, *, wanted: TaskFilter, limit: int, before_id: int) -> tuple[Task, ...]:
    """Newest first, without their steps; `before_id` 0 starts at the newest."""
    query = select(*_BRIEF).order_by(TASKS.c.id.desc())
    if wanted.states != frozenset(TaskState):
        query = query.where(TASKS.c.state.in_(sorted(state.value for state in wanted.states)))
    for column, value in (
        (TASKS.c.kind, wanted.kind.value if wanted.kind is not None else None),
        (TASKS.c.node, wanted.node),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.org is not None:
        query = query.where(TASKS.c.orgs.contains(f" {wanted.org} ", autoescape=True))
    if wanted.subject is not None:
        quoted = json.dumps(" ".join(wanted.subject))
        query = query.where(cast(TASKS.c.subjects, Text).contains(quoted, autoescape=True))
    if before_id:
        query = query.where(TASKS.c.id < before_id)
    return tuple(_task(row, ()) for row in connection.execute(query.limit(limit)))


def read_task(connection: Connection, *, id: int) -> Task | None:
    """One task with its steps."""
    row = connection.execute(select(TASKS).where(TASKS.c.id == id)).one_or_none()
    return None if row is None else _task(row, tuple(row.steps))


def read_open_pushes(connection: Connection, *, node: str) -> dict[int, Progress]:
    """Revision -> how its push stands, without its steps; oldest first."""
    query = (
        select(*_BRIEF)
        .where(TASKS.c.state.in_(_OPEN), TASKS.c.node == node, TASKS.c.revision.is_not(None))
        .order_by(TASKS.c.id.desc())
        .limit(MAX_OPEN)
    )
    rows = list(connection.execute(query))
    return {row.revision: _progress(row, ()) for row in reversed(rows)}


def read_open_subjects(
    connection: Connection,
) -> dict[tuple[str | None, int | None], tuple[Subject, ...]]:
    """(node, revision) -> what an open push is about."""
    columns = (TASKS.c.node, TASKS.c.revision, TASKS.c.subjects)
    query = select(*columns).where(TASKS.c.state.in_(_OPEN), TASKS.c.kind == TaskKind.PUSH.value)
    query = query.order_by(TASKS.c.id.desc()).limit(MAX_OPEN)
    return {
        (row.node, row.revision): tuple(_subject(text) for text in row.subjects)
        for row in connection.execute(query)
    }


def _task(row: Row[Any], steps: tuple[Mapping[str, object], ...]) -> Task:
    return Task(
        id=row.id,
        kind=TaskKind(row.kind),
        node=row.node,
        revision=row.revision,
        subjects=tuple(_subject(text) for text in row.subjects[:OBJECTS_KEPT]),
        subject_count=row.subject_count,
        org=row.org,
        actor=row.actor,
        created=datetime.fromisoformat(row.created),
        progress=_progress(row, steps),
        others=frozenset(row.orgs.split()) - {row.org},
    )


def _progress(row: Row[Any], steps: tuple[Mapping[str, object], ...]) -> Progress:
    return Progress(
        state=TaskState(row.state),
        started=_time(row.started),
        finished=_time(row.finished),
        attempts=row.attempts,
        steps_total=row.steps_total,
        steps_done=row.steps_done,
        steps=steps,
        error=row.error,
    )


def _subject(text: str) -> Subject:
    kind, _, key = text.partition(" ")
    return kind, key


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
