"""Bearer tokens: made from 192 random bits, kept as their SHA-256, found again by their id."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import SecretStr

from control_plane.domain.accounts import Account, Role, Scope, Token
from control_plane.errors import Forbidden, InvalidField, UnknownEntity
from control_plane.ports import Clock, EntityKind, Store
from control_plane.service.accounts import require_account, require_own_or_below
from control_plane.service.messages import build
from control_plane.service.rights import SCOPES, Caller, position_of
from control_plane.service.writing import By, Saved

SECRET_BYTES: Final = 24
DAYS_MAX: Final = 3650
PER_ACCOUNT_MAX: Final = 50
_TEXT: Final = re.compile(r"(wct|wcs)_([a-z0-9]{12})_([A-Za-z0-9_-]{32})")
"""wct: a named token, wcs: of a log-in. The prefix lets people and scanners recognise a leaked one."""


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token as its holder has it, and what is kept of it."""

    id: str
    is_login: bool
    text: SecretStr

    @property
    def digest(self) -> str:
        # The token is random and long: a fast hash is as good as a slow one here.
        return hashlib.sha256(self.text.get_secret_value().encode()).hexdigest()

    def is_of(self, digest: str) -> bool:
        """Whether `digest` is that of this token; takes the same time whatever is wrong."""
        return hmac.compare_digest(self.digest, digest)


def new_text(*, is_login: bool) -> TokenText:
    """A new token."""
    kind, ident = ("wcs" if is_login else "wct"), secrets.token_hex(6)
    text = f"{kind}_{ident}_{secrets.token_urlsafe(SECRET_BYTES)}"
    return TokenText(ident, is_login, SecretStr(text))


def read_text(text: str) -> TokenText | None:
    """The token `text` may be; None when it is none of ours."""
    found = _TEXT.fullmatch(text)
    return None if found is None else TokenText(found[2], found[1] == "wcs", SecretStr(text))


def caller_for(account: Account, scopes: frozenset[Scope], token: str) -> Caller:
    """Who `account` is to the rest of the program, never with more scopes than its role has."""
    position = position_of(account.role, account.org)
    return Caller(
        account.email,
        position,
        org=account.org,
        person=account.person if account.role is Role.PERSON else None,
        scopes=scopes & SCOPES[position],
        token=token,
    )


async def create_token(
    store: Store,
    clock: Clock,
    by: By,
    caller: Caller,
    email: str,
    *,
    name: str,
    scopes: frozenset[Scope],
    days: int | None,
) -> tuple[Saved[Token], TokenText]:
    """A named token of an account, in force for `days` (None: until it is revoked); its text comes out once.

    Only for oneself, or by the operator for anybody, and never with more scopes than one has.
    Raises: UnknownEntity, Forbidden, InvalidField.
    """
    now, text = clock.now(), new_text(is_login=False)
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise InvalidField("days", f"must be between 1 and {DAYS_MAX}")
    async with store.transaction(by.actor) as tx:
        account = require_account(tx.model, email)
        require_own(caller, email)
        _require_scopes(caller, account, scopes)
        if sum(token.account == email for token in tx.model.tokens.values()) >= PER_ACCOUNT_MAX:
            raise InvalidField("name", f"{email} has {PER_ACCOUNT_MAX} tokens already: revoke one first")
        values = {
            "id": text.id,
            "account": email,
            "name": name,
            "digest": SecretStr(text.digest),
            "scopes": tuple(scopes),
            "created_at": now,
            "expires_at": None if days is None else now + timedelta(days=days),
        }
        token = build(Token, values)
        tx.put(token)
        return Saved(token, tx.version(EntityKind.TOKEN, (token.id,))), text


def require_own(caller: Caller, email: str) -> None:
    """A token is a way to act as somebody: only the operator makes one for another, who can do all he can.

    Raises: Forbidden.
    """
    if caller.name != email and not caller.is_operator:
        raise Forbidden("Tokens and passwords are made by the account they are of.")


def _require_scopes(caller: Caller, account: Account, scopes: frozenset[Scope]) -> None:
    position = position_of(account.role, account.org)
    beyond = scopes - SCOPES[position]
    if beyond:
        raise InvalidField("scopes", f"a {position} has no {', '.join(sorted(beyond))}")
    missing = scopes - caller.scopes
    if missing:
        raise Forbidden(f"Your own token lacks the scope {', '.join(sorted(missing))}, so it cannot give it.")


async def revoke_token(store: Store, by: By, caller: Caller, email: str, ident: str) -> None:
    """The token is refused from the next request on.

    By its own account, and by who administers that account.
    Raises: UnknownEntity, Forbidden.
    """
    async with store.transaction(by.actor) as tx:
        require_own_or_below(caller, require_account(tx.model, email))
        found = tx.model.tokens.get(ident)
        if found is None or found.account != email:
            raise UnknownEntity("token", ident)
        tx.delete(EntityKind.TOKEN, (ident,))


def is_in_force(expires_at: datetime | None, now: datetime) -> bool:
    """Whether something that expires then is in force."""
    return expires_at is None or now < expires_at
