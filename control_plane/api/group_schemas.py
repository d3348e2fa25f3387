"""What the API takes and gives about call groups and main numbers."""

from __future__ import annotations

from typing import Annotated, Required

from pydantic import Field
from typing_extensions import TypedDict

from control_plane.api.schemas import E164, Out, strict
from control_plane.domain.entities import Key, Label, Slug
from control_plane.domain.extension import RING_TIMEOUT_MAX_S, RING_TIMEOUT_MIN_S
from control_plane.domain.groups import (
    MAX_HOLIDAYS,
    MAX_HOURS,
    MAX_MEMBERS,
    MAX_TOTAL_RING_S,
    DestinationKind,
    GroupKey,
    Strategy,
)

Members = Annotated[list[Key], Field(max_length=MAX_MEMBERS)]
RingTime = Annotated[int, Field(ge=RING_TIMEOUT_MIN_S, le=RING_TIMEOUT_MAX_S, strict=True)]


class DestinationOut(Out):
    """Where a call is sent on to; a voicemail is the mailbox of an extension."""

    kind: DestinationKind
    target: str
    members: list[str] = Field(description="Only these members of a call group; empty: all.")


@strict
class DestinationPatch(TypedDict, total=False):
    """Fields of a destination; a new one needs `kind` and `target`."""

    kind: DestinationKind
    target: Annotated[
        str, Field(max_length=32, description="A Group Key, an extension, or a number.", examples=["300"])
    ]
    members: Members | None


class CallGroupOut(Out):
    """Several extensions behind one Group Key."""

    org: str
    key: str
    site: str
    label: str
    members: list[str]
    strategy: Strategy
    ring_timeout_s: int
    total_ring_s: int
    otherwise: DestinationOut | None


class _CallGroupFields(TypedDict, total=False):
    label: Label | None
    members: Members | None
    strategy: Strategy | None
    ring_timeout_s: Annotated[RingTime, Field(description="Of all together, or of each in turn.")] | None
    total_ring_s: (
        Annotated[int, Field(ge=RING_TIMEOUT_MIN_S, le=MAX_TOTAL_RING_S, strict=True, description="In turn.")]
        | None
    )
    otherwise: DestinationPatch | None


@strict
class CallGroupPatch(_CallGroupFields, total=False):
    """Fields of a call group."""

    site: Slug


@strict
class CallGroupIn(_CallGroupFields, total=False):
    """A new call group."""

    key: Required[GroupKey]
    site: Required[Slug]


class MainNumberOut(Out):
    """What calls to a main number meet."""

    org: str
    site: str
    e164: str
    hours: list[str]
    holidays: list[str]
    in_hours: DestinationOut
    out_of_hours: DestinationOut
    if_not_answered: DestinationOut | None
    ring_timeout_s: int


class _MainNumberFields(TypedDict, total=False):
    hours: (
        Annotated[
            list[Annotated[str, Field(max_length=32)]],
            Field(
                max_length=MAX_HOURS, description="By the site's clocks.", examples=[["mon-fri 08:30-18:00"]]
            ),
        ]
        | None
    )
    holidays: (
        Annotated[
            list[Annotated[str, Field(max_length=10)]],
            Field(max_length=MAX_HOLIDAYS, description="Closed all day.", examples=[["2026-12-25"]]),
        ]
        | None
    )
    if_not_answered: DestinationPatch | None
    ring_timeout_s: RingTime | None


@strict
class MainNumberPatch(_MainNumberFields, total=False):
    """Fields of a main number."""

    e164: E164
    in_hours: DestinationPatch
    out_of_hours: DestinationPatch


@strict
class MainNumberIn(_MainNumberFields, total=False):
    """The group features of a nominated number; `e164` is that one unless given."""

    site: Required[Slug]
    e164: E164
    in_hours: Required[DestinationPatch]
    out_of_hours: Required[DestinationPatch]
