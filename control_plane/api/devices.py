"""Routes for devices and their SIP credentials."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Writing, etag
from control_plane.api.line_schemas import (
    DeviceCreated,
    DeviceCredentials,
    DeviceIn,
    DeviceOut,
    DevicePatch,
)
from control_plane.api.paging import Listing, Paged
from control_plane.domain.extension import Device
from control_plane.ports import EntityKind
from control_plane.service import devices as use_cases
from control_plane.service.devices import credentials_of
from control_plane.service.reading import model_with_version
from control_plane.service.rules import require_device, require_extension
from control_plane.service.writing import given

devices = APIRouter(prefix="/organisations/{org}/extensions/{key}/devices", tags=["devices"])

NO_STORE = {"Cache-Control": "no-store"}


@devices.get("", response_model=Listing[DeviceOut], responses=documents.LIST)
async def list_devices(ports: Ports, paging: Paged, org: str, key: str) -> dict[str, object]:
    """The extension's devices, by id."""
    model = (await ports.store.snapshot()).model
    extension = require_extension(model, (org, key))
    return paging.listing((device.id, device) for device in model.devices_of(extension))


@devices.post("", status_code=201, response_model=DeviceCreated, responses=documents.CREATE)
async def create_device(
    write: Creating, response: Response, org: str, key: str, body: Annotated[DeviceIn, Body()]
) -> dict[str, object]:
    """Add a device of a kind the extension does not have yet; the answer has its credentials."""
    saved = await use_cases.create_device(write.store, write.by, (org, key), given(body))
    address = f"/organisations/{org}/extensions/{key}/devices/{saved.entity.id}"
    device = write.done(saved, address)
    response.headers.update(NO_STORE)
    return {"device": device, "credentials": credentials_of(device, write.ports.sip)}


@devices.get("/{device}", response_model=DeviceOut, responses=documents.READ)
async def get_device(ports: Ports, response: Response, org: str, key: str, device: str) -> Device:
    """One device."""
    model, version = await model_with_version(ports.store, EntityKind.DEVICE, (device,))
    found = require_device(model, (org, key), device)
    response.headers["ETag"] = etag(version)
    return found


@devices.patch("/{device}", response_model=DeviceOut, responses=documents.PATCH)
async def patch_device(
    write: Writing, org: str, key: str, device: str, body: Annotated[DevicePatch, Body()]
) -> Device:
    """Change only the fields given; a new transport sets SRTP as it needs unless SRTP is given too."""
    return write.done(await use_cases.patch_device(write.store, write.by, (org, key), device, body))


@devices.delete("/{device}", status_code=204, responses=documents.DELETE)
async def delete_device(write: Writing, org: str, key: str, device: str) -> None:
    """Remove a device and every choice that names it."""
    await use_cases.delete_device(write.store, write.by, (org, key), device)
    await write.removed()


@devices.get("/{device}/credentials", response_model=DeviceCredentials, responses=documents.LIST)
async def get_device_credentials(
    ports: Ports, response: Response, org: str, key: str, device: str
) -> dict[str, str | int]:
    """What to type into a softphone."""
    found = require_device((await ports.store.snapshot()).model, (org, key), device)
    response.headers.update(NO_STORE)
    return credentials_of(found, ports.sip)


@devices.post("/{device}/credentials", response_model=DeviceCredentials, responses=documents.PATCH)
async def rotate_device_password(
    write: Writing, response: Response, org: str, key: str, device: str
) -> dict[str, str | int]:
    """Make a new random password; the old one stops working at the next registration."""
    saved = await use_cases.rotate_password(write.store, write.by, (org, key), device)
    response.headers.update(NO_STORE)
    return credentials_of(write.done(saved), write.ports.sip)
