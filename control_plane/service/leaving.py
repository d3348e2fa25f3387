"""Decommissions as people ask for them: begin or resume one, and how it stands (R34-R36)."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.entities import Decommission, Organisation, OrganisationKind
from control_plane.domain.model import Model
from control_plane.errors import Conflict, IllegalTransition, UnknownEntity
from control_plane.plan.tasks import NewTask, Task, TaskFilter, TaskKind
from control_plane.ports import Store, TaskStore
from control_plane.service.decommission import in_words, left_of, mark
from control_plane.service.rules import require_organisation
from control_plane.service.writing import By


@dataclass(frozen=True, slots=True)
class Leaving:
    """How the decommission of an organisation stands; `left` names what it still has."""

    status: Decommission
    left: dict[str, int]
    task: Task | None

    @property
    def sentence(self) -> str:
        """R34-R36 in words."""
        match self.status:
            case Decommission.NONE:
                return "It is not being decommissioned."
            case Decommission.DECOMMISSIONED:
                return "Decommissioned: all its numbers are deallocated and in their cooldown."
            case Decommission.PENDING:
                return f"Decommission pending: it still has {in_words(self.left)}."
            case Decommission.FAILED:
                why = self.task.progress.error if self.task is not None else None
                return f"Decommission failed: {why or f'it still has {in_words(self.left)}.'}"


async def standing(store: Store, tasks: TaskStore, org: str) -> Leaving:
    """Raises: UnknownEntity."""
    model = (await store.snapshot()).model
    organisation = require_organisation(model, org)
    return Leaving(organisation.decommission, left_of(model, org), await newest_task(tasks, org))


async def request(store: Store, tasks: TaskStore, by: By, org: str) -> Task:
    """Begin, or resume what failed; the task that carries it out.

    Raises: UnknownEntity, Conflict (it is the operator), IllegalTransition (it is complete).
    """
    async with store.transaction(by.actor) as tx:
        mark(tx, require_may_leave(tx.model, org), Decommission.PENDING)
        # Looked for while no other request can write: of two at once the second finds the task of the first.
        task = await newest_task(tasks, org)
        if task is None or not task.is_open:
            tx.add_task(new_task(org))
            task = None
    return task or await _made(tasks, org)


async def _made(tasks: TaskStore, org: str) -> Task:
    task = await newest_task(tasks, org)
    if task is None:
        raise UnknownEntity("task", org)
    return task


def require_may_leave(model: Model, org: str) -> Organisation:
    """Raises: UnknownEntity, Conflict (it is the operator), IllegalTransition (it is complete)."""
    before = require_organisation(model, org)
    if before.kind is OrganisationKind.OPERATOR:
        raise Conflict(f"{before.name} is the operator; only an occupier can be decommissioned (R34).")
    if before.decommission is Decommission.DECOMMISSIONED and not left_of(model, org):
        raise IllegalTransition(f"{before.name} is decommissioned already.")
    return before


async def newest_task(tasks: TaskStore, org: str) -> Task | None:
    """The task of the last decommission, with its steps."""
    wanted = TaskFilter(kind=TaskKind.DECOMMISSION, subject=("organisation", org))
    found = await tasks.tasks(wanted, limit=1)
    return await tasks.task(found[0].id) if found else None


def new_task(org: str) -> NewTask:
    """A task for the decommission of an organisation."""
    return NewTask(TaskKind.DECOMMISSION, (("organisation", org),), org)
