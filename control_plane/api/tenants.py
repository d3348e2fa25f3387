"""Routes for what an organisation has at a site, and for its people."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Viewing, Writing, etag
from control_plane.api.paging import Listing, Paged
from control_plane.api.schemas import (
    CodeGiven,
    CodeIn,
    OccupancyIn,
    OccupancyOut,
    OccupancyPatch,
    PersonIn,
    PersonOut,
    PersonPatch,
)
from control_plane.domain.entities import Occupancy, Person
from control_plane.ports import EntityKind
from control_plane.service import tenants
from control_plane.service.reading import model_with_version
from control_plane.service.rules import require_organisation
from control_plane.service.writing import given

occupancies = APIRouter(prefix="/organisations/{org}/occupancies", tags=["occupancies"])
people = APIRouter(prefix="/organisations/{org}/people", tags=["people"])


@occupancies.get("", response_model=Listing[OccupancyOut], responses=documents.LIST)
async def list_occupancies(ports: Ports, paging: Paged, org: str) -> dict[str, object]:
    """What the organisation has at each site."""
    model = (await ports.store.snapshot()).model
    require_organisation(model, org)
    return paging.listing((o.site, o) for o in model.occupancies.values() if o.org == org)


@occupancies.post("", status_code=201, response_model=OccupancyOut, responses=documents.CREATE)
async def create_occupancy(write: Creating, org: str, body: Annotated[OccupancyIn, Body()]) -> Occupancy:
    """Let the organisation have something at a site."""
    saved = await tenants.create_occupancy(write.store, write.by, {**given(body), "org": org})
    return write.done(saved, f"/organisations/{org}/occupancies/{saved.entity.site}")


@occupancies.get("/{site}", response_model=OccupancyOut, responses=documents.READ)
async def get_occupancy(ports: Ports, response: Response, org: str, site: str) -> Occupancy:
    """What the organisation has at this site."""
    model, version = await model_with_version(ports.store, EntityKind.OCCUPANCY, (org, site))
    response.headers["ETag"] = etag(version)
    return model.occupancies[org, site]


@occupancies.patch("/{site}", response_model=OccupancyOut, responses=documents.PATCH)
async def patch_occupancy(
    write: Writing, org: str, site: str, body: Annotated[OccupancyPatch, Body()]
) -> Occupancy:
    """Change only the fields given."""
    return write.done(await tenants.patch_occupancy(write.store, write.by, (org, site), body))


@occupancies.delete("/{site}", status_code=204, responses=documents.DELETE)
async def delete_occupancy(write: Writing, org: str, site: str) -> None:
    """End an occupancy with no extension and no number left."""
    await tenants.delete_occupancy(write.store, write.by, (org, site))
    await write.removed()


@occupancies.put("/{site}/authorization-code", response_model=CodeGiven, responses=documents.PATCH)
async def set_authorization_code(
    write: Writing, org: str, site: str, body: Annotated[CodeIn, Body()]
) -> CodeGiven:
    """Give restricted phones a new code (R56); the answer is the only place that ever shows its digits."""
    saved, digits = await tenants.set_authorization_code(write.store, write.by, (org, site), body.get("code"))
    code = write.done(saved).authorization_code
    return CodeGiven(id=code.id if code is not None else "", code=digits)


@occupancies.delete("/{site}/authorization-code", status_code=204, responses=documents.DELETE)
async def clear_authorization_code(write: Writing, org: str, site: str) -> None:
    """Take the code away; restricted phones cannot call outside until there is a new one."""
    write.done(await tenants.clear_authorization_code(write.store, write.by, (org, site)))


@people.get("", response_model=Listing[PersonOut], responses=documents.LIST)
async def list_people(viewing: Viewing, paging: Paged, org: str) -> dict[str, object]:
    """The organisation's people, by id."""
    model, view = viewing
    require_organisation(model, org)
    return paging.listing((p.id, p) for p in model.people.values() if p.org == org and view.sees(p))


@people.post("", status_code=201, response_model=PersonOut, responses=documents.CREATE)
async def create_person(write: Creating, org: str, body: Annotated[PersonIn, Body()]) -> Person:
    """Add a person, whose id is in the answer; only the operator may choose it."""
    saved = await tenants.create_person(write.store, write.by, {**given(body), "org": org})
    return write.done(saved, f"/organisations/{org}/people/{saved.entity.id}")


@people.get("/{person}", response_model=PersonOut, responses=documents.READ)
async def get_person(ports: Ports, response: Response, org: str, person: str) -> Person:
    """One person."""
    model, version = await model_with_version(ports.store, EntityKind.PERSON, (person,))
    found = tenants.require_person(model, org, person)
    response.headers["ETag"] = etag(version)
    return found


@people.patch("/{person}", response_model=PersonOut, responses=documents.PATCH)
async def patch_person(write: Writing, org: str, person: str, body: Annotated[PersonPatch, Body()]) -> Person:
    """Change only the fields given."""
    return write.done(await tenants.patch_person(write.store, write.by, (org, person), body))


@people.delete("/{person}", status_code=204, responses=documents.DELETE)
async def delete_person(write: Writing, org: str, person: str) -> None:
    """Remove a person no extension is assigned to."""
    await tenants.delete_person(write.store, write.by, (org, person))
    await write.removed()
