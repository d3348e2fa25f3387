"""The pool of a site: which numbers it takes, ranges, lists, and what is offered to whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.entities import NumberStatus
from control_plane.domain.regions import REGIONS, RegionCode
from control_plane.errors import Conflict, IllegalTransition, InvalidField
from control_plane.service.allocation import allocate_free, allocate_number, allocate_range, number_range
from control_plane.service.csv_lists import IMPORT_LINES_MAX, LineOutcome
from control_plane.service.number_life import activate_number, deallocate_number
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number, patch_number
from control_plane.service.places import create_organisation, create_site
from control_plane.service.pool import NumberReport, add_range, import_numbers
from control_plane.service.provisioning import provisioning_problem
from control_plane.service.voice_services import add_service
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
LONDON = "london"
WHERE = ("acme", LONDON)
POLICY = NumberPolicy(ManualClock())


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore(POLICY.clock)
    for org in ("acme", "globex"):
        await create_organisation(store, BY, {"id": org, "name": org})
    for site, zone, region in ((LONDON, "Europe/London", "GB"), ("boston", "America/New_York", "US")):
        await create_site(store, BY, {"id": site, "name": site, "region": region, "time_zone": zone})
    return store


async def imported(store: MemoryStore, text: str, *, partial: bool = False) -> NumberReport:
    return await import_numbers(store, BY, LONDON, text, dry_run=False, partial=partial)


async def pool(store: MemoryStore) -> set[str]:
    return set((await store.snapshot()).model.numbers)


@pytest.mark.parametrize(
    ("region", "number"),
    [
        (RegionCode.GB, "+443001231234"),
        (RegionCode.GB, "+448001111111"),
        (RegionCode.GB, "+448451231234"),
        (RegionCode.US, "+18005550123"),
        (RegionCode.US, "+18885550123"),
        (RegionCode.SG, "+6518001234567"),
        (RegionCode.SG, "+658001234567"),
        (RegionCode.AU, "+611800123456"),
        (RegionCode.AU, "+611300123456"),
    ],
)
def test_toll_free_numbers_are_not_provided(region: RegionCode, number: str) -> None:
    """R14, A14."""
    problem = provisioning_problem(number, REGIONS[region])
    assert problem is not None
    assert "toll-free and shared-cost numbers are not provided" in problem


@pytest.mark.parametrize(
    ("region", "number"),
    [
        (RegionCode.GB, "+442071838750"),
        (RegionCode.US, "+16175550100"),
        (RegionCode.SG, "+6561000100"),
        (RegionCode.AU, "+61291234567"),
    ],
)
def test_a_number_belongs_to_the_country_of_its_site(region: RegionCode, number: str) -> None:
    for other in RegionCode:
        assert (provisioning_problem(number, REGIONS[other]) is None) is (other is region)


async def test_a_range_is_added_whole_or_not_at_all(store: MemoryStore) -> None:
    made = await add_range(store, BY, LONDON, "+44 20 7183 8700", "+442071838709")
    assert len(made) == 10
    with pytest.raises(InvalidField, match=r"\+442071838709 is in the pool of site london already; nothing"):
        await add_range(store, BY, LONDON, "+442071838709", "+442071838715")
    assert len(await pool(store)) == 10


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("+442071838709", "+442071838700", "must not be lower than first"),
        ("+442071838700", "+44207183871", "same length"),
        ("+442071830000", "+442071890000", "at most 10000 numbers"),
        ("02071838700", "+442071838701", "first: must be an E.164 number"),
    ],
)
async def test_a_range_that_is_none_is_refused(
    store: MemoryStore, first: str, last: str, message: str
) -> None:
    with pytest.raises(InvalidField, match=message):
        await add_range(store, BY, LONDON, first, last)


async def test_a_list_is_reported_line_by_line(store: MemoryStore) -> None:
    await create_number(store, BY, {"e164": "+442071838750", "site": LONDON})
    text = (
        "\ufeffNumber\r\n"
        "020 7183 8700\r\n"
        "+44 (20) 7183-8701\r\n"
        "\r\n"
        "+442071838750\r\n"
        "+16175550100\r\n"
        "0800 111 1111\r\n"
        "+442071838700\r\n"
        "=cmd|' /C calc'!A0\r\n"
        '"+442071838702,""x"""\r\n'
        "+442071838703,extra\r\n"
        "999\r\n"
    )
    report = await imported(store, text)
    told = [(line.line, line.outcome.value, line.why) for line in report.lines]
    assert told == [
        (2, "added", None),
        (3, "added", None),
        (5, "present", None),
        (6, "refused", "+16175550100 is no number of GB, where the site is"),
        (7, "refused", provisioning_problem("+448001111111", REGIONS[RegionCode.GB])),
        (8, "refused", "stands on line 2 already"),
        (9, "refused", "is no telephone number: write +, country code and number"),
        (10, "refused", "is no telephone number: write +, country code and number"),
        (11, "refused", "has more than one column: only numbers are read"),
        (12, "refused", "is no telephone number: write +, country code and number"),
    ]
    assert not report.applied
    assert await pool(store) == {"+442071838750"}
    partial = await imported(store, text, partial=True)
    assert partial.applied
    assert await pool(store) == {"+442071838750", "+442071838700", "+442071838701"}
    again = await imported(store, "+442071838700\n+442071838701")
    assert again.applied
    assert again.count(LineOutcome.PRESENT) == 2


async def test_a_dry_run_writes_nothing(store: MemoryStore) -> None:
    revision = await store.revision()
    report = await import_numbers(store, BY, LONDON, "+442071838700\n", dry_run=True)
    assert report.count(LineOutcome.ADDED) == 1
    assert not report.applied
    assert await store.revision() == revision


async def test_ten_thousand_lines_are_taken_and_no_more(store: MemoryStore) -> None:
    lines = [f"+44207183{number:04d}" for number in range(IMPORT_LINES_MAX)]
    report = await imported(store, "number\n" + "\n".join(lines))
    assert report.count(LineOutcome.ADDED) == IMPORT_LINES_MAX
    assert len(await pool(store)) == IMPORT_LINES_MAX
    with pytest.raises(InvalidField, match="at most 10000 lines"):
        await imported(store, "\n".join([*lines, "+442071910000"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [("+4420\0", "NUL characters"), ("x" * 1_500_001, "at most 1500000 characters"), ('"+44', "is not CSV")],
)
async def test_what_is_no_list_is_refused_as_a_whole(store: MemoryStore, text: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        await imported(store, text, partial=True)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
async def test_no_text_does_anything_but_be_reported_or_refused(text: str) -> None:
    store = MemoryStore(POLICY.clock)
    await create_site(
        store, BY, {"id": LONDON, "name": "London", "region": "GB", "time_zone": "Europe/London"}
    )
    try:
        report = await imported(store, text, partial=True)
    except InvalidField:
        assert not await pool(store)
        return
    assert len(await pool(store)) == report.count(LineOutcome.ADDED)
    assert all(line.text.isprintable() and len(line.text) <= 40 for line in report.lines)


async def test_the_lowest_block_is_given_first_and_else_the_lowest_numbers(store: MemoryStore) -> None:
    for number in ("+442071838700", "+442071838702", "+442071838703", "+442071838706"):
        await create_number(store, BY, {"e164": number, "site": LONDON})
    block = await allocate_free(store, BY, POLICY, WHERE, 2)
    assert [number.e164 for number in block] == ["+442071838702", "+442071838703"]
    scattered = await allocate_free(store, BY, POLICY, WHERE, 2)
    assert [number.e164 for number in scattered] == ["+442071838700", "+442071838706"]
    with pytest.raises(Conflict, match="has 0 free numbers and 1 are needed: 1 are missing"):
        await allocate_free(store, BY, POLICY, WHERE, 1)


async def test_what_is_locked_or_resting_is_not_offered(store: MemoryStore) -> None:
    await add_range(store, BY, LONDON, "+442071838700", "+442071838702")
    await patch_number(store, BY, POLICY, "+442071838700", {"allocation_lock": True})
    await allocate_number(store, BY, POLICY, "+442071838701", "acme")
    await add_service(store, BY, POLICY, WHERE, 1)
    await activate_number(store, BY, POLICY, "+442071838701")
    async with store.transaction("test") as tx:
        active = tx.model.numbers["+442071838701"]
        tx.put(active.model_copy(update={"status": NumberStatus.RESERVED, "pending_to": None}))
    await deallocate_number(store, BY, POLICY, "+442071838701")
    given = await allocate_free(store, BY, POLICY, WHERE, 1)
    assert [number.e164 for number in given] == ["+442071838702"]
    for number, why in (("+442071838700", "is locked"), ("+442071838701", "end of its cooldown")):
        with pytest.raises(IllegalTransition, match=why):
            await allocate_number(store, BY, POLICY, number, "globex")


async def test_a_range_is_allocated_whole_or_not_at_all(store: MemoryStore) -> None:
    await add_range(store, BY, LONDON, "+442071838700", "+442071838704")
    await allocate_number(store, BY, POLICY, "+442071838703", "globex")
    with pytest.raises(
        IllegalTransition, match=r"\+442071838703 cannot be allocated: it is RESERVED already"
    ):
        await allocate_range(store, BY, POLICY, WHERE, ("+442071838700", "+442071838704"))
    with pytest.raises(InvalidField, match="2 of the 4 numbers are not in the pool of london"):
        await allocate_range(store, BY, POLICY, WHERE, ("+442071838703", "+442071838706"))
    done = await allocate_range(store, BY, POLICY, WHERE, ("+442071838700", "+442071838702"))
    assert [number.org for number in done] == ["acme"] * 3
    assert all(number.default_pin.get_secret_value() for number in done)


@given(st.integers(0, 10**9), st.integers(0, 300))
def test_a_range_has_every_number_once(start: int, length: int) -> None:
    first, last = f"+44{start + 10**9}", f"+44{start + 10**9 + length}"
    found = number_range(first, last)
    assert (found[0], found[-1], len(set(found))) == (first, last, length + 1)
