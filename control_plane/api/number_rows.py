"""Numbers as they are read, one or a list: the shapes of the answers."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, Field

from control_plane.api.schemas import NumberOut
from control_plane.domain.assignment import AssignmentKind
from control_plane.domain.entities import NumberStatus
from control_plane.service.number_list import NumberPage, NumberRow, RowWarning


class AssignmentOut(BaseModel):
    """The assignment cell (R45): nothing, the name of a person to link to, or only a name."""

    kind: AssignmentKind
    text: str


class NumberRowOut(NumberOut):
    """A number as it is read."""

    assignment: AssignmentOut
    devices: list[str] = Field(description="Kinds of the devices of its extension.")
    warnings: list[RowWarning]

    @classmethod
    def of(cls, row: NumberRow) -> NumberRowOut:
        """The row for JSON."""
        cell = AssignmentOut.model_construct(kind=row.assignment.kind, text=row.assignment.text)
        # What the store holds was checked when it was written.
        return cls.model_construct(
            **{name: getattr(row.number, name) for name in NumberOut.model_fields},
            assignment=cell,
            devices=list(row.devices),
            warnings=list(row.warnings),
        )


class StatusCount(BaseModel):
    """How many numbers of the list, unfiltered, have a status."""

    status: NumberStatus
    count: int


class SiteCount(BaseModel):
    """How many numbers of the list, unfiltered, are at a site."""

    site: str
    count: int


class NumberPageOut(BaseModel):
    """One page of a list of numbers."""

    items: list[NumberRowOut]
    next: str | None = Field(
        default=None, description="Give this as `cursor` for the next page; null at the end."
    )
    count: int = Field(description="How many numbers the filters let through.")
    statuses: list[StatusCount] = Field(
        description="Of the list without status, assignment, main and search: only these can be chosen (R39)."
    )
    sites: list[SiteCount] = Field(description="Of the same: how many numbers are at each site (R18).")

    @classmethod
    def of(cls, page: NumberPage, rows: Iterable[NumberRow], following: str | None) -> NumberPageOut:
        """The page for JSON."""
        return cls.model_construct(
            items=[NumberRowOut.of(row) for row in rows],
            next=following,
            count=page.count,
            statuses=[
                StatusCount(status=status, count=page.statuses[status])
                for status in NumberStatus
                if page.statuses.get(status)
            ],
            sites=[SiteCount(site=site, count=count) for site, count in sorted(page.sites.items())],
        )
