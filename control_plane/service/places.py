"""Use cases for organisations, sites and trunks."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.entities import Organisation, OrganisationKind, Site, Trunk
from control_plane.domain.model import Model
from control_plane.errors import Conflict, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.messages import build
from control_plane.service.rules import (
    require_new,
    require_organisation,
    require_reference,
    require_site,
    require_unused,
)
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]


def _require_one_operator(model: Model, organisation: Organisation) -> None:
    """R1: one landlord."""
    if organisation.kind is not OrganisationKind.OPERATOR:
        return
    for other in model.organisations.values():
        if other.kind is OrganisationKind.OPERATOR and other.id != organisation.id:
            raise Conflict(
                f"kind: {other.id} is the operator already and there can be one: make this one an occupier."
            )


async def create_organisation(store: Store, by: By, values: Changes) -> Saved[Organisation]:
    """Raises: InvalidField, Conflict."""
    organisation = build(Organisation, values)
    async with store.transaction(by.actor) as tx:
        require_new(tx.model.organisations, organisation.id, "id", f"organisation {organisation.id}")
        _require_one_operator(tx.model, organisation)
        tx.put(organisation)
        version = tx.version(EntityKind.ORGANISATION, (organisation.id,))
    return Saved(organisation, version)


async def patch_organisation(store: Store, by: By, org: str, changes: Changes) -> Saved[Organisation]:
    """Raises: UnknownEntity, InvalidField, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        return revise_organisation(tx, by, org, changes)


def revise_organisation(tx: Transaction, by: By, org: str, changes: Changes) -> Saved[Organisation]:
    """Patch an organisation inside a transaction that is under way. Raises: as patch_organisation."""
    before = require_organisation(tx.model, org)
    require_version(tx, by, EntityKind.ORGANISATION, (org,))
    organisation = patched(before, changes, fixed=("id",))
    _require_one_operator(tx.model, organisation)
    tx.put(organisation)
    return Saved(organisation, tx.version(EntityKind.ORGANISATION, (org,)))


async def delete_organisation(store: Store, by: By, org: str) -> None:
    """Raises: UnknownEntity, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_organisation(model, org)
        require_version(tx, by, EntityKind.ORGANISATION, (org,))
        require_unused(
            f"Organisation {org}",
            [f"extension {e.key}" for e in model.extensions.values() if e.org == org]
            + [f"number {n.e164}" for n in model.numbers.values() if n.org == org]
            + [f"occupancy of {o.site}" for o in model.occupancies.values() if o.org == org]
            + [f"person {p.id}" for p in model.people.values() if p.org == org]
            + [f"call group {g.key}" for g in model.call_groups.values() if g.org == org]
            + [f"main number at {m.site}" for m in model.main_numbers.values() if m.org == org],
        )
        tx.delete(EntityKind.ORGANISATION, (org,))


async def create_site(store: Store, by: By, values: Changes) -> Saved[Site]:
    """Raises: InvalidField, Conflict."""
    site = build(Site, values)
    async with store.transaction(by.actor) as tx:
        require_new(tx.model.sites, site.id, "id", f"site {site.id}")
        require_reference(tx.model.trunks, site.trunk, "trunk", "trunk")
        tx.put(site)
        version = tx.version(EntityKind.SITE, (site.id,))
    return Saved(site, version)


async def patch_site(store: Store, by: By, site_id: str, changes: Changes) -> Saved[Site]:
    """Raises: UnknownEntity, InvalidField, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        return revise_site(tx, by, site_id, changes)


def revise_site(tx: Transaction, by: By, site_id: str, changes: Changes) -> Saved[Site]:
    """Patch a site inside a transaction that is under way. Raises: as patch_site."""
    before = require_site(tx.model, site_id)
    require_version(tx, by, EntityKind.SITE, (site_id,))
    site = patched(before, changes, fixed=("id",))
    require_reference(tx.model.trunks, site.trunk, "trunk", "trunk")
    tx.put(site)
    return Saved(site, tx.version(EntityKind.SITE, (site_id,)))


async def delete_site(store: Store, by: By, site_id: str) -> None:
    """Raises: UnknownEntity, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_site(model, site_id)
        require_version(tx, by, EntityKind.SITE, (site_id,))
        require_unused(
            f"Site {site_id}",
            [f"extension {e.org}/{e.key}" for e in model.extensions.values() if e.site == site_id]
            + [f"number {n.e164}" for n in model.numbers.values() if n.site == site_id]
            + [f"occupancy of {o.org}" for o in model.occupancies.values() if o.site == site_id]
            + [f"call group {g.org}/{g.key}" for g in model.call_groups.values() if g.site == site_id]
            + [f"main number of {m.org}" for m in model.main_numbers.values() if m.site == site_id],
        )
        tx.delete(EntityKind.SITE, (site_id,))


def require_trunk(model: Model, trunk: str) -> Trunk:
    """Raises: UnknownEntity."""
    found = model.trunks.get(trunk)
    if found is None:
        raise UnknownEntity("trunk", trunk)
    return found


async def create_trunk(store: Store, by: By, values: Changes) -> Saved[Trunk]:
    """Raises: InvalidField, Conflict."""
    trunk = build(Trunk, values)
    async with store.transaction(by.actor) as tx:
        require_new(tx.model.trunks, trunk.id, "id", f"trunk {trunk.id}")
        tx.put(trunk)
        version = tx.version(EntityKind.TRUNK, (trunk.id,))
    return Saved(trunk, version)


async def patch_trunk(store: Store, by: By, trunk_id: str, changes: Changes) -> Saved[Trunk]:
    """Raises: UnknownEntity, InvalidField, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        return revise_trunk(tx, by, trunk_id, changes)


def revise_trunk(tx: Transaction, by: By, trunk_id: str, changes: Changes) -> Saved[Trunk]:
    """Patch a trunk inside a transaction that is under way. Raises: as patch_trunk."""
    before = require_trunk(tx.model, trunk_id)
    require_version(tx, by, EntityKind.TRUNK, (trunk_id,))
    trunk = patched(before, changes, fixed=("id",))
    tx.put(trunk)
    return Saved(trunk, tx.version(EntityKind.TRUNK, (trunk_id,)))


async def delete_trunk(store: Store, by: By, trunk_id: str) -> None:
    """Raises: UnknownEntity, Conflict, StaleVersion."""
    async with store.transaction(by.actor) as tx:
        require_trunk(tx.model, trunk_id)
        require_version(tx, by, EntityKind.TRUNK, (trunk_id,))
        sites = [f"site {s.id}" for s in tx.model.sites.values() if s.trunk == trunk_id]
        require_unused(f"Trunk {trunk_id}", sites)
        tx.delete(EntityKind.TRUNK, (trunk_id,))
