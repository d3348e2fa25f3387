"""Routes for an occupier that leaves (R34-R37)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from control_plane.api import documents
from control_plane.api.context import Creating, Ports
from control_plane.api.task_schemas import TaskOut
from control_plane.domain.entities import Decommission
from control_plane.service import leaving
from control_plane.service.tasks import task_as_dict

router = APIRouter(prefix="/organisations/{org}/decommission", tags=["organisations"])


class DecommissionOut(BaseModel):
    """How the decommission of an organisation stands."""

    status: Decommission
    sentence: str = Field(description="The same in words, with why it failed.")
    left: dict[str, int] = Field(description="What it still has.", examples=[{"numbers": 3, "extensions": 2}])
    task: int | None


@router.get("", response_model=DecommissionOut, responses=documents.LIST)
async def get_decommission(ports: Ports, org: str) -> DecommissionOut:
    """How far it is, and what is left."""
    found = await leaving.standing(ports.store, ports.tasks, org)
    task = found.task.id if found.task is not None else None
    return DecommissionOut(status=found.status, sentence=found.sentence, left=found.left, task=task)


@router.post("", status_code=202, response_model=TaskOut, responses=documents.RETRY)
async def decommission_organisation(write: Creating, org: str) -> dict[str, Any]:
    """Take everything back from an occupier, as a task; asked again, resume it.

    Devices are logged out, numbers unassigned, deactivated and deallocated into their cooldown; extensions,
    groups, services, people and authorization codes go. From now on nothing of it can be changed (R35).
    """
    task = await leaving.request(write.store, write.ports.tasks, write.by, org)
    write.ports.nudge()
    return task_as_dict(task, write.ports.clock.now())
