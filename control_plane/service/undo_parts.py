"""What the undoing of every kind has in common: what changed, and whether it still is as it was left."""

from __future__ import annotations

from collections.abc import Iterable

from control_plane.domain.entities import Entity
from control_plane.errors import Conflict


def changed_names(before: Entity, after: Entity) -> frozenset[str]:
    """The fields in which two of a kind differ, nested ones as a whole."""
    fields = type(after).model_fields
    return frozenset(name for name in fields if getattr(before, name) != getattr(after, name))


def require_same(now: Entity, then: Entity | None, what: str, names: Iterable[str]) -> None:
    """Raises: Conflict when one of the fields is no longer as `then` had it."""
    changed = [name for name in sorted(names) if getattr(now, name) != getattr(then, name, None)]
    if changed:
        raise changed_since(what, changed)


def changed_since(what: str, names: Iterable[str]) -> Conflict:
    """That something newer stands in the way."""
    return Conflict(
        f"The {what} was changed since in {', '.join(names)}: undo the newer changes first, or set what you "
        "want by hand."
    )
