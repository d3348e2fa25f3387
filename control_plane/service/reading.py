"""Reading the model: one entity with its version, or a page of a sorted listing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Generic, TypeVar

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.errors import UnknownEntity
from control_plane.ports import EntityKey, EntityKind, Store

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """Some entities of a listing; `following` is the key to continue behind, None at the end."""

    items: tuple[E, ...]
    following: str | None


async def model_with_version(store: Store, kind: EntityKind, key: EntityKey) -> tuple[Model, int]:
    """The newest model and the version of one of its entities, of one and the same revision.

    Raises: UnknownEntity.
    """
    snapshot = await store.snapshot()
    version = (await store.versions(kind)).get(key)
    if version is not None and version > snapshot.revision:
        # Somebody wrote in between: a snapshot taken now is at least as new as that version.
        snapshot = await store.snapshot()
        version = (await store.versions(kind)).get(key)
    if version is None:
        raise UnknownEntity(kind.value, "/".join(key))
    return snapshot.model, version


def page(rows: Iterable[tuple[str, E]], after: str | None, limit: int) -> Page[E]:
    """At most `limit` of `rows`, by their key, starting behind `after`."""
    behind = ((key, row) for key, row in rows if after is None or key > after)
    found = nsmallest(limit + 1, behind, key=lambda item: item[0])
    following = found[limit - 1][0] if len(found) > limit else None
    return Page(tuple(row for _, row in found[:limit]), following)
