"""The demo of the lab: two organisations, one site, four extensions ready for the example of R95."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from control_plane.domain.entities import (
    NumberStatus,
    Occupancy,
    Organisation,
    OrganisationKind,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import DeviceKind, NoAnswer, NoAnswerAction
from control_plane.domain.regions import RegionCode
from control_plane.domain.voice import VoiceService
from control_plane.ports import Store, Transaction
from control_plane.service.bulk import NewExtension, put_extensions
from control_plane.service.credentials import authorization_code, new_code_digits, new_pin

OPERATOR = "hq"
OCCUPIER = "acme"
SITE = "singapore"
TRUNK = "carrier"
RECEPTION = "100"
KEYS = ("100", "101", "102", "103")
VIP = ("+6531234567", "+6569876543")

_ACTOR = "demo"


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """Where the demo lives: the node of its phones, where they send media, and the carrier of its trunk."""

    node: str
    carrier_host: str
    carrier_port: int
    media_address: str | None = None


async def load_demo(store: Store, place: DemoPlace) -> str | None:
    """Load the demo into an empty model, in one transaction; a model with anything in it is left alone.

    Returns the digits of acme's new authorization code, which are kept nowhere; None when nothing was done.
    """
    async with store.transaction(_ACTOR) as tx:
        if tx.model.organisations or tx.model.sites or tx.model.trunks:
            return None
        digits = new_code_digits()
        _put_places(tx, place, digits)
        put_extensions(tx, _extensions())
    return digits


def did(key: str) -> str:
    """The outside number of a demo extension."""
    return f"+6561000{key}"


def _put_places(tx: Transaction, place: DemoPlace, digits: str) -> None:
    tx.put(Organisation(id=OPERATOR, name="Headquarters", kind=OrganisationKind.OPERATOR))
    tx.put(Organisation(id=OCCUPIER, name="Acme"))
    tx.put(
        Trunk(
            id=TRUNK,
            node=place.node,
            host=place.carrier_host,
            port=place.carrier_port,
            region=RegionCode.SG,
        )
    )
    tx.put(
        Site(
            id=SITE,
            name="Singapore",
            region=RegionCode.SG,
            time_zone="Asia/Singapore",
            node=place.node,
            trunk=TRUNK,
            caller_id=did(RECEPTION),
            media_address=place.media_address,
        )
    )
    tx.put(
        Occupancy(
            org=OCCUPIER,
            site=SITE,
            authorization_code=authorization_code(digits),
            reception=(RECEPTION,),
        )
    )
    tx.put(VoiceService(org=OCCUPIER, site=SITE, quantity=len(KEYS)))
    for key in KEYS:
        tx.put(_number(key))


def _number(key: str) -> PhoneNumber:
    return PhoneNumber(
        e164=did(key),
        site=SITE,
        org=OCCUPIER,
        status=NumberStatus.ACTIVE,
        ever_active=True,
        default_pin=SecretStr(new_pin()),
    )


def _extensions() -> tuple[NewExtension, ...]:
    """100 as in R95, stored ready and switched off; 101 takes messages."""
    common = {"org": OCCUPIER, "site": SITE}
    first = {
        **common,
        "key": "100",
        "label": "Reception",
        "number": did("100"),
        "ring_devices": (DeviceKind.IP_PHONE, DeviceKind.MOBILE),
        "forwarding": {"extensions": ("101", "102", "103"), "vip": VIP},
    }
    second = {
        **common,
        "key": "101",
        "label": "Ada",
        "number": did("101"),
        "no_answer": NoAnswer(action=NoAnswerAction.VOICEMAIL),
    }
    third = {**common, "key": "102", "label": "Ben", "number": did("102")}
    fourth = {**common, "key": "103", "label": "Cleo", "number": did("103")}
    desktop = ({"kind": DeviceKind.DESKTOP},)
    both = ({"kind": DeviceKind.IP_PHONE}, {"kind": DeviceKind.MOBILE})
    return (
        NewExtension(first, both),
        NewExtension(second, desktop),
        NewExtension(third, desktop),
        NewExtension(fourth, desktop),
    )
