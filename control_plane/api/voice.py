"""Routes for site pools and voice services (R3, R62-R69)."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Write, Writing, etag
from control_plane.api.number_schemas import (
    AllocationIn,
    ImportIn,
    ImportLineOut,
    ImportOut,
    Numbers,
    RangeIn,
    ScheduledOut,
    ScheduleIn,
    ServiceAdded,
    ServiceIn,
    ServiceOut,
    ServicePatch,
)
from control_plane.api.schemas import NumberOut
from control_plane.domain.entitlement import services_free, using_services
from control_plane.domain.model import Model
from control_plane.ports import EntityKind
from control_plane.service import pool, voice_services
from control_plane.service.allocation import allocate_some
from control_plane.service.csv_lists import LineOutcome
from control_plane.service.reading import model_with_version
from control_plane.service.rules import require_organisation

pools = APIRouter(prefix="/sites/{site}/numbers", tags=["numbers"])
services = APIRouter(prefix="/organisations/{org}/services", tags=["voice services"])


@pools.post("/range", status_code=201, response_model=Numbers, responses=documents.CREATE_MANY)
async def add_number_range(write: Creating, site: str, body: Annotated[RangeIn, Body()]) -> dict[str, object]:
    """Add every number of a range to the pool of the site, or none."""
    made = await pool.add_range(write.store, write.by, site, body["first"], body["last"])
    await write.changed()
    return {"items": made}


@pools.post("/import", response_model=ImportOut, responses=documents.ACT)
async def import_numbers(write: Creating, site: str, body: Annotated[ImportIn, Body()]) -> ImportOut:
    """Add the numbers of a list to the pool of the site, with a report for each line.

    Nothing is written when a line is refused, unless `partial` asks for the others.
    """
    report = await pool.import_numbers(
        write.store,
        write.by,
        site,
        body["csv"],
        dry_run=body.get("dry_run", False),
        partial=body.get("partial", False),
    )
    await write.changed()
    return ImportOut(
        applied=report.applied,
        added=report.count(LineOutcome.ADDED),
        present=report.count(LineOutcome.PRESENT),
        refused=report.count(LineOutcome.REFUSED),
        lines=[ImportLineOut.model_validate(line) for line in report.lines],
    )


@pools.post("/allocate", response_model=Numbers, responses=documents.ACT)
async def allocate_numbers(
    write: Creating, site: str, body: Annotated[AllocationIn, Body()]
) -> dict[str, object]:
    """Allocate `count` free numbers of the site, or the range from `first` to `last`: all or none (R69)."""
    done = await allocate_some(write.store, write.by, write.policy, site, body)
    await write.changed()
    return {"items": done}


def _shown(model: Model, org: str, site: str) -> ServiceOut:
    service = model.services[org, site]
    return ServiceOut(
        org=org,
        site=site,
        quantity=service.quantity,
        used=len(using_services(model, org, site)),
        free=services_free(model, org, site),
        main_included=service.main_included,
        scheduled=[
            ScheduledOut(on=change.on, quantity=change.quantity)
            for change in voice_services.scheduled(model, (org, site))
        ],
    )


async def _now(write: Write, org: str, site: str) -> ServiceOut:
    return _shown((await write.store.snapshot()).model, org, site)


@services.get("", response_model=list[ServiceOut], responses=documents.LIST)
async def list_services(ports: Ports, org: str) -> list[ServiceOut]:
    """The voice services of the organisation, by site."""
    model = (await ports.store.snapshot()).model
    require_organisation(model, org)
    return [_shown(model, *where) for where in sorted(model.services) if where[0] == org]


@services.post("", status_code=201, response_model=ServiceAdded, responses=documents.CREATE)
async def add_service(write: Creating, org: str, body: Annotated[ServiceIn, Body()]) -> ServiceAdded:
    """Add the first voice services at a site, with the numbers that come along (R62-R68)."""
    site = body["site"]
    added = await voice_services.add_service(
        write.store, write.by, write.policy, (org, site), body["quantity"], main=body.get("main")
    )
    write.done(added.saved, f"/organisations/{org}/services/{site}")
    return ServiceAdded(
        service=await _now(write, org, site),
        numbers=[NumberOut.model_validate(number) for number in added.numbers],
    )


@services.get("/{site}", response_model=ServiceOut, responses=documents.READ_WITH_STATE)
async def get_service(ports: Ports, response: Response, org: str, site: str) -> ServiceOut:
    """The voice services at one site, how many are used, and what is scheduled."""
    model, version = await model_with_version(ports.store, EntityKind.SERVICE, (org, site))
    response.headers["ETag"] = etag(version)
    return _shown(model, org, site)


@services.patch("/{site}", response_model=ServiceOut, responses=documents.PATCH)
async def patch_service(
    write: Writing, org: str, site: str, body: Annotated[ServicePatch, Body()]
) -> ServiceOut:
    """Set how many there are; more of them bring no numbers along (R63)."""
    write.done(await voice_services.change_service(write.store, write.by, (org, site), body["quantity"]))
    return await _now(write, org, site)


@services.delete("/{site}", status_code=204, responses=documents.DELETE)
async def delete_service(write: Writing, org: str, site: str) -> None:
    """Take the voice services away; refused while numbers use them."""
    await voice_services.remove_service(write.store, write.by, (org, site))
    await write.removed()


@services.put("/{site}/schedule/{on}", response_model=ServiceOut, responses=documents.ACT)
async def schedule_service(
    write: Creating, org: str, site: str, on: date, body: Annotated[ScheduleIn, Body()]
) -> ServiceOut:
    """Set the quantity from a day on, at midnight of the site's time zone (R63)."""
    await voice_services.schedule_change(
        write.store, write.by, write.policy, (org, site), on, body["quantity"]
    )
    await write.changed()
    return await _now(write, org, site)


@services.delete("/{site}/schedule/{on}", status_code=204, responses=documents.REMOVE_DAY)
async def unschedule_service(write: Creating, org: str, site: str, on: date) -> None:
    """Take a scheduled change back."""
    await voice_services.unschedule_change(write.store, write.by, (org, site), on)
    await write.removed()
