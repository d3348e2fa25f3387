"""Accounts, tokens and the audit on the command line of the machine, without a node."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from control_plane.adapters.passwords import Argon2Passwords
from control_plane.bootstrap.lab import FIRST_ACCOUNT, prepare_database
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.errors import LoginFailed
from control_plane.service.logins import Logins
from control_plane.service.rights import Caller
from tests.integration.machine import Machine

ANN = "ann@acme.example"


def log_in(email: str, password: str) -> Caller:
    async def ask(wiring: Wiring) -> Caller:
        async with wiring.store() as store:
            logins = Logins(store, store.sessions, Argon2Passwords(), wiring.clock)
            return (await logins.log_in(email, password)).caller

    return asyncio.run(ask(wire()))


def whose(token: str) -> Caller | None:
    async def ask(wiring: Wiring) -> Caller | None:
        async with wiring.store() as store:
            return await Logins(store, store.sessions, Argon2Passwords(), wiring.clock).identify(token)

    return asyncio.run(ask(wire()))


def test_the_first_account_is_made_once_and_its_password_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIRECHIEF_STATE_DIR", str(tmp_path))
    made = asyncio.run(prepare_database(wire()))
    assert made.password is not None
    assert made.password not in repr(made)
    assert log_in(FIRST_ACCOUNT, made.password).is_operator
    assert asyncio.run(prepare_database(wire())).password is None


def test_an_account_is_added_changed_disabled_and_removed(machine: Machine) -> None:
    made = machine.json("account", "add", ANN, "--role", "occupier_admin", "--org", "acme", "--name", "Ann")
    assert log_in(ANN, made["password"]).org == "acme"
    machine.ok("account", "set", ANN, "--role", "read_only", "--org", "none")
    listed = {account["email"]: account for account in machine.json("account", "list")}
    assert (listed[ANN]["role"], listed[ANN]["org"], listed[ANN]["has_password"]) == ("read_only", None, True)
    assert listed[ANN]["last_login"] is not None
    machine.ok("account", "disable", ANN)
    with pytest.raises(LoginFailed):
        log_in(ANN, made["password"])
    machine.ok("account", "enable", ANN)
    changed = machine.ok("account", "password", ANN)
    with pytest.raises(LoginFailed):
        log_in(ANN, made["password"])
    assert log_in(ANN, changed.split("Password: ")[1].split()[0])
    machine.ok("account", "remove", ANN)
    assert ANN not in machine.ok("account", "list")
    assert made["password"] not in machine.ok("audit", "log", "--limit", "1000", "--json")


def test_a_password_can_be_given(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("four words and a dot.\n"))
    shown = machine.ok("account", "add", ANN, "--role", "carrier", "--password-stdin")
    assert "four words" not in shown
    assert log_in(ANN, "four words and a dot.")


def test_a_token_is_made_listed_and_revoked(machine: Machine) -> None:
    machine.ok("account", "add", ANN, "--role", "occupier_admin", "--org", "acme")
    made = machine.json("token", "create", ANN, "ci", "--scope", "read", "--scope", "write", "--days", "30")
    caller = whose(made["token"])
    assert caller is not None
    assert (caller.name, sorted(caller.scopes)) == (ANN, ["read", "write"])
    whole = machine.json("token", "create", ANN, "all", "--days", "0")
    assert (whole["scopes"], whole["expires_at"]) == (["read", "write", "secrets", "accounts"], None)
    listed = machine.ok("token", "list", ANN)
    assert made["id"] in listed
    assert made["token"] not in listed
    machine.ok("token", "revoke", made["id"])
    assert whose(made["token"]) is None
    assert [token["id"] for token in machine.json("token", "list")] == [whole["id"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["account", "add", "ann", "--role", "carrier"], "must be an e-mail address"),
        (["account", "add", ANN, "--role", "occupier_admin"], "needs an organisation"),
        (["account", "add", ANN, "--role", "carrier", "--org", "acme"], "is not of one organisation"),
        (["account", "set", ANN, "--name", "x"], f"There is no account '{ANN}'."),
        (["account", "add", FIRST_ACCOUNT, "--role", "carrier"], "exists already"),
        (["token", "create", ANN, "ci"], f"There is no account '{ANN}'."),
        (["token", "revoke", "000000000000"], "There is no token '000000000000'."),
        (["token", "create", FIRST_ACCOUNT, "x", "--days", "9999"], "days: must be between 1 and 3650"),
        (["audit", "log", "--since", "yesterday"], "--since: must be a day or a time such as"),
        (["audit", "undo", "999999"], "There is no audit entry '999999'."),
    ],
)
def test_a_mistake_is_one_sentence(machine: Machine, arguments: list[str], sentence: str) -> None:
    assert sentence in machine.refused(*arguments)


def test_a_change_is_found_in_the_audit_and_undone(machine: Machine) -> None:
    machine.ok("set", "extension", "101", "dnd=true", "label=Desk")
    machine.ok("set", "extension", "102", "label=Other")
    found = machine.json("audit", "log", "--field", "dnd", "--kind", "extension", "--org", "acme")
    assert [(entry["key"], entry["fields"]) for entry in found] == [(["acme", "101"], ["label", "dnd"])]
    entry = str(found[0]["id"])
    assert machine.json("audit", "log", "--actor", found[0]["actor"], "--before", entry) == []
    shown = machine.ok("audit", "undo", entry, "--dry-run")
    assert "extension acme/101: dnd: True -> False" in shown
    assert "Nothing was saved" in shown
    done = machine.json("audit", "undo", entry)
    assert done["changes"] == {"label": ["Desk", "Ada"], "dnd": [True, False]}
    assert machine.json("show", "extension", "101")["dnd"] is False
    assert "was changed since" in machine.refused("audit", "undo", entry)
