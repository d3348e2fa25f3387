"""`wirechief account ...` and `token ...`: who may use the API, and as what.

These work on the database of this machine, for whoever administers the machine: no log-in is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from control_plane.adapters.passwords import Argon2Passwords
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.output import JsonOption, print_json, progress, say, table, yes_no
from control_plane.domain.accounts import Account, Role, Scope, Token
from control_plane.errors import UnknownEntity
from control_plane.service import accounts, tokens
from control_plane.service.credentials import new_password
from control_plane.service.logins import Logins
from control_plane.service.rights import SCOPES, position_of, root

account_app = group("account")
token_app = group("token")

EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The account.")]
OrgOption = Annotated[
    str | None, typer.Option("--org", help="Organisation, for roles that are of one; 'none' clears it.")
]
PersonOption = Annotated[
    str | None, typer.Option("--person", help="Which person, for the role person; 'none' clears it.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="What the account is called.")]
StdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from stdin.")]


@account_app.command("add")
def account_add(
    email: EmailArgument,
    role: Annotated[Role, typer.Option("--role", help="What it may do.")],
    org: OrgOption = None,
    person: PersonOption = None,
    name: NameOption = None,
    password_stdin: StdinOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add an account; unless given, its password is random and shown once."""
    password = _given_password() if password_stdin else new_password()
    values = _changes(role=role, org=org, person=person, name=name) | {"email": email}
    account = run(_add(wire(), values, password))
    shown = None if password_stdin else password
    if as_json:
        print_json(_account(account, {}) | {"password": shown})
    else:
        say(f"Account {account.email} is there: {position_of(account.role, account.org)}.")
        _show_password(shown)


async def _add(wiring: Wiring, values: dict[str, object], password: str) -> Account:
    async with wiring.store() as store:
        who = by()
        saved = await accounts.create_account(
            store,
            Logins(store, store.sessions, Argon2Passwords(), wiring.clock),
            who,
            root(who.actor),
            values,
            password,
        )
        return saved.entity


def _changes(**values: object) -> dict[str, object]:
    """Those that were given; "none" is None."""
    return {name: None if value == "none" else value for name, value in values.items() if value is not None}


def _given_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _show_password(password: str | None) -> None:
    if password is not None:
        say(f"Password: {password} (shown once)")
        progress("The password is shown in clear: keep it to whoever logs in with it.")


@account_app.command("list")
def account_list(as_json: JsonOption = False) -> None:
    """List the accounts."""
    found, seen = run(_list(wire()))
    if as_json:
        print_json([_account(account, seen) for account in found])
        return
    columns = ("e-mail", "name", "role", "organisation", "person", "disabled", "last log-in (UTC)")
    table(
        "",
        columns,
        (
            (
                account.email,
                account.name,
                account.role.value,
                account.org or "",
                account.person or "",
                yes_no(account.disabled),
                _when(seen.get(f"account {account.email}")),
            )
            for account in found
        ),
        none="No account: 'wirechief account add' makes one.",
    )


async def _list(wiring: Wiring) -> tuple[list[Account], Mapping[str, datetime]]:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        return [account for _, account in sorted(model.accounts.items())], await store.sessions.seen()


def _account(account: Account, seen: Mapping[str, datetime]) -> dict[str, Any]:
    last = seen.get(f"account {account.email}")
    return account.model_dump(mode="json", exclude={"password_hash"}) | {
        "has_password": bool(account.password_hash.get_secret_value()),
        "last_login": last.isoformat() if last is not None else None,
    }


def _when(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


@account_app.command("set")
def account_set(
    email: EmailArgument,
    role: Annotated[Role | None, typer.Option("--role", help="What it may do.")] = None,
    org: OrgOption = None,
    person: PersonOption = None,
    name: NameOption = None,
) -> None:
    """Change an account; only what is given changes, and it counts from the next request on."""
    account = run(_patch(wire(), email, _changes(role=role, org=org, person=person, name=name)))
    say(f"Account {account.email} is {position_of(account.role, account.org)}.")


@account_app.command("disable")
def account_disable(email: EmailArgument) -> None:
    """Refuse every token and log-in of an account from now on."""
    say(f"Account {run(_patch(wire(), email, {'disabled': True})).email} is disabled.")


@account_app.command("enable")
def account_enable(email: EmailArgument) -> None:
    """Let a disabled account in again; tokens that have not expired work again too."""
    say(f"Account {run(_patch(wire(), email, {'disabled': False})).email} is enabled.")


async def _patch(wiring: Wiring, email: str, changes: dict[str, object]) -> Account:
    async with wiring.store() as store:
        who = by()
        saved = await accounts.patch_account(
            store, who, root(who.actor), accounts.as_login_name(email), changes
        )
        return saved.entity


@account_app.command("password")
def account_password(email: EmailArgument, password_stdin: StdinOption = False) -> None:
    """Give an account a new password, random and shown once unless given; its log-ins are over."""
    password = _given_password() if password_stdin else new_password()
    run(_set_password(wire(), email, password))
    say(f"The password of {accounts.as_login_name(email)} is changed.")
    _show_password(None if password_stdin else password)


async def _set_password(wiring: Wiring, email: str, password: str) -> None:
    async with wiring.store() as store:
        who = by()
        logins = Logins(store, store.sessions, Argon2Passwords(), wiring.clock)
        await accounts.set_password(
            store,
            logins,
            who,
            root(who.actor),
            accounts.as_login_name(email),
            password=password,
            current=None,
        )


@account_app.command("remove")
def account_remove(email: EmailArgument) -> None:
    """Remove an account with its tokens."""
    run(_remove(wire(), email))
    say(f"Account {accounts.as_login_name(email)} is removed.")


async def _remove(wiring: Wiring, email: str) -> None:
    async with wiring.store() as store:
        who = by()
        await accounts.delete_account(store, who, root(who.actor), accounts.as_login_name(email))


@token_app.command("create")
def token_create(
    email: EmailArgument,
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option("--scope", help="What it may do; repeatable. All: what its role may."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=0, help="In force for so long; 0: until revoked.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Make a token and show it once."""
    token, text = run(_create_token(wire(), email, name, frozenset(scope or ()), days or None))
    if as_json:
        print_json(_token(token, {}) | {"token": text})
        return
    say(f"Token {token.id} of {token.account} ({', '.join(token.scopes)}), until {_until(token)}:")
    say(text)
    progress("The token is shown this once: keep it to the program that uses it.")


async def _create_token(
    wiring: Wiring, email: str, name: str, scopes: frozenset[Scope], days: int | None
) -> tuple[Token, str]:
    async with wiring.store() as store:
        who, login = by(), accounts.as_login_name(email)
        account = accounts.require_account((await store.snapshot()).model, login)
        saved, text = await tokens.create_token(
            store,
            wiring.clock,
            who,
            root(who.actor),
            login,
            name=name,
            scopes=scopes or SCOPES[position_of(account.role, account.org)],
            days=days,
        )
        return saved.entity, text.text.get_secret_value()


def _until(token: Token) -> str:
    return "it is revoked" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d %H:%M} UTC"


def _token(token: Token, seen: Mapping[str, datetime]) -> dict[str, Any]:
    last = seen.get(f"token {token.id}")
    return token.model_dump(mode="json", exclude={"digest"}) | {
        "last_used": last.isoformat() if last is not None else None
    }


@token_app.command("list")
def token_list(
    email: Annotated[str | None, typer.Argument(metavar="EMAIL", help="Only of this account.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List named tokens; what their holders have is kept nowhere."""
    found, seen = run(_tokens(wire(), None if email is None else accounts.as_login_name(email)))
    if as_json:
        print_json([_token(token, seen) for token in found])
        return
    columns = ("id", "account", "name", "scopes", "until", "last used (UTC)")
    rows = (
        (t.id, t.account, t.name, ", ".join(t.scopes), _until(t), _when(seen.get(f"token {t.id}")))
        for t in found
    )
    table("", columns, rows, none="No token: 'wirechief token create' makes one.")


async def _tokens(wiring: Wiring, email: str | None) -> tuple[list[Token], Mapping[str, datetime]]:
    async with wiring.store() as store:
        kept = (await store.snapshot()).model.tokens.values()
        found = [token for token in kept if email in (None, token.account)]
        return sorted(found, key=lambda t: (t.account, t.created_at)), await store.sessions.seen()


@token_app.command("revoke")
def token_revoke(token: Annotated[str, typer.Argument(metavar="ID", help="As token list shows it.")]) -> None:
    """Revoke a token: it is refused from the next request on."""
    run(_revoke(wire(), token))
    say(f"Token {token} is revoked.")


async def _revoke(wiring: Wiring, ident: str) -> None:
    async with wiring.store() as store:
        who = by()
        kept = (await store.snapshot()).model.tokens.get(ident)
        if kept is None:
            raise UnknownEntity("token", ident)
        await tokens.revoke_token(store, who, root(who.actor), kept.account, ident)
