"""Routes for logging in, for accounts and for their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from control_plane.api import documents
from control_plane.api.account_schemas import (
    AccountIn,
    AccountOut,
    AccountPatch,
    LogInIn,
    LogInOut,
    MeOut,
    PasswordIn,
    TokenIn,
    TokenMade,
    TokenOut,
)
from control_plane.api.caller import Calling
from control_plane.api.context import Creating, Ports, Viewing, Writing, etag
from control_plane.api.devices import NO_STORE
from control_plane.api.paging import Listing, Paged
from control_plane.domain.accounts import Account, Token
from control_plane.ports import EntityKind
from control_plane.service import accounts as use_cases
from control_plane.service import tokens as token_cases
from control_plane.service.reading import model_with_version
from control_plane.service.rights import Caller
from control_plane.service.writing import given

logins = APIRouter(tags=["accounts"])
own = APIRouter(tags=["accounts"])
accounts = APIRouter(prefix="/accounts", tags=["accounts"])

Seen = Mapping[str, datetime]


@logins.post("/login", response_model=LogInOut, responses=documents.LOG_IN)
async def log_in(ports: Ports, response: Response, body: Annotated[LogInIn, Body()]) -> dict[str, Any]:
    """Log in with e-mail and password; the token is in force for twelve hours."""
    made = await ports.logins.log_in(body.email, body.password)
    response.headers.update(NO_STORE)
    return {
        **_me(made.caller),
        "token": made.token.text.get_secret_value(),
        "expires_at": made.expires_at,
        "account": made.caller.name,
    }


@own.post("/logout", status_code=204, responses=documents.ALWAYS)
async def log_out(ports: Ports, caller: Calling) -> None:
    """End the log-in this token is of; a named token stays in force."""
    await ports.logins.log_out(caller)


@own.get("/me", response_model=MeOut, responses=documents.ALWAYS)
async def get_me(caller: Calling) -> dict[str, Any]:
    """Who you are here, and what you may do."""
    return _me(caller)


def _me(caller: Caller) -> dict[str, Any]:
    return {
        "name": caller.name,
        "position": caller.position,
        "org": caller.org,
        "person": caller.person,
        "scopes": sorted(caller.scopes),
    }


@accounts.get("", response_model=Listing[AccountOut], responses=documents.LIST)
async def list_accounts(ports: Ports, viewing: Viewing, paging: Paged) -> dict[str, Any]:
    """The accounts, by e-mail."""
    model, view = viewing
    seen = await ports.logins.seen()
    return paging.listing(
        ((email, account) for email, account in model.accounts.items() if view.sees(account)),
        shown=lambda account: _account(ports, account, seen),
    )


@accounts.post("", status_code=201, response_model=AccountOut, responses=documents.CREATE_SLOWLY)
async def create_account(
    write: Creating, caller: Calling, body: Annotated[AccountIn, Body()]
) -> dict[str, Any]:
    """Add an account."""
    values = given(body)
    values.pop("password", None)
    saved = await use_cases.create_account(
        write.store, write.ports.logins, write.by, caller, values, body.get("password")
    )
    account = write.done(saved, f"/accounts/{saved.entity.email}")
    return _account(write.ports, account, {})


@accounts.get("/{account}", response_model=AccountOut, responses=documents.READ_WITH_STATE)
async def get_account(ports: Ports, response: Response, account: str) -> dict[str, Any]:
    """One account."""
    model, version = await model_with_version(ports.store, EntityKind.ACCOUNT, (account,))
    response.headers["ETag"] = etag(version)
    return _account(ports, model.accounts[account], await ports.logins.seen())


@accounts.patch("/{account}", response_model=AccountOut, responses=documents.PATCH)
async def patch_account(
    write: Writing, caller: Calling, account: str, body: Annotated[AccountPatch, Body()]
) -> dict[str, Any]:
    """Change only the fields given; a disabled account's tokens and log-ins are refused at once."""
    saved = await use_cases.patch_account(write.store, write.by, caller, account, body)
    return _account(write.ports, write.done(saved), await write.ports.logins.seen())


@accounts.delete("/{account}", status_code=204, responses=documents.DELETE)
async def delete_account(write: Writing, caller: Calling, account: str) -> None:
    """Remove an account with its tokens."""
    await use_cases.delete_account(write.store, write.by, caller, account)
    await write.removed()


@accounts.put("/{account}/password", status_code=204, responses=documents.PASSWORD)
async def set_password(
    write: Writing, caller: Calling, account: str, body: Annotated[PasswordIn, Body()]
) -> None:
    """Set a password; log-ins made with the one before are over, named tokens stay."""
    saved = await use_cases.set_password(
        write.store,
        write.ports.logins,
        write.by,
        caller,
        account,
        password=body.password,
        current=body.current,
    )
    write.done(saved)


@accounts.get("/{account}/tokens", response_model=list[TokenOut], responses=documents.LIST)
async def list_tokens(ports: Ports, caller: Calling, account: str) -> list[dict[str, Any]]:
    """The account's named tokens, the oldest first."""
    model = (await ports.store.snapshot()).model
    use_cases.require_own_or_below(caller, use_cases.require_account(model, account))
    seen = await ports.logins.seen()
    found = [token for token in model.tokens.values() if token.account == account]
    return [_token(token, seen) for token in sorted(found, key=lambda t: (t.created_at, t.id))]


@accounts.post("/{account}/tokens", status_code=201, response_model=TokenMade, responses=documents.CREATE)
async def create_token(
    write: Creating, caller: Calling, response: Response, account: str, body: Annotated[TokenIn, Body()]
) -> dict[str, Any]:
    """Make a token for programs; it cannot do more than you."""
    saved, text = await token_cases.create_token(
        write.store,
        write.ports.logins.clock,
        write.by,
        caller,
        account,
        name=body.name,
        scopes=frozenset(body.scopes),
        days=body.days,
    )
    token = write.done(saved, f"/accounts/{account}/tokens/{saved.entity.id}")
    response.headers.update(NO_STORE)
    return {"token": text.text.get_secret_value(), "details": _token(token, {})}


@accounts.delete("/{account}/tokens/{token}", status_code=204, responses=documents.DELETE)
async def revoke_token(write: Writing, caller: Calling, account: str, token: str) -> None:
    """Revoke a token: it is refused from the next request on."""
    await token_cases.revoke_token(write.store, write.by, caller, account, token)
    await write.removed()


def _account(ports: Ports, account: Account, seen: Seen) -> dict[str, Any]:
    return {
        **account.model_dump(exclude={"password_hash"}),
        "has_password": bool(account.password_hash.get_secret_value()),
        "last_login": seen.get(f"account {account.email}"),
        "locked_until": ports.logins.attempts.locked_until(account.email),
    }


def _token(token: Token, seen: Seen) -> dict[str, Any]:
    return {**token.model_dump(exclude={"digest"}), "last_used": seen.get(f"token {token.id}")}
