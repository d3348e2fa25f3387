"""PINs checked by the API, and what phones counted: when a PIN is locked (R53, A33, A53)."""

from __future__ import annotations

import hmac

from control_plane.domain.extension import Extension
from control_plane.domain.pins import PinCount, PinVerdict, verdict
from control_plane.errors import Conflict
from control_plane.ports import Store, Transaction
from control_plane.service.numbers import require_number
from control_plane.service.writing import By


async def check_pin(store: Store, by: By, e164: str, pin: str) -> PinVerdict:
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
        right = hmac.compare_digest(pin.encode(), extension.voicemail_pin.get_secret_value().encode())
        found, after = verdict(_count(extension), right=right, failures_max=tx.model.pin_failures_max)
        put_count(tx, extension, after)
        return found


def put_count(tx: Transaction, extension: Extension, count: PinCount) -> None:
    """Keep how often the PIN was wrong; nothing is written where that is as it was."""
    if count != _count(extension):
        tx.put(extension.model_copy(update={"pin_failures": count.failures, "pin_locked": count.locked}))


def _count(extension: Extension) -> PinCount:
    return PinCount(extension.pin_failures, extension.pin_locked)
