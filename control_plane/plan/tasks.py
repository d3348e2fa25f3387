"""Tasks: what a person can ask about a change that has to reach Asterisk or a handset (R31, R32, A32). Pure.

A push task is born with its revision; what becomes of it follows from what Asterisk is seen to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from control_plane.domain.entities import Entity, Site, Trunk
from control_plane.domain.extension import Device
from control_plane.domain.model import Model
from control_plane.render.units import touched

LATE_AFTER = timedelta(seconds=120)
"""A32: a task that is not finished this long after it was asked for is late."""

STEPS_KEPT = 50
OBJECTS_KEPT = 50
"""Of a finished task; while it is open all its objects are known, as each is marked "update in progress"."""

Subject = tuple[str, str]
"""What a task is about: kind and key, ("extension", "acme/100"), ("number", "+442071838750")."""

_WEIGHT = ("site", "organisation", "trunk", "occupancy", "number", "extension")
"""A change of several things is named after the first of these; the others of one kind are counted."""


class TaskKind(StrEnum):
    """What a task does."""

    PUSH = "push"  # a change of the model into Asterisk
    HANDSET = "handset"  # something asked of a handset
    DECOMMISSION = "decommission"  # an occupier leaves (R34)
    REPAIR = "repair"  # what somebody or something changed in Asterisk is put right


class TaskState(StrEnum):
    """How far a task is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # did not succeed so far; a push goes on being tried


@dataclass(frozen=True, slots=True)
class Progress:
    """How a task stands. `steps` are those of Plan.as_dict with an outcome, secrets masked."""

    state: TaskState = TaskState.QUEUED
    started: datetime | None = None
    finished: datetime | None = None
    attempts: int = 0
    steps_total: int = 0
    steps_done: int = 0
    steps: tuple[Mapping[str, object], ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to be. `node` is the one whose push does it, None where no push does.

    `subjects` are never empty; the first names the task, and `org` is whose that is. `others` are further
    organisations it is about.
    """

    kind: TaskKind
    subjects: tuple[Subject, ...]
    org: str | None = None
    node: str | None = None
    revision: int | None = None
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Task:
    """A task as kept. `subject_count` counts also what `subjects` leaves out; `others` as in NewTask."""

    id: int
    kind: TaskKind
    node: str | None
    revision: int | None
    subjects: tuple[Subject, ...]
    subject_count: int
    org: str | None
    actor: str
    created: datetime
    progress: Progress
    others: frozenset[str] = frozenset()

    def concerns(self, org: str | None) -> bool:
        """Whether something of this organisation is among what it is about."""
        return org is not None and (org == self.org or org in self.others)

    @property
    def is_open(self) -> bool:
        return self.progress.state is not TaskState.DONE

    def is_late(self, now: datetime) -> bool:
        """A32: asked for more than LATE_AFTER ago and not done."""
        return self.is_open and now - self.created > LATE_AFTER


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks are wanted; None: any. `org`: those that concern it, as their first or further one."""

    states: frozenset[TaskState] = frozenset(TaskState)
    kind: TaskKind | None = None
    node: str | None = None
    org: str | None = None
    subject: Subject | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """One entity of a revision, as it was and as it is; never logged, as it holds secrets."""

    kind: str
    key: tuple[str, ...]
    before: Entity | None
    after: Entity | None


def pushes(model: Model, revision: int, changes: Iterable[Changed]) -> list[NewTask]:
    """The push tasks of a revision: one for each node that has to hold something else than before.

    `model` is the one after the changes.
    """
    subjects: dict[str, dict[Subject, str | None]] = {}
    for change in changes:
        if touched(model, change.before, change.after):
            subject, org = _subject(change)
            for node in _nodes(model, change):
                subjects.setdefault(node, {}).setdefault(subject, org)
    return [
        NewTask(TaskKind.PUSH, ordered, first, node, revision, _owners(found) - {first})
        for node, found in sorted(subjects.items())
        for ordered in (_by_weight(found),)
        for first in (found[ordered[0]],)
    ]


_BELOW_ORGANISATION = frozenset({"extension", "call_group", "main_number", "occupancy"})
"""Kinds whose key begins with their organisation."""
_OF_EXTENSIONS = frozenset({"row:ext", "row:vip", "row:hint", "row:pin"})
"""Rows `<family>/<organisation>/<extension>`, and what stands below them."""


def owner_of(model: Model, subject: Subject) -> str | None:
    """Whose it is what a task or a step is about, as things are in `model`; None: the operator's."""
    kind, key = subject
    if kind in _BELOW_ORGANISATION:
        return key.partition("/")[0]
    match kind:
        case "organisation":
            return key
        case "number":
            number = model.numbers.get(key)
            return None if number is None else number.org
        case "handset":
            handset = model.handsets.get(key)
            return None if handset is None else handset.org
        case _:
            return None


def subject_of(unit: str | None, artefact: str) -> Subject | None:
    """What a step is about: what its artefact was rendered from or, where that is nothing in the model, the
    extension among whose rows and mailboxes it stands by name."""
    if unit:
        kind, _, key = unit.partition(" ")
        return kind, key
    first, *rest = artefact.split("/")
    if first.startswith("mailbox:"):
        rest = [first.removeprefix("mailbox:"), *rest]
    elif first not in _OF_EXTENSIONS:
        return None
    return ("extension", "/".join(rest[:2])) if len(rest) > 1 else None


def _owners(subjects: Mapping[Subject, str | None]) -> frozenset[str]:
    return frozenset(org for org in subjects.values() if org is not None)


def _by_weight(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    weight = {kind: place for place, kind in enumerate(_WEIGHT)}
    return tuple(sorted(subjects, key=lambda subject: weight.get(subject[0], len(_WEIGHT))))


def _subject(change: Changed) -> tuple[Subject, str | None]:
    """What a person calls it, and whose it is. A device counts as its extension."""
    entity = change.after or change.before
    org = getattr(entity, "org", None)
    owner = org if isinstance(org, str) else None
    if isinstance(entity, Device):
        return ("extension", f"{entity.org}/{entity.extension}"), owner
    return (change.kind, "/".join(change.key)), owner


def _nodes(model: Model, change: Changed) -> frozenset[str]:
    """The nodes a change concerns; all of them where what changed belongs to no site."""
    found: set[str] = set()
    for entity in (change.before, change.after):
        node = _node(model, entity) if entity is not None else None
        found.update(() if node is None else (node,))
    return frozenset(found or {site.node for site in model.sites.values()})


def _node(model: Model, entity: Entity) -> str | None:
    match entity:
        case Site() | Trunk():
            return entity.node
        case Device():
            owner = model.extensions.get((entity.org, entity.extension))
            site: object = owner.site if owner is not None else None
        case _:
            site = getattr(entity, "site", None)
    return model.sites[site].node if isinstance(site, str) and site in model.sites else None
