"""The handset nobody is logged in at, and its neutral line (R73, A73)."""

from __future__ import annotations

from pydantic import SecretStr

from control_plane.domain.entities import Site
from control_plane.domain.extension import Device, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.render.handsets.families import CATALOGUE
from control_plane.service.credentials import new_device_id, new_password


def own_device(model: Model, handset: Handset) -> Device | None:
    """The device a handset is set up as; None when nobody is logged in."""
    devices = model.devices.get((handset.org, handset.extension or ""), ())
    return next((device for device in devices if device.id == handset.device), None)


def first_neutral_line(handset: Handset, site: Site) -> Handset:
    """A new handset with its neutral line: encrypted unless it or its site cannot."""
    family = CATALOGUE.family(CATALOGUE.model(handset.model))
    encrypted = {"tls", "srtp"} <= family.supports and not site.provisioning.plain
    return _with_line(handset, Transport.TLS if encrypted else Transport.UDP)


def logged_out(model: Model, handset: Handset) -> Handset:
    """The handset with nobody logged in; it remembers where it may still be reached.

    Its neutral line speaks as its device did: that is what was seen to work between it and the node.
    """
    device = own_device(model, handset)
    if device is not None:
        handset = _with_line(handset, device.transport)
    last = handset.device or handset.last_device
    return handset.model_copy(
        update={"extension": None, "device": None, "phone_id": None, "last_device": last}
    )


def _with_line(handset: Handset, transport: Transport) -> Handset:
    if handset.is_softphone:
        return handset  # it is somebody's own: there is no desk it would have to serve
    update: dict[str, object] = {"neutral_transport": transport}
    if not handset.neutral_user:
        update |= {"neutral_user": new_device_id(), "neutral_password": SecretStr(new_password())}
    return handset.model_copy(update=update)
