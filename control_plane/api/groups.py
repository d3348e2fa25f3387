"""Routes for call groups and for the group features of main numbers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Writing, etag
from control_plane.api.group_schemas import (
    CallGroupIn,
    CallGroupOut,
    CallGroupPatch,
    MainNumberIn,
    MainNumberOut,
    MainNumberPatch,
)
from control_plane.api.paging import Listing, Paged
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.ports import EntityKind
from control_plane.service import groups as group_cases
from control_plane.service import main_numbers as main_cases
from control_plane.service.reading import model_with_version
from control_plane.service.rules import require_organisation
from control_plane.service.writing import given

call_groups = APIRouter(prefix="/organisations/{org}/call-groups", tags=["call groups"])
main_numbers = APIRouter(prefix="/organisations/{org}/main-numbers", tags=["main numbers"])


@call_groups.get("", response_model=Listing[CallGroupOut], responses=documents.LIST)
async def list_call_groups(ports: Ports, paging: Paged, org: str) -> dict[str, object]:
    """The organisation's call groups, by Group Key."""
    model = (await ports.store.snapshot()).model
    require_organisation(model, org)
    return paging.listing((key, found) for (owner, key), found in model.call_groups.items() if owner == org)


@call_groups.post("", status_code=201, response_model=CallGroupOut, responses=documents.CREATE)
async def create_call_group(write: Creating, org: str, body: Annotated[CallGroupIn, Body()]) -> CallGroup:
    """Make a call group; its Group Key is dialled like an extension."""
    saved = await group_cases.create_group(write.store, write.by, {**given(body), "org": org})
    return write.done(saved, f"/organisations/{org}/call-groups/{saved.entity.key}")


@call_groups.get("/{group}", response_model=CallGroupOut, responses=documents.READ)
async def get_call_group(ports: Ports, response: Response, org: str, group: str) -> CallGroup:
    """One call group."""
    model, version = await model_with_version(ports.store, EntityKind.CALL_GROUP, (org, group))
    response.headers["ETag"] = etag(version)
    return model.call_groups[org, group]


@call_groups.patch("/{group}", response_model=CallGroupOut, responses=documents.PATCH)
async def patch_call_group(
    write: Writing, org: str, group: str, body: Annotated[CallGroupPatch, Body()]
) -> CallGroup:
    """Change only the fields given, also within `otherwise`."""
    return write.done(await group_cases.patch_group(write.store, write.by, (org, group), body))


@call_groups.delete("/{group}", status_code=204, responses=documents.DELETE)
async def delete_call_group(write: Writing, org: str, group: str) -> None:
    """Remove a call group that no calls are sent to."""
    await group_cases.delete_group(write.store, write.by, (org, group))
    await write.removed()


@main_numbers.get("", response_model=Listing[MainNumberOut], responses=documents.LIST)
async def list_main_numbers(ports: Ports, paging: Paged, org: str) -> dict[str, object]:
    """The organisation's main numbers that have group features, by site."""
    model = (await ports.store.snapshot()).model
    require_organisation(model, org)
    return paging.listing((site, main) for (owner, site), main in model.main_numbers.items() if owner == org)


@main_numbers.post("", status_code=201, response_model=MainNumberOut, responses=documents.CREATE)
async def create_main_number(write: Creating, org: str, body: Annotated[MainNumberIn, Body()]) -> MainNumber:
    """Set up what calls to the nominated number meet."""
    saved = await main_cases.create_main_number(write.store, write.by, {**given(body), "org": org})
    return write.done(saved, f"/organisations/{org}/main-numbers/{saved.entity.site}")


@main_numbers.get("/{site}", response_model=MainNumberOut, responses=documents.READ)
async def get_main_number(ports: Ports, response: Response, org: str, site: str) -> MainNumber:
    """The main number at a site."""
    model, version = await model_with_version(ports.store, EntityKind.MAIN_NUMBER, (org, site))
    response.headers["ETag"] = etag(version)
    return model.main_numbers[org, site]


@main_numbers.patch("/{site}", response_model=MainNumberOut, responses=documents.PATCH)
async def patch_main_number(
    write: Writing, org: str, site: str, body: Annotated[MainNumberPatch, Body()]
) -> MainNumber:
    """Change only the fields given, also within the destinations."""
    return write.done(await main_cases.patch_main_number(write.store, write.by, (org, site), body))


@main_numbers.delete("/{site}", status_code=204, responses=documents.DELETE)
async def delete_main_number(write: Writing, org: str, site: str) -> None:
    """Take the group features away; the number stays nominated, and calls to it reach nothing."""
    await main_cases.delete_main_number(write.store, write.by, (org, site))
    await write.removed()
