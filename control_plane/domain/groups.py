"""Call groups, and what calls to an organisation's main number meet (R8, R84, R96-R98)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from control_plane.domain.entities import KEY_PATTERN, Entity, Key, Label, PhoneNumberText, Slug
from control_plane.domain.extension import RING_TIMEOUT_MAX_S, RING_TIMEOUT_MIN_S
from control_plane.domain.regions import is_e164, tidy

GROUP_KEY_PATTERN = r"[0-9]{2,5}"
MAX_MEMBERS = 30
"""Each rings on a channel pair of its own, and the row that lists them must stay under 1 000 bytes."""
MAX_TOTAL_RING_S = 300
MAX_HOLIDAYS = 100
MAX_HOURS = 28
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DEFAULT_HOURS = ("mon-fri 08:30-18:00",)

_HOURS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))? ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})", re.ASCII)
_END_OF_DAY = 24 * 60

GroupKey = Annotated[str, Field(pattern=f"^{GROUP_KEY_PATTERN}$")]


class Strategy(StrEnum):
    """In which order the members of a call group ring."""

    RING_ALL = "ring_all"
    SEQUENTIAL = "sequential"
    ROUND_ROBIN = "round_robin"
    LONGEST_IDLE = "longest_idle"


class DestinationKind(StrEnum):
    """Where a call can be sent on to; a voicemail is the mailbox of an extension."""

    GROUP = "group"
    EXTENSION = "extension"
    VOICEMAIL = "voicemail"
    NUMBER = "number"


class Destination(Entity):
    """One place: `target` is a Group Key, an extension, or a number as E.164.

    `members` narrows a group down to some of its members; empty: all of them.
    """

    kind: DestinationKind
    target: str = Field(max_length=16)
    members: tuple[Key, ...] = Field(default=(), max_length=MAX_MEMBERS)

    @model_validator(mode="after")
    def _target_fits_kind(self) -> Self:
        number = self.kind is DestinationKind.NUMBER
        if number and not is_e164(self.target):
            raise ValueError("target: must be an E.164 number: +, country code and number, 7 to 15 digits")
        pattern = GROUP_KEY_PATTERN if self.kind is DestinationKind.GROUP else KEY_PATTERN
        if not number and not re.fullmatch(pattern, self.target):
            what = "a Group Key of 2 to 5" if self.kind is DestinationKind.GROUP else "an extension of 2 to 6"
            raise ValueError(f"target: must be {what} digits")
        if self.members and self.kind is not DestinationKind.GROUP:
            raise ValueError("members: only a call group has members")
        return self

    @field_validator("target")
    @classmethod
    def _as_dialled(cls, value: str) -> str:
        return tidy(value)

    @field_validator("members")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))


class CallGroup(Entity):
    """Several extensions behind one Group Key, dialled inside like an extension.

    `ring_timeout_s` is how long a member rings: all of them together, or each when its turn comes; members
    ring in turn for at most `total_ring_s`. `otherwise` is where a call goes that no member takes; None: it
    ends as it is.
    """

    org: Slug
    key: GroupKey
    site: Slug
    label: Label = ""
    members: tuple[Key, ...] = Field(default=(), max_length=MAX_MEMBERS)
    strategy: Strategy = Strategy.RING_ALL
    ring_timeout_s: int = Field(default=20, ge=RING_TIMEOUT_MIN_S, le=RING_TIMEOUT_MAX_S, strict=True)
    total_ring_s: int = Field(default=60, ge=RING_TIMEOUT_MIN_S, le=MAX_TOTAL_RING_S, strict=True)
    otherwise: Destination | None = None

    @field_validator("members")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(value))


def _require_hours(value: str) -> str:
    text = " ".join(value.lower().split())
    spans_of(text)
    return text


def _require_date(value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise ValueError("must be a date such as 2026-12-25") from None


class MainNumber(Entity):
    """What calls to the main number of an organisation at a site meet (R8); inbound only (A8).

    `hours` are business hours in the site's time zone; on `holidays` it is closed all day. Reception or a
    number rings for `ring_timeout_s` before the call goes to `if_not_answered`.
    """

    org: Slug
    site: Slug
    e164: PhoneNumberText
    hours: tuple[Annotated[str, AfterValidator(_require_hours)], ...] = Field(
        default=DEFAULT_HOURS, max_length=MAX_HOURS
    )
    holidays: tuple[Annotated[str, AfterValidator(_require_date)], ...] = Field(
        default=(), max_length=MAX_HOLIDAYS
    )
    in_hours: Destination
    out_of_hours: Destination
    if_not_answered: Destination | None = None
    ring_timeout_s: int = Field(default=20, ge=RING_TIMEOUT_MIN_S, le=RING_TIMEOUT_MAX_S, strict=True)

    @field_validator("holidays")
    @classmethod
    def _in_order(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @property
    def destinations(self) -> tuple[tuple[str, Destination], ...]:
        """(field, destination) of every destination there is."""
        named = (
            ("in_hours", self.in_hours),
            ("out_of_hours", self.out_of_hours),
            ("if_not_answered", self.if_not_answered),
        )
        return tuple((name, destination) for name, destination in named if destination is not None)

    def open_spans(self) -> Mapping[int, tuple[tuple[int, int], ...]]:
        """ISO weekday (1: Monday) -> from and until, in minutes of that day; closed days are left out."""
        found: dict[int, set[tuple[int, int]]] = {}
        for text in self.hours:
            days, span = spans_of(text)
            for day in days:
                found.setdefault(day, set()).add(span)
        return {day: tuple(sorted(found[day])) for day in sorted(found)}


def spans_of(text: str) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The weekdays and minutes of "mon-fri 08:30-18:00": ((1, 2, 3, 4, 5), (510, 1080)).

    The end is not part of it: at 18:00 the office is closed. Raises: ValueError.
    """
    found = _HOURS.fullmatch(text)
    first = found[1] if found else ""
    last = (found[2] or first) if found else ""
    if found is None or first not in DAYS or last not in DAYS or DAYS.index(first) > DAYS.index(last):
        raise ValueError("must be days and times such as 'mon-fri 08:30-18:00' or 'sat 09:00-12:30'")
    opens, closes = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    if int(found[4]) > 59 or int(found[6]) > 59 or not opens < closes <= _END_OF_DAY:
        raise ValueError("must end later than it begins, on the same day: between 00:00 and 24:00")
    return tuple(range(DAYS.index(first) + 1, DAYS.index(last) + 2)), (opens, closes)
