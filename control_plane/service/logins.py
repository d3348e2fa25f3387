"""Logging in and out, and whose a token is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from control_plane.domain.accounts import Account, Scope
from control_plane.domain.model import Model
from control_plane.errors import LoginFailed, StoreBusy
from control_plane.ports import Clock, Passwords, Session, Sessions, Store
from control_plane.service.attempts import Attempts
from control_plane.service.rights import Caller
from control_plane.service.tokens import TokenText, caller_for, is_in_force, new_text, read_text

LASTS: Final = timedelta(hours=12)
"""How long a log-in lasts, used or not."""
NOTED_EVERY: Final = timedelta(minutes=1)
"""When a token was last used is kept to the minute: a write for each request costs more than the request."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A log-in that was just made; its token comes out here and nowhere else."""

    caller: Caller
    token: TokenText
    expires_at: datetime


class Logins:
    """Everything about log-ins and tokens that is in force now."""

    def __init__(self, store: Store, sessions: Sessions, passwords: Passwords, clock: Clock) -> None:
        self.passwords = passwords
        self.clock = clock
        self.attempts = Attempts(clock)
        self._store = store
        self._sessions = sessions
        self._noted: dict[str, datetime] = {}

    async def log_in(self, name: str, password: str) -> LoggedIn:
        """A log-in with its token.

        An unknown account, a disabled one, one without a password and a wrong password fail alike, after the
        same work.
        Raises: LoginFailed, TooMany.
        """
        email = name.strip().lower()
        self.attempts.begin(email)
        account = (await self._store.snapshot()).model.accounts.get(email)
        known = account.password_hash.get_secret_value() if account is not None else ""
        right = await self.passwords.matches(known, password)
        if account is None or account.disabled or not right:
            raise LoginFailed("E-mail or password is wrong, or the account is disabled.")
        self.attempts.succeeded(email)
        text, now = new_text(is_login=True), self.clock.now()
        session = Session(text.id, email, text.digest, _mark(account), now + LASTS)
        await self._sessions.begin(session, now)
        return LoggedIn(caller_for(account, frozenset(Scope), text.id), text, session.expires_at)

    async def log_out(self, caller: Caller) -> None:
        """The token of the log-in is refused from now on; a named token is not touched."""
        if caller.token is not None:
            await self._sessions.end(caller.token)

    async def identify(self, text: str) -> Caller | None:
        """Whose token this is; None when it is nobody's, expired, revoked, or its account is disabled."""
        token = read_text(text)
        if token is None:
            return None
        model = (await self._store.snapshot()).model
        caller = await self._of_login(model, token) if token.is_login else self._of_named(model, token)
        if caller is not None and not token.is_login:
            await self._note(f"token {token.id}")
        return caller

    async def _of_login(self, model: Model, token: TokenText) -> Caller | None:
        session = await self._sessions.find(token.id)
        if session is None or not token.is_of(session.digest):
            return None
        account = model.accounts.get(session.account)
        if account is None or account.disabled or _mark(account) != session.password_mark:
            return None
        in_force = is_in_force(session.expires_at, self.clock.now())
        return caller_for(account, frozenset(Scope), token.id) if in_force else None

    def _of_named(self, model: Model, token: TokenText) -> Caller | None:
        kept = model.tokens.get(token.id)
        if kept is None or not token.is_of(kept.digest.get_secret_value()):
            return None
        account = model.accounts.get(kept.account)
        if account is None or account.disabled or not is_in_force(kept.expires_at, self.clock.now()):
            return None
        return caller_for(account, frozenset(kept.scopes), token.id)

    async def _note(self, what: str) -> None:
        now = self.clock.now()
        noted = self._noted.get(what)
        if noted is None or now - noted >= NOTED_EVERY:
            self._noted[what] = now
            with suppress(StoreBusy):  # to the minute is good enough, and a request must not fail for it
                await self._sessions.note_seen(what, now)

    async def seen(self) -> Mapping[str, datetime]:
        """When accounts logged in last and tokens were used last, by "account EMAIL" and "token ID"."""
        return await self._sessions.seen()


def _mark(account: Account) -> str:
    """Changes with the password: log-ins made with another one are over."""
    return hashlib.sha256(account.password_hash.get_secret_value().encode()).hexdigest()[:16]
