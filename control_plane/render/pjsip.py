"""Devices and trunks as pjsip.conf sections."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.domain.entities import Trunk
from control_plane.domain.extension import Device, Extension, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model, ring_choice
from control_plane.render.templates import safe

WAITING, NOT_WAITING, COUNTED = "1", "0", "counted"
_NAME_UNSAFE = str.maketrans({'"': "'", "\\": "/", "<": "(", ">": ")", ";": ",", "\t": " "})


def caller_id(extension: Extension) -> str:
    """`"Label" <100>` as the `callerid` option takes it; characters that end the quoted name are replaced."""
    return _shown(extension.label, extension.key)


def _shown(label: str, number: str) -> str:
    name = safe("label", label).translate(_NAME_UNSAFE)
    return f'"{name}" <{number}>' if name else f"<{number}>"


DEVICE, NEUTRAL, TRUNK = "pjsip/device.conf.j2", "pjsip/neutral.conf.j2", "pjsip/trunk.conf.j2"
"""The templates: `render` makes them sections, `rows` the rows of AstDB."""

Values = Mapping[str, object]


def device_values(model: Model, extension: Extension, device: Device) -> Values:
    """What the three sections of one device are made of."""
    devices = model.devices_of(extension)
    return {
        "id": device.id,
        "password": device.sip_password.get_secret_value(),
        "previous": device.sip_password_previous.get_secret_value(),
        "org": extension.org,
        "site": extension.site,
        "key": extension.key,
        "number": extension.number or "",
        "track": int(tracks_last_used(model, extension, devices)),
        "restricted": int(extension.restricted),
        "counted": int(waiting_calls(model, extension) != WAITING),
        "caller_id": caller_id(extension),
        "mailbox": mailbox_name(extension) if extension.has_mailbox else "",
        "tls": device.transport is Transport.TLS,
        "srtp": device.srtp,
        "media_address": model.sites[extension.site].media_address or "",
    }


def neutral_values(model: Model, handset: Handset) -> Values:
    """What the three sections of a handset's neutral line are made of."""
    return {
        "id": handset.neutral_user,
        "password": handset.neutral_password.get_secret_value(),
        "previous": handset.neutral_password_previous.get_secret_value(),
        "org": handset.org,
        "site": handset.site,
        "mac": handset.mac,
        "caller_id": _shown(handset.name or handset.model, handset.mac),
        "tls": handset.neutral_transport is Transport.TLS,
        "media_address": model.sites[handset.site].media_address or "",
    }


def trunk_values(trunk: Trunk) -> Values:
    """What the sections of one trunk are made of."""
    return {
        "id": trunk.id,
        "host": trunk.host,
        "port": trunk.port,
        "region": trunk.region.value,
        "username": trunk.username or "",
        "password": trunk.password.get_secret_value() if trunk.password else "",
    }


def tracks_last_used(model: Model, extension: Extension, devices: tuple[Device, ...]) -> bool:
    """R87: only where somebody asks: with a choice of devices, and no explicit one; or a call group (A85)."""
    explicit = ring_choice(extension, devices)
    if not explicit:
        return len(devices) > 1
    return len(explicit) > 1 and (extension.org, extension.key) in model.memberships


def waiting_calls(model: Model, extension: Extension) -> str:
    """Whether an extension in a call takes another: COUNTED does, but its call groups pass it by."""
    if not extension.rings_waiting_calls:
        return NOT_WAITING
    return COUNTED if (extension.org, extension.key) in model.memberships else WAITING


def mailbox_name(extension: Extension) -> str:
    """The voicemail address: one context per organisation keeps tenants' mailboxes apart."""
    return f"{extension.key}@{extension.org}"
