"""The store behind its port, on every database it supports."""

from __future__ import annotations

import asyncio
import random
import stat
from collections.abc import AsyncIterator
from datetime import UTC
from pathlib import Path

import pytest

from control_plane.domain.entities import AuthorizationCode, Occupancy, Organisation
from control_plane.domain.extension import DeviceKind
from control_plane.errors import Conflict, InvalidField, StoreBusy, UnknownEntity
from control_plane.ports import AuditFilter, EntityKind, Snapshot
from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import (
    BACKENDS,
    device,
    extension,
    fresh_location,
    many,
    places,
    put,
)

EXTENSION_100 = (EntityKind.EXTENSION, ("acme", "100"))


@pytest.fixture(params=BACKENDS)
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path | str]:
    with fresh_location(request.param, tmp_path) as where:
        yield where


@pytest.fixture
async def store(location: Path | str) -> AsyncIterator[SqlStore]:
    opened = await open_store(location, SteppingClock())
    yield opened
    await opened.close()


@pytest.fixture
async def other_process(location: Path | str, store: SqlStore) -> AsyncIterator[SqlStore]:
    """A second store on the same database: what another process would see and do."""
    opened = await open_store(location, SteppingClock(), busy_timeout_s=0.2)
    yield opened
    await opened.close()


async def test_a_new_store_is_empty_at_revision_zero(store: SqlStore) -> None:
    assert await store.revision() == 0
    assert await store.snapshot() == Snapshot(0, (await store.snapshot()).model)
    assert await store.changes_since(0) == ()
    assert await store.audit() == ()


async def test_every_field_of_every_entity_survives_the_database(
    store: SqlStore, other_process: SqlStore
) -> None:
    full = extension(
        label="Front desk",
        type="contact_center",
        person="ann",
        number="+442071838750",
        ring_devices=("mobile",),
        primary_device="desktop",
        call_waiting=False,
        dnd=True,
        dnd_action="voicemail",
        forwarding={
            "enabled": True,
            "numbers": ("+442071838751",),
            "extensions": ("101", "102"),
            "vip": ("103", "+6561234567"),
            "vip_ring_devices": ("ip_phone", "desktop"),
        },
        no_answer={
            "action": "forward",
            "ring_timeout_s": 60,
            "number": "+442071838752",
            "notify": ("ann@example.com",),
        },
        restricted=True,
    )
    phone = device(1, kind="desktop", name="Ann's", transport="tls", srtp=True, stun=True)
    code = AuthorizationCode(id="abcdefgh", salt="s" * 16, digest="0" * 40)
    occupancy = Occupancy(
        org="acme", site="london", authorization_code=code, reception=("100", "+442071838750")
    )
    plain = Occupancy(org="landlord", site="london")
    await put(store, *places(), full, phone, occupancy, plain)

    here, there = await store.snapshot(), await other_process.snapshot()

    assert here == there
    assert there.model.extensions["acme", "100"] == full
    assert there.model.devices["acme", "100"] == (phone,)
    assert there.model.occupancies == {("acme", "london"): occupancy, ("landlord", "london"): plain}
    trunk = there.model.trunks["carrier"]
    assert trunk.password is not None
    assert trunk.password.get_secret_value() == "trunk-secret"


async def test_a_transaction_commits_rows_audit_and_revision_together(store: SqlStore) -> None:
    await put(store, *places())
    revision = await put(store, extension(), actor="ann")
    (entry,) = await store.audit(AuditFilter(kind=EntityKind.EXTENSION))
    assert (entry.revision, entry.actor, entry.key) == (revision, "ann", ("acme", "100"))
    assert entry.before is None
    assert entry.after is not None
    assert entry.after["key"] == "100"
    assert entry.at.tzinfo is UTC
    assert (await store.snapshot()).revision == revision


async def test_a_block_that_raises_leaves_no_trace(store: SqlStore) -> None:
    before = await put(store, *places())
    # An OSError of the block's own is not the database's, although the driver raises such, too.
    for error in (ZeroDivisionError, TimeoutError, ConnectionResetError):
        with pytest.raises(error):
            async with store.transaction("test") as transaction:
                transaction.put(extension())
                raise error
    assert await store.revision() == before
    assert (await store.snapshot()).model.extensions == {}
    assert await put(store, extension()) == before + 1


async def test_a_put_that_changes_nothing_makes_no_revision(store: SqlStore) -> None:
    revision = await put(store, *places(), extension())
    assert await put(store, extension()) == revision
    async with store.transaction("test") as transaction:
        transaction.put(extension(dnd=True))
        transaction.put(extension())
        transaction.put(device(1))
        transaction.delete(EntityKind.DEVICE, (device(1).id,))
    assert await store.revision() == revision


async def test_the_model_inside_a_transaction_shows_puts_and_deletes_so_far(store: SqlStore) -> None:
    await put(store, *places(), extension())
    async with store.transaction("test") as transaction:
        first = transaction.model
        transaction.put(extension("101"))
        second = transaction.model
        transaction.delete(*EXTENSION_100)
        third = transaction.model
    assert [sorted(model.extensions) for model in (first, second, third)] == [
        [("acme", "100")],
        [("acme", "100"), ("acme", "101")],
        [("acme", "101")],
    ]
    assert (await store.snapshot()).model == third


async def test_the_version_is_the_revision_that_last_changed_the_entity(
    store: SqlStore, other_process: SqlStore
) -> None:
    created = await put(store, *places(), extension(), extension("101"))
    async with store.transaction("test") as transaction:
        assert transaction.version(*EXTENSION_100) == created
        transaction.put(extension(dnd=True))
        assert transaction.version(*EXTENSION_100) == created + 1
    expected = {("acme", "100"): created + 1, ("acme", "101"): created}
    assert await store.versions(EntityKind.EXTENSION) == expected
    assert await other_process.versions(EntityKind.EXTENSION) == expected


async def test_what_does_not_exist_has_no_version_and_cannot_be_deleted(store: SqlStore) -> None:
    async with store.transaction("test") as transaction:
        with pytest.raises(UnknownEntity, match="There is no extension 'acme/100'"):
            transaction.version(*EXTENSION_100)
        with pytest.raises(UnknownEntity):
            transaction.delete(*EXTENSION_100)


async def test_changes_since_tell_before_and_after_with_secrets_once_per_entity(
    store: SqlStore, other_process: SqlStore
) -> None:
    start = await put(store, *places(), extension(), device(1))
    new_secret = device(1, sip_password="AnotherPassword12345")
    async with store.transaction("test") as transaction:
        transaction.put(extension(label="first"))
        transaction.put(extension(label="second"))
        transaction.put(new_secret)
    async with store.transaction("test") as transaction:
        transaction.delete(EntityKind.DEVICE, (new_secret.id,))
    changes = await other_process.changes_since(start)
    assert changes is not None
    assert [(c.revision, c.kind, c.before, c.after) for c in changes] == [
        (start + 1, EntityKind.EXTENSION, extension(), extension(label="second")),
        (start + 1, EntityKind.DEVICE, device(1), new_secret),
        (start + 2, EntityKind.DEVICE, new_secret, None),
    ]
    assert await other_process.changes_since(start + 2) == ()


async def test_changes_of_all_processes_are_told_alike_in_each_whatever_it_has_in_memory(
    store: SqlStore, other_process: SqlStore
) -> None:
    start = await put(store, *places(), extension())
    for turn, label in enumerate("aabbabaaab"):
        writer = store if label == "a" else other_process
        await put(writer, extension(label=f"{label}{turn}"))
        if turn == 6:
            await store.snapshot()
        for since in range(start, start + turn + 2):
            told = await store.changes_since(since)
            assert told == await other_process.changes_since(since)
            assert told is not None
            assert [change.revision for change in told] == list(range(since + 1, start + turn + 2))


async def test_changes_too_long_ago_are_not_told(store: SqlStore) -> None:
    start = await put(store, *places())
    bulk = await put(store, *many(2_501))
    assert await store.changes_since(start) is None
    assert await store.changes_since(bulk) == ()
    await put(store, extension())
    changes = await store.changes_since(bulk)
    assert changes is not None
    assert len(changes) == 1


async def test_old_changes_are_dropped_in_whole_revisions(store: SqlStore, other_process: SqlStore) -> None:
    await put(store, *places())
    await other_process.snapshot()
    for label in "abcdefg":
        await put(store, *(extension(str(1_000 + number), label=label) for number in range(900)))
    newest = await store.revision()
    kept = [since for since in range(newest + 1) if await store.changes_since(since) is not None]
    assert kept == [3, 4, 5, 6, 7, 8]
    assert await other_process.snapshot() == await store.snapshot()


async def test_a_snapshot_follows_what_another_process_writes(
    store: SqlStore, other_process: SqlStore
) -> None:
    await put(store, *places(), extension(), device(1))
    early = await other_process.snapshot()
    async with store.transaction("test") as transaction:
        transaction.put(extension(dnd=True))
        transaction.delete(EntityKind.DEVICE, (device(1).id,))
        transaction.put(device(2, kind="mobile"))
    late = await other_process.snapshot()
    assert late == await store.snapshot()
    assert late.model.devices["acme", "100"] == (device(2, kind="mobile"),)
    assert early.model.devices["acme", "100"] == (device(1),)
    assert not early.model.extensions["acme", "100"].dnd
    await put(other_process, extension("101"))
    assert ("acme", "101") in (await store.snapshot()).model.extensions


async def test_unchanged_kinds_are_shared_between_snapshots(store: SqlStore) -> None:
    await put(store, *places(), extension())
    before = (await store.snapshot()).model
    await put(store, extension(dnd=True))
    after = (await store.snapshot()).model
    assert after.sites is before.sites
    assert after.extensions is not before.extensions


async def test_an_extension_with_devices_cannot_be_removed(store: SqlStore) -> None:
    await put(store, *places(), extension(), device(1), device(2, kind="mobile"))
    with pytest.raises(Conflict, match=r"^extension 100 of acme still has 2 devices; remove them first$"):
        async with store.transaction("test") as transaction:
            transaction.delete(*EXTENSION_100)
    async with store.transaction("test") as transaction:
        transaction.delete(*EXTENSION_100)
        for number in (1, 2):
            transaction.delete(EntityKind.DEVICE, (device(number).id,))
    assert (await store.snapshot()).model.devices == {}


async def test_a_trunk_in_use_cannot_be_removed(store: SqlStore) -> None:
    await put(store, *places())
    with pytest.raises(Conflict, match="trunk carrier still has 1 site; clear their trunk first"):
        async with store.transaction("test") as transaction:
            transaction.delete(EntityKind.TRUNK, ("carrier",))


async def test_a_reference_to_nothing_names_both_sides(store: SqlStore) -> None:
    await put(store, *places())
    with pytest.raises(InvalidField) as caught:
        await put(store, extension(site="paris"))
    assert str(caught.value) == (
        "site: extension 100 of acme refers to site paris, which does not exist; create it first"
    )


async def test_an_extension_has_one_device_of_each_kind(store: SqlStore) -> None:
    await put(store, *places(), extension(), device(1))
    with pytest.raises(Conflict, match="extension 100 of acme already has a device of kind ip_phone"):
        await put(store, device(2))
    await put(store, device(2, kind="mobile"), device(3, kind="desktop"))
    await put(store, device(1, kind="mobile"), device(2, kind="ip_phone"))
    kinds = [d.kind for d in (await store.snapshot()).model.devices["acme", "100"]]
    assert kinds == list(DeviceKind)


async def test_a_number_and_its_extension_may_point_at_each_other(
    store: SqlStore, other_process: SqlStore
) -> None:
    *rest, number = places()
    owned = number.model_copy(update={"extension": "100"})
    await put(store, *rest, owned, extension(number="+442071838750"))
    with pytest.raises(Conflict, match="extension 100 of acme still has 1 number; clear their extension"):
        async with store.transaction("test") as transaction:
            transaction.delete(*EXTENSION_100)
    async with store.transaction("test") as transaction:
        transaction.delete(EntityKind.NUMBER, ("+442071838750",))
        transaction.delete(*EXTENSION_100)
    assert (await other_process.snapshot()).model.extensions == {}


async def test_secrets_are_masked_in_the_audit(store: SqlStore) -> None:
    code = AuthorizationCode(id="abcdefgh", salt="s" * 16, digest="0" * 40)
    occupancy = Occupancy(org="acme", site="london", authorization_code=code)
    await put(store, *places(), extension(), extension("101", voicemail_pin=""), device(1), occupancy)
    entries = {(e.kind, e.key): e.after for e in await store.audit()}
    shown = str(entries)
    for secret in ("482913", "Password0000", "trunk-secret", "s" * 16, "0" * 40):
        assert secret not in shown
    device_entry = entries[EntityKind.DEVICE, (device(1).id,)]
    assert device_entry is not None
    assert device_entry["sip_password"] == "***"
    unset = entries[EntityKind.EXTENSION, ("acme", "101")]
    assert unset is not None
    assert unset["voicemail_pin"] == ""


async def test_the_audit_is_listed_newest_first_in_pages(store: SqlStore) -> None:
    await put(store, *places(), extension())
    for dnd in (True, False, True):
        await put(store, extension(dnd=dnd))
    kind, key = EXTENSION_100
    wanted = AuditFilter(kind=kind, key=key)
    first = await store.audit(wanted, limit=3)
    rest = await store.audit(wanted, limit=3, before_id=first[-1].id)
    assert [entry.revision for entry in (*first, *rest)] == [4, 3, 2, 1]


async def test_digests_of_pushed_artefacts_are_remembered_per_node(store: SqlStore) -> None:
    await store.record_pushed("lab", {"a": "1", "b": "2"})
    await store.record_pushed("other", {"a": "9"})
    await store.record_pushed("lab", {"a": "3", "b": None, "c": "4"})
    await store.record_pushed("lab", {})
    assert await store.pushed("lab") == {"a": "3", "c": "4"}
    assert await store.pushed("other") == {"a": "9"}
    assert await store.revision() == 0


async def test_a_second_writer_waits_and_then_is_told_the_store_is_busy(
    store: SqlStore, other_process: SqlStore
) -> None:
    await put(store, *places())
    async with store.transaction("test") as transaction:
        transaction.put(extension())
        with pytest.raises(StoreBusy):
            await put(other_process, extension("101"))
        # Readers go on meanwhile, with what is committed.
        assert (await other_process.snapshot()).model.extensions == {}
    await put(other_process, extension("101"))
    assert sorted(key for _, key in (await store.snapshot()).model.extensions) == ["100", "101"]


async def test_writers_of_one_process_take_turns(store: SqlStore) -> None:
    start = await put(store, *places(), extension(label=""))

    async def append(letter: str) -> None:
        async with store.transaction("test") as transaction:
            old = transaction.model.extensions["acme", "100"]
            await asyncio.sleep(0)
            transaction.put(old.model_copy(update={"label": old.label + letter}))

    await asyncio.gather(*(append(letter) for letter in "abcdefgh"))
    assert await store.revision() == start + 8
    assert sorted((await store.snapshot()).model.extensions["acme", "100"].label) == list("abcdefgh")


async def test_a_cancelled_block_leaves_no_trace_and_the_store_usable(store: SqlStore) -> None:
    start = await put(store, *places())
    inside = asyncio.Event()

    async def hang() -> None:
        async with store.transaction("test") as transaction:
            transaction.put(extension())
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.revision() == start
    assert await put(store, extension()) == start + 1


async def test_a_transaction_cancelled_at_any_point_is_whole_or_nothing(
    store: SqlStore, other_process: SqlStore
) -> None:
    await put(store, *places(), extension(), extension("101"))
    chance = random.Random(7)
    turns, finished = 0, False
    while not finished and turns < 20_000:
        before = await store.snapshot()
        toggled = before.model.extensions["acme", "100"].model_copy(update={"label": f"turn {turns}"})
        task = asyncio.create_task(put(store, toggled))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = not task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.exception() is None
        after = await store.snapshot()
        changed = after.model.extensions["acme", "100"] == toggled
        assert after.revision == before.revision + changed
        assert changed or after.model == before.model
        # And the write lock is free: another process that waits only 0.2 s for it gets it.
        await put(other_process, extension("101", label=f"turn {turns}"))
        turns += chance.randint(1, 10 + turns // 8)
    assert finished


async def test_a_put_after_the_end_of_the_transaction_is_refused(store: SqlStore) -> None:
    async with store.transaction("test") as transaction:
        pass
    with pytest.raises(RuntimeError, match="the transaction is over"):
        transaction.put(Organisation(id="late", name="Late"))


async def test_ten_thousand_extensions_are_written_in_one_transaction(
    store: SqlStore, other_process: SqlStore
) -> None:
    await put(store, *places(), *many(10_000))
    model = (await other_process.snapshot()).model
    assert (len(model.extensions), len(model.devices)) == (10_000, 10_000)


async def test_the_database_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    location = tmp_path / "state" / "wirechief.db"
    store = await open_store(location, SteppingClock())
    await put(store, Organisation(id="acme", name="Acme"))
    for path in location.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(location.parent.stat().st_mode) == 0o700
    await store.close()


async def test_a_store_may_be_closed_twice(location: Path | str) -> None:
    opened = await open_store(location, SteppingClock())
    await opened.close()
    await opened.close()
