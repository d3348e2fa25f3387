"""Routes for phone numbers and extensions."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Viewing, Writing, etag
from control_plane.api.line_schemas import (
    ExtensionCredentials,
    ExtensionIn,
    ExtensionOut,
    ExtensionPatch,
    ExtensionShown,
)
from control_plane.api.number_rows import NumberRowOut
from control_plane.api.paging import Listing, Paged
from control_plane.api.schemas import (
    NumberIn,
    NumberOut,
    NumberPatch,
)
from control_plane.api.tasks import Moving
from control_plane.domain.entities import PhoneNumber
from control_plane.domain.extension import Extension
from control_plane.plan.tasks import Subject
from control_plane.ports import EntityKind
from control_plane.service import extensions as use_cases
from control_plane.service import numbers as number_cases
from control_plane.service.number_list import row
from control_plane.service.reading import model_with_version
from control_plane.service.rules import require_extension, require_organisation
from control_plane.service.writing import given

numbers = APIRouter(prefix="/numbers", tags=["numbers"])
extensions = APIRouter(prefix="/organisations/{org}/extensions", tags=["extensions"])


@numbers.post("", status_code=201, response_model=NumberOut, responses=documents.CREATE)
async def create_number(write: Creating, body: Annotated[NumberIn, Body()]) -> PhoneNumber:
    """Add a number the carrier has provisioned to the pool of its site."""
    saved = await number_cases.create_number(write.store, write.by, given(body))
    return write.done(saved, f"/numbers/{saved.entity.e164}")


@numbers.get("/{e164}", response_model=NumberRowOut, responses=documents.READ_WITH_STATE)
async def get_number(ports: Ports, response: Response, moving: Moving, e164: str) -> NumberRowOut:
    """One number, as a list shows it, with what it warns of (R31)."""
    model, version = await model_with_version(ports.store, EntityKind.NUMBER, (e164,))
    response.headers["ETag"] = etag(version)
    return NumberRowOut.of(row(model, model.numbers[e164], moving))


@numbers.patch("/{e164}", response_model=NumberOut, responses=documents.PATCH)
async def patch_number(write: Writing, e164: str, body: Annotated[NumberPatch, Body()]) -> PhoneNumber:
    """Change only the fields given; `extension` is what the number reaches, and null takes that away.

    `main` nominates a number that is not in service yet, `softphone` needs one that is active and assigned.
    """
    return write.done(await number_cases.patch_number(write.store, write.by, write.policy, e164, body))


@numbers.delete("/{e164}", status_code=204, responses=documents.DELETE)
async def delete_number(write: Writing, e164: str) -> None:
    """Take a number that belongs to nobody out of the pool."""
    await number_cases.delete_number(write.store, write.by, e164)
    await write.removed()


@extensions.get("", response_model=Listing[ExtensionShown], responses=documents.LIST)
async def list_extensions(viewing: Viewing, paging: Paged, moving: Moving, org: str) -> dict[str, object]:
    """The organisation's extensions, by key."""
    model, view = viewing
    require_organisation(model, org)
    return paging.listing(
        ((key, e) for (owner, key), e in model.extensions.items() if owner == org and view.sees(e)),
        partial(_shown, moving),
    )


def _shown(moving: frozenset[Subject], extension: Extension) -> ExtensionShown:
    in_progress = ("extension", f"{extension.org}/{extension.key}") in moving
    return ExtensionShown.model_validate(extension).model_copy(update={"update_in_progress": in_progress})


@extensions.post("", status_code=201, response_model=ExtensionOut, responses=documents.CREATE)
async def create_extension(write: Creating, org: str, body: Annotated[ExtensionIn, Body()]) -> Extension:
    """Make an extension; what is not given has its default, and the voicemail PIN is random."""
    saved = await use_cases.create_extension(write.store, write.by, {**given(body), "org": org})
    return write.done(saved, f"/organisations/{org}/extensions/{saved.entity.key}")


@extensions.get("/{key}", response_model=ExtensionShown, responses=documents.READ_WITH_STATE)
async def get_extension(
    ports: Ports, response: Response, moving: Moving, org: str, key: str
) -> ExtensionShown:
    """One extension."""
    model, version = await model_with_version(ports.store, EntityKind.EXTENSION, (org, key))
    response.headers["ETag"] = etag(version)
    return _shown(moving, model.extensions[org, key])


@extensions.patch("/{key}", response_model=ExtensionOut, responses=documents.PATCH)
async def patch_extension(
    write: Writing, org: str, key: str, body: Annotated[ExtensionPatch, Body()]
) -> Extension:
    """Change only the fields given, also within `forwarding` and `no_answer`.

    Switching forwarding on remembers the devices that ring now for VIP callers. Restricting an extension
    switches its forwarding off and keeps what was set.
    """
    return write.done(await use_cases.patch_extension(write.store, write.by, (org, key), body))


@extensions.delete("/{key}", status_code=204, responses=documents.DELETE)
async def delete_extension(write: Writing, org: str, key: str) -> None:
    """Remove an extension with its devices; its numbers stay with the organisation."""
    await use_cases.delete_extension(write.store, write.by, (org, key))
    await write.removed()


@extensions.get("/{key}/credentials", response_model=ExtensionCredentials, responses=documents.LIST)
async def get_extension_credentials(
    ports: Ports, response: Response, org: str, key: str
) -> ExtensionCredentials:
    """The voicemail PIN."""
    extension = require_extension((await ports.store.snapshot()).model, (org, key))
    response.headers["Cache-Control"] = "no-store"
    return ExtensionCredentials(voicemail_pin=extension.voicemail_pin.get_secret_value())
