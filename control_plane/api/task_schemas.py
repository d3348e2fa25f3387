"""A task: the shapes of the answers."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from control_plane.apply.outcome import Outcome
from control_plane.plan.changes import Drift
from control_plane.plan.tasks import TaskKind, TaskState


class ObjectOut(BaseModel):
    """What a task is about."""

    kind: str = Field(examples=["extension"])
    key: str = Field(examples=["acme/100"])


class TaskStepOut(BaseModel):
    """One step of a task, and what became of it; of a push the same as in its plan."""

    op: str = Field(examples=["put"])
    artefact: str
    reason: str
    drift: Drift
    unit: str | None
    secret: bool
    touches_calls: bool
    diff: list[str] = Field(description="Secrets are masked.")
    outcome: Outcome
    why: str | None


class TaskOut(BaseModel):
    """A change on its way to Asterisk or to a handset, or what became of it."""

    id: int
    kind: TaskKind
    node: str | None
    revision: int | None = Field(description="The revision of the model that it brings to the node.")
    object: ObjectOut
    objects: list[ObjectOut] = Field(description="The first 50 things it is about.")
    object_count: int
    organisation: str | None
    actor: str
    state: TaskState = Field(description="A push that failed goes on being tried until it is done.")
    late: bool = Field(description="Not done 120 seconds after it was asked for.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    attempts: int
    steps_total: int
    steps_done: int
    steps: list[TaskStepOut] = Field(
        description="The first 50, what went wrong before the others; empty in a listing."
    )
    error: str | None = Field(description="Why it failed, as a sentence.")
    waiting_for: str | None = Field(description="Why it does not go on, if the node says so.")
    retry: bool = Field(description="Whether it can be retried, by who asks.")
    undo: list[int] = Field(
        default=[],
        description="Of a failed one asked for by itself: entries of the audit which undo the change by "
        "`POST /audit/{entry}/undo`, in this order.",
    )


class TaskPage(BaseModel):
    """Tasks, newest first."""

    items: list[TaskOut]
    next: int | None = Field(default=None, description="Give this as `before` for older tasks.")
