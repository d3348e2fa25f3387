"""Voice services: how many numbers an organisation may use at a site, and what the first one brings along.

Sources: R62-R70 and the readings A24, A63, A64, A67.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated

from pydantic import Field

from control_plane.domain.entities import Entity, Slug
from control_plane.domain.regions import Region

SERVICES_MAX = 10_000
Quantity = Annotated[int, Field(ge=0, le=SERVICES_MAX, strict=True)]


class VoiceService(Entity):
    """The voice services an organisation has at a site: so many numbers may be active there (A24).

    `main_included`: the main number came with the service and uses none of the quantity (A64).
    """

    org: Slug
    site: Slug
    quantity: Quantity
    main_included: bool = False


class ServiceChange(Entity):
    """The quantity a voice service has from a day on, as the site's calendar says."""

    org: Slug
    site: Slug
    on: date
    quantity: Quantity


@dataclass(frozen=True, slots=True)
class FirstNumbers:
    """What a first voice service brings: so many numbers allocated, of which one may be nominated as the main
    number and `activate` others are activated; the rest stay RESERVED."""

    allocate: int = 0
    activate: int = 0
    main: bool = False


def first_numbers(region: Region, quantity: int, *, manual: int, main: bool) -> FirstNumbers:
    """What adding the first `quantity` services at a site brings (A63, A64, A67).

    Args:
        manual: numbers the organisation has there already, its main number left out.
        main: whether the operator wants a main number nominated and there is none yet.
    """
    if manual:
        missing = max(0, quantity - manual)
        return FirstNumbers(missing, missing)
    if quantity == 0:
        return FirstNumbers()
    main = main and region.batch > 1
    wanted = quantity + main
    return FirstNumbers(-(-wanted // region.batch) * region.batch, quantity, main)
