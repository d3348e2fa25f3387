"""Listings in pages: `limit` items, and a cursor that leads to the next ones."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

from control_plane.domain.entities import Entity
from control_plane.errors import InvalidField
from control_plane.service.reading import page

E = TypeVar("E", bound=Entity)
T = TypeVar("T")

LIMIT_DEFAULT = 100
LIMIT_MAX = 1000


class Listing(BaseModel, Generic[T]):
    """One page of a listing, in the order of the keys."""

    items: list[T]
    next: str | None = Field(
        default=None, description="Give this as `cursor` for the next page; null at the end."
    )


class Paging:
    """Which page is asked for."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items per page.")] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=400, description="`next` of the page before.")] = None,
    ) -> None:
        self.limit = limit
        self.after = None if cursor is None else _key_of(cursor)

    def listing(
        self, rows: Iterable[tuple[str, E]], shown: Callable[[E], object] | None = None
    ) -> dict[str, object]:
        """The page as a Listing's fields; `shown` says what is shown of an entity, where not the entity."""
        found = page(rows, self.after, self.limit)
        following = None if found.following is None else cursor_of(found.following)
        items = list(found.items) if shown is None else [shown(item) for item in found.items]
        return {"items": items, "next": following}


def cursor_of(key: str) -> str:
    """`key` as the caller gets it: opaque, and safe in an address."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(cursor: str) -> str:
    try:
        return base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidField("cursor", "is none of this listing: start again without a cursor") from None


Paged = Annotated[Paging, Depends()]
