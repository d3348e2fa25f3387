"""Routes that say what a change would push, and save nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from control_plane.api import documents
from control_plane.api.context import Creating
from control_plane.api.group_schemas import CallGroupPatch, MainNumberPatch
from control_plane.api.line_schemas import ExtensionPatch
from control_plane.api.node_schemas import PlanOut, PlansOut
from control_plane.api.schemas import OccupancyPatch, OrganisationPatch, PersonPatch, SitePatch, TrunkPatch
from control_plane.plan.plan import Plan
from control_plane.service import preview

router = APIRouter(responses=documents.PREVIEW)
_ORG = "/organisations/{org}"


def _by_node(plans: tuple[Plan, ...]) -> dict[str, Any]:
    return {"plans": [plan.as_dict() for plan in plans]}


@router.post(_ORG + "/extensions/{key}/preview", tags=["extensions"], response_model=PlanOut)
async def preview_extension(
    asked: Creating, org: str, key: str, body: Annotated[ExtensionPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_extension(asked.store, asked.by, (org, key), body)).as_dict()


@router.post(_ORG + "/call-groups/{group}/preview", tags=["call groups"], response_model=PlanOut)
async def preview_call_group(
    asked: Creating, org: str, group: str, body: Annotated[CallGroupPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_group(asked.store, asked.by, (org, group), body)).as_dict()


@router.post(_ORG + "/main-numbers/{site}/preview", tags=["main numbers"], response_model=PlanOut)
async def preview_main_number(
    asked: Creating, org: str, site: str, body: Annotated[MainNumberPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_main_number(asked.store, asked.by, (org, site), body)).as_dict()


@router.post(_ORG + "/preview", tags=["organisations"], response_model=PlansOut)
async def preview_organisation(
    asked: Creating, org: str, body: Annotated[OrganisationPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return _by_node(await preview.preview_organisation(asked.store, asked.by, org, body))


@router.post("/sites/{site}/preview", tags=["sites"], response_model=PlansOut)
async def preview_site(asked: Creating, site: str, body: Annotated[SitePatch, Body()]) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return _by_node(await preview.preview_site(asked.store, asked.by, site, body))


@router.post("/trunks/{trunk}/preview", tags=["trunks"], response_model=PlansOut)
async def preview_trunk(asked: Creating, trunk: str, body: Annotated[TrunkPatch, Body()]) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return _by_node(await preview.preview_trunk(asked.store, asked.by, trunk, body))


@router.post(_ORG + "/occupancies/{site}/preview", tags=["occupancies"], response_model=PlansOut)
async def preview_occupancy(
    asked: Creating, org: str, site: str, body: Annotated[OccupancyPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return _by_node(await preview.preview_occupancy(asked.store, asked.by, (org, site), body))


@router.post(_ORG + "/people/{person}/preview", tags=["people"], response_model=PlansOut)
async def preview_person(
    asked: Creating, org: str, person: str, body: Annotated[PersonPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return _by_node(await preview.preview_person(asked.store, asked.by, (org, person), body))
