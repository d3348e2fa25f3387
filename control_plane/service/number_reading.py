"""All there is to know about one number, to read (R46)."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.domain.assignment import Assignment, assignment_of
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.model import Model
from control_plane.service.numbers import require_number


@dataclass(frozen=True, slots=True)
class Details:
    """A number with the settings of the extension it reaches; no secret is among them."""

    number: PhoneNumber
    assignment: Assignment
    in_service: bool
    default_pin_set: bool = False
    devices: tuple[str, ...] = ()
    voicemail: bool = False
    forwarding_to: tuple[str, ...] = ()
    do_not_disturb: bool = False
    restricted: bool = False
    pin_locked: bool = False


def details_of(model: Model, e164: str) -> Details:
    """Raises: UnknownEntity."""
    number = require_number(model, e164)
    extension = model.extensions.get((number.org or "", number.extension or ""))
    basic = Details(number, assignment_of(number), number.routes, bool(number.default_pin.get_secret_value()))
    if extension is None:
        return basic
    forwarding = extension.forwarding
    return Details(
        basic.number,
        basic.assignment,
        basic.in_service and model.is_active(extension),
        basic.default_pin_set,
        devices=tuple(device.kind.value for device in model.devices_of(extension)),
        voicemail=extension.has_mailbox,
        forwarding_to=forwarding.targets if forwarding.enabled and not extension.restricted else (),
        do_not_disturb=extension.dnd,
        restricted=extension.restricted,
        pin_locked=extension.pin_locked,
    )
