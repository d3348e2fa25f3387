"""A handset's SIP password made new beside the old one: its device's, or its neutral line's.

Its settings name the device while somebody is logged in whose number is active, otherwise its neutral line.
Either has a password and the one before, which ends once the handset was seen to use what its settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.ports import Store, Transaction
from control_plane.render.handsets.assemble import device_of
from control_plane.service.credentials import new_password
from control_plane.service.devices import doubled, settled
from control_plane.service.neutral import own_device
from control_plane.service.writing import By


@dataclass(frozen=True, slots=True)
class SipRotation:
    """That an older SIP password of a handset still works."""

    user: str
    """What it registers as by the settings it is to have."""
    since: datetime | None
    """The newest rotation."""


def sip_rotation(model: Model, handset: Handset) -> SipRotation | None:
    """What goes on with the SIP passwords of a handset; None: no older one works.

    One of the neutral line also where somebody logged in meanwhile: nobody knows what it followed before.
    """
    device = own_device(model, handset)
    begun = []
    if device is not None and device.sip_password_previous.get_secret_value():
        begun.append(device.rotated_at)
    if handset.neutral_password_previous.get_secret_value():
        begun.append(handset.neutral_rotated_at)
    if not begun:
        return None
    return SipRotation(sip_user(model, handset), max((at for at in begun if at is not None), default=None))


def sip_user(model: Model, handset: Handset) -> str:
    """What a handset registers as by the settings it is to have; "": a softphone at which nobody may."""
    bound = device_of(model, handset)
    return handset.neutral_user if bound is None else bound[1].id


def has_password(model: Model, handset: Handset) -> bool:
    """Whether there is a SIP password of this handset."""
    return own_device(model, handset) is not None or bool(handset.neutral_user)


def double_password(tx: Transaction, handset: Handset, now: datetime) -> Handset:
    """Make the SIP password new, the one before valid beside it: the device's, and the neutral line's where
    the settings name that.

    A rotation under way keeps its oldest. The handset is returned and not put.
    """
    device = own_device(tx.model, handset)
    if device is not None:
        tx.put(doubled(device, now))
    if not handset.neutral_user or sip_user(tx.model, handset) != handset.neutral_user:
        return handset
    old = handset.neutral_password_previous
    return handset.model_copy(
        update={
            "neutral_password": SecretStr(new_password()),
            "neutral_password_previous": old if old.get_secret_value() else handset.neutral_password,
            "neutral_rotated_at": now,
        }
    )


def end_old_passwords(tx: Transaction, handset: Handset) -> Handset:
    """End every older SIP password of a handset. The handset is returned and not put.

    Who registers as its device is not on its neutral line, and is told that line when it is logged out and
    not before: so that has a new password from now on, which is nobody's until then.
    """
    ending = sip_rotation(tx.model, handset)
    if ending is None:
        return handset
    device = own_device(tx.model, handset)
    if device is not None:
        tx.put(settled(device))
    changed: dict[str, object] = {"neutral_password_previous": SecretStr(""), "neutral_rotated_at": None}
    if handset.neutral_user and ending.user != handset.neutral_user:
        changed["neutral_password"] = SecretStr(new_password())
    return handset.model_copy(update=changed)


async def retire_passwords(store: Store, by: By, mac: str, seen: SipRotation) -> None:
    """End the older SIP passwords of a handset that was seen to have followed `seen`.

    Nothing is done where it rotates anew since, or is set up as something else.
    """
    async with store.transaction(by.actor) as tx:
        handset = tx.model.handsets.get(mac)
        if handset is not None and sip_rotation(tx.model, handset) == seen:
            tx.put(end_old_passwords(tx, handset))
