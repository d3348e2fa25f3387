"""Checking the PIN of a number: who answers for it, and when it is locked (R53, A33, A53)."""

from __future__ import annotations

import hmac
from enum import StrEnum

from control_plane.errors import Conflict
from control_plane.ports import Store
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import require_number
from control_plane.service.writing import By


class PinVerdict(StrEnum):
    """What became of a PIN that somebody gave."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"  # right or wrong is not told: reset the PIN first


async def check_pin(store: Store, by: By, policy: NumberPolicy, e164: str, pin: str) -> PinVerdict:
    """Whether `pin` is the PIN of an active number; so many wrong ones in a row lock it until it is reset.

    Raises: UnknownEntity, Conflict (the number is not active, or reaches no extension).
    """
    async with store.transaction(by.actor) as tx:
        number = require_number(tx.model, e164)
        extension = tx.model.extensions.get((number.org or "", number.extension or ""))
        if not number.routes or extension is None:
            raise Conflict(
                f"{e164} is not active with an extension, so it has no PIN (R30): activate it first."
            )
        if number.pin_locked:
            return PinVerdict.LOCKED
        right = hmac.compare_digest(pin.encode(), extension.voicemail_pin.get_secret_value().encode())
        failures = 0 if right else number.pin_failures + 1
        locked = failures >= policy.pin_failures_max
        tx.put(number.model_copy(update={"pin_failures": failures, "pin_locked": locked}))
        if right:
            return PinVerdict.RIGHT
        return PinVerdict.LOCKED if locked else PinVerdict.WRONG
