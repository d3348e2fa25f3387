"""The index of numbers follows the real store's changes one by one, to the same end as made anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site
from control_plane.domain.regions import RegionCode
from control_plane.ports import EntityKind
from control_plane.service.number_index import ONE_BY_ONE_MAX, Entry, NumberIndex, entry_of
from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import put
from tests.databases import migrated_file

SITE = Site(id="hq", name="HQ", region=RegionCode.GB, time_zone="Europe/London")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await open_store(migrated_file(tmp_path / "wirechief.db"), SteppingClock())
    await put(opened, SITE, Organisation(id="acme", name="Acme"), Organisation(id="globex", name="Globex"))
    yield opened
    await opened.close()


def number(last: int, org: str | None = "acme", status: NumberStatus = NumberStatus.RESERVED) -> PhoneNumber:
    return PhoneNumber(e164=f"+44207183{last:04}", site="hq", org=org, status=status)


async def anew(store: SqlStore) -> list[Entry]:
    """What an index must hold."""
    model = (await store.snapshot()).model
    return [entry_of(model, model.numbers[e164]) for e164 in sorted(model.numbers)]


async def test_numbers_come_change_and_go(store: SqlStore) -> None:
    await put(store, *(number(n) for n in range(5)))
    index = NumberIndex(store)
    await index.follow()
    made = index.entries()
    await put(store, number(9), number(3, "globex"), number(1, None, NumberStatus.AVAILABLE))
    async with store.transaction("test") as tx:
        tx.delete(EntityKind.NUMBER, (number(0).e164,))
    await index.follow()
    assert index.entries() is made, "a few changes are applied in place"
    assert index.entries() == await anew(store)
    assert [e.e164[-1] for e in index.entries("acme")] == ["2", "4", "9"]
    assert [e.e164[-1] for e in index.entries("globex")] == ["3"]


async def test_many_changes_and_a_changed_region_make_it_anew(store: SqlStore) -> None:
    index = NumberIndex(store)
    await index.follow()
    await put(store, *(number(n) for n in range(ONE_BY_ONE_MAX + 1)))
    await index.follow()
    assert index.entries() == await anew(store)
    await put(store, SITE.model_copy(update={"region": RegionCode.SG}))
    await index.follow()
    assert index.entries() == await anew(store)
    assert " 0207" not in index.entries()[0].text
