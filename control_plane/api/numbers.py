"""Routes for the life of a number: what can be done with it, one action each (R21-R33, R46-R55)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.context import Creating, Ports, Writing
from control_plane.api.number_schemas import (
    AllocateIn,
    AssignIn,
    NumberDetails,
    PinChecked,
    PinIn,
    PinOut,
)
from control_plane.api.schemas import NumberOut
from control_plane.domain.entities import PhoneNumber
from control_plane.service import number_life
from control_plane.service.allocation import allocate_number
from control_plane.service.number_reading import details_of
from control_plane.service.numbers import require_number
from control_plane.service.pins import check_pin

actions = APIRouter(prefix="/numbers/{e164}", tags=["numbers"])


@actions.post("/allocate", response_model=NumberOut, responses=documents.ACT)
async def allocate_one_number(write: Writing, e164: str, body: Annotated[AllocateIn, Body()]) -> PhoneNumber:
    """Allocate a free number to an organisation; it is RESERVED then (R22)."""
    return write.done(await allocate_number(write.store, write.by, write.policy, e164, body["org"]))


@actions.post("/activate", response_model=NumberOut, responses=documents.ACT)
async def activate_number(write: Writing, e164: str) -> PhoneNumber:
    """Put a RESERVED number into service; PENDING until Asterisk was seen to hold it, then ACTIVE (R24)."""
    return write.done(await number_life.activate_number(write.store, write.by, write.policy, e164))


@actions.post("/deactivate", response_model=NumberOut, responses=documents.ACT)
async def deactivate_number(write: Writing, e164: str) -> PhoneNumber:
    """Take an unassigned number out of service; its settings stay for the next activation (R26, A30)."""
    return write.done(await number_life.deactivate_number(write.store, write.by, write.policy, e164))


@actions.post("/assign", response_model=NumberOut, responses=documents.ACT)
async def assign_number(write: Writing, e164: str, body: Annotated[AssignIn, Body()]) -> PhoneNumber:
    """Assign an ACTIVE number to a person of its organisation, whose name it then bears (R27)."""
    return write.done(
        await number_life.assign_number(write.store, write.by, write.policy, e164, body["person"])
    )


@actions.post("/unassign", response_model=NumberOut, responses=documents.ACT)
async def unassign_number(write: Writing, e164: str) -> PhoneNumber:
    """Take an ACTIVE number from its person; the name stays (A48)."""
    return write.done(await number_life.unassign_number(write.store, write.by, write.policy, e164))


@actions.post("/deallocate", response_model=NumberOut, responses=documents.ACT)
async def deallocate_number(write: Writing, e164: str) -> PhoneNumber:
    """Take a number that is not in service from its organisation, with everything it was set to.

    One that was ever active rests in COOLDOWN; another is free at once (A21).
    """
    return write.done(await number_life.deallocate_number(write.store, write.by, write.policy, e164))


@actions.post("/reset-pin", response_model=NumberOut, responses=documents.ACT)
async def reset_number_pin(write: Writing, e164: str) -> PhoneNumber:
    """Set the PIN to the default PIN and unlock it (R53)."""
    return write.done(await number_life.reset_pin(write.store, write.by, write.policy, e164))


@actions.post("/check-pin", response_model=PinChecked, responses=documents.ACT)
async def check_number_pin(write: Creating, e164: str, body: Annotated[PinIn, Body()]) -> PinChecked:
    """Whether a PIN is the number's, for who logs somebody in; wrong ones in a row lock it."""
    verdict = await check_pin(write.store, write.by, e164, body["pin"])
    await write.changed()
    return PinChecked(verdict=verdict)


@actions.get("/default-pin", response_model=PinOut, responses=documents.LIST)
async def get_number_default_pin(ports: Ports, response: Response, e164: str) -> PinOut:
    """The default PIN, for who sets up the phone (A53)."""
    number = require_number((await ports.store.snapshot()).model, e164)
    response.headers["Cache-Control"] = "no-store"
    return PinOut(default_pin=number.default_pin.get_secret_value())


@actions.get("/details", response_model=NumberDetails, responses=documents.LIST)
async def get_number_details(ports: Ports, e164: str) -> NumberDetails:
    """All settings of one number, to read (R46)."""
    model = (await ports.store.snapshot()).model
    return NumberDetails.model_validate(details_of(model, e164), from_attributes=True)
