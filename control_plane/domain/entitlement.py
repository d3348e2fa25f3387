"""How many numbers an organisation uses at a site, and how many more it may (R24, A24)."""

from __future__ import annotations

from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model


def numbers_of(model: Model, org: str, site: str) -> tuple[PhoneNumber, ...]:
    """The numbers an organisation has at a site, in order."""
    found = (n for n in model.numbers.values() if (n.org, n.site) == (org, site))
    return tuple(sorted(found, key=lambda number: number.e164))


def using_services(model: Model, org: str, site: str) -> tuple[PhoneNumber, ...]:
    """The numbers that use a voice service there (A24): active or about to be, the included main left out."""
    service = model.services.get((org, site))
    included = service is not None and service.main_included
    return tuple(n for n in numbers_of(model, org, site) if n.routes and not (n.main and included))


def services_free(model: Model, org: str, site: str) -> int:
    """How many more numbers may be activated; below nought when a rule was changed under what is in use."""
    service = model.services.get((org, site))
    quantity = service.quantity if service is not None else 0
    return quantity - len(using_services(model, org, site))
