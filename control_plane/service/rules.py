"""Rules between entities: what must exist, what must not yet, what stands in the way of a removal.

Something missing from the path of a request is an UnknownEntity, from its body an InvalidField.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TypeVar

from control_plane.domain.entities import Decommission, Occupancy, Organisation, Site
from control_plane.domain.extension import Device, Extension
from control_plane.domain.model import ExtensionId, Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import Conflict, IllegalTransition, InvalidField, UnknownEntity

K = TypeVar("K")
V = TypeVar("V")

_LEAVING = {
    Decommission.PENDING: "is being decommissioned",
    Decommission.FAILED: "is being decommissioned, which failed so far",
    Decommission.DECOMMISSIONED: "is decommissioned",
}
_NAMED_AT_MOST = 5
"""How many obstacles a message names before it counts the rest."""


def _found(rows: Mapping[K, V], key: K, kind: str) -> V:
    try:
        return rows[key]
    except KeyError:
        raise UnknownEntity(kind, "/".join(key) if isinstance(key, tuple) else str(key)) from None


def require_organisation(model: Model, org: str) -> Organisation:
    """Raises: UnknownEntity."""
    return _found(model.organisations, org, "organisation")


def require_not_leaving(model: Model, org: str | None) -> None:
    """Raises: IllegalTransition (R35)."""
    found = model.organisations.get(org) if org is not None else None
    if found is not None and found.decommission is not Decommission.NONE:
        raise IllegalTransition(
            f"{found.name} {_LEAVING[found.decommission]}: all controls relating to its numbers are disabled."
        )


def require_tenant(model: Model, org: str) -> Organisation:
    """An organisation that may be given something. Raises: UnknownEntity, IllegalTransition (R35)."""
    found = require_organisation(model, org)
    require_not_leaving(model, org)
    return found


def require_search_enabled(model: Model, org: str | None, search: str) -> None:
    """Raises: IllegalTransition (R37)."""
    found = model.organisations.get(org) if org is not None else None
    if search and found is not None and found.decommission is not Decommission.NONE:
        raise IllegalTransition(
            f"{found.name} {_LEAVING[found.decommission]}: the search is disabled. List without search."
        )


def require_site(model: Model, site: str) -> Site:
    """Raises: UnknownEntity."""
    return _found(model.sites, site, "site")


def require_occupancy(model: Model, org: str, site: str) -> Occupancy:
    """Raises: UnknownEntity."""
    return _found(model.occupancies, (org, site), "occupancy")


def require_extension(model: Model, ident: ExtensionId) -> Extension:
    """Raises: UnknownEntity."""
    return _found(model.extensions, ident, "extension")


def require_device(model: Model, ident: ExtensionId, device: str) -> Device:
    """Raises: UnknownEntity."""
    require_extension(model, ident)
    return _found({found.id: found for found in model.devices.get(ident, ())}, device, "device")


def require_reference(known: Container[str], name: str | None, field: str, kind: str) -> None:
    """Raises InvalidField when `field` names a `kind` that is not there."""
    if name is not None and name not in known:
        raise InvalidField(field, f"there is no {kind} {name!r}: create it first or choose another")


def require_new(known: Container[K], key: K, field: str, what: str) -> None:
    """Raises Conflict when `key` is taken."""
    if key in known:
        raise Conflict(f"{field}: {what} exists already: choose another or change that one.")


def require_unused(what: str, users: Iterable[str]) -> None:
    """Raises Conflict when anything still uses what is about to be removed."""
    names = sorted(users)
    if not names:
        return
    shown = ", ".join(names[:_NAMED_AT_MOST])
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    raise Conflict(f"{what} is still used by {shown}{more}: remove or change that first.")


def emergency_numbers(model: Model) -> dict[str, RegionCode]:
    """Emergency number -> a region in use that has it (A59)."""
    return {number: site.region for site in model.sites.values() for number in site.emergency_numbers}


def require_no_emergency_number(model: Model, numbers: Iterable[str], field: str, use: str) -> None:
    """Raises InvalidField when one of `numbers` is an emergency number of a region in use (R71, A59)."""
    reserved = emergency_numbers(model)
    for number in numbers:
        if number in reserved:
            raise InvalidField(
                field, f"{number} is an emergency number in {reserved[number]} and cannot be {use}"
            )
