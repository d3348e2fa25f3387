"""Routes for handsets: setting up, enrolling, logging in and out, what they fetch and what they should."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Viewing, Writing, etag
from control_plane.api.handset_schemas import (
    FileContentOut,
    FileOut,
    HandsetIn,
    HandsetLineOut,
    HandsetListIn,
    HandsetListOut,
    HandsetOut,
    HandsetPatch,
    LinkOut,
    LoginIn,
    ModelOut,
    NotifiedOut,
    NotifyIn,
    Rotated,
    RotationIn,
    WebPasswordsOut,
    WindowIn,
)
from control_plane.api.paging import Listing, Paged
from control_plane.domain.extension import DeviceKind
from control_plane.domain.handsets import Handset
from control_plane.ports import EntityKind
from control_plane.service import handset_import
from control_plane.service import handsets as use_cases
from control_plane.service.csv_lists import LineOutcome
from control_plane.service.handset_status import HandsetStatus
from control_plane.service.handset_view import catalogue
from control_plane.service.handsets import Binding, Secrets, require_handset
from control_plane.service.reading import model_with_version
from control_plane.service.writing import given

handsets = APIRouter(prefix="/organisations/{org}/handsets", tags=["handsets"])
models = APIRouter(prefix="/handset-models", tags=["handsets"])

Json = dict[str, Any]
NO_STORE = {"Cache-Control": "no-store"}


@handsets.get("", response_model=Listing[HandsetOut], responses=documents.LIST)
async def list_handsets(ports: Ports, paging: Paged, org: str) -> Json:
    """The organisation's handsets by MAC, and how each stands."""
    model = (await ports.store.snapshot()).model
    page = paging.listing((mac, handset) for mac, handset in model.handsets.items() if handset.org == org)
    found: list[Handset] = page["items"]  # type: ignore[assignment]
    statuses = await ports.provisioning.statuses(model, [handset.mac for handset in found])
    return page | {"items": [status_as_json(statuses[handset.mac]) for handset in found]}


@handsets.post("", status_code=201, response_model=HandsetOut, responses=documents.CREATE)
async def create_handset(write: Creating, org: str, body: Annotated[HandsetIn, Body()]) -> Json:
    """Set up a handset; with `login` it is a device of that extension at once (R49)."""
    values = given(body)
    login = values.pop("login", None)
    saved = await use_cases.create_handset(
        write.store, write.by, {**values, "org": org}, _binding(login) if login else None
    )
    write.done(saved, f"/organisations/{org}/handsets/{saved.entity.mac}")
    return await _status(write.ports, saved.entity)


@handsets.post("/import", response_model=HandsetListOut, responses=documents.ACT)
async def import_handsets(
    write: Creating, viewing: Viewing, org: str, body: Annotated[HandsetListIn, Body()]
) -> HandsetListOut:
    """Set up the handsets of a list, with a report for each line.

    Nothing is written when a line is refused, unless `partial` asks for the others.
    """
    report = await handset_import.import_handsets(
        write.store,
        write.by,
        org,
        body["csv"],
        dry_run=body.get("dry_run", False),
        partial=body.get("partial", False),
        sees=viewing[1].sees,
    )
    await write.changed()
    return HandsetListOut(
        applied=report.applied,
        added=report.count(LineOutcome.ADDED),
        present=report.count(LineOutcome.PRESENT),
        refused=report.count(LineOutcome.REFUSED),
        lines=[HandsetLineOut.model_validate(line) for line in report.lines],
    )


def _binding(login: Any) -> Binding:
    return Binding(
        login["extension"], login.get("kind") or DeviceKind.IP_PHONE, login.get("transport") or None
    )


@handsets.get("/{mac}", response_model=HandsetOut, responses=documents.READ_WITH_STATE)
async def get_handset(ports: Ports, response: Response, org: str, mac: str) -> Json:
    """One handset: what it is, what it fetched, where it is registered."""
    known = use_cases.known_mac(mac)
    require_handset((await ports.store.snapshot()).model, mac, org)
    model, version = await model_with_version(ports.store, EntityKind.HANDSET, (known,))
    handset = require_handset(model, mac, org)
    response.headers["ETag"] = etag(version)
    return await _status(ports, handset)


async def _status(ports: Ports, handset: Handset) -> Json:
    model = (await ports.store.snapshot()).model
    statuses = await ports.provisioning.statuses(model, [handset.mac])
    return status_as_json(statuses[handset.mac])


def status_as_json(status: HandsetStatus) -> Json:
    """A handset with how it stands, without a secret."""
    shown = ("mac", "model", "org", "site", "name", "extension", "device", "phone_id", "enabled", "language")
    handset = status.handset
    return {
        **{name: getattr(handset, name) for name in shown},
        "keys": list(handset.keys),
        "allowed": list(handset.allowed),
        "certificate": handset.certificate,
        "sync": status.sync,
        "shown_as": status.shown_as,
        "version": status.version,
        "version_fetched": status.version_fetched,
        "last_fetch": status.last_fetch,
        "registration": status.registration,
        "rotating": status.rotating,
        "window_until": status.window_until,
        "warnings": list(status.warnings),
    }


async def _own(ports: Ports, org: str, mac: str) -> str:
    """The MAC of a handset of the organisation. Raises: UnknownEntity."""
    return require_handset((await ports.store.snapshot()).model, mac, org).mac


OwnMac = Annotated[str, Depends(_own)]


@handsets.patch("/{mac}", response_model=HandsetOut, responses=documents.PATCH)
async def patch_handset(write: Writing, mac: OwnMac, body: Annotated[HandsetPatch, Body()]) -> Json:
    """Change only the fields given."""
    saved = await use_cases.patch_handset(write.store, write.by, mac, body)
    return await _status(write.ports, write.done(saved))


@handsets.delete("/{mac}", status_code=204, responses=documents.DELETE)
async def delete_handset(write: Writing, mac: OwnMac) -> None:
    """Remove a handset: nothing can be fetched for it any more, and what it was given stops working."""
    await use_cases.delete_handset(write.store, write.by, mac)
    await write.removed()


@handsets.put("/{mac}/login", response_model=HandsetOut, responses=documents.PATCH)
async def log_in_handset(write: Writing, mac: OwnMac, body: Annotated[LoginIn, Body()]) -> Json:
    """Make the handset a device of an extension; whoever was logged in there is logged out."""
    saved = await use_cases.log_in(write.store, write.by, mac, _binding(body))
    return await _status(write.ports, write.done(saved))


@handsets.delete("/{mac}/login", response_model=HandsetOut, responses=documents.PATCH)
async def log_out_handset(write: Writing, mac: OwnMac) -> Json:
    """Log the handset out and free its phone ID (R52)."""
    saved = await use_cases.log_out(write.store, write.by, mac)
    return await _status(write.ports, write.done(saved))


@handsets.put("/{mac}/enrolment", response_model=HandsetOut, responses=documents.PATCH)
async def open_enrolment(write: Writing, mac: OwnMac, body: Annotated[WindowIn, Body()]) -> Json:
    """Let the handset fetch its bootstrap by its MAC alone, once, for some minutes (15 unless given)."""
    saved = await use_cases.open_window(
        write.store, write.by, write.ports.clock, mac, int(body.get("minutes", 15))
    )
    return await _status(write.ports, write.done(saved))


@handsets.delete("/{mac}/enrolment", response_model=HandsetOut, responses=documents.PATCH)
async def close_enrolment(write: Writing, mac: OwnMac) -> Json:
    """Close the enrolment window."""
    saved = await use_cases.close_window(write.store, write.by, mac)
    return await _status(write.ports, write.done(saved))


@handsets.post("/{mac}/rotation", response_model=HandsetOut, responses=documents.PATCH)
async def rotate_handset(write: Writing, mac: OwnMac, body: Annotated[RotationIn, Body()]) -> Json:
    """New secrets; the old ones work until the handset was seen with the new. Tells it to fetch."""
    saved = await use_cases.rotate(
        write.store, write.by, write.ports.clock, mac, _what(body.get("what", Rotated.ALL))
    )
    return await _status(write.ports, write.done(saved))


def _what(what: Rotated) -> frozenset[Secrets]:
    return frozenset(Secrets) if what is Rotated.ALL else frozenset({Secrets(what.value)})


@handsets.delete("/{mac}/rotation", response_model=HandsetOut, responses=documents.PATCH)
async def end_rotation(write: Writing, mac: OwnMac) -> Json:
    """End the old secrets now, also where the handset was not seen to have followed."""
    saved = await use_cases.retire(write.store, write.by, mac)
    return await _status(write.ports, write.done(saved))


@handsets.post("/{mac}/passwords", response_model=WebPasswordsOut, responses=documents.ACT)
async def show_handset_passwords(write: Creating, response: Response, mac: OwnMac) -> Json:
    """The passwords of the handset's own web pages; the audit says who looked."""
    found = await use_cases.show_passwords(write.store, write.by, write.ports.clock, mac)
    response.headers.update(NO_STORE)
    await write.changed()
    return {"admin": found.admin.get_secret_value(), "user": found.user.get_secret_value()}


@handsets.post("/{mac}/notify", response_model=NotifiedOut, responses=documents.APPLY)
async def notify_handset(ports: Ports, mac: OwnMac, body: Annotated[NotifyIn, Body()]) -> Json:
    """Tell this handset and no other to fetch now; with `reboot` to start anew."""
    contact = await ports.provisioning.notify(mac, bool(body.get("reboot", False)))
    return {"contact": contact}


@handsets.get("/{mac}/files", response_model=list[FileOut], responses=documents.LIST)
async def list_handset_files(ports: Ports, mac: OwnMac) -> list[Json]:
    """What the handset can fetch, and when it last did."""
    return await ports.provisioning.files(mac)


@handsets.get("/{mac}/files/{name}", response_model=FileContentOut, responses=documents.LIST)
async def get_handset_file(
    ports: Ports,
    mac: OwnMac,
    name: str,
    bootstrap: Annotated[bool, Query(description="The file served while enrolment is open.")] = False,
) -> Json:
    """One file as it is published; what could be a secret reads ***."""
    return await ports.provisioning.file(mac, name, bootstrap)


@handsets.post("/{mac}/link", response_model=LinkOut, responses=documents.PATCH)
async def make_handset_link(
    ports: Ports, response: Response, mac: OwnMac, minutes: Annotated[int, Query(ge=1, le=1440)] = 60
) -> Json:
    """A link to the settings of a softphone that works once; give it to its person and to nobody else."""
    response.headers.update(NO_STORE)
    return await ports.provisioning.link_for(mac, minutes)


@models.get("", response_model=list[ModelOut], responses=documents.ALWAYS)
async def list_handset_models() -> list[Json]:
    """The handsets that can be set up."""
    return catalogue()
