"""What the API takes and gives about the life of numbers, site pools and voice services."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Required

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from control_plane.api.schemas import E164, NumberOut, Out, strict
from control_plane.domain.entities import Slug
from control_plane.domain.pins import PinVerdict
from control_plane.domain.voice import SERVICES_MAX
from control_plane.service.allocation import RANGE_MAX
from control_plane.service.csv_lists import IMPORT_CHARACTERS_MAX, LineOutcome

Count = Annotated[int, Field(ge=1, le=RANGE_MAX, strict=True)]
Services = Annotated[int, Field(ge=0, le=SERVICES_MAX, strict=True)]


class Numbers(BaseModel):
    """Numbers a request changed or made."""

    items: list[NumberOut]


@strict
class AssignIn(TypedDict):
    """Whom a number is assigned to."""

    person: Slug


@strict
class AllocateIn(TypedDict):
    """Whom a number is allocated to."""

    org: Slug


@strict
class AllocationIn(TypedDict, total=False):
    """Numbers of a site for an organisation: so many, or a range. One of the two."""

    org: Required[Slug]
    count: Count
    first: E164
    last: E164


@strict
class RangeIn(TypedDict):
    """Numbers for the pool: all from `first` to `last`."""

    first: E164
    last: E164


@strict
class ImportIn(TypedDict, total=False):
    """A list of numbers from the carrier."""

    csv: Required[
        Annotated[
            str,
            Field(max_length=IMPORT_CHARACTERS_MAX, description="One number a line; a heading is optional."),
        ]
    ]
    dry_run: Annotated[bool, Field(description="Say what would happen and write nothing.")]
    partial: Annotated[bool, Field(description="Add the good lines although others are refused.")]


class ImportLineOut(Out):
    """One line of an import."""

    line: int
    text: str
    outcome: LineOutcome
    number: str | None
    why: str | None


class ImportOut(BaseModel):
    """What an import did, or would do."""

    applied: bool
    added: int
    present: int
    refused: int
    lines: list[ImportLineOut]


class AssignmentOut(BaseModel):
    """The assignment as a list shows it (R45)."""

    kind: str = Field(description="unassigned, person (a link to that person) or text (named, not assigned).")
    text: str


class NumberDetails(BaseModel):
    """Everything about one number, to read (R46)."""

    number: NumberOut
    assignment: AssignmentOut
    default_pin_set: bool
    in_service: bool
    devices: list[str] = Field(description="Kinds of devices of its extension.")
    voicemail: bool
    forwarding_to: list[str] = Field(description="Where its calls go now; empty when not forwarded.")
    do_not_disturb: bool
    restricted: bool
    pin_locked: bool = Field(description="Its PIN is locked until it is reset (A53).")


@strict
class PinIn(TypedDict):
    """A PIN somebody gave."""

    pin: Annotated[str, Field(pattern=r"^[0-9]{1,10}$", json_schema_extra={"writeOnly": True})]


class PinChecked(BaseModel):
    """What became of it."""

    verdict: PinVerdict


class PinOut(BaseModel):
    """The default PIN of a number."""

    default_pin: str


class ServiceOut(BaseModel):
    """The voice services of an organisation at a site."""

    org: str
    site: str
    quantity: int
    used: int
    free: int
    main_included: bool
    scheduled: list[ScheduledOut]


class ScheduledOut(Out):
    """The quantity from a day on."""

    on: date
    quantity: int


@strict
class ServiceIn(TypedDict, total=False):
    """The first voice services of an organisation at a site."""

    site: Required[Slug]
    quantity: Required[Services]
    main: Annotated[
        bool,
        Field(description="Nominate a main number among the numbers; not given: as the site says (R65)."),
    ]


@strict
class ServicePatch(TypedDict):
    """How many voice services there are."""

    quantity: Services


@strict
class ScheduleIn(TypedDict):
    """The quantity from a day on."""

    quantity: Services


class ServiceAdded(BaseModel):
    """The voice services and the numbers that came with them."""

    service: ServiceOut
    numbers: list[NumberOut]
