"""What the API takes and gives about accounts, tokens and log-ins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Required

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from control_plane.api.schemas import Out, strict
from control_plane.domain.accounts import Role, Scope
from control_plane.domain.entities import Label, Slug
from control_plane.service.accounts import PASSWORD_LENGTH_MAX
from control_plane.service.rights import Position
from control_plane.service.tokens import DAYS_MAX

Email = Annotated[str, Field(max_length=254, examples=["ann@example.com"])]
Password = Annotated[str, Field(max_length=PASSWORD_LENGTH_MAX, json_schema_extra={"writeOnly": True})]


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LogInIn(_Given):
    """Who logs in."""

    email: Email
    password: Password


class LogInOut(BaseModel):
    """A log-in; its token is shown this once."""

    token: str
    expires_at: datetime
    account: str
    position: Position
    org: str | None
    person: str | None
    scopes: list[Scope]


class MeOut(BaseModel):
    """Who the token makes you."""

    name: str
    position: Position
    org: str | None
    person: str | None
    scopes: list[Scope]


class AccountOut(Out):
    """Somebody who may log in."""

    email: str
    name: str
    role: Role
    org: str | None
    person: str | None
    disabled: bool
    has_password: bool
    last_login: datetime | None
    locked_until: datetime | None = Field(
        description="After failed log-ins; tokens in force are not affected."
    )


class _AccountFields(TypedDict, total=False):
    name: Label | None
    org: Slug | None
    person: Slug | None
    disabled: bool | None


@strict
class AccountPatch(_AccountFields, total=False):
    """Fields of an account."""

    role: Role


@strict
class AccountIn(_AccountFields, total=False):
    """A new account; without a password only tokens can be used."""

    email: Required[Email]
    role: Required[Role]
    password: Password | None


class PasswordIn(_Given):
    """A new password; one's own needs the present one."""

    password: Password
    current: Password | None = None


class TokenOut(Out):
    """A named token, without what its holder has."""

    id: str
    account: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used: datetime | None


class TokenIn(_Given):
    """A new token."""

    name: Label
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope))
    days: int | None = Field(
        default=90, ge=1, le=DAYS_MAX, strict=True, description="In force for so long; null: until revoked."
    )


class TokenMade(BaseModel):
    """A new token; its text is shown this once and kept nowhere."""

    token: str
    details: TokenOut
