"""Whether somebody changed something after a phone did, by the audit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from control_plane.ports import AuditEntry, AuditFilter, EntityKey, EntityKind, Store

ACTOR_PREFIX = "handset "
"""Of the actor of what was changed on a phone."""
_AUDIT_PAGE = 100


async def changed_later(
    store: Store, kind: EntityKind, key: EntityKey, at: datetime, changed: Callable[[AuditEntry], bool]
) -> bool:
    """Whether somebody other than a phone `changed` the entity after the second `at`.

    Phones do not count: their changes are taken in later than they were made, and are applied in order.
    """
    end_of_second = at + timedelta(seconds=1)
    wanted, before_id = AuditFilter(kind=kind, key=key), 0
    while True:
        entries = await store.audit(wanted, limit=_AUDIT_PAGE, before_id=before_id)
        for entry in entries:
            if entry.at < end_of_second:
                return False
            if not entry.actor.startswith(ACTOR_PREFIX) and changed(entry):
                return True
        if len(entries) < _AUDIT_PAGE:
            return False
        before_id = entries[-1].id
