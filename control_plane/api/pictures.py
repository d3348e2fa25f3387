"""Routes for pictures of what a call to something can meet, as its settings are."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from control_plane.api import documents
from control_plane.api.context import Ports
from control_plane.render.place_picture import extension_mermaid, group_mermaid, main_number_mermaid
from control_plane.service.groups import require_group
from control_plane.service.main_numbers import require_main_number
from control_plane.service.rules import require_extension

router = APIRouter(prefix="/organisations/{org}", responses=documents.LIST)


class PictureOut(BaseModel):
    """A flowchart."""

    mermaid: str = Field(
        description="The source of a Mermaid flowchart: what can happen, only the moment left open."
    )


@router.get("/extensions/{key}/picture", tags=["extensions"])
async def get_extension_picture(ports: Ports, org: str, key: str) -> PictureOut:
    """What a call to an extension can meet with its present settings."""
    model = (await ports.store.snapshot()).model
    return PictureOut(mermaid=extension_mermaid(model, require_extension(model, (org, key))))


@router.get("/call-groups/{group}/picture", tags=["call groups"])
async def get_call_group_picture(ports: Ports, org: str, group: str) -> PictureOut:
    """What a call to a call group can meet: who rings, and where the call goes that no member takes."""
    model = (await ports.store.snapshot()).model
    return PictureOut(mermaid=group_mermaid(model, require_group(model, (org, group))))


@router.get("/main-numbers/{site}/picture", tags=["main numbers"])
async def get_main_number_picture(ports: Ports, org: str, site: str) -> PictureOut:
    """What a call to a main number can meet, at any time."""
    model = (await ports.store.snapshot()).model
    return PictureOut(mermaid=main_number_mermaid(model, require_main_number(model, (org, site))))
