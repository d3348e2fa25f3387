"""Which handsets are published, what each may fetch, and which a change of the model touches. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from control_plane.domain.entities import Entity, Occupancy, Organisation, Person, PhoneNumber, Site
from control_plane.domain.extension import Device, Extension
from control_plane.domain.handsets import Handset
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import UnsafeValue
from control_plane.render.artefacts import Rendered, Unit, UnitKind
from control_plane.render.handsets.assemble import Inside, Place, setup_of
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.family import HttpLogin
from control_plane.render.handsets.publication import COMMON, Publication, Value, version_of
from control_plane.render.handsets.setup import HandsetFile
from control_plane.render.packed import digest

COMMON_UNIT = Unit(UnitKind.COMMON_FILES, ())
NOTHING_INSIDE = Inside((), ())

Insides = Callable[[str], Inside]
"""An organisation from inside."""


def handset_units(model: Model) -> Iterator[Unit]:
    """What is common first: a handset may ask for it as soon as its own files are there."""
    yield COMMON_UNIT
    # Colleagues one after the other: they share what is rendered once for their organisation.
    colleagues = sorted(model.handsets.values(), key=lambda handset: (handset.org, handset.mac))
    yield from (Unit(UnitKind.HANDSET, (handset.mac,)) for handset in colleagues)


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


def next_publication(
    render: Callable[[int], Rendered], sequence: int, before: str | None
) -> tuple[int, Rendered]:
    """What follows on a publication of this number and of the digest `before`, and its own number.

    One that differs has the next: some makes refuse a file whose version is not newer than the one they hold.
    """
    found = render(sequence)
    if before is not None and any(digest(text) != before for text in found.values.values()):
        sequence += 1
        found = render(sequence)
    return sequence, found


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
        "ha1_sha256": _ha1_sha256(*now, place.realm) if login else None,
        "user_previous": before[0] if login and before[0] else None,
        "ha1_previous": _ha1(*before, place.realm) if login and before[0] else None,
        "ha1_sha256_previous": _ha1_sha256(*before, place.realm) if login and before[0] else None,
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


def _ha1_sha256(user: str, password: str, realm: str) -> str:
    return hashlib.sha256(f"{user}:{realm}:{password}".encode()).hexdigest()


class Index:
    """Which handsets and extensions belong where, so that one change among 10 000 looks at few of them."""

    def __init__(self, model: Model) -> None:
        self._by_org: dict[str, set[str]] = {}
        self._by_site: dict[str, set[str]] = {}
        self._by_extension: dict[ExtensionId, set[str]] = {}
        self._keys: dict[str, set[str]] = {}
        for entity in (*model.handsets.values(), *model.extensions.values()):
            self.note(None, entity)

    def note(self, before: Entity | None, after: Entity | None) -> None:
        """Keep up with one change."""
        for entity, change in ((before, set.discard), (after, set.add)):
            match entity:
                case Handset():
                    change(self._by_org.setdefault(entity.org, set()), entity.mac)
                    change(self._by_site.setdefault(entity.site, set()), entity.mac)
                    if entity.extension is not None:
                        owner = (entity.org, entity.extension)
                        change(self._by_extension.setdefault(owner, set()), entity.mac)
                case Extension():
                    change(self._keys.setdefault(entity.org, set()), entity.key)

    def keys(self, org: str) -> Iterable[str]:
        """The extensions of an organisation."""
        return self._keys.get(org, ())

    def of_org(self, org: str) -> frozenset[Unit]:
        """The handsets of an organisation."""
        return _units(self._by_org.get(org, ()))

    def at_site(self, site: str) -> frozenset[Unit]:
        """The handsets at a site."""
        return _units(self._by_site.get(site, ()))

    def at(self, org: str, extension: str) -> frozenset[Unit]:
        """The handsets logged in at an extension."""
        return _units(self._by_extension.get((org, extension), ()))


class Scan:
    """What `Index` knows, looked up as it is asked: for one question, a tenth of making an index."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def keys(self, org: str) -> Iterable[str]:
        """The extensions of an organisation."""
        return (key for owner, key in self._model.extensions if owner == org)

    def of_org(self, org: str) -> frozenset[Unit]:
        """The handsets of an organisation."""
        return _units(mac for mac, handset in self._model.handsets.items() if handset.org == org)

    def at_site(self, site: str) -> frozenset[Unit]:
        """The handsets at a site."""
        return _units(mac for mac, handset in self._model.handsets.items() if handset.site == site)

    def at(self, org: str, extension: str) -> frozenset[Unit]:
        """The handsets logged in at an extension."""
        return _units(
            mac
            for mac, handset in self._model.handsets.items()
            if handset.extension == extension and handset.org == org
        )


def _units(macs: Iterable[str]) -> frozenset[Unit]:
    return frozenset(Unit(UnitKind.HANDSET, (mac,)) for mac in macs)


def touched_handsets(index: Index | Scan, before: Entity | None, after: Entity | None) -> frozenset[Unit]:
    """The units a change concerns at once; `index` knows the change already."""
    entity = after or before
    match entity:
        case Handset():
            old, new = (one if isinstance(one, Handset) else None for one in (before, after))
            same_model = old is not None and new is not None and old.model == new.model
            unit = Unit(UnitKind.HANDSET, (entity.mac,))
            return frozenset({unit} if same_model else {unit, COMMON_UNIT})
        case Extension():
            return index.at(entity.org, entity.key)
        case Device():
            return index.at(entity.org, entity.extension)
        case PhoneNumber():
            return _of_numbers(index, before, after)
        case Site():
            return index.at_site(entity.id)
        case Occupancy():
            return index.at_site(entity.site) & index.of_org(entity.org)
        case _:
            return frozenset()


def _of_numbers(index: Index | Scan, *numbers: Entity | None) -> frozenset[Unit]:
    found: frozenset[Unit] = frozenset()
    for number in numbers:
        if isinstance(number, PhoneNumber) and number.org and number.extension:
            found |= index.at(number.org, number.extension)
    return found


def directory_changed(before: Entity | None, after: Entity | None) -> str | None:
    """The organisation whose directory a change shows in; None: in none."""
    entity = after or before
    if entity is None or _entry(before) == _entry(after):
        return None
    return entity.id if isinstance(entity, Organisation) else str(getattr(entity, "org", ""))


def _entry(entity: Entity | None) -> tuple[str, ...]:
    match entity:
        case Extension():
            return entity.key, entity.label, entity.person or ""
        case Person() | Organisation():
            return (entity.name,)
        case _:
            return ()
