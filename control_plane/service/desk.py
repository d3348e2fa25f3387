"""Who logged in or out at a handset, taken from the journal into the model (R49, R73, A73).

Asterisk checked the PIN before it wrote the row, so what is left is whether the row still holds: whether it
names this handset, and whether nobody logged in or out there by other means since.
"""

from __future__ import annotations

from datetime import datetime

from control_plane.domain.extension import DeviceKind
from control_plane.domain.handsets import Handset
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import Conflict, InvalidField, UnknownEntity
from control_plane.ports import AuditEntry, EntityKind, Store
from control_plane.service.handsets import Binding, log_in, log_out
from control_plane.service.later import ACTOR_PREFIX, changed_later
from control_plane.service.writing import By

LOG_IN, LOG_OUT = "in", "out"


async def take_desk(store: Store, ident: ExtensionId, what: str, user: str, at: datetime) -> None:
    """Log `ident` in or out at the handset that called as `user`, as was done there at `at`.

    To take the same in twice changes nothing.

    Raises:
        DomainError: it does not hold any more, or cannot be done (no phone ID is free).
    """
    model = (await store.snapshot()).model
    by = By(f"{ACTOR_PREFIX}{user}")
    if what == LOG_OUT:
        handset = model.handset_of(user)
        if handset is None:
            return  # it is logged out already
        if handset.org != ident[0] or handset.extension != ident[1]:
            raise UnknownEntity(f"handset of extension {ident[1]}", user)
        await _require_latest(store, handset, at)
        await log_out(store, by, handset.mac)
        return
    if what != LOG_IN:
        raise InvalidField("desk", "is neither in nor out")
    handset = _called_as(model, user)
    if handset.org != ident[0]:
        raise UnknownEntity("handset of the organisation", user)
    if handset.extension == ident[1]:
        return
    await _require_latest(store, handset, at)
    # As its neutral line does: that was just seen to work.
    binding = Binding(ident[1], DeviceKind.IP_PHONE, handset.neutral_transport)
    await log_in(store, by, handset.mac, binding)


def _called_as(model: Model, user: str) -> Handset:
    for handset in model.handsets.values():
        if handset.neutral_user == user:
            return handset
    raise UnknownEntity("handset with the neutral line", user)


async def _require_latest(store: Store, handset: Handset, at: datetime) -> None:
    if await changed_later(store, EntityKind.HANDSET, (handset.mac,), at, _another_login):
        raise Conflict(f"Somebody logged in or out at handset {handset.mac} later by other means.")


def _another_login(entry: AuditEntry) -> bool:
    before, after = entry.before or {}, entry.after or {}
    return before.get("device") != after.get("device")
