"""Tasks as a tenant sees them: those about things of his own, without a word about anybody else's.

One push may bring the changes of several tenants and one repair be about the things of several, and a task
taken up after a restart cannot tell whose a step is, so what is shown is picked by name and not by task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from control_plane.domain.model import Model
from control_plane.errors import Forbidden, UnknownEntity
from control_plane.plan.tasks import Progress, Subject, Task, TaskKind, TaskState, owner_of, subject_of
from control_plane.service.rights import Caller, Position

_CHANGED_BY_TENANTS: Final = frozenset({"extension", "call_group", "main_number", "number", "handset"})
_ASKED_BY_TENANTS: Final = frozenset({TaskKind.PUSH, TaskKind.HANDSET})
_OF_SEVERAL: Final = frozenset({TaskKind.PUSH, TaskKind.REPAIR})
"""Kinds that may be about things of several tenants, and of the operator."""
_FINE: Final = frozenset({"done", "deferred"})

NOT_SEEN: Final = "The change is not in the telephone system yet; ask the operator if it stays like this."
NOT_RIGHT: Final = "Not all of it is put right yet; ask the operator if it stays like this."
WAITING: Final = "The telephone system takes no changes now; it goes on by itself."


def require_seen(caller: Caller, task: Task) -> None:
    """Raises: UnknownEntity, word for word as for what is not there."""
    own = caller.sees_organisation and task.concerns(caller.org)
    if not (own or caller.sees_everything):
        raise UnknownEntity("task", str(task.id))


def may_retry(caller: Caller, task: Task) -> bool:
    """Whether the caller may make the change of the task, and so have it tried again.

    `task` is as he sees it.
    """
    if caller.position is not Position.OCCUPIER_ADMIN:
        return caller.is_operator
    return task.kind in _ASKED_BY_TENANTS and task.subjects[0][0] in _CHANGED_BY_TENANTS


def require_may_retry(caller: Caller, task: Task) -> None:
    """Raises: Forbidden."""
    if not may_retry(caller, task):
        kind, key = task.subjects[0]
        raise Forbidden(f"Task {task.id} about {kind} {key} is the operator's to try again: ask there.")


def as_seen(caller: Caller, model: Model, task: Task) -> Task:
    """What the caller sees of a task that `require_seen` lets him see."""
    if caller.sees_everything or task.kind not in _OF_SEVERAL:
        return task
    org = caller.org or ""
    own = tuple(subject for subject in task.subjects if is_own(model, org, subject))
    count = task.subject_count if len(own) == len(task.subjects) else len(own)
    if not own:
        # His are beyond those kept, or not his any more. The first is that of the task's `org`.
        own, count = (task.subjects[:1] if task.org == org else (("organisation", org),)), 1
    progress = _told(model, org, task.progress, NOT_RIGHT if task.kind is TaskKind.REPAIR else NOT_SEEN)
    return replace(task, org=org, others=frozenset(), subjects=own, subject_count=count, progress=progress)


def waiting_for(caller: Caller, problem: str | None) -> str | None:
    """Why a node takes no changes, as the caller may know it: the reason may name things of others."""
    return problem if problem is None or caller.sees_everything else WAITING


def _told(model: Model, org: str, progress: Progress, otherwise: str) -> Progress:
    steps = tuple(step for step in progress.steps if _is_own_step(model, org, step))
    if progress.state is TaskState.DONE or progress.error is None:
        return replace(progress, steps=steps)
    wrong = [str(step["why"]) for step in steps if step["outcome"] not in _FINE and step["why"]]
    return replace(progress, steps=steps, error="; ".join(wrong) or otherwise)


def _is_own_step(model: Model, org: str, step: Mapping[str, object]) -> bool:
    unit = step.get("unit")
    subject = subject_of(None if unit is None else str(unit), str(step.get("artefact") or ""))
    return subject is not None and is_own(model, org, subject)


def is_own(model: Model, org: str, subject: Subject) -> bool:
    """Whether what a task or a step is about is the organisation's now."""
    return owner_of(model, subject) == org
