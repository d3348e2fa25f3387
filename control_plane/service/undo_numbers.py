"""Undoing one change of a number: the step back in its life, where there is one (A21).

A number that was in use is never offered before its cooldown is over, also not by an undo; PINs do not come
back. Settings that went with a tenant are the tenant's other entries.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.lifecycle import State, state_of
from control_plane.errors import Conflict, Forbidden
from control_plane.ports import Store
from control_plane.service.allocation import allocate_number
from control_plane.service.number_life import (
    activate_number,
    assign_number,
    deactivate_number,
    deallocate_number,
    unassign_number,
)
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import delete_number, patch_number, restore_number
from control_plane.service.rights import Caller
from control_plane.service.undo_parts import changed_names, require_same
from control_plane.service.writing import By

Step = Callable[[Store, By, NumberPolicy, PhoneNumber, PhoneNumber], Awaitable[object]]
"""Leads back; the two are the number as it was and as it is."""

PIN_FIELDS: Final = frozenset({"default_pin", "pin_reset_at"})
_BY_TENANTS: Final = frozenset({"extension", "label_1", "label_2", "softphone", "person"})


async def _allocate(store: Store, by: By, policy: NumberPolicy, before: PhoneNumber, _: PhoneNumber) -> None:
    await allocate_number(store, by, policy, before.e164, before.org or "")


async def _deallocate(store: Store, by: By, policy: NumberPolicy, _: PhoneNumber, now: PhoneNumber) -> None:
    await deallocate_number(store, by, policy, now.e164)


async def _activate(store: Store, by: By, policy: NumberPolicy, _: PhoneNumber, now: PhoneNumber) -> None:
    await activate_number(store, by, policy, now.e164)


async def _deactivate(store: Store, by: By, policy: NumberPolicy, _: PhoneNumber, now: PhoneNumber) -> None:
    await deactivate_number(store, by, policy, now.e164)


_BACK: Final[Mapping[tuple[State, State], Step]] = {
    (State.AVAILABLE, State.RESERVED): _deallocate,
    (State.RESERVED, State.AVAILABLE): _allocate,
    (State.RESERVED, State.ACTIVATING): _deactivate,
    (State.DEACTIVATING, State.ACTIVATING): _deactivate,
    (State.ACTIVE, State.DEACTIVATING): _activate,
    (State.ACTIVATING, State.DEACTIVATING): _activate,
}
_SEEN: Final[Mapping[State, frozenset[State]]] = {
    State.ACTIVATING: frozenset({State.ACTIVATING, State.ACTIVE}),
    State.DEACTIVATING: frozenset({State.DEACTIVATING, State.RESERVED}),
}
"""That Asterisk was seen to follow is no change of anybody's that would stand in the way."""


async def undo_number(
    store: Store,
    by: By,
    caller: Caller,
    policy: NumberPolicy,
    change: tuple[PhoneNumber | None, PhoneNumber | None],
    now: PhoneNumber | None,
) -> None:
    """Lead a number back from what `change` (before, after) made of it.

    Raises: Conflict, Forbidden, IllegalTransition, InvalidField.
    """
    before, after = change
    if before is None or after is None:
        _require_operator(caller)
    if after is None and before is not None:
        await restore_number(store, by, before)
    elif before is None and now is not None:
        require_same(now, after, f"number {now.e164}", PhoneNumber.model_fields)
        await delete_number(store, by, now.e164)
    elif before is not None and after is not None and now is not None:
        await _lead_back(store, by, caller, policy, (before, after, now))


async def _lead_back(
    store: Store,
    by: By,
    caller: Caller,
    policy: NumberPolicy,
    numbers: tuple[PhoneNumber, PhoneNumber, PhoneNumber],
) -> None:
    before, after, now = numbers
    names = changed_names(before, after)
    if state_of(before) is not state_of(after) or before.org != after.org:
        _require_operator(caller)
        step = _step_back(before, after)
        _require_not_moved_on(after, now)
        await step(store, by, policy, before, now)
    elif names & PIN_FIELDS:
        raise Conflict(
            f"A PIN of number {now.e164} does not come back: reset it, or let its owner choose a new one."
        )
    else:
        if not names <= _BY_TENANTS:
            _require_operator(caller)
        require_same(now, after, f"number {now.e164}", names)
        await _set_back(store, by, policy, before, after)


def _step_back(before: PhoneNumber, after: PhoneNumber) -> Step:
    """Raises: Conflict where there is no way back, with what to do instead."""
    if after.status is NumberStatus.COOLDOWN:
        raise Conflict(
            f"Number {after.e164} was in use and rests until {after.cooldown_until:%Y-%m-%d %H:%M} UTC; an "
            "undo does not cut its cooldown short (A21). Allocate it again after that, or another one now."
        )
    if before.status is NumberStatus.COOLDOWN:
        raise Conflict(f"The cooldown of number {after.e164} ended by itself: there is nothing to undo.")
    step = _BACK.get((state_of(before), state_of(after)))
    if step is None:
        raise Conflict(
            f"That Asterisk was seen to follow number {after.e164} is nobody's change: undo the one before, "
            "which asked for it."
        )
    return step


def _require_not_moved_on(after: PhoneNumber, now: PhoneNumber) -> None:
    state = state_of(after)
    if state_of(now) not in _SEEN.get(state, {state}) or now.org != after.org:
        raise Conflict(
            f"The number {now.e164} was changed since in its status or owner (it is "
            f"{now.status.value.upper()} of {now.org or 'nobody'}): undo the newer changes first."
        )


async def _set_back(
    store: Store, by: By, policy: NumberPolicy, before: PhoneNumber, after: PhoneNumber
) -> None:
    """What it was called, reached and was assigned to. Its name follows a person, so it comes last."""
    e164 = after.e164
    if before.person != after.person and after.person is not None:
        await unassign_number(store, by, policy, e164)
    if before.person != after.person and before.person is not None:
        await assign_number(store, by, policy, e164, before.person)
    names = changed_names(before, after) - {"person"}
    values = {name: getattr(before, name) for name in names}
    if values:
        await patch_number(store, by, policy, e164, values)


def _require_operator(caller: Caller) -> None:
    if not caller.is_operator:
        raise Forbidden("This change of a number is the operator's to undo: ask there.")
