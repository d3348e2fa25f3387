"""What is wrong in a model although every change of it was allowed."""

from __future__ import annotations

from control_plane.callpath.checks import forwarding_problems
from control_plane.ports import Store


async def model_warnings(store: Store) -> tuple[str, ...]:
    """Sentences for the operator; calls go on, so nothing here stops a push.

    Phones may make forwarding loops and chains that saving refuses (docs/decisions/handset-changes.md).
    """
    return forwarding_problems((await store.snapshot()).model)
