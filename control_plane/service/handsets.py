"""Use cases for handsets: set up, enrol, log in and out, rotate (R49, R52, R73, R77, A49)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import SecretStr

from control_plane.domain.extension import Device, DeviceKind, Transport
from control_plane.domain.handsets import Handset, normal_mac
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import Conflict, IllegalTransition, InvalidField, UnknownEntity
from control_plane.ports import Clock, EntityKind, Store, Transaction
from control_plane.render.handsets.families import CATALOGUE
from control_plane.service.credentials import (
    new_http_user,
    new_password,
    new_token,
    new_window_id,
)
from control_plane.service.devices import new_device, rekeyed
from control_plane.service.handset_making import (
    known_model,
    new_handset,
    next_phone_id,
    require_room_for_keys,
)
from control_plane.service.neutral import first_neutral_line, logged_out, own_device
from control_plane.service.rules import require_site, require_tenant
from control_plane.service.sip_rotation import double_password, end_old_passwords, has_password
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]

WINDOW_MIN_MINUTES = 1
WINDOW_MAX_MINUTES = 1440
FIXED = (
    "mac", "org", "extension", "device", "phone_id", "token", "token_previous", "http_user", "http_password",
    "http_user_previous", "http_password_previous", "rotated_at", "window_id", "window_until",
    "neutral_user", "neutral_password", "neutral_password_previous", "neutral_rotated_at",
    "neutral_transport", "passwords_shown_at", "upload_removed",
)  # fmt: skip
"""What a patch cannot change: it names the handset, or follows from a use case of its own."""


class Secrets(StrEnum):
    """What a rotation makes new."""

    SIP = "sip"  # the password it registers with: as its device, or on its neutral line
    ACCESS = "access"  # the address and HTTP login it fetches with
    WEB = "web"  # the passwords of its own web pages


@dataclass(frozen=True, slots=True)
class Binding:
    """Which device a handset is to be: of which extension, of which kind, and how it registers."""

    extension: str
    kind: DeviceKind = DeviceKind.IP_PHONE
    transport: Transport | None = None


def require_handset(model: Model, mac: str, org: str | None = None) -> Handset:
    """The handset of this MAC, in any notation; with `org` only if it is that organisation's.

    Raises: UnknownEntity.
    """
    found = model.handsets.get(known_mac(mac))
    if found is None or org not in (None, found.org):
        raise UnknownEntity("handset", mac)
    return found


def known_mac(text: str) -> str:
    """`text` as handsets are kept by; as it is when it is no MAC address."""
    try:
        return normal_mac(text)
    except ValueError:
        return text


async def create_handset(
    store: Store, by: By, values: Changes, binding: Binding | None = None
) -> Saved[Handset]:
    """Set up a handset; with `binding` it is logged in at once (R49). A softphone needs no MAC.

    Raises: UnknownEntity, InvalidField, Conflict (there is one of this MAC, or no phone ID is free).
    """
    handset = new_handset(values)
    async with store.transaction(by.actor) as tx:
        require_tenant(tx.model, handset.org)
        site = require_site(tx.model, handset.site)
        handset = first_neutral_line(handset, site)
        if handset.mac in tx.model.handsets:
            # Whose it is stays untold: the MAC of a stranger's phone would name the stranger.
            raise Conflict(f"mac: a handset with {handset.mac} is set up already: remove it there first.")
        if binding is not None:
            handset = _logged_in(tx, handset, binding)
        return _put(tx, handset)


def _put(tx: Transaction, handset: Handset) -> Saved[Handset]:
    tx.put(handset)
    return Saved(handset, tx.version(EntityKind.HANDSET, (handset.mac,)))


async def patch_handset(store: Store, by: By, mac: str, changes: Changes) -> Saved[Handset]:
    """Change only what is given.

    Raises: UnknownEntity, InvalidField, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (before.mac,))
        wanted = dict(changes)
        if wanted.get("model") is not None:
            wanted["model"] = known_model(str(wanted["model"])).name
        after = patched(before, wanted, fixed=FIXED)
        require_room_for_keys(after)
        if after.site != before.site:
            require_site(tx.model, after.site)
            if after.device is not None:
                raise Conflict("site: log the handset out before it moves to another site.")
        return _put(tx, after)


async def delete_handset(store: Store, by: By, mac: str) -> None:
    """Remove a handset: what it could fetch is withdrawn; its device stays with the extension, newly keyed.

    Raises: UnknownEntity, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (handset.mac,))
        _rekey_device(tx, handset)
        tx.delete(EntityKind.HANDSET, (handset.mac,))


# Logging in and out.


async def log_in(store: Store, by: By, mac: str, binding: Binding) -> Saved[Handset]:
    """Make a handset a device of an extension of its organisation, and take a phone ID of its site.

    Whoever was logged in there before is logged out; the device's password is new, so that no other phone
    keeps it.
    Raises: UnknownEntity, InvalidField, Conflict (no phone ID is free), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (handset.mac,))
        return _put(tx, _logged_in(tx, handset, binding))


async def log_out(store: Store, by: By, mac: str) -> Saved[Handset]:
    """Take a handset's line away and free its phone ID (R52).

    Raises: UnknownEntity, IllegalTransition (nobody is logged in), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (handset.mac,))
        if handset.device is None:
            raise IllegalTransition(f"Nobody is logged in at handset {handset.mac}.")
        _rekey_device(tx, handset)
        return _put(tx, logged_out(tx.model, handset))


def require_can_log_in(model: Model, handset: Handset, binding: Binding) -> ExtensionId:
    """The extension that is to log in. Raises: InvalidField, Conflict (its number is not active; R28)."""
    ident = (handset.org, binding.extension)
    extension = model.extensions.get(ident)
    if extension is None:
        raise InvalidField("extension", f"there is no extension {binding.extension} in {handset.org}")
    if extension.site != handset.site:
        raise InvalidField(
            "extension",
            f"extension {extension.key} is at site {extension.site}, the handset at {handset.site}",
        )
    if not model.is_active(extension):
        raise Conflict(f"extension: the number of extension {extension.key} is not active (R28).")
    return ident


def _logged_in(tx: Transaction, handset: Handset, binding: Binding) -> Handset:
    ident = require_can_log_in(tx.model, handset, binding)
    if handset.device is not None:
        _rekey_device(tx, handset)
    device = device_for(tx.model, ident, binding)
    tx.put(device)
    other = tx.model.handset_of(device.id)
    if other is not None and other.mac != handset.mac:
        tx.put(logged_out(tx.model, other))
    phone_id = handset.phone_id or next_phone_id(tx.model, handset.site)
    return handset.model_copy(update={"extension": ident[1], "device": device.id, "phone_id": phone_id})


def device_for(model: Model, ident: ExtensionId, binding: Binding) -> Device:
    """The extension's device of the kind wanted, newly keyed; a new one when there is none. Not saved."""
    for device in model.devices.get(ident, ()):
        if device.kind is binding.kind:
            found = rekeyed(device)
            if binding.transport is not None:
                tls = binding.transport is Transport.TLS
                found = found.model_copy(update={"transport": binding.transport, "srtp": tls})
            return found
    return new_device(ident, {"kind": binding.kind, "transport": binding.transport or Transport.TLS})


def _rekey_device(tx: Transaction, handset: Handset) -> None:
    """What the handset was given stops working, whether it fetches again or not."""
    device = own_device(tx.model, handset)
    if device is not None:
        tx.put(rekeyed(device))


# Enrolment and rotation.


async def open_window(store: Store, by: By, clock: Clock, mac: str, minutes: int) -> Saved[Handset]:
    """Let the handset fetch its bootstrap by bare MAC, once, within so many minutes.

    Raises: UnknownEntity, InvalidField, StaleVersion.
    """
    if not WINDOW_MIN_MINUTES <= minutes <= WINDOW_MAX_MINUTES:
        raise InvalidField("minutes", f"must be {WINDOW_MIN_MINUTES} to {WINDOW_MAX_MINUTES}")
    until = clock.now() + timedelta(minutes=minutes)
    return await _revise(store, by, mac, window_id=new_window_id(), window_until=until)


async def close_window(store: Store, by: By, mac: str) -> Saved[Handset]:
    """Raises: UnknownEntity, StaleVersion."""
    return await _revise(store, by, mac, window_id=None, window_until=None)


async def rotate(
    store: Store, by: By, clock: Clock, mac: str, secrets: frozenset[Secrets] = frozenset(Secrets)
) -> Saved[Handset]:
    """New secrets; old SIP passwords and access work beside them until the handset was seen with the new
    (follow_up.py). A rotation under way keeps its oldest, because the handset may not have followed yet.

    Raises: UnknownEntity, IllegalTransition (a SIP password alone, and it is a softphone at which nobody is
        logged in), StaleVersion.
    """
    now = clock.now()
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (handset.mac,))
        if secrets == {Secrets.SIP} and not has_password(tx.model, handset):
            raise IllegalTransition(
                f"Nobody is logged in at softphone {handset.mac}: there is no SIP password."
            )
        if Secrets.SIP in secrets:
            handset = double_password(tx, handset, now)
        changed: dict[str, object] = {}
        if Secrets.WEB in secrets:
            changed |= {name: SecretStr(new_password()) for name in ("admin_password", "user_password")}
        if Secrets.ACCESS in secrets:
            changed |= _new_access(handset, now)
        return _put(tx, handset.model_copy(update=changed))


def _new_access(handset: Handset, now: datetime) -> Changes:
    changed: dict[str, object] = {
        "token": SecretStr(new_token()),
        "http_user": new_http_user(),
        "http_password": SecretStr(new_password()),
        "rotated_at": now,
    }
    if handset.is_rotating:
        return changed
    return changed | {
        "token_previous": handset.token,
        "http_user_previous": handset.http_user,
        "http_password_previous": handset.http_password,
    }


@dataclass(frozen=True, slots=True)
class WebPasswords:
    """What the accounts of a handset's own web pages and menus ask for."""

    admin: SecretStr
    user: SecretStr


async def show_passwords(store: Store, by: By, clock: Clock, mac: str) -> WebPasswords:
    """The passwords of a handset's web pages; that they were shown, and to whom, is in the audit.

    Raises: UnknownEntity, InvalidField (a softphone has none).
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        if handset.is_softphone:
            raise InvalidField("mac", "is a softphone, which has no web pages of its own")
        tx.put(handset.model_copy(update={"passwords_shown_at": clock.now()}))
        family = CATALOGUE.family(CATALOGUE.model(handset.model))
        admin = family.admin_login(handset.admin_password.get_secret_value())
        return WebPasswords(SecretStr(admin), handset.user_password)


async def retire(store: Store, by: By, mac: str) -> Saved[Handset]:
    """End all old secrets now; a handset that did not follow has to enrol again.

    Raises: UnknownEntity, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        handset = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (handset.mac,))
        return _put(tx, _settled(end_old_passwords(tx, handset)))


async def retire_access(store: Store, by: By, seen: Handset) -> None:
    """End the old address and HTTP login, unless the handset changed since it was `seen`."""
    async with store.transaction(by.actor) as tx:
        if tx.model.handsets.get(seen.mac) == seen:
            tx.put(_settled(seen))


def _settled(handset: Handset) -> Handset:
    return handset.model_copy(
        update={
            "token_previous": SecretStr(""),
            "http_user_previous": "",
            "http_password_previous": SecretStr(""),
            "rotated_at": None,
        }
    )


async def _revise(store: Store, by: By, mac: str, **changes: object) -> Saved[Handset]:
    async with store.transaction(by.actor) as tx:
        before = require_handset(tx.model, mac)
        require_version(tx, by, EntityKind.HANDSET, (before.mac,))
        return _put(tx, before.model_copy(update=changes))
