"""Voice services: what the first ones bring along, how many numbers they allow, and their schedule."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.entitlement import services_free
from control_plane.domain.regions import REGIONS, RegionCode
from control_plane.domain.voice import FirstNumbers, first_numbers
from control_plane.errors import Conflict, IllegalTransition, InvalidField, UnknownEntity
from control_plane.service.allocation import allocate_free
from control_plane.service.number_life import activate_number, deactivate_number
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number
from control_plane.service.places import create_organisation, create_site
from control_plane.service.pool import add_range
from control_plane.service.upkeep import Upkeep
from control_plane.service.voice_services import (
    add_service,
    change_service,
    remove_service,
    schedule_change,
    scheduled,
    unschedule_change,
)
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
ACME = "acme"
LONDON, BOSTON = "london", "boston"
SITES = {
    LONDON: ("GB", "Europe/London", "+4420718387"),
    BOSTON: ("US", "America/New_York", "+1617555010"),
}


class World:
    """A London and a Boston site with numbers, an organisation, and a clock that stands still."""

    def __init__(self) -> None:
        self.clock = ManualClock(datetime(2030, 1, 31, 23, 30, tzinfo=UTC))
        self.store = MemoryStore(self.clock)
        self.policy = NumberPolicy(self.clock)

    async def open(self) -> None:
        await create_organisation(self.store, BY, {"id": ACME, "name": "Acme"})
        for site, (region, zone, _) in SITES.items():
            values = {"id": site, "name": site, "region": region, "time_zone": zone}
            await create_site(self.store, BY, values)
        await add_range(self.store, BY, LONDON, "+442071838700", "+442071838719")
        await add_range(self.store, BY, BOSTON, "+16175550100", "+16175550109")

    async def numbers(self, site: str, org: str | None = ACME) -> list[PhoneNumber]:
        found = (await self.store.snapshot()).model.numbers.values()
        return sorted((n for n in found if (n.org, n.site) == (org, site)), key=lambda n: n.e164)

    async def add(self, site: str, quantity: int, main: bool | None = None) -> tuple[PhoneNumber, ...]:
        added = await add_service(self.store, BY, self.policy, (ACME, site), quantity, main=main)
        return added.numbers

    async def allocate(self, site: str, count: int) -> tuple[PhoneNumber, ...]:
        return await allocate_free(self.store, BY, self.policy, (ACME, site), count)

    async def free(self, site: str) -> int:
        return services_free((await self.store.snapshot()).model, ACME, site)


@pytest.fixture
async def world() -> World:
    made = World()
    await made.open()
    return made


@pytest.mark.parametrize(
    ("quantity", "main", "allocated"),
    [
        (1, False, 5),
        (1, True, 5),
        (4, True, 5),
        (5, False, 5),
        (5, True, 10),
        (9, True, 10),
        (10, False, 10),
        (10, True, 15),
        (0, False, 0),
        (0, True, 0),
    ],
)
async def test_first_services_in_britain_bring_batches_of_five(
    world: World, quantity: int, main: bool, allocated: int
) -> None:
    """R64 and the vectors of A64: the quantity is active besides the main number, the rest is reserved."""
    numbers = await world.add(LONDON, quantity, main)
    assert len(numbers) == allocated
    mains = [number for number in numbers if number.main]
    assert len(mains) == (1 if main and quantity else 0)
    active = [number for number in numbers if number.routes]
    assert len(active) == quantity + len(mains)
    assert all(number.status is NumberStatus.RESERVED for number in numbers if number not in active)
    assert all(number.extension for number in active if not number.main)
    assert await world.free(LONDON) == 0


@pytest.mark.parametrize("region", [RegionCode.US, RegionCode.SG, RegionCode.AU])
@pytest.mark.parametrize("quantity", [0, 1, 4, 5, 6, 10])
@pytest.mark.parametrize("main", [False, True])
def test_elsewhere_exactly_the_quantity_and_no_main_number(
    region: RegionCode, quantity: int, main: bool
) -> None:
    """R67, A67."""
    found = first_numbers(REGIONS[region], quantity, manual=0, main=main)
    assert found == FirstNumbers(quantity, quantity, False)


@pytest.mark.parametrize(
    ("manual", "quantity", "missing"), [(3, 3, 0), (4, 3, 0), (1, 3, 2), (2, 3, 1), (1, 6, 5), (5, 0, 0)]
)
def test_numbers_allocated_by_hand_are_topped_up_without_batches(
    manual: int, quantity: int, missing: int
) -> None:
    """A63: enough by hand brings nothing, some by hand bring exactly what is missing."""
    for main in (False, True):
        found = first_numbers(REGIONS[RegionCode.GB], quantity, manual=manual, main=main)
        assert found == FirstNumbers(missing, missing)


async def test_a_shortfall_is_topped_up_with_active_numbers(world: World) -> None:
    by_hand = await world.allocate(LONDON, 2)
    added = await world.add(LONDON, 5)
    assert len(added) == 3
    assert all(number.routes for number in added)
    held = {number.e164: number for number in await world.numbers(LONDON)}
    assert all(held[number.e164].status is NumberStatus.RESERVED for number in by_hand)
    assert await world.free(LONDON) == 2


async def test_only_the_first_services_bring_numbers(world: World) -> None:
    await world.add(BOSTON, 2)
    await change_service(world.store, BY, (ACME, BOSTON), 6)
    assert len(await world.numbers(BOSTON)) == 2
    with pytest.raises(Conflict, match="exists already"):
        await world.add(BOSTON, 1)


async def test_the_site_says_whether_a_main_number_comes_along(world: World) -> None:
    site = (await world.store.snapshot()).model.sites[LONDON]
    async with world.store.transaction("test") as tx:
        tx.put(site.model_copy(update={"nominate_main": True}))
    numbers = await world.add(LONDON, 5)
    assert [number.main for number in numbers] == [True] + [False] * 9
    assert numbers[0].extension is None
    assert await world.free(LONDON) == 0


async def test_a_pool_too_small_gives_nothing_and_names_the_shortfall(world: World) -> None:
    revision = await world.store.revision()
    with pytest.raises(Conflict, match="has 10 free numbers and 12 are needed: 2 are missing"):
        await world.add(BOSTON, 12)
    assert await world.store.revision() == revision


async def test_no_more_numbers_are_active_than_there_are_services(world: World) -> None:
    numbers = await world.allocate(BOSTON, 3)
    with pytest.raises(IllegalTransition, match="has no voice service left at boston"):
        await activate_number(world.store, BY, world.policy, numbers[0].e164)
    await world.add(BOSTON, 1)
    await activate_number(world.store, BY, world.policy, numbers[0].e164)
    with pytest.raises(IllegalTransition, match="has no voice service left"):
        await activate_number(world.store, BY, world.policy, numbers[1].e164)
    await deactivate_number(world.store, BY, world.policy, numbers[0].e164)
    await activate_number(world.store, BY, world.policy, numbers[1].e164)


async def test_a_number_on_its_way_out_does_not_come_back_without_a_free_service(world: World) -> None:
    numbers = await world.allocate(BOSTON, 2)
    await world.add(BOSTON, 1)
    for step, number in ((activate_number, 0), (deactivate_number, 0), (activate_number, 1)):
        await step(world.store, BY, world.policy, numbers[number].e164)
    with pytest.raises(IllegalTransition, match="has no voice service left"):
        await activate_number(world.store, BY, world.policy, numbers[0].e164)


async def test_services_in_use_are_not_taken_away(world: World) -> None:
    numbers = await world.add(BOSTON, 3)
    with pytest.raises(Conflict, match=r"uses 3 voice services at boston, and 1 would be left: deactivate 2"):
        await change_service(world.store, BY, (ACME, BOSTON), 1)
    with pytest.raises(Conflict, match=r"deactivate 3 of \+16175550100, \+16175550101, \+16175550102 first"):
        await remove_service(world.store, BY, (ACME, BOSTON))
    for number in numbers:
        await deactivate_number(world.store, BY, world.policy, number.e164)
    await schedule_change(world.store, BY, world.policy, (ACME, BOSTON), date(2030, 3, 1), 9)
    await remove_service(world.store, BY, (ACME, BOSTON))
    model = (await world.store.snapshot()).model
    assert not model.services
    assert not model.service_changes


async def test_a_scheduled_change_is_carried_out_on_its_day_at_the_site(world: World) -> None:
    """In Boston 1 February begins at 05:00 UTC; it is 31 January, 18:30 there."""
    await world.add(BOSTON, 2)
    where = (ACME, BOSTON)
    with pytest.raises(InvalidField, match="must be a day in the future"):
        await schedule_change(world.store, BY, world.policy, where, date(2030, 1, 31), 4)
    await schedule_change(world.store, BY, world.policy, where, date(2030, 2, 1), 4)
    nudged: list[int] = []
    upkeep = Upkeep(world.store, world.policy, lambda: nudged.append(1))
    world.clock.forward(5 * 3600)
    assert await upkeep.do_due() == 0
    world.clock.forward(3600)
    assert await upkeep.do_due() == 1
    assert (await world.store.snapshot()).model.services[where].quantity == 4
    assert await upkeep.do_due() == 0
    assert nudged == [1]
    assert len(await world.numbers(BOSTON)) == 2  # scheduled increases bring no numbers (R63)


async def test_a_scheduled_cut_below_what_is_used_waits(world: World) -> None:
    numbers = await world.add(BOSTON, 2)
    where = (ACME, BOSTON)
    await schedule_change(world.store, BY, world.policy, where, date(2030, 2, 2), 1)
    upkeep = Upkeep(world.store, world.policy, lambda: None)
    world.clock.forward(3 * 86400)
    assert await upkeep.do_due() == 0
    assert [change.quantity for change in scheduled((await world.store.snapshot()).model, where)] == [1]
    await deactivate_number(world.store, BY, world.policy, numbers[0].e164)
    assert await upkeep.do_due() == 1


async def test_a_scheduled_change_can_be_taken_back(world: World) -> None:
    await world.add(BOSTON, 1)
    where = (ACME, BOSTON)
    await schedule_change(world.store, BY, world.policy, where, date(2030, 2, 2), 5)
    await schedule_change(world.store, BY, world.policy, where, date(2030, 2, 2), 7)
    assert [c.quantity for c in scheduled((await world.store.snapshot()).model, where)] == [7]
    await unschedule_change(world.store, BY, where, date(2030, 2, 2))
    with pytest.raises(UnknownEntity):
        await unschedule_change(world.store, BY, where, date(2030, 2, 2))


async def test_a_nominated_number_is_not_given_away_automatically(world: World) -> None:
    await create_number(world.store, BY, {"e164": "+442071838690", "site": LONDON, "main": True})
    numbers = await world.add(LONDON, 1)
    assert [number.e164 for number in numbers] == [f"+44207183870{digit}" for digit in range(5)]
