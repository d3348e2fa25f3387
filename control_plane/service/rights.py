"""Who sees and may do what: the one place where the isolation of tenants is decided.

An edge (API, portal) knows the caller and asks here. What a caller does not see is answered like what is not
there; whether he may do what he asks with something he sees is the edge's table of rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from control_plane.domain.accounts import Account, Role, Scope
from control_plane.domain.entities import Entity, Occupancy, Organisation, Person, PhoneNumber, Site
from control_plane.domain.extension import Device, Extension
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import UnknownEntity


class Position(StrEnum):
    """A role and how far it reaches: the columns of the table of rights."""

    OPERATOR_ADMIN = "operator admin"
    OPERATOR_READER = "operator reader"
    OCCUPIER_ADMIN = "occupier admin"
    OCCUPIER_READER = "occupier reader"
    PERSON = "person"
    CARRIER = "carrier"


_READ: Final = frozenset({Scope.READ, Scope.ACCOUNTS})
SCOPES: Final[Mapping[Position, frozenset[Scope]]] = {
    Position.OPERATOR_ADMIN: frozenset(Scope),
    Position.OPERATOR_READER: _READ,
    Position.OCCUPIER_ADMIN: _READ | {Scope.WRITE, Scope.SECRETS},
    Position.OCCUPIER_READER: _READ,
    Position.PERSON: _READ | {Scope.WRITE, Scope.SECRETS},
    Position.CARRIER: _READ | {Scope.WRITE},
}
"""What a token of each may have at most. Everybody may make tokens of his own, so all have `accounts`."""

OF_TENANTS: Final = (
    Occupancy,
    Person,
    PhoneNumber,
    Extension,
    Device,
    Handset,
    CallGroup,
    MainNumber,
    Account,
)
"""What belongs to an organisation by its field `org`, and is seen by all who see that organisation whole."""


def position_of(role: Role, org: str | None) -> Position:
    """The position of an account with `role`, bound to `org` or to none."""
    match role:
        case Role.OPERATOR_ADMIN:
            return Position.OPERATOR_ADMIN
        case Role.OCCUPIER_ADMIN:
            return Position.OCCUPIER_ADMIN
        case Role.PERSON:
            return Position.PERSON
        case Role.CARRIER:
            return Position.CARRIER
        case Role.READ_ONLY:
            return Position.OPERATOR_READER if org is None else Position.OCCUPIER_READER


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as it was found out from his token; `name` is what the audit calls him."""

    name: str
    position: Position
    org: str | None = None
    person: str | None = None
    scopes: frozenset[Scope] = frozenset()
    token: str | None = None
    """The id of the token it was found out from; None for the machine's own."""

    @property
    def is_operator(self) -> bool:
        """Whether there is nothing he may not do, as far as his token goes."""
        return self.position is Position.OPERATOR_ADMIN

    @property
    def sees_organisation(self) -> bool:
        """Whether he sees all of one organisation, and nothing else."""
        return self.position in (Position.OCCUPIER_ADMIN, Position.OCCUPIER_READER)

    @property
    def sees_everything(self) -> bool:
        return self.position in (Position.OPERATOR_ADMIN, Position.OPERATOR_READER)


def root(name: str) -> Caller:
    """Who holds the token of the machine: everything, under this name."""
    return Caller(name, Position.OPERATOR_ADMIN, scopes=frozenset(Scope))


class View:
    """What one caller sees of one model."""

    def __init__(self, caller: Caller, model: Model) -> None:
        self._caller = caller
        self._model = model

    def sees(self, entity: Entity) -> bool:
        """Whether `entity` is there for the caller; a kind not known here is there for the operator only."""
        if self._caller.sees_everything:
            return True
        if self._is_tenant and isinstance(entity, OF_TENANTS):
            return entity.org is not None and entity.org == self._caller.org
        match entity:
            case Organisation():
                return entity.id == self._caller.org
            case Site():
                return self._sees_site(entity)
            case PhoneNumber():
                return self._sees_number(entity)
            case Person():
                return entity.org == self._caller.org and entity.id == self._caller.person
            case Extension():
                return self._sees_extension((entity.org, entity.key))
            case Device():
                return self._sees_extension((entity.org, entity.extension))
            case Account():
                return entity.email == self._caller.name
            case _:
                return False

    def sees_site(self, site: str) -> bool:
        """Whether there is a site of this id for the caller."""
        found = self._model.sites.get(site)
        return found is not None and self.sees(found)

    def require(self, names: Mapping[str, str]) -> None:
        """Nothing, when everything an address names is there for the caller.

        `names` are the path's parameters. Those not known here must stand below {org}.
        Raises: UnknownEntity, word for word as for what is not there.
        """
        if self._caller.sees_everything:
            return
        org = names.get("org")
        if org is not None:
            self._require_below_organisation(org, names)
        elif "e164" in names:
            self._require(self._model.numbers.get(names["e164"]), "number", names["e164"])
        elif "account" in names:
            self._require(self._model.accounts.get(names["account"]), "account", names["account"])
        elif "site" in names:
            self._require(self._model.sites.get(names["site"]), "site", names["site"])
        else:
            for kind, name in names.items():
                raise UnknownEntity(kind, name)

    def _require_below_organisation(self, org: str, names: Mapping[str, str]) -> None:
        self._require(self._model.organisations.get(org), "organisation", org)
        key, person = names.get("key"), names.get("person")
        if key is not None and not self._is_tenant:
            self._require(self._model.extensions.get((org, key)), "extension", f"{org}/{key}")
        if person is not None and not self._is_tenant:
            self._require(self._model.people.get(person), "person", person)

    def _require(self, entity: Entity | None, kind: str, name: str) -> None:
        if entity is None or not self.sees(entity):
            raise UnknownEntity(kind, name)

    @property
    def _is_tenant(self) -> bool:
        """Whether the caller sees all of his organisation."""
        return self._caller.sees_organisation

    def _sees_extension(self, ident: ExtensionId) -> bool:
        if ident[0] != self._caller.org:
            return False
        if self._is_tenant:
            return True
        extension = self._model.extensions.get(ident)
        return (
            extension is not None and extension.person is not None and extension.person == self._caller.person
        )

    def _sees_number(self, number: PhoneNumber) -> bool:
        if self._caller.position is Position.CARRIER:
            return number.org is None  # the pool: whose the others are is no business of the carrier's
        if number.org is None or number.org != self._caller.org:
            return False
        return number.extension is not None and self._sees_extension((number.org, number.extension))

    def _sees_site(self, site: Site) -> bool:
        if self._caller.position is Position.CARRIER:
            return True
        if self._is_tenant:
            return (self._caller.org, site.id) in self._model.occupancies
        return any(e.site == site.id for e in self._own_extensions())

    def _own_extensions(self) -> Iterable[Extension]:
        return (e for ident, e in self._model.extensions.items() if self._sees_extension(ident))
