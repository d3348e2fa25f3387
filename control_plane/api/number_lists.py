"""Routes for lists of numbers: filters, search, counts, and the export (R18, R38-R45)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from control_plane.api import documents
from control_plane.api.caller import Calling
from control_plane.api.number_rows import NumberPageOut
from control_plane.api.paging import Paged, cursor_of
from control_plane.api.tasks import Moving
from control_plane.domain.entities import NumberStatus
from control_plane.domain.model import Model
from control_plane.domain.number_search import SEARCH_MAX
from control_plane.errors import InvalidField
from control_plane.plan.tasks import Subject
from control_plane.service import number_list
from control_plane.service.number_export import csv_pieces
from control_plane.service.number_index import Entry, NumberIndex
from control_plane.service.number_list import Assigned, Order, Position
from control_plane.service.rights import Caller, View
from control_plane.service.rules import require_search_enabled

lists = APIRouter(prefix="/numbers", tags=["numbers"])

_BETWEEN = "\x1f"


class Wanted:
    """Which numbers are asked for; what is asked for is combined (R41)."""

    def __init__(
        self,
        org: Annotated[str | None, Query(description="Only numbers of this organisation.")] = None,
        site: Annotated[str | None, Query(description="Only numbers of this site.")] = None,
        status: Annotated[NumberStatus | None, Query(description="Only numbers of this status.")] = None,
        assignment: Annotated[
            Assigned, Query(description="Only numbers that are assigned to a person, or that are not.")
        ] = Assigned.ALL,
        main: Annotated[bool | None, Query(description="Only main numbers, or only others.")] = None,
        search: Annotated[
            str,
            Query(
                max_length=SEARCH_MAX,
                description="Part of a number, as E.164 or as dialled inside its country.",
                examples=["020 7183"],
            ),
        ] = "",
        order: Annotated[Order, Query(description="What the list is ordered by.")] = Order.NUMBER,
        descending: Annotated[bool, Query(description="The last first.")] = False,
    ) -> None:
        self.query = number_list.Query(org, site, status, assignment, main, search, order, descending)


async def _index(request: Request) -> NumberIndex:
    found: Any = request.app.state.number_index
    if not isinstance(found, NumberIndex):
        raise TypeError("the application was made without a NumberIndex")
    return found


Index = Annotated[NumberIndex, Depends(_index)]
Asked = Annotated[Wanted, Depends()]


@lists.get("", response_model=NumberPageOut, responses=documents.LIST)
async def list_numbers(
    caller: Calling, index: Index, moving: Moving, asked: Asked, paging: Paged
) -> Response:
    """Phone numbers with what a list shows of each, and which statuses there are to choose from (R39)."""
    query = asked.query
    model = await index.follow()
    found = number_list.page(
        _entries(model, index, caller, query),
        query,
        limit=paging.limit,
        after=_position(query.order, paging.after),
    )
    answer = NumberPageOut.of(
        found,
        number_list.rows(model, found.numbers, moving),
        None if found.following is None else cursor_of(_BETWEEN.join((query.order, *found.following))),
    )
    # Made of what the store holds, so it is not checked once more: half the time of a page.
    return Response(answer.model_dump_json(), media_type="application/json")


@lists.get(
    "/export.csv",
    response_class=StreamingResponse,
    responses=documents.LIST | {200: {"description": "The list as CSV.", "content": {"text/csv": {}}}},
)
async def export_numbers(caller: Calling, index: Index, moving: Moving, asked: Asked) -> Response:
    """The list as CSV: main numbers always and first, then what the filters let through (R42)."""
    query = asked.query
    model = await index.follow()
    numbers = number_list.exported(_entries(model, index, caller, query), query)
    return StreamingResponse(
        _pieces(model, numbers, moving),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="numbers.csv"', "Cache-Control": "no-store"},
    )


def _pieces(model: Model, numbers: list[str], moving: frozenset[Subject]) -> Iterator[bytes]:
    rows = number_list.rows(model, numbers, moving)
    return (piece.encode() for piece in csv_pieces(rows))


def _entries(model: Model, index: NumberIndex, caller: Caller, query: number_list.Query) -> list[Entry]:
    """What the caller sees of the page asked for."""
    require_search_enabled(model, query.org or caller.org, query.search)
    if caller.sees_everything:
        return index.entries(query.org)
    view = View(caller, model)
    mine = index.entries(caller.org)
    return [entry for entry in mine if view.sees(model.numbers[entry.e164])]


def _position(order: Order, after: str | None) -> Position | None:
    if after is None:
        return None
    of, *place = after.split(_BETWEEN)
    if len(place) != len(("value", "number")) or of != order:
        raise InvalidField("cursor", "is none of this listing: start again without a cursor")
    return place[0], place[1]
