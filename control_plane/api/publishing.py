"""How publishing to handsets stands, what it would do, and doing it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query

from control_plane.api import documents
from control_plane.api.context import Ports
from control_plane.api.handset_schemas import ProvisioningOut
from control_plane.api.node_schemas import AppliedOut, ApplyIn, DriftOut, PlanOut
from control_plane.api.nodes import PENDING_SHOWN, WAIT_MAX_S
from control_plane.apply.reports import applied_as_dict
from control_plane.errors import StalePlan
from control_plane.plan.changes import Drift

router = APIRouter(prefix="/provisioning", tags=["handsets"])

Json = dict[str, Any]


@router.get("", response_model=ProvisioningOut, responses=documents.ALWAYS)
async def get_provisioning(ports: Ports) -> Json:
    """Whether handsets can fetch what the model says, what is pending, and who did not follow a rotation."""
    state = ports.publishing.state
    return {
        "in_sync": state.in_sync,
        "revision": state.revision,
        "revision_published": state.revision_published,
        "handsets": state.handsets,
        "waiting": state.waiting,
        "pending": state.pending.as_dict(PENDING_SHOWN) if state.pending is not None else None,
        "last_error": state.last_error,
        "last_drift": list(state.last_drift),
        "faults": list(state.faults),
        "late": list(await ports.follow_up.late()) if ports.follow_up is not None else [],
    }


@router.post("/plan", response_model=PlanOut, responses=documents.ALWAYS)
async def plan_publishing(ports: Ports) -> Json:
    """What would be published and withdrawn, from a fresh look; secrets are masked."""
    return (await ports.publishing.plan()).as_dict()


@router.post("/drift", response_model=DriftOut, responses=documents.ALWAYS)
async def find_publishing_drift(ports: Ports) -> Json:
    """What differs from what was published although the model did not move."""
    plan = (await ports.publishing.plan()).as_dict()
    steps: list[Json] = plan["steps"]  # type: ignore[assignment]
    return {**plan, "steps": [step for step in steps if step["drift"] != Drift.MODEL_MOVED.value]}


@router.post("/apply", response_model=AppliedOut, responses=documents.APPLY)
async def apply_publishing(ports: Ports, body: Annotated[ApplyIn | None, Body()] = None) -> Json:
    """Publish what differs now; with `digest` only if the plan is still that one."""
    expected = None
    if body is not None and body.digest:
        expected = await ports.publishing.plan()
        if expected.digest != body.digest:
            raise StalePlan("The model or the published files changed since this plan was made; plan again.")
    return applied_as_dict(await ports.publishing.apply(expected))


@router.post("/follow", response_model=ProvisioningOut, responses=documents.LIST)
async def follow_publishing(
    ports: Ports,
    revision: Annotated[int, Query(ge=0, description="The revision to wait for.")],
    within_s: Annotated[float, Query(gt=0, le=WAIT_MAX_S)] = 5.0,
) -> Json:
    """Nudge publishing and answer when `revision` is published, or when that took too long."""
    await ports.publishing.wait_published(revision, within_s)
    return await get_provisioning(ports)
