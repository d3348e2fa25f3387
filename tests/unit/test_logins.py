"""Log-ins and tokens: who gets in, for how long, and how often somebody may try."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from control_plane.adapters.passwords import AT_ONCE, WAITING_MAX, Argon2Passwords
from control_plane.domain.accounts import Account, Role, Scope
from control_plane.domain.entities import Organisation, Person
from control_plane.errors import Conflict, Forbidden, InvalidField, LoginFailed, TooMany, UnknownEntity
from control_plane.service.accounts import create_account, delete_account, patch_account, set_password
from control_plane.service.attempts import FREE, LONGEST_DELAY_S, NAMES_MAX, Attempts
from control_plane.service.logins import LASTS, Logins
from control_plane.service.rights import Caller, Position, root
from control_plane.service.tokens import create_token, new_text, read_text, revoke_token
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemorySessions, MemoryStore, PlainPasswords

BY, ROOT = By("test"), root("test")
ANN, PASSWORD = "ann@example.com", "four words and a dot."


class House:
    """A store with Ann, who administers acme, and everything that lets her in."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.passwords = PlainPasswords()
        self.sessions = MemorySessions()
        self.logins = Logins(self.store, self.sessions, self.passwords, self.clock)

    async def furnish(self) -> House:
        async with self.store.transaction("test") as tx:
            tx.put(Organisation(id="acme", name="Acme"))
            tx.put(Organisation(id="globex", name="Globex"))
            tx.put(Person(id="ada", org="acme", name="Ada"))
        await self.add(ANN, role="occupier_admin", org="acme")
        return self

    async def add(
        self, email: str, caller: Caller = ROOT, password: str | None = PASSWORD, **fields: Any
    ) -> None:
        values = {"email": email, **fields}
        await create_account(self.store, self.logins, BY, caller, values, password)

    async def token(self, caller: Caller = ROOT, email: str = ANN, **wanted: Any) -> tuple[str, str]:
        """A new token: its id and its text."""
        values: dict[str, Any] = {"name": "ci", "scopes": frozenset({Scope.READ}), "days": None}
        saved, text = await create_token(self.store, self.clock, BY, caller, email, **values | wanted)
        return saved.entity.id, text.text.get_secret_value()

    async def logged_in(self, email: str = ANN, password: str = PASSWORD) -> str:
        return (await self.logins.log_in(email, password)).token.text.get_secret_value()


@pytest.fixture
async def house() -> House:
    return await House().furnish()


async def test_who_logs_in_is_who_the_account_says(house: House) -> None:
    made = await house.logins.log_in(" Ann@Example.com ", PASSWORD)
    assert made.expires_at == house.clock.now() + LASTS
    caller = await house.logins.identify(made.token.text.get_secret_value())
    assert caller == made.caller
    assert (caller.name, caller.position, caller.org) == (ANN, Position.OCCUPIER_ADMIN, "acme")
    assert Scope.PUSH not in caller.scopes
    assert await house.logins.seen() == {f"account {ANN}": house.clock.now()}


@pytest.mark.parametrize("name", [ANN, "nobody@example.com", "off@example.com", "tokens@example.com"])
async def test_every_failure_is_the_same_after_the_same_work(house: House, name: str) -> None:
    await house.add("off@example.com", role="operator_admin", disabled=True)
    await house.add("tokens@example.com", role="operator_admin", password=None)
    before = house.passwords.checks
    with pytest.raises(LoginFailed) as failed:
        await house.logins.log_in(name, "wrong" if name == ANN else PASSWORD)
    assert str(failed.value) == "E-mail or password is wrong, or the account is disabled."
    assert house.passwords.checks - before == 1


async def test_after_five_failures_nobody_is_let_in_for_a_while(house: House) -> None:
    for name in (ANN, "nobody@example.com"):
        for _ in range(FREE):
            with pytest.raises(LoginFailed):
                await house.logins.log_in(name, "wrong")
        checked = house.passwords.checks
        with pytest.raises(TooMany) as locked:
            await house.logins.log_in(name, PASSWORD)
        assert locked.value.retry_after_s == 30
        assert house.passwords.checks == checked
    house.clock.forward(30)
    await house.logged_in()
    with pytest.raises(LoginFailed):  # counted from nothing again
        await house.logins.log_in(ANN, "wrong")


async def test_guesses_at_the_same_time_are_counted_before_they_are_checked(house: House) -> None:
    guesses = [house.logins.log_in(ANN, f"guess {number}") for number in range(50)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(outcome, LoginFailed) for outcome in outcomes) == FREE
    assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 50 - FREE
    assert house.passwords.checks == FREE


def test_the_delay_doubles_up_to_a_quarter_of_an_hour_and_is_forgotten_after_a_day() -> None:
    clock = ManualClock()
    attempts = Attempts(clock)
    delays = []
    for _ in range(14):
        attempts.begin("ann")
        until = attempts.locked_until("ann")
        if until is not None:
            delays.append((until - clock.now()).total_seconds())
            clock.forward(delays[-1])
    assert delays == [30, 60, 120, 240, 480, *[LONGEST_DELAY_S] * 5]
    clock.forward(timedelta(hours=25).total_seconds())
    attempts.begin("ann")
    assert attempts.locked_until("ann") is None


def test_names_without_end_do_not_fill_the_memory() -> None:
    attempts = Attempts(ManualClock())
    for number in range(NAMES_MAX + 100):
        attempts.begin(f"name {number}")
    assert len(attempts._failures) == NAMES_MAX


async def test_a_log_in_ends_by_time_by_logging_out_and_with_the_password(house: House) -> None:
    first, second, third = [await house.logged_in() for _ in range(3)]
    caller = await house.logins.identify(first)
    assert caller is not None
    await house.logins.log_out(caller)
    assert await house.logins.identify(first) is None
    assert await house.logins.identify(second) is not None
    house.clock.forward(LASTS.total_seconds())
    assert await house.logins.identify(second) is None
    third = await house.logged_in()
    _, named = await house.token()
    await set_password(house.store, house.logins, BY, ROOT, ANN, password="another few words", current=None)
    assert await house.logins.identify(third) is None
    assert await house.logins.identify(named) is not None
    assert await house.logged_in(password="another few words")


async def test_a_token_is_refused_once_expired_revoked_or_its_account_disabled(house: House) -> None:
    expiring, for_a_day = await house.token(days=1)
    revoked, text = await house.token()
    _, other = await house.token()
    login = await house.logged_in()
    assert await house.logins.identify(for_a_day) is not None
    house.clock.forward(timedelta(days=1).total_seconds())
    assert await house.logins.identify(for_a_day) is None
    assert expiring != revoked
    await revoke_token(house.store, BY, ROOT, ANN, revoked)
    assert await house.logins.identify(text) is None
    await patch_account(house.store, BY, ROOT, ANN, {"disabled": True})
    assert await house.logins.identify(other) is None
    assert await house.logins.identify(login) is None
    with pytest.raises(UnknownEntity):
        await revoke_token(house.store, BY, ROOT, ANN, revoked)


async def test_a_token_has_no_more_than_its_account_has_at_that_moment(house: House) -> None:
    _, text = await house.token(scopes=frozenset({Scope.READ, Scope.WRITE, Scope.SECRETS}))
    await patch_account(house.store, BY, ROOT, ANN, {"role": "read_only"})
    caller = await house.logins.identify(text)
    assert caller is not None
    assert (caller.position, caller.scopes) == (Position.OCCUPIER_READER, frozenset({Scope.READ}))


async def test_use_is_noted_to_the_minute(house: House) -> None:
    ident, text = await house.token()
    begun = house.clock.now()
    for _ in range(3):
        await house.logins.identify(text)
        house.clock.forward(25)
    assert (await house.logins.seen())[f"token {ident}"] == begun
    await house.logins.identify(text)
    assert (await house.logins.seen())[f"token {ident}"] == begun + timedelta(seconds=75)


@pytest.mark.parametrize(
    "text", ["", "x", "wct_", "wct_000000000000_" + "a" * 32, "wcs_000000000000_" + "a" * 32]
)
async def test_what_is_no_token_is_nobody(house: House, text: str) -> None:
    assert await house.logins.identify(text) is None


async def test_the_right_id_with_another_secret_is_nobody(house: House) -> None:
    for text in ((await house.token())[1], await house.logged_in()):
        known = read_text(text)
        assert known is not None
        kind, ident, _ = text.split("_", 2)
        forged = f"{kind}_{ident}_{new_text(is_login=False).text.get_secret_value().split('_', 2)[2]}"
        assert await house.logins.identify(forged) is None
        other = {"wct": "wcs", "wcs": "wct"}[kind]
        assert await house.logins.identify(text.replace(kind, other, 1)) is None


async def test_nobody_gives_more_than_he_has(house: House) -> None:
    _, text = await house.token(scopes=frozenset({Scope.READ, Scope.ACCOUNTS}))
    caller = await house.logins.identify(text)
    assert caller is not None
    with pytest.raises(Forbidden, match="Your own token lacks the scope write"):
        await house.token(caller, scopes=frozenset({Scope.WRITE}))
    with pytest.raises(InvalidField, match="a occupier admin has no push"):
        await house.token(scopes=frozenset({Scope.PUSH}))
    await house.add("ben@example.com", role="read_only", org="acme")
    with pytest.raises(Forbidden):
        await house.token(caller, "ben@example.com")


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"role": "read_only", "org": "acme"}, False),
        ({"role": "occupier_admin", "org": "acme"}, False),
        ({"role": "person", "org": "acme", "person": "ada"}, False),
        ({"role": "occupier_admin", "org": "globex"}, True),
        ({"role": "read_only"}, True),
        ({"role": "operator_admin"}, True),
        ({"role": "carrier"}, True),
    ],
)
async def test_an_occupiers_administrator_makes_accounts_of_his_organisation(
    house: House, fields: dict[str, Any], refused: bool
) -> None:
    caller = (await house.logins.log_in(ANN, PASSWORD)).caller
    if refused:
        with pytest.raises(Forbidden):
            await house.add("new@example.com", caller, **fields)
        await house.add("new@example.com", **fields)
        for forbidden in (
            patch_account(house.store, BY, caller, "new@example.com", {"name": "mine"}),
            delete_account(house.store, BY, caller, "new@example.com"),
        ):
            with pytest.raises(Forbidden):
                await forbidden
    else:
        await house.add("new@example.com", caller, **fields)
        with pytest.raises(Forbidden):
            await patch_account(
                house.store,
                BY,
                caller,
                "new@example.com",
                {"role": "operator_admin", "org": None, "person": None},
            )
        await delete_account(house.store, BY, caller, "new@example.com")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": "operator_admin", "org": "acme"}, "org"),
        ({"role": "occupier_admin"}, "org"),
        ({"role": "person", "org": "acme"}, "person"),
        ({"role": "person", "org": "globex", "person": "ada"}, "person"),
        ({"role": "read_only", "org": "acme", "person": "ada"}, "person"),
        ({"role": "read_only", "org": "nowhere"}, "org"),
        ({"role": "owner"}, "role"),
        ({"role": "carrier", "email": "no mail"}, "email"),
        ({"role": "carrier", "email": "a/b@example.com"}, "email"),
        ({"role": "carrier", "password": "short"}, "password"),
        ({"role": "carrier", "password": "aaaaaaaaaaaaa"}, "password"),
    ],
)
async def test_an_account_that_makes_no_sense_is_refused(
    house: House, fields: dict[str, Any], field: str
) -> None:
    values = {"email": "new@example.com", **fields}
    password = values.pop("password", PASSWORD)
    with pytest.raises(InvalidField) as refused:
        await create_account(house.store, house.logins, BY, ROOT, values, password)
    assert refused.value.field == field


async def test_ones_own_password_needs_the_present_one_and_cannot_be_guessed(house: House) -> None:
    caller = (await house.logins.log_in(ANN, PASSWORD)).caller
    for _ in range(FREE):
        with pytest.raises(InvalidField, match="current"):
            await set_password(
                house.store, house.logins, BY, caller, ANN, password="another few words", current="wrong"
            )
    with pytest.raises(TooMany):
        await set_password(
            house.store, house.logins, BY, caller, ANN, password="another few words", current=PASSWORD
        )
    house.clock.forward(30)
    await set_password(
        house.store, house.logins, BY, caller, ANN, password="another few words", current=PASSWORD
    )


async def test_nobody_locks_himself_out(house: House) -> None:
    await house.add("root@example.com", role="operator_admin")
    caller = (await house.logins.log_in("root@example.com", PASSWORD)).caller
    for change in ({"disabled": True}, {"role": "carrier"}):
        with pytest.raises(Conflict, match="your own account"):
            await patch_account(house.store, BY, caller, "root@example.com", change)
    with pytest.raises(Conflict, match="your own account"):
        await delete_account(house.store, BY, caller, "root@example.com")


async def test_an_account_goes_with_its_tokens(house: House) -> None:
    _, text = await house.token()
    await delete_account(house.store, BY, ROOT, ANN)
    assert await house.logins.identify(text) is None
    assert not (await house.store.snapshot()).model.tokens
    await house.add(ANN, role=Role.CARRIER)
    assert await house.logins.identify(text) is None


async def test_argon2_tells_right_from_wrong_and_does_the_work_for_nobody() -> None:
    passwords = Argon2Passwords()
    hashed = await passwords.hashed(PASSWORD)
    assert hashed.startswith("$argon2id$")
    assert await passwords.matches(hashed, PASSWORD)
    assert not await passwords.matches(hashed, PASSWORD + "x")
    assert not await passwords.matches("", "nobody has this password")
    assert not await passwords.matches("damaged", PASSWORD)


async def test_a_flood_of_log_ins_is_answered_at_once_and_leaves_the_loop_free() -> None:
    passwords = Argon2Passwords()
    checks = [asyncio.ensure_future(passwords.matches("", "x")) for _ in range(AT_ONCE + WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(TooMany):
        await passwords.matches("", "x")
    assert not any(check.done() for check in checks)
    assert not any(await asyncio.gather(*checks))
    assert await passwords.matches("", "x") is False


def test_secrets_are_not_in_what_is_printed() -> None:
    text = new_text(is_login=True)
    assert text.text.get_secret_value() not in repr(text)
    assert (
        Account(email=ANN, role=Role.CARRIER, password_hash=SecretStr("hash-of-it"))
        .model_dump_json()
        .count("hash-of-it")
        == 0
    )
