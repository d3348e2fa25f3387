"""Routes that say what a change would push, and save nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from control_plane.api import documents
from control_plane.api.context import Creating
from control_plane.api.group_schemas import CallGroupPatch, MainNumberPatch
from control_plane.api.line_schemas import ExtensionPatch
from control_plane.api.node_schemas import PlanOut
from control_plane.service import preview

router = APIRouter(prefix="/organisations/{org}", responses=documents.PREVIEW)


@router.post("/extensions/{key}/preview", tags=["extensions"], response_model=PlanOut)
async def preview_extension(
    asked: Creating, org: str, key: str, body: Annotated[ExtensionPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_extension(asked.store, asked.by, (org, key), body)).as_dict()


@router.post("/call-groups/{group}/preview", tags=["call groups"], response_model=PlanOut)
async def preview_call_group(
    asked: Creating, org: str, group: str, body: Annotated[CallGroupPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_group(asked.store, asked.by, (org, group), body)).as_dict()


@router.post("/main-numbers/{site}/preview", tags=["main numbers"], response_model=PlanOut)
async def preview_main_number(
    asked: Creating, org: str, site: str, body: Annotated[MainNumberPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push; nothing is saved, and what it would refuse is refused."""
    return (await preview.preview_main_number(asked.store, asked.by, (org, site), body)).as_dict()
