"""Random lives of numbers over a real database: whatever is asked for, the rules between numbers hold."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.entitlement import services_free
from control_plane.domain.lifecycle import state_of
from control_plane.domain.model import Model
from control_plane.errors import DomainError
from control_plane.ports import EntityKind
from control_plane.service.allocation import allocate_free, allocate_number
from control_plane.service.number_life import (
    activate_number,
    assign_number,
    confirm_numbers,
    deactivate_number,
    deallocate_number,
    end_cooldowns,
    put_released,
    unassign_number,
)
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import patch_number
from control_plane.service.places import create_organisation, create_site
from control_plane.service.pool import add_range
from control_plane.service.tenants import create_person
from control_plane.service.voice_services import add_service, change_service, remove_service
from control_plane.service.writing import By
from control_plane.store import SqlStore, open_store
from tests.clocks import ManualClock
from tests.databases import migrated_file

T = TypeVar("T")

BY = By("test")
SITE = "london"
ORGS = ("acme", "globex")
NUMBERS = [f"+4420718387{number:02}" for number in range(6)]
COOLDOWN = timedelta(days=30)


numbers = st.sampled_from(NUMBERS)
orgs = st.sampled_from(ORGS)


class NumberLives(RuleBasedStateMachine):
    """Every use case in any order; what is refused must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = ManualClock(datetime(2030, 1, 1, tzinfo=UTC))
        self.policy = NumberPolicy(self.clock, COOLDOWN)
        file = migrated_file(Path(self.directory.name) / "db")
        self.store: SqlStore = self.run(open_store(file, self.clock))
        self.owner: dict[str, tuple[str, datetime]] = {}
        """Number -> who had it in use last, and until when; nobody else may before the cooldown is over."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.directory.cleanup()

    @initialize()
    def places(self) -> None:
        self.run(self._places())

    async def _places(self) -> None:
        for org in ORGS:
            await create_organisation(self.store, BY, {"id": org, "name": org})
            await create_person(self.store, BY, {"id": f"{org}-ann", "org": org, "name": "Ann Lee"})
        site = {"id": SITE, "name": "London", "region": "GB", "time_zone": "Europe/London"}
        await create_site(self.store, BY, site)
        await add_range(self.store, BY, SITE, NUMBERS[0], NUMBERS[-1])

    def model(self) -> Model:
        return self.run(self.store.snapshot()).model

    def attempt(self, work: Awaitable[object]) -> None:
        """Do it; a refusal leaves the model as it was."""

        async def attempted() -> None:
            before = await self.store.revision()
            try:
                await work
            except DomainError as exc:
                assert str(exc).endswith((".", ")")) or ": " in str(exc)
                assert await self.store.revision() == before

        used = {n.e164: n.org for n in self.model().numbers.values() if n.ever_active and n.org}
        self.run(attempted())
        for e164, org in used.items():
            if self.model().numbers[e164].org is None and org is not None:
                self.owner[e164] = (org, self.clock.at)

    @rule(org=orgs, number=numbers)
    def allocate(self, org: str, number: str) -> None:
        self.attempt(allocate_number(self.store, BY, self.policy, number, org))

    @rule(org=orgs, count=st.integers(1, 4))
    def allocate_some(self, org: str, count: int) -> None:
        self.attempt(allocate_free(self.store, BY, self.policy, (org, SITE), count))

    @rule(org=orgs, number=numbers)
    def put_in_use(self, org: str, number: str) -> None:
        """All it takes, so that long lives are not left to chance."""
        model = self.model()
        service = model.services.get((org, SITE))
        if service is None:
            self.attempt(add_service(self.store, BY, self.policy, (org, SITE), 0, main=False))
        else:
            self.attempt(change_service(self.store, BY, (org, SITE), service.quantity + 1))
        self.allocate(org, number)
        self.activate(number)
        self.asterisk_follows()

    @rule(number=numbers)
    def put_out_of_use(self, number: str) -> None:
        self.unassign(number)
        self.deactivate(number)
        self.asterisk_follows()
        self.deallocate(number)

    @rule(number=numbers)
    def activate(self, number: str) -> None:
        self.attempt(activate_number(self.store, BY, self.policy, number))

    @rule(number=numbers)
    def deactivate(self, number: str) -> None:
        self.attempt(deactivate_number(self.store, BY, self.policy, number))

    @rule(number=numbers)
    def deallocate(self, number: str) -> None:
        self.attempt(deallocate_number(self.store, BY, self.policy, number))

    @rule(number=numbers, org=orgs)
    def assign(self, number: str, org: str) -> None:
        self.attempt(assign_number(self.store, BY, self.policy, number, f"{org}-ann"))

    @rule(number=numbers)
    def unassign(self, number: str) -> None:
        self.attempt(unassign_number(self.store, BY, self.policy, number))

    @rule(number=numbers, changes=st.sampled_from(["main", "allocation_lock", "softphone"]), on=st.booleans())
    def switch(self, number: str, changes: str, on: bool) -> None:
        self.attempt(patch_number(self.store, BY, self.policy, number, {changes: on}))

    @rule()
    def asterisk_follows(self) -> None:
        self.run(self._confirm())

    async def _confirm(self) -> None:
        versions = await self.store.versions(EntityKind.NUMBER)
        model = (await self.store.snapshot()).model
        pending = [n.e164 for n in model.numbers.values() if n.status is NumberStatus.PENDING]
        await confirm_numbers(self.store, self.policy, [(e164, versions[(e164,)]) for e164 in pending])

    @rule(org=orgs, quantity=st.integers(0, 4), main=st.booleans())
    def add_services(self, org: str, quantity: int, main: bool) -> None:
        self.attempt(add_service(self.store, BY, self.policy, (org, SITE), quantity, main=main))

    @rule(org=orgs, quantity=st.integers(0, 4))
    def change_services(self, org: str, quantity: int) -> None:
        self.attempt(change_service(self.store, BY, (org, SITE), quantity))

    @rule(org=orgs)
    def remove_services(self, org: str) -> None:
        self.attempt(remove_service(self.store, BY, (org, SITE)))

    @rule(number=numbers)
    def decommission(self, number: str) -> None:
        async def decommissioned() -> None:
            async with self.store.transaction("test") as tx:
                put_released(tx, self.policy, tx.model.numbers[number])

        self.attempt(decommissioned())

    @rule(days=st.sampled_from([1, 29, 31]))
    def time_passes(self, days: int) -> None:
        self.clock.at += timedelta(days=days)
        self.run(end_cooldowns(self.store, self.policy))

    @rule(
        org=orgs, actions=st.lists(st.tuples(st.sampled_from(["activate", "allocate"]), numbers), max_size=6)
    )
    def many_at_once(self, org: str, actions: list[tuple[str, str]]) -> None:
        """Requests that run side by side are refused or done one after another."""

        async def one(action: str, number: str) -> None:
            with suppress(DomainError):
                if action == "activate":
                    await activate_number(self.store, BY, self.policy, number)
                else:
                    await allocate_number(self.store, BY, self.policy, number, org)

        async def all_of_them() -> None:
            await asyncio.gather(*(one(*action) for action in actions))

        self.run(all_of_them())

    @invariant()
    def every_number_is_sound(self) -> None:
        for number in self.model().numbers.values():
            _check_number(number, self.model())

    @invariant()
    def nobody_uses_more_than_is_paid_for(self) -> None:
        model = self.model()
        for org in ORGS:
            assert services_free(model, org, SITE) >= 0
            mains = [n for n in model.numbers.values() if n.org == org and n.main]
            assert len(mains) <= 1

    @invariant()
    def what_was_in_use_rests_before_somebody_else_gets_it(self) -> None:
        for e164, (org, since) in self.owner.items():
            number = self.model().numbers[e164]
            if self.clock.at < since + COOLDOWN:
                assert number.status is NumberStatus.COOLDOWN, (org, number)


def _check_number(number: PhoneNumber, model: Model) -> None:
    state_of(number)  # one of the table's
    owned = number.status not in (NumberStatus.AVAILABLE, NumberStatus.COOLDOWN)
    assert owned is (number.org is not None)
    assert (number.cooldown_until is not None) is (number.status is NumberStatus.COOLDOWN)
    if number.person is not None:
        assert number.status is NumberStatus.ACTIVE
        assert model.people[number.person].org == number.org
    if number.softphone:
        assert number.person is not None
    if not owned:
        assert (number.extension, number.name, number.default_pin.get_secret_value()) == (None, "", "")
    if number.routes and not number.main:
        assert number.extension is not None
    if number.extension is not None and number.org is not None:
        extension = model.extensions[number.org, number.extension]
        own = model.numbers.get(extension.number or "")
        assert own is None or (own.org, own.extension) == (extension.org, extension.key)


TestNumberLives: Callable[..., Any] = NumberLives.TestCase
NumberLives.TestCase.settings = settings(
    max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
