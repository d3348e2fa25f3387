"""Which handsets are published, what each may fetch, and which a change of the model touches. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from control_plane.domain.entities import Entity, Organisation, Person, PhoneNumber, Site
from control_plane.domain.extension import Device, Extension
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import UnsafeValue
from control_plane.render.artefacts import Rendered, Unit, UnitKind
from control_plane.render.handsets.assemble import Inside, Place, inside_of, setup_of
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.family import HttpLogin
from control_plane.render.handsets.publication import COMMON, Publication, Value, version_of
from control_plane.render.handsets.setup import HandsetFile, HandsetSetup

COMMON_UNIT = Unit(UnitKind.COMMON_FILES, ())
NOTHING_INSIDE = Inside((), ())

Insides = Callable[[str], Inside]
"""An organisation from inside."""


def handset_units(model: Model) -> Iterator[Unit]:
    """What is common first: a handset may ask for it as soon as its own files are there."""
    yield COMMON_UNIT
    yield from (Unit(UnitKind.HANDSET, (mac,)) for mac in model.handsets)


def render_publication(model: Model, unit: Unit, place: Place, insides: Insides, sequence: int) -> Rendered:
    """What the published store is to hold of `unit`; nothing for a handset that is not there.

    Raises:
        ControlPlaneError: a value cannot stand in a handset's file, or there is no such model.
    """
    if unit == COMMON_UNIT:
        return Rendered.of(published=_common(model, place))
    handset = model.handsets.get(unit.key[0])
    if handset is None:
        return Rendered()
    setup = setup_of(model, handset, place, insides(handset.org), sequence)
    files = tuple(file for file in render_handset(setup) if not file.common)
    row = device_row(model, handset, place, files) | {"sequence": sequence}
    publication = Publication(row, files)
    return Rendered.of(published=[(handset.mac, publication.text())])


def _common(model: Model, place: Place) -> Iterator[tuple[str, str]]:
    """The files that are the same for every handset of a model, of each model in use."""
    found: dict[str, HandsetFile] = {}
    seen: set[str] = set()
    for handset in model.handsets.values():
        if handset.model in seen:
            continue
        seen.add(handset.model)
        for file in render_handset(setup_of(model, handset, place, NOTHING_INSIDE)):
            if not file.common:
                continue
            other = found.setdefault(file.name.lower(), file)
            if other.content != file.content:
                raise UnsafeValue(
                    file.name, f"{handset.model} and another model have different files of this name"
                )
    for name, file in sorted(found.items()):
        yield f"{COMMON}{name}", Publication({}, (file,)).text()


def device_row(
    model: Model, handset: Handset, place: Place, files: Iterable[HandsetFile]
) -> dict[str, Value]:
    """The columns of `devices` in provisioning_server/schema.sql, without the MAC."""
    known = CATALOGUE.model(handset.model)
    family = CATALOGUE.family(known)
    login = family.login is not HttpLogin.NONE
    now = (handset.http_user, handset.http_password.get_secret_value())
    before = (handset.http_user_previous, handset.http_password_previous.get_secret_value())
    until = handset.window_until
    return {
        "vendor": known.vendor,
        "family": family.id,
        "model": known.name,
        "state": "enabled" if handset.enabled else "disabled",
        "token": _sha256(handset.token.get_secret_value()),
        "token_previous": _sha256(handset.token_previous.get_secret_value()),
        "auth": family.login.value,
        "user": now[0] if login else None,
        "ha1": _ha1(*now, place.realm) if login else None,
        "user_previous": before[0] if login and before[0] else None,
        "ha1_previous": _ha1(*before, place.realm) if login and before[0] else None,
        "allowed": "[" + ",".join(f'"{network}"' for network in handset.allowed) + "]",
        "plain": int(model.sites[handset.site].provisioning.plain),
        "certificate": handset.certificate.value,
        "window_id": handset.window_id,
        "window_until": until.isoformat() if until is not None else None,
        "user_agent": family.user_agent,
        "version": version_of(files),
    }


def _sha256(token: str) -> str | None:
    return hashlib.sha256(token.encode()).hexdigest() if token else None


def _ha1(user: str, password: str, realm: str) -> str:
    # RFC 7616 3.4.2 as most handsets do it; the password has over 128 random bits.
    return hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


def touched_handsets(model: Model, before: Entity | None, after: Entity | None) -> frozenset[Unit]:
    """The units a change concerns at once; the model is the one after the change."""
    entity = after or before
    match entity:
        case Handset():
            old, new = (one if isinstance(one, Handset) else None for one in (before, after))
            same_model = old is not None and new is not None and old.model == new.model
            unit = Unit(UnitKind.HANDSET, (entity.mac,))
            return frozenset({unit} if same_model else {unit, COMMON_UNIT})
        case Extension():
            return _at(model, entity.org, entity.key)
        case Device():
            return _at(model, entity.org, entity.extension)
        case PhoneNumber():
            return _of_numbers(model, before, after)
        case Site():
            return frozenset(
                Unit(UnitKind.HANDSET, (h.mac,)) for h in model.handsets.values() if h.site == entity.id
            )
        case _:
            return frozenset()


def _at(model: Model, org: str, extension: str) -> frozenset[Unit]:
    return frozenset(
        Unit(UnitKind.HANDSET, (handset.mac,))
        for handset in model.handsets.values()
        if handset.extension == extension and handset.org == org
    )


def _of_numbers(model: Model, *numbers: Entity | None) -> frozenset[Unit]:
    found: set[Unit] = set()
    for number in numbers:
        if isinstance(number, PhoneNumber) and number.org and number.extension:
            found |= _at(model, number.org, number.extension)
    return frozenset(found)


def directory_changed(before: Entity | None, after: Entity | None) -> str | None:
    """The organisation whose directory a change shows in; None: in none."""
    entity = after or before
    if entity is None or _entry(before) == _entry(after):
        return None
    return entity.id if isinstance(entity, Organisation) else str(getattr(entity, "org", ""))


def handsets_of(model: Model, org: str) -> Iterator[Unit]:
    """The handsets of an organisation."""
    return (Unit(UnitKind.HANDSET, (h.mac,)) for h in model.handsets.values() if h.org == org)


def _entry(entity: Entity | None) -> tuple[str, ...]:
    match entity:
        case Extension():
            return entity.key, entity.label, entity.person or ""
        case Person() | Organisation():
            return (entity.name,)
        case _:
            return ()


def handset_setup(model: Model, handset: Handset, place: Place) -> HandsetSetup:
    """What one handset is told now, directory included."""
    return setup_of(model, handset, place, inside_of(model, handset.org))
