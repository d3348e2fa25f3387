"""Routes for organisations, sites and trunks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Viewing, Writing, etag
from control_plane.api.paging import Listing, Paged
from control_plane.api.schemas import (
    OrganisationIn,
    OrganisationOut,
    OrganisationPatch,
    SiteIn,
    SiteOut,
    SitePatch,
    TrunkIn,
    TrunkOut,
    TrunkPatch,
)
from control_plane.domain.entities import Organisation, Site, Trunk
from control_plane.ports import EntityKind
from control_plane.service import places
from control_plane.service.reading import model_with_version
from control_plane.service.writing import given

organisations = APIRouter(prefix="/organisations", tags=["organisations"])
sites = APIRouter(prefix="/sites", tags=["sites"])
trunks = APIRouter(prefix="/trunks", tags=["trunks"])


@organisations.get("", response_model=Listing[OrganisationOut], responses=documents.LIST)
async def list_organisations(viewing: Viewing, paging: Paged) -> dict[str, object]:
    """The operator and the occupiers, by id."""
    model, view = viewing
    return paging.listing((id_, org) for id_, org in model.organisations.items() if view.sees(org))


@organisations.post("", status_code=201, response_model=OrganisationOut, responses=documents.CREATE)
async def create_organisation(write: Creating, body: Annotated[OrganisationIn, Body()]) -> Organisation:
    """Make an organisation. There is one operator."""
    saved = await places.create_organisation(write.store, write.by, given(body))
    return write.done(saved, f"/organisations/{saved.entity.id}")


@organisations.get("/{org}", response_model=OrganisationOut, responses=documents.READ)
async def get_organisation(ports: Ports, response: Response, org: str) -> Organisation:
    """One organisation."""
    model, version = await model_with_version(ports.store, EntityKind.ORGANISATION, (org,))
    response.headers["ETag"] = etag(version)
    return model.organisations[org]


@organisations.patch("/{org}", response_model=OrganisationOut, responses=documents.PATCH)
async def patch_organisation(
    write: Writing, org: str, body: Annotated[OrganisationPatch, Body()]
) -> Organisation:
    """Change only the fields given."""
    return write.done(await places.patch_organisation(write.store, write.by, org, body))


@organisations.delete("/{org}", status_code=204, responses=documents.DELETE)
async def delete_organisation(write: Writing, org: str) -> None:
    """Remove an organisation that has nothing any more."""
    await places.delete_organisation(write.store, write.by, org)
    await write.removed()


@sites.get("", response_model=Listing[SiteOut], responses=documents.LIST)
async def list_sites(viewing: Viewing, paging: Paged) -> dict[str, object]:
    """The sites, by id."""
    model, view = viewing
    return paging.listing((id_, site) for id_, site in model.sites.items() if view.sees(site))


@sites.post("", status_code=201, response_model=SiteOut, responses=documents.CREATE)
async def create_site(write: Creating, body: Annotated[SiteIn, Body()]) -> Site:
    """Make a site."""
    saved = await places.create_site(write.store, write.by, given(body))
    return write.done(saved, f"/sites/{saved.entity.id}")


@sites.get("/{site}", response_model=SiteOut, responses=documents.READ)
async def get_site(ports: Ports, response: Response, site: str) -> Site:
    """One site."""
    model, version = await model_with_version(ports.store, EntityKind.SITE, (site,))
    response.headers["ETag"] = etag(version)
    return model.sites[site]


@sites.patch("/{site}", response_model=SiteOut, responses=documents.PATCH)
async def patch_site(write: Writing, site: str, body: Annotated[SitePatch, Body()]) -> Site:
    """Change only the fields given."""
    return write.done(await places.patch_site(write.store, write.by, site, body))


@sites.delete("/{site}", status_code=204, responses=documents.DELETE)
async def delete_site(write: Writing, site: str) -> None:
    """Remove a site that has nothing any more."""
    await places.delete_site(write.store, write.by, site)
    await write.removed()


@trunks.get("", response_model=Listing[TrunkOut], responses=documents.LIST)
async def list_trunks(ports: Ports, paging: Paged) -> dict[str, object]:
    """The trunks, by id."""
    return paging.listing((await ports.store.snapshot()).model.trunks.items())


@trunks.post("", status_code=201, response_model=TrunkOut, responses=documents.CREATE)
async def create_trunk(write: Creating, body: Annotated[TrunkIn, Body()]) -> Trunk:
    """Make a trunk."""
    saved = await places.create_trunk(write.store, write.by, given(body))
    return write.done(saved, f"/trunks/{saved.entity.id}")


@trunks.get("/{trunk}", response_model=TrunkOut, responses=documents.READ)
async def get_trunk(ports: Ports, response: Response, trunk: str) -> Trunk:
    """One trunk."""
    model, version = await model_with_version(ports.store, EntityKind.TRUNK, (trunk,))
    response.headers["ETag"] = etag(version)
    return model.trunks[trunk]


@trunks.patch("/{trunk}", response_model=TrunkOut, responses=documents.PATCH)
async def patch_trunk(write: Writing, trunk: str, body: Annotated[TrunkPatch, Body()]) -> Trunk:
    """Change only the fields given."""
    return write.done(await places.patch_trunk(write.store, write.by, trunk, body))


@trunks.delete("/{trunk}", status_code=204, responses=documents.DELETE)
async def delete_trunk(write: Writing, trunk: str) -> None:
    """Remove a trunk no site uses."""
    await places.delete_trunk(write.store, write.by, trunk)
    await write.removed()
