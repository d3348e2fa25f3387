"""What a new handset is made of: its model, its secrets, its phone ID. Nothing here is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import Conflict, InvalidField, UnknownEntity
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.family import CatalogueModel
from control_plane.service.credentials import new_http_user, new_password, new_softphone_id, new_token
from control_plane.service.messages import build

Changes = Mapping[str, object]


def new_handset(values: Changes) -> Handset:
    """A handset with secrets of its own, nobody logged in; a softphone gets its id.

    Raises: InvalidField.
    """
    secrets = {
        "token": new_token(),
        "http_user": new_http_user(),
        "http_password": new_password(),
        "admin_password": new_password(),
        "user_password": new_password(),
    }
    wanted: dict[str, object] = {**secrets, **values}
    model = known_model(str(values.get("model", "")))
    softphone = CATALOGUE.family(model).softphone
    wanted["model"] = model.name
    if softphone:
        wanted["mac"] = new_softphone_id()
    handset = build(Handset, wanted)
    require_room_for_keys(handset)
    if handset.is_softphone is not softphone:
        raise InvalidField("mac", f"{model.name} is a phone: give the MAC address on its label")
    return handset


def known_model(name: str) -> CatalogueModel:
    """The model of the catalogue that was named. Raises: InvalidField."""
    try:
        return CATALOGUE.model(name)
    except UnknownEntity:
        raise InvalidField(
            "model", f"there is no handset model {name!r}: 'wirechief handset models' lists them"
        ) from None


def require_room_for_keys(handset: Handset) -> None:
    """Raises: InvalidField."""
    room = CATALOGUE.model(handset.model).keys
    if len(handset.keys) > room:
        raise InvalidField("keys", f"{handset.model} has {room} programmable keys")


def free_phone_ids(model: Model, site: str) -> Iterator[int]:
    """The phone IDs of a site that no handset has, the lowest first."""
    most = model.sites[site].provisioning.phone_ids
    taken = {handset.phone_id for handset in model.handsets.values() if handset.site == site}
    return (number for number in range(1, most + 1) if number not in taken)


def next_phone_id(model: Model, site: str, free: Iterator[int] | None = None) -> int:
    """The next phone ID of a site that is `free`.

    Raises: Conflict when all are taken.
    """
    found = next(free_phone_ids(model, site) if free is None else free, None)
    if found is None:
        raise Conflict(
            f"All {model.sites[site].provisioning.phone_ids} phone IDs of site {site} are taken: log a "
            "handset out there, or raise provisioning.phone_ids of the site."
        )
    return found
