"""Lists of numbers: which are wanted, in which order, and what a row shows (R18, R38-R45). Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from heapq import nlargest, nsmallest
from operator import itemgetter

from control_plane.domain.assignment import Assignment, assignment_of
from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.model import Model
from control_plane.domain.number_search import needles
from control_plane.plan.tasks import Subject
from control_plane.service.number_index import Entry


class Assigned(StrEnum):
    """R40; assigned means bound to a person, not named (A40)."""

    ALL = "all"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"


class Order(StrEnum):
    """What a list is ordered by; equal ones by number."""

    NUMBER = "number"
    EXTENSION = "extension"
    STATUS = "status"
    NAME = "name"
    SITE = "site"


class RowWarning(StrEnum):
    """What a row warns of (R31, A33)."""

    UPDATE_IN_PROGRESS = "update_in_progress"
    NUMBER_LOCKED = "number_locked"
    PIN_LOCKED = "pin_locked"


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted; everything given must hold (R41). None: no matter.

    `search` is a part of a number as a person writes it. `org` and `site` are the page, the others filter it.
    """

    org: str | None = None
    site: str | None = None
    status: NumberStatus | None = None
    assignment: Assigned = Assigned.ALL
    main: bool | None = None
    search: str = ""
    order: Order = Order.NUMBER
    descending: bool = False


Position = tuple[str, str]
"""Where in an order a row stands: what it is ordered by, and its number."""


@dataclass(frozen=True, slots=True)
class NumberRow:
    """What a list shows of one number (R44, R45); `devices` are the kinds of its extension's devices."""

    number: PhoneNumber
    assignment: Assignment
    devices: tuple[str, ...]
    warnings: tuple[RowWarning, ...]


@dataclass(frozen=True, slots=True)
class NumberPage:
    """One page. `count` numbers match the filters. Of the page without filters: how many numbers there are of
    each status - only these can be chosen (R39) - and at each site (R18)."""

    numbers: tuple[str, ...]
    following: Position | None
    count: int
    statuses: Mapping[NumberStatus, int] = field(default_factory=dict)
    sites: Mapping[str, int] = field(default_factory=dict)


_STATUS = Entry._fields.index("status")
_BY_NUMBER = itemgetter(0)
_PLACES = {
    Order.NUMBER: Entry._fields.index("e164"),
    Order.EXTENSION: Entry._fields.index("extension"),
    Order.STATUS: _STATUS,
    Order.NAME: Entry._fields.index("name"),
    Order.SITE: Entry._fields.index("site"),
}


def page(entries: Iterable[Entry], query: Query, *, limit: int, after: Position | None) -> NumberPage:
    """At most `limit` of `entries`, which are by number, behind `after`.

    A number that changes between two pages may move in the order; all others come exactly once.
    Raises: InvalidField (search).
    """
    unfiltered = in_scope(entries, query)
    matching = filtered(unfiltered, query)
    key = itemgetter(_PLACES[query.order], 0)
    found = _behind(matching, query, after, limit + 1)
    shown = found[:limit]
    following = key(shown[-1]) if len(found) > limit else None
    return NumberPage(
        tuple(entry.e164 for entry in shown),
        following,
        len(matching),
        {NumberStatus(s): n for s, n in Counter(map(itemgetter(_STATUS), unfiltered)).items()},
        Counter(map(itemgetter(_PLACES[Order.SITE]), unfiltered)),
    )


def _behind(entries: Sequence[Entry], query: Query, after: Position | None, count: int) -> Sequence[Entry]:
    """The first `count` of `entries`, given by number, that come behind `after` in the order asked for."""
    key = itemgetter(_PLACES[query.order], 0)
    if query.order is Order.NUMBER and query.descending:
        end = len(entries) if after is None else bisect_left(entries, after[1], key=_BY_NUMBER)
        return entries[max(0, end - count) : end][::-1]
    if query.order is Order.NUMBER:
        start = 0 if after is None else bisect_right(entries, after[1], key=_BY_NUMBER)
        return entries[start : start + count]
    if query.descending:
        return nlargest(count, (e for e in entries if after is None or key(e) < after), key=key)
    return nsmallest(count, (e for e in entries if after is None or key(e) > after), key=key)


def in_scope(entries: Iterable[Entry], query: Query) -> Sequence[Entry]:
    """The page without its filters: what is of the organisation and at the site."""
    org, site = query.org, query.site
    if org is None and site is None:
        return entries if isinstance(entries, list) else list(entries)
    return [e for e in entries if (org is None or e.org == org) and (site is None or e.site == site)]


def filtered(entries: Sequence[Entry], query: Query) -> Sequence[Entry]:
    """Those of `entries` that pass every filter, in the same order.

    Raises: InvalidField (search).
    """
    wanted, status, main = needles(query.search), query.status, query.main
    if status is not None:
        value = status.value
        entries = [e for e in entries if e.status == value]
    if query.assignment is not Assigned.ALL:
        assigned = query.assignment is Assigned.ASSIGNED
        entries = [e for e in entries if e.assigned is assigned]
    if main is not None:
        entries = [e for e in entries if e.main is main]
    if len(wanted) == 1:
        (part,) = wanted
        entries = [e for e in entries if part in e.text]
    elif wanted:
        entries = [e for e in entries if any(part in e.text for part in wanted)]
    return entries


def exported(entries: Iterable[Entry], query: Query) -> list[str]:
    """The numbers of an export: main numbers always and first, then those the filters let through (R42, A42).

    Raises: InvalidField (search).
    """
    unfiltered = in_scope(entries, query)
    key = itemgetter(_PLACES[query.order], 0)
    rest = sorted(filtered(unfiltered, query), key=key, reverse=query.descending)
    mains = [entry.e164 for entry in unfiltered if entry.main]
    return [*mains, *(entry.e164 for entry in rest if not entry.main)]


def rows(model: Model, numbers: Iterable[str], in_progress: Collection[Subject]) -> Iterator[NumberRow]:
    """The rows of these numbers as `model` has them; those that are gone are left out."""
    for e164 in numbers:
        number = model.numbers.get(e164)
        if number is not None:
            yield row(model, number, in_progress)


def row(model: Model, number: PhoneNumber, in_progress: Collection[Subject]) -> NumberRow:
    """One row."""
    ident = (number.org or "", number.extension or "")
    devices = model.devices.get(ident, ()) if number.extension is not None else ()
    return NumberRow(
        number,
        assignment_of(number),
        tuple(device.kind.value for device in devices),
        tuple(_warnings(model, number, in_progress)),
    )


def _warnings(model: Model, number: PhoneNumber, in_progress: Collection[Subject]) -> Iterator[RowWarning]:
    name = f"{number.org}/{number.extension}"
    extension = model.extensions.get((number.org or "", number.extension or ""))
    if ("number", number.e164) in in_progress or ("extension", name) in in_progress:
        yield RowWarning.UPDATE_IN_PROGRESS
    if number.allocation_lock:
        yield RowWarning.NUMBER_LOCKED
    if extension is not None and extension.pin_locked:
        yield RowWarning.PIN_LOCKED
