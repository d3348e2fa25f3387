"""Routes that say what a change would push and publish, and save nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from control_plane.api import documents
from control_plane.api.caller import Calling
from control_plane.api.context import Creating, Ports
from control_plane.api.group_schemas import CallGroupPatch, MainNumberPatch
from control_plane.api.line_schemas import ExtensionPatch
from control_plane.api.node_schemas import PreviewOut, WidePreviewOut
from control_plane.api.rights import RULES
from control_plane.api.schemas import OccupancyPatch, OrganisationPatch, PersonPatch, SitePatch, TrunkPatch
from control_plane.service import preview
from control_plane.service.handset_preview import HandsetSource

router = APIRouter(responses=documents.PREVIEW)
_ORG = "/organisations/{org}"


async def _source(ports: Ports, caller: Calling) -> HandsetSource | None:
    """None for who may not read what handsets are told."""
    return ports.handset_source if caller.position in RULES["get_handset_file"].who else None


Source = Annotated[HandsetSource | None, Depends(_source)]


@router.post(_ORG + "/extensions/{key}/preview", tags=["extensions"], response_model=PreviewOut)
async def preview_extension(
    asked: Creating, source: Source, org: str, key: str, body: Annotated[ExtensionPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_extension(asked.store, asked.by, (org, key), body, source)).as_dict()


@router.post(_ORG + "/call-groups/{group}/preview", tags=["call groups"], response_model=PreviewOut)
async def preview_call_group(
    asked: Creating, source: Source, org: str, group: str, body: Annotated[CallGroupPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_group(asked.store, asked.by, (org, group), body, source)).as_dict()


@router.post(_ORG + "/main-numbers/{site}/preview", tags=["main numbers"], response_model=PreviewOut)
async def preview_main_number(
    asked: Creating, source: Source, org: str, site: str, body: Annotated[MainNumberPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_main_number(asked.store, asked.by, (org, site), body, source)).as_dict()


@router.post(_ORG + "/preview", tags=["organisations"], response_model=WidePreviewOut)
async def preview_organisation(
    asked: Creating, source: Source, org: str, body: Annotated[OrganisationPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_organisation(asked.store, asked.by, org, body, source)).as_dict()


@router.post("/sites/{site}/preview", tags=["sites"], response_model=WidePreviewOut)
async def preview_site(
    asked: Creating, source: Source, site: str, body: Annotated[SitePatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_site(asked.store, asked.by, site, body, source)).as_dict()


@router.post("/trunks/{trunk}/preview", tags=["trunks"], response_model=WidePreviewOut)
async def preview_trunk(
    asked: Creating, source: Source, trunk: str, body: Annotated[TrunkPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_trunk(asked.store, asked.by, trunk, body, source)).as_dict()


@router.post(_ORG + "/occupancies/{site}/preview", tags=["occupancies"], response_model=WidePreviewOut)
async def preview_occupancy(
    asked: Creating, source: Source, org: str, site: str, body: Annotated[OccupancyPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_occupancy(asked.store, asked.by, (org, site), body, source)).as_dict()


@router.post(_ORG + "/people/{person}/preview", tags=["people"], response_model=WidePreviewOut)
async def preview_person(
    asked: Creating, source: Source, org: str, person: str, body: Annotated[PersonPatch, Body()]
) -> dict[str, Any]:
    """What PATCH with this body would push and publish; nothing is saved, and it is refused as PATCH is."""
    return (await preview.preview_person(asked.store, asked.by, (org, person), body, source)).as_dict()
