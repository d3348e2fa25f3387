"""Use cases for devices: each a SIP credential of its own (R76-R79, A78)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from control_plane.domain.extension import DEVICE_PRIORITY, Device, Transport
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import Conflict
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.credentials import new_device_id, new_password
from control_plane.service.extensions import release_handsets, without_device
from control_plane.service.messages import build
from control_plane.service.rules import require_device, require_extension, require_not_leaving
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]

FIXED = ("id", "org", "extension", "kind", "sip_password_previous", "rotated_at")
"""What a patch cannot change."""


@dataclass(frozen=True, slots=True)
class SipAddress:
    """Where devices register."""

    host: str
    port: int
    tls_port: int


def credentials_of(device: Device, address: SipAddress) -> dict[str, str | int]:
    """What a person types into a softphone, the password in clear: show it only to who asked for it."""
    return {
        "extension": device.extension,
        "kind": device.kind.value,
        "sip_user": device.id,
        "sip_password": device.sip_password.get_secret_value(),
        "host": address.host,
        "port": address.tls_port if device.transport is Transport.TLS else address.port,
        "transport": device.transport.value,
    }


def new_device(ident: ExtensionId, values: Changes) -> Device:
    """A device with a random user name and, unless given, a random password; TLS brings SRTP along (A78).

    Raises: InvalidField.
    """
    wanted: dict[str, object] = {"sip_password": new_password(), **values}
    wanted |= {"id": new_device_id(), "org": ident[0], "extension": ident[1]}
    wanted.setdefault("srtp", wanted.get("transport") == Transport.TLS)
    return build(Device, wanted)


async def create_device(store: Store, by: By, ident: ExtensionId, values: Changes) -> Saved[Device]:
    """Add a device to an extension.

    Raises: UnknownEntity, InvalidField, Conflict (there is one of this kind; R76).
    """
    device = new_device(ident, values)
    async with store.transaction(by.actor) as tx:
        require_extension(tx.model, ident)
        require_not_leaving(tx.model, ident[0])
        _require_one_of_a_kind(tx.model, device)
        return _put(tx, device)


async def restore_device(store: Store, by: By, device: Device) -> Saved[Device]:
    """Make a device again as it was, with its SIP user name and password.

    Raises: UnknownEntity (its extension), Conflict (there is another of this kind; R76).
    """
    async with store.transaction(by.actor) as tx:
        require_extension(tx.model, (device.org, device.extension))
        require_not_leaving(tx.model, device.org)
        _require_one_of_a_kind(tx.model, device)
        return _put(tx, device)


def _put(tx: Transaction, device: Device) -> Saved[Device]:
    tx.put(device)
    return Saved(device, tx.version(EntityKind.DEVICE, (device.id,)))


def _require_one_of_a_kind(model: Model, device: Device) -> None:
    """A76: one device per kind, which makes three at most."""
    for other in model.devices.get((device.org, device.extension), ()):
        if other.kind is device.kind and other.id != device.id:
            raise Conflict(
                f"kind: extension {device.extension} has a {device.kind.value} device already; it can have "
                f"one each of {', '.join(DEVICE_PRIORITY)}: remove the other first."
            )


async def patch_device(
    store: Store, by: By, ident: ExtensionId, device_id: str, changes: Changes
) -> Saved[Device]:
    """Change only what is given; a new transport sets SRTP as it needs unless SRTP is given too.

    Raises: UnknownEntity, InvalidField, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_device(tx.model, ident, device_id)
        require_not_leaving(tx.model, ident[0])
        require_version(tx, by, EntityKind.DEVICE, (device_id,))
        wanted = dict(changes)
        if "transport" in wanted and "srtp" not in wanted:
            wanted["srtp"] = wanted["transport"] == Transport.TLS
        after = patched(before, wanted, fixed=FIXED)
        return _put(tx, after)


async def rotate_password(store: Store, by: By, ident: ExtensionId, device_id: str) -> Saved[Device]:
    """Give the device a new random password; what registers with the old one is refused from then on.

    Raises: UnknownEntity, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_device(tx.model, ident, device_id)
        require_not_leaving(tx.model, ident[0])
        require_version(tx, by, EntityKind.DEVICE, (device_id,))
        return _put(tx, rekeyed(before))


def rekeyed(device: Device) -> Device:
    """The device with a new password and none beside it."""
    return device.model_copy(
        update={
            "sip_password": SecretStr(new_password()),
            "sip_password_previous": SecretStr(""),
            "rotated_at": None,
        }
    )


def settled(device: Device) -> Device:
    """The device with the newest password alone."""
    return device.model_copy(update={"sip_password_previous": SecretStr(""), "rotated_at": None})


def doubled(device: Device, now: datetime) -> Device:
    """The device with a new password, the one before it valid until the handset was seen to have followed.

    A rotation under way keeps its oldest: the handset may not have followed yet.
    """
    old = device.sip_password_previous
    return device.model_copy(
        update={
            "sip_password": SecretStr(new_password()),
            "sip_password_previous": old if old.get_secret_value() else device.sip_password,
            "rotated_at": now,
        }
    )


async def delete_device(store: Store, by: By, ident: ExtensionId, device_id: str) -> None:
    """Remove a device and every choice that names it.

    Raises: UnknownEntity, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        model = tx.model
        device = require_device(model, ident, device_id)
        require_not_leaving(tx.model, ident[0])
        require_version(tx, by, EntityKind.DEVICE, (device_id,))
        tx.put(without_device(model.extensions[ident], device))
        release_handsets(tx, (device,))
        tx.delete(EntityKind.DEVICE, (device_id,))
