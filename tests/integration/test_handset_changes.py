"""What phones set, taken into the real store: order, later changes by others, and what the audit says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control_plane.ports import AuditFilter, EntityKind
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.handset import take_in, take_in_pin
from control_plane.service.writing import By
from control_plane.store import SqlStore, open_store
from tests.clocks import ManualClock
from tests.databases import migrated_file

E100 = ("acme", "100")


CLOCK = ManualClock(datetime(2031, 5, 1, 8, tzinfo=UTC))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = await open_store(migrated_file(tmp_path / "wirechief.db"), CLOCK)
    try:
        await load_demo(store, DemoPlace("lab", "127.0.0.2", 5060))
        CLOCK.at += timedelta(hours=1)
        yield store
    finally:
        await store.close()


async def row(store: SqlStore, field: str, value: str, age_s: int = 0) -> dict[str, str]:
    device = (await store.snapshot()).model.devices[E100][0].id
    epoch = int(CLOCK.at.timestamp()) - age_s
    return {f"journal/acme/100/{field}/{epoch}.7": f"{value},{epoch},{device}"}


async def test_changes_made_while_the_control_plane_was_down_come_in_together(store: SqlStore) -> None:
    rows = await row(store, "dnd", "1", 30) | await row(store, "fwdto", "101", 20)
    rows |= await row(store, "fwd", "0", 10)
    assert set(await take_in(store, CLOCK, rows)) == set(rows)
    extension = (await store.snapshot()).model.extensions[E100]
    assert extension.dnd
    assert (extension.forwarding.enabled, extension.forwarding.extensions) == (False, ("101",))
    revision = await store.revision()
    await take_in(store, CLOCK, rows)
    assert await store.revision() == revision


async def test_a_change_in_the_portal_after_the_phones_wins(store: SqlStore) -> None:
    late = await row(store, "dnd", "1")
    CLOCK.at += timedelta(seconds=5)
    await patch_extension(store, By("ada"), E100, {"dnd": True, "label": "Front"})
    await patch_extension(store, By("ada"), E100, {"dnd": False})
    assert len(await take_in(store, CLOCK, late)) == 1
    assert not (await store.snapshot()).model.extensions[E100].dnd


async def test_a_change_in_the_portal_before_the_phones_loses(store: SqlStore) -> None:
    await patch_extension(store, By("ada"), E100, {"forwarding": {"enabled": True}})
    CLOCK.at += timedelta(seconds=1)
    await take_in(store, CLOCK, await row(store, "fwd", "0"))
    assert not (await store.snapshot()).model.extensions[E100].forwarding.enabled
    newest = (await store.audit(AuditFilter(kind=EntityKind.EXTENSION, key=E100), limit=1))[0]
    assert newest.actor.startswith("handset ")


async def test_a_pin_set_by_phone_is_masked_in_the_audit(store: SqlStore) -> None:
    await take_in_pin(store, E100, "271828")
    newest = (await store.audit(AuditFilter(kind=EntityKind.EXTENSION, key=E100), limit=1))[0]
    assert newest.actor == "handset voicemail"
    assert "271828" not in str(newest)
