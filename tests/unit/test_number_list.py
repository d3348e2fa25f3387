"""Lists of numbers: search in any notation, filters that add up, whole pages, safe CSV (R38-R45)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from control_plane.domain.entities import (
    Entity,
    NumberStatus,
    Organisation,
    Person,
    PhoneNumber,
    Site,
)
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.number_search import needles, searchable
from control_plane.domain.regions import REGIONS, RegionCode
from control_plane.errors import InvalidField
from control_plane.service import number_list
from control_plane.service.number_export import COLUMNS, csv_pieces
from control_plane.service.number_index import Entry, NumberIndex
from control_plane.service.number_list import Assigned, Order, Position, Query, RowWarning
from tests.unit.memory_store import MemoryStore

LONDON = "+442071838750"


@pytest.mark.parametrize(
    "typed",
    [
        LONDON,
        "+44 20 7183 8750",
        "+44 (0)20 7183 8750",
        "0044 20 7183",
        "020 7183 8750",
        "(020) 7183-8750",
        "0207",
        "207183",
        "8750",
        "44207",
        "183 87",
    ],
)
def test_a_number_is_found_by_any_part_in_any_notation(typed: str) -> None:
    text = searchable(LONDON, REGIONS[RegionCode.GB])
    assert any(part in text for part in needles(typed))


@pytest.mark.parametrize("typed", ["+207", "0208", "00207", "87501", "+4420718387501"])
def test_another_number_is_not_found(typed: str) -> None:
    text = searchable(LONDON, REGIONS[RegionCode.GB])
    assert not any(part in text for part in needles(typed))


@pytest.mark.parametrize("typed", ["anna", "020x", "٠٢٠", "1;2", "+"])
def test_what_is_no_part_of_a_number_is_refused(typed: str) -> None:
    with pytest.raises(InvalidField, match="search: is digits"):
        needles(typed)


@pytest.mark.parametrize("typed", ["", "  ", "()"])
def test_no_digits_at_all_find_everything(typed: str) -> None:
    assert needles(typed) == ()


def test_each_region_knows_how_its_numbers_are_dialled_inside() -> None:
    texts = {code: searchable(number, REGIONS[RegionCode(code)]) for code, number in NUMBERS.items()}
    assert texts == {
        "GB": "+442071838750 02071838750",
        "US": "+12125550100 2125550100",
        "SG": "+6561000100 61000100",
        "AU": "+61291234567 0291234567",
    }


NUMBERS = {"GB": LONDON, "US": "+12125550100", "SG": "+6561000100", "AU": "+61291234567"}


def entry(e164: str, **values: Any) -> Entry:
    """An entry of a list, with what a test does not say left plain."""
    plain = Entry(e164, e164, NumberStatus.AVAILABLE.value, False, None, "hq", False, "", "")
    return plain._replace(**values)


def test_filters_add_up_and_statuses_are_those_of_the_unfiltered_list() -> None:
    entries = [
        entry("+441", status="active", assigned=True, org="acme"),
        entry("+442", status="active", org="acme"),
        entry("+443", status="reserved", org="acme", site="annex"),
        entry("+444", status="cooldown"),
    ]
    query = Query(org="acme", status=NumberStatus.ACTIVE, assignment=Assigned.ASSIGNED)
    page = number_list.page(entries, query, limit=10, after=None)
    assert page.numbers == ("+441",)
    assert page.count == 1
    assert page.statuses == {NumberStatus.ACTIVE: 2, NumberStatus.RESERVED: 1}
    assert page.sites == {"hq": 2, "annex": 1}


ENTRIES = st.lists(
    st.builds(
        lambda number, name, key, status, org: entry(
            f"+44{number}", name=name, extension=key, status=status, org=org
        ),
        st.integers(1000, 1040),
        st.sampled_from(["", "Ann", "Bob"]),
        st.sampled_from(["", "100", "101"]),
        st.sampled_from([status.value for status in NumberStatus]),
        st.sampled_from([None, "acme"]),
    ),
    max_size=30,
    unique_by=lambda e: e.e164,
)


def walked(entries: list[Entry], query: Query, limit: int) -> list[str]:
    """Every page, one after another."""
    found: list[str] = []
    after: Position | None = None
    while True:
        page = number_list.page(entries, query, limit=limit, after=after)
        found += page.numbers
        after = page.following
        if after is None:
            return found


@given(ENTRIES, st.sampled_from(Order), st.booleans(), st.integers(1, 7))
def test_pages_hold_everything_once_and_in_order(
    entries: list[Entry], order: Order, descending: bool, limit: int
) -> None:
    entries = sorted(entries)
    query = Query(order=order, descending=descending)
    found = walked(entries, query, limit)
    assert found == walked(entries, query, 1000)
    assert sorted(found) == sorted(e.e164 for e in entries)


@given(ENTRIES, st.sampled_from(Order), st.integers(1, 5), st.data())
def test_a_page_misses_nothing_that_stays_when_others_come_and_go(
    entries: list[Entry], order: Order, limit: int, data: st.DataObject
) -> None:
    entries = sorted(entries)
    query = Query(order=order)
    first = number_list.page(entries, query, limit=limit, after=None)
    if first.following is None:
        return
    gone = data.draw(st.sets(st.sampled_from([e.e164 for e in entries])))
    kept = [e for e in entries if e.e164 not in gone] + [entry("+449999")]
    rest = number_list.page(kept, query, limit=1000, after=first.following)
    seen = {*first.numbers, *rest.numbers}
    assert {e.e164 for e in entries if e.e164 not in gone} <= seen
    assert not set(first.numbers) & set(rest.numbers)


def model() -> list[Entity]:
    return [
        Organisation(id="acme", name="Acme"),
        Site(id="hq", name="HQ", region=RegionCode.GB, time_zone="Europe/London"),
        Person(id="ann", org="acme", name="Ann Lee"),
        Extension(org="acme", key="8750", site="hq", number=LONDON, pin_locked=True),
        Device(
            id="aphone008750",
            org="acme",
            extension="8750",
            kind=DeviceKind.IP_PHONE,
            sip_password=SecretStr("x" * 20),
        ),
        number(LONDON, extension="8750", person="ann", label_1="Ann", label_2="Lee"),
        number("+442071838751", label_1='=HYPERLINK("http://x")', allocation_lock=True),
        number("+442071838752", main=True),
        PhoneNumber(e164="+442071838753", site="hq"),
    ]


def number(e164: str, **values: object) -> PhoneNumber:
    fields = {"e164": e164, "site": "hq", "org": "acme", "status": NumberStatus.ACTIVE, **values}
    return PhoneNumber.model_validate(fields)


async def stored(entities: Iterable[Entity]) -> MemoryStore:
    store = MemoryStore()
    async with store.transaction("test") as tx:
        for entity in entities:
            tx.put(entity)
    return store


async def test_a_row_shows_assignment_devices_and_warnings() -> None:
    made = (await (await stored(model())).snapshot()).model
    moving = {("extension", "acme/8750")}
    ann, named, main, _ = number_list.rows(made, sorted(made.numbers), moving)
    assert (ann.assignment.kind, ann.assignment.text, ann.devices) == ("person", "Ann / Lee", ("ip_phone",))
    assert ann.warnings == (RowWarning.UPDATE_IN_PROGRESS, RowWarning.PIN_LOCKED)
    assert (named.assignment.kind, named.warnings) == ("text", (RowWarning.NUMBER_LOCKED,))
    assert main.assignment.text == "Unassigned"


async def exported(query: Query) -> list[dict[str, str]]:
    """The export, read back as a spreadsheet reads it."""
    store = await stored(model())
    index = NumberIndex(store)
    made = await index.follow()
    rows = number_list.rows(made, number_list.exported(index.entries(), query), ())
    return list(csv.DictReader(io.StringIO("".join(csv_pieces(rows)), newline="")))


async def test_the_export_has_the_main_number_first_whatever_is_filtered() -> None:
    found = await exported(Query(status=NumberStatus.AVAILABLE))
    assert [row["number"] for row in found] == ["+442071838752", "+442071838753"]
    assert tuple(found[0]) == COLUMNS
    assert [row["number"] for row in await exported(Query())] == [
        "+442071838752",
        LONDON,
        "+442071838751",
        "+442071838753",
    ]


async def test_no_cell_of_an_export_is_a_formula() -> None:
    found = await exported(Query())
    (named,) = [row for row in found if row["number"].endswith("751")]
    assert named["label1"] == '\'=HYPERLINK("http://x")'
    cells = [value for row in found for name, value in row.items() if name != "number"]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
