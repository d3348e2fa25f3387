"""Who may log in, as what, and how much of that a token may use (A11)."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from control_plane.domain.entities import Entity, Label, Slug

TOKEN_ID_PATTERN = r"^[a-z0-9]{12}$"  # noqa: S105 - a pattern, not a token
_LOGIN_NAME = re.compile(r"[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,180}")


class Role(StrEnum):
    """What somebody may do (A11). `read_only` is of the whole exchange, or of one organisation."""

    OPERATOR_ADMIN = "operator_admin"
    OCCUPIER_ADMIN = "occupier_admin"
    PERSON = "person"
    CARRIER = "carrier"
    READ_ONLY = "read_only"


class Scope(StrEnum):
    """How much of its account's role a token may use."""

    READ = "read"
    WRITE = "write"
    SECRETS = "secrets"  # SIP passwords, PINs, codes
    PUSH = "push"  # bring changes to a node, lift blocks there
    ACCOUNTS = "accounts"  # accounts and tokens


def login_name(value: str) -> str:
    """An e-mail address as accounts are named: lower case. Raises ValueError when it is none."""
    name = value.strip().lower()
    if not _LOGIN_NAME.fullmatch(name):
        raise ValueError(
            "must be an e-mail address such as name@example.com, of letters, digits and . _ % + -"
        )
    return name


LoginName = Annotated[str, AfterValidator(login_name)]

_WHOLE_EXCHANGE = (Role.OPERATOR_ADMIN, Role.CARRIER)


class Account(Entity):
    """Somebody who may log in. `password_hash` is argon2id; empty: only tokens, no log-in."""

    email: LoginName
    name: Label = ""
    role: Role
    org: Slug | None = None
    person: Slug | None = None
    disabled: bool = False
    password_hash: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _role_says_what_it_is_bound_to(self) -> Self:
        if self.role in _WHOLE_EXCHANGE and self.org is not None:
            raise ValueError(f"org: the role {self.role} is not of one organisation")
        if self.role in (Role.OCCUPIER_ADMIN, Role.PERSON) and self.org is None:
            raise ValueError(f"org: the role {self.role} needs an organisation")
        if (self.role is Role.PERSON) != (self.person is not None):
            raise ValueError("person: the role person, and only that, needs the person it is")
        return self


class Token(Entity):
    """A named token of an account; of the token itself only its SHA-256 is kept."""

    id: str = Field(pattern=TOKEN_ID_PATTERN)
    account: LoginName
    name: Label
    digest: SecretStr
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None

    @field_validator("scopes")
    @classmethod
    def _in_order(cls, value: tuple[Scope, ...]) -> tuple[Scope, ...]:
        if not value:
            raise ValueError("name at least one scope")
        return tuple(scope for scope in Scope if scope in value)
