"""Devices and trunks as pjsip.conf sections."""

from __future__ import annotations

from control_plane.domain.entities import Trunk
from control_plane.domain.extension import Device, Extension, Transport
from control_plane.domain.model import Model, ring_choice
from control_plane.render.templates import render, safe

_NAME_UNSAFE = str.maketrans({'"': "'", "\\": "/", "<": "(", ">": ")", ";": ",", "\t": " "})


def caller_id(extension: Extension) -> str:
    """`"Label" <100>` as the `callerid` option takes it; characters that end the quoted name are replaced."""
    name = safe("label", extension.label).translate(_NAME_UNSAFE)
    return f'"{name}" <{extension.key}>' if name else f"<{extension.key}>"


def device_text(model: Model, extension: Extension, device: Device) -> str:
    """The three sections of one device."""
    devices = model.devices_of(extension)
    return render(
        "pjsip/device.conf.j2",
        {
            "id": device.id,
            "password": device.sip_password.get_secret_value(),
            "previous": device.sip_password_previous.get_secret_value(),
            "org": extension.org,
            "site": extension.site,
            "key": extension.key,
            "number": extension.number or "",
            "track": int(tracks_last_used(extension, devices)),
            "restricted": int(extension.restricted),
            "counted": int(not extension.rings_waiting_calls),
            "caller_id": caller_id(extension),
            "mailbox": mailbox_name(extension) if extension.has_mailbox else "",
            "tls": device.transport is Transport.TLS,
            "srtp": device.srtp,
            "media_address": model.sites[extension.site].media_address or "",
        },
    )


def trunk_text(trunk: Trunk) -> str:
    """The sections of one trunk."""
    return render(
        "pjsip/trunk.conf.j2",
        {
            "id": trunk.id,
            "host": trunk.host,
            "port": trunk.port,
            "region": trunk.region.value,
            "username": trunk.username or "",
            "password": trunk.password.get_secret_value() if trunk.password else "",
        },
    )


def tracks_last_used(extension: Extension, devices: tuple[Device, ...]) -> bool:
    """R87: only where no explicit choice is made and there is a choice at all."""
    return len(devices) > 1 and not ring_choice(extension, devices)


def mailbox_name(extension: Extension) -> str:
    """The voicemail address: one context per organisation keeps tenants' mailboxes apart."""
    return f"{extension.key}@{extension.org}"
