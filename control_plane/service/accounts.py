"""Use cases for accounts: who there is, as what, and what they may do to each other (A11)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from pydantic import SecretStr

from control_plane.domain.accounts import Account, Role, login_name
from control_plane.domain.model import Model
from control_plane.errors import Conflict, Forbidden, InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Passwords, Store, Transaction
from control_plane.service.attempts import Attempts
from control_plane.service.messages import build
from control_plane.service.rights import Caller, Position
from control_plane.service.rules import require_new, require_reference
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]


class Guarded(Protocol):
    """What checks passwords, and counts how often it was tried."""

    @property
    def passwords(self) -> Passwords: ...

    @property
    def attempts(self) -> Attempts: ...


PASSWORD_LENGTH_MIN: Final = 12
PASSWORD_LENGTH_MAX: Final = 256
_GIVEN_BY_OCCUPIERS: Final = frozenset({Role.OCCUPIER_ADMIN, Role.PERSON, Role.READ_ONLY})


def require_account(model: Model, email: str) -> Account:
    """Raises: UnknownEntity."""
    found = model.accounts.get(email)
    if found is None:
        raise UnknownEntity("account", email)
    return found


def require_password(password: str, email: str) -> None:
    """Raises InvalidField when it is too easy or too long; what people choose beyond that is theirs."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise InvalidField("password", f"must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters")
    if password.strip().lower() == email or len(set(password)) < PASSWORD_LENGTH_MIN // 3:
        raise InvalidField("password", "is too easy to guess: choose several words")


def _require_may_have(caller: Caller, account: Account) -> None:
    """An occupier's administrator makes accounts of his organisation, and none that reach further.

    Raises: Forbidden.
    """
    if caller.is_operator:
        return
    allowed = caller.position is Position.OCCUPIER_ADMIN and account.role in _GIVEN_BY_OCCUPIERS
    if not allowed or account.org is None or account.org != caller.org:
        raise Forbidden(
            f"You may have accounts of {caller.org or 'no organisation'} with the roles "
            f"{', '.join(sorted(_GIVEN_BY_OCCUPIERS))} only."
        )


def require_own_or_below(caller: Caller, account: Account) -> None:
    """Raises Forbidden when the account is neither the caller's own nor one he administers."""
    if caller.name != account.email:
        _require_may_have(caller, account)


def _check(model: Model, account: Account) -> None:
    require_reference(model.organisations, account.org, "org", "organisation")
    people = {person.id for person in model.people.values() if person.org == account.org}
    require_reference(people, account.person, "person", f"person of {account.org}")


def _put(tx: Transaction, account: Account) -> Saved[Account]:
    tx.put(account)
    return Saved(account, tx.version(EntityKind.ACCOUNT, (account.email,)))


async def create_account(
    store: Store, logins: Guarded, by: By, caller: Caller, values: Changes, password: str | None
) -> Saved[Account]:
    """Add an account; without a password it can be used by tokens only, until one is set.

    An e-mail address names one account in the whole exchange, so a tenant who is refused one learns that it
    is in use elsewhere: he may learn that a few times only, then with growing delays.
    Raises: InvalidField, Forbidden, Conflict, TooMany.
    """
    account = build(Account, {**values, "password_hash": SecretStr("")})
    _require_may_have(caller, account)
    if password is not None:
        require_password(password, account.email)
        account = account.model_copy(
            update={"password_hash": SecretStr(await logins.passwords.hashed(password))}
        )
    async with store.transaction(by.actor) as tx:
        _check(tx.model, account)
        if not caller.is_operator:
            _count_taken(logins.attempts, caller, taken=account.email in tx.model.accounts)
        require_new(tx.model.accounts, account.email, "email", f"account {account.email}")
        return _put(tx, account)


def _count_taken(attempts: Attempts, caller: Caller, *, taken: bool) -> None:
    """Raises TooMany, whether this address is `taken` or not, to who found too many that are."""
    name = f"taken {caller.name}"
    attempts.require_unlocked(name)
    if taken:
        attempts.begin(name)


async def restore_account(store: Store, by: By, caller: Caller, account: Account) -> None:
    """Make a removed account again, without its password and tokens.

    Raises: InvalidField, Forbidden, Conflict.
    """
    _require_may_have(caller, account)
    async with store.transaction(by.actor) as tx:
        _check(tx.model, account)
        require_new(tx.model.accounts, account.email, "email", f"account {account.email}")
        tx.put(account.model_copy(update={"password_hash": SecretStr("")}))


async def patch_account(store: Store, by: By, caller: Caller, email: str, changes: Changes) -> Saved[Account]:
    """Change only what is given; disabled, every token and log-in of it is refused at once.

    Raises: UnknownEntity, InvalidField, Forbidden, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_account(tx.model, email)
        _require_may_have(caller, before)
        require_version(tx, by, EntityKind.ACCOUNT, (email,))
        after = patched(before, changes, fixed=("email", "password_hash"))
        _require_may_have(caller, after)
        if caller.name == email and (after.disabled or after.role is not before.role):
            raise Conflict(
                "You cannot disable your own account or change its role: ask another administrator."
            )
        _check(tx.model, after)
        return _put(tx, after)


async def set_password(
    store: Store,
    logins: Guarded,
    by: By,
    caller: Caller,
    email: str,
    *,
    password: str,
    current: str | None,
) -> Saved[Account]:
    """Set a password, which ends every log-in made with the one before; named tokens stay.

    One's own needs the current one, where there is one; the operator sets anybody's, an occupier's
    administrator those of his organisation.
    Raises: UnknownEntity, InvalidField, Forbidden, StaleVersion, TooMany.
    """
    require_password(password, email)
    account = require_account((await store.snapshot()).model, email)
    if caller.name == email:
        known = account.password_hash.get_secret_value()
        if known and not await _is_current(logins, account, current or ""):
            raise InvalidField("current", "is not the password that this account has now")
    else:
        _require_may_have(caller, account)
    hashed = SecretStr(await logins.passwords.hashed(password))
    async with store.transaction(by.actor) as tx:
        before = require_account(tx.model, email)
        require_version(tx, by, EntityKind.ACCOUNT, (email,))
        if before.password_hash != account.password_hash:
            raise Conflict("The password was changed by somebody else at this moment: try again.")
        return _put(tx, before.model_copy(update={"password_hash": hashed}))


async def _is_current(logins: Guarded, account: Account, password: str) -> bool:
    """Who found a screen unlocked shall not be able to try passwords here either."""
    name = f"current {account.email}"
    logins.attempts.begin(name)
    right = await logins.passwords.matches(account.password_hash.get_secret_value(), password)
    if right:
        logins.attempts.succeeded(name)
    return right


async def delete_account(store: Store, by: By, caller: Caller, email: str) -> None:
    """Remove an account with its tokens.

    Raises: UnknownEntity, Forbidden, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        account = require_account(tx.model, email)
        _require_may_have(caller, account)
        require_version(tx, by, EntityKind.ACCOUNT, (email,))
        if caller.name == email:
            raise Conflict("You cannot remove your own account: ask another administrator.")
        for token in [t for t in tx.model.tokens.values() if t.account == email]:
            tx.delete(EntityKind.TOKEN, (token.id,))
        tx.delete(EntityKind.ACCOUNT, (email,))


def as_login_name(text: str) -> str:
    """`text` as accounts are named. Raises: InvalidField."""
    try:
        return login_name(text)
    except ValueError as exc:
        raise InvalidField("email", str(exc)) from None
