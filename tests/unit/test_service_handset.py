"""What phones set reaches the model once, in order, and never over somebody's later change."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.extension import DeviceKind, Extension
from control_plane.errors import Conflict, InvalidField
from control_plane.ports import EntityKind
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.handset import take_in, take_in_pin
from control_plane.service.warnings import ModelFindings
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

E100 = ("acme", "100")
PLACE = DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060)


async def demo() -> tuple[MemoryStore, ManualClock, str]:
    """The demo, its clock, and the device id of 100's IP phone; an hour after it was loaded."""
    clock = ManualClock()
    store = MemoryStore(clock)
    await load_demo(store, PLACE)
    clock.forward(3600)
    return store, clock, (await store.snapshot()).model.devices[E100][0].id


async def extension(store: MemoryStore) -> Extension:
    return (await store.snapshot()).model.extensions[E100]


def row(field: str, value: str, at: datetime, device: str, call: int = 1) -> tuple[str, str]:
    epoch = int(at.timestamp())
    return f"journal/acme/100/{field}/{epoch}.{call}", f"{value},{epoch},{device}"


async def test_dnd_set_on_a_phone_is_in_the_model_with_the_phone_as_actor() -> None:
    store, clock, device = await demo()
    key, value = row("dnd", "1", clock.now(), device)
    assert await take_in(store, clock, {key: value}) == (key,)
    assert (await extension(store)).dnd
    assert store.entries[-1].actor == f"handset {device}"


async def test_rows_are_applied_in_the_order_they_were_dialled() -> None:
    store, clock, device = await demo()
    at = clock.now()
    rows = dict([row("dnd", "0", at, device, 10), row("dnd", "1", at, device, 9)])
    assert len(await take_in(store, clock, rows)) == 2
    assert not (await extension(store)).dnd


async def test_forwarding_to_an_extension_replaces_the_targets_and_switches_it_on() -> None:
    store, clock, device = await demo()
    await take_in(store, clock, dict([row("fwdto", "102", clock.now(), device)]))
    forwarding = (await extension(store)).forwarding
    assert (forwarding.enabled, forwarding.extensions, forwarding.numbers) == (True, ("102",), ())
    assert forwarding.vip_ring_devices == (DeviceKind.IP_PHONE, DeviceKind.MOBILE)
    assert forwarding.vip == ("+6531234567", "+6569876543")


async def test_forwarding_to_a_number_is_kept_as_e164() -> None:
    store, clock, device = await demo()
    await take_in(store, clock, dict([row("fwdto", "61234567", clock.now(), device)]))
    forwarding = (await extension(store)).forwarding
    assert (forwarding.extensions, forwarding.numbers) == ((), ("+6561234567",))
    clock.forward(5)
    await take_in(store, clock, dict([row("fwd", "0", clock.now(), device)]))
    off = (await extension(store)).forwarding
    assert (off.enabled, off.numbers) == (False, ("+6561234567",))


async def test_a_later_change_by_somebody_else_wins_over_the_phone() -> None:
    store, clock, device = await demo()
    key, value = row("dnd", "1", clock.now(), device)
    clock.forward(2)
    await patch_extension(store, By("ada"), E100, {"dnd": True})
    await patch_extension(store, By("ada"), E100, {"dnd": False})
    assert await take_in(store, clock, {key: value}) == (key,)
    assert not (await extension(store)).dnd


async def test_a_later_change_of_another_field_does_not_stand_in_the_way() -> None:
    store, clock, device = await demo()
    key, value = row("dnd", "1", clock.now(), device)
    clock.forward(2)
    await patch_extension(store, By("ada"), E100, {"label": "Front desk"})
    await take_in(store, clock, {key: value})
    after = await extension(store)
    assert (after.dnd, after.label) == (True, "Front desk")


async def test_a_phones_late_row_is_not_held_back_by_the_same_phones_earlier_one() -> None:
    store, clock, device = await demo()
    first = row("dnd", "1", clock.now(), device, 1)
    clock.forward(2)
    second = row("dnd", "0", clock.now(), device, 2)
    clock.forward(3)
    await take_in(store, clock, dict([first]))
    await take_in(store, clock, dict([second]))
    assert not (await extension(store)).dnd


async def test_a_forwarding_loop_made_by_phones_is_kept_and_reported() -> None:
    store, clock, device = await demo()
    e101 = ("acme", "101")
    await patch_extension(store, By("ada"), e101, {"forwarding": {"enabled": True, "extensions": ("100",)}})
    assert await ModelFindings(store).sentences() == ()
    key, value = row("fwdto", "101", clock.now(), device)
    assert await take_in(store, clock, {key: value}) == (key,)
    assert (await extension(store)).forwarding.enabled
    loop = "Forwarding loop: 100 -> 101 -> 100 of acme. Take one of these out of the forwarding."
    assert await ModelFindings(store).sentences() == (loop,)


async def test_extensions_in_a_loop_that_phones_made_can_be_changed_but_not_forwarded_elsewhere_into_it() -> (
    None
):
    store, clock, device = await demo()
    e101 = ("acme", "101")
    await patch_extension(store, By("ada"), e101, {"forwarding": {"enabled": True, "extensions": ("100",)}})
    await take_in(store, clock, dict([row("fwdto", "101", clock.now(), device)]))
    await patch_extension(store, By("ada"), E100, {"label": "Front", "forwarding": {"vip": ("102",)}})
    with pytest.raises(Conflict, match="102 -> 101 -> 100 -> 101"):
        await patch_extension(
            store, By("ada"), ("acme", "102"), {"forwarding": {"enabled": True, "extensions": ("101",)}}
        )
    with pytest.raises(Conflict, match="Forwarding loop"):
        await patch_extension(store, By("ada"), E100, {"forwarding": {"extensions": ("101", "103")}})
    await patch_extension(store, By("ada"), E100, {"forwarding": {"enabled": False}})
    assert await ModelFindings(store).sentences() == ()


async def test_a_refused_forwarding_does_not_take_another_change_with_it() -> None:
    store, clock, device = await demo()
    rows = dict([row("dnd", "1", clock.now(), device, 1), row("fwdto", "100", clock.now(), device, 2)])
    assert len(await take_in(store, clock, rows)) == 2
    after = await extension(store)
    assert (after.dnd, after.forwarding.enabled) == (True, False)


async def test_what_was_switched_on_and_off_again_is_no_change() -> None:
    store, clock, device = await demo()
    revision = await store.revision()
    at = clock.now()
    await take_in(store, clock, dict([row("fwd", "1", at, device, 1), row("fwd", "0", at, device, 2)]))
    assert await store.revision() == revision


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("journal/acme/100/dnd/1.1", "2,{now},{device}"),
        ("journal/acme/100/dnd/1.1", "1,{now},abcdefghijkl"),
        ("journal/acme/100/dnd/1.1", "1,99999999999,{device}"),
        ("journal/acme/100/dnd/1.1", "1,999999999999999999999,{device}"),
        ("journal/acme/100/dnd/1.1", "1"),
        ("journal/acme/100/dnd/1.1", ""),
        ("journal/acme/100/colour/1.1", "1,{now},{device}"),
        ("journal/acme/199/dnd/1.1", "1,{now},{device}"),
        ("journal/../100/dnd/1.1", "1,{now},{device}"),
        ("journal", "1,{now},{device}"),
        ("journal/acme/100/fwdto/1.1", "995,{now},{device}"),
        ("journal/acme/100/fwdto/1.1", "100,{now},{device}"),
        ("journal/acme/100/fwdto/1.1", "*97,{now},{device}"),
        ("journal/acme/100/pin/1.1-3", "1000,{now},{device}"),
        ("journal/acme/100/pin/1.1-3", "1 2,{now},{device}"),
        ("journal/acme/100/dnd/1.1", "locked,{now},{device}"),
        ("journal/acme/100/fwdto/1.1", "+,{now},{device}"),
    ],
)
async def test_a_row_that_cannot_be_used_changes_nothing_and_may_go(key: str, value: str) -> None:
    store, clock, device = await demo()
    revision = await store.revision()
    filled = value.format(now=int(clock.now().timestamp()), device=device)
    assert await take_in(store, clock, {key: filled}) == (key,)
    assert await store.revision() == revision


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=60), max_size=5))
async def test_no_row_can_make_it_raise(rows: dict[str, str]) -> None:
    store, clock, device = await demo()
    keys = {
        f"journal/acme/100/fwdto/{index}.1": f"{key},1738328400,{device}" for index, key in enumerate(rows)
    }
    assert set(await take_in(store, clock, rows | keys)) == rows.keys() | keys.keys()


async def test_a_pin_set_by_phone_is_kept() -> None:
    store, _, _ = await demo()
    await take_in_pin(store, E100, "4711")
    assert (await extension(store)).voicemail_pin.get_secret_value() == "4711"
    for bad in ("", "12", "47a1"):
        with pytest.raises(InvalidField, match="voicemail_pin: must be 4 to 10 digits"):
            await take_in_pin(store, E100, bad)
    assert (await store.versions(EntityKind.EXTENSION))[E100] == store.last_revision


async def test_wrong_pins_typed_on_phones_are_counted_until_they_lock() -> None:
    """R53, A53; a handset somebody logs in at is no device of the extension yet."""
    store, clock, _ = await demo()
    await take_in(store, clock, dict([row("pin", "4", clock.now(), "stranger0001")]))
    counted = await extension(store)
    assert (counted.pin_failures, counted.pin_locked) == (4, False)
    clock.forward(5)
    both = dict([row("pin", "locked", clock.now(), "stranger0001", 2), row("dnd", "1", clock.now(), "x")])
    await take_in(store, clock, both)
    locked = await extension(store)
    assert (locked.pin_failures, locked.pin_locked) == (5, True)
    assert store.entries[-1].actor == "handset stranger0001"


async def test_of_calls_in_the_same_second_the_one_that_counted_most_wins() -> None:
    store, clock, device = await demo()
    at = clock.now()
    rows = dict(
        [row("pin", "2", at, device, 1), row("pin", "locked", at, device, 2), row("pin", "3", at, device, 3)]
    )
    await take_in(store, clock, rows)
    assert (await extension(store)).pin_locked
    clock.forward(5)
    at = clock.now()
    await take_in(store, clock, dict([row("pin", "2", at, device, 4), row("pin", "0", at, device, 5)]))
    assert (await extension(store)).pin_failures == 2


async def test_the_right_pin_and_dnd_by_one_call_are_both_taken_in() -> None:
    store, clock, device = await demo()
    await take_in(store, clock, dict([row("pin", "3", clock.now(), device)]))
    clock.forward(5)
    await take_in(
        store, clock, dict([row("pin", "0", clock.now(), device), row("dnd", "1", clock.now(), device)])
    )
    after = await extension(store)
    assert (after.pin_failures, after.dnd) == (0, True)


async def test_a_lock_that_is_older_than_the_reset_does_not_come_back() -> None:
    store, clock, device = await demo()
    key, value = row("pin", "locked", clock.now(), device)
    clock.forward(60)
    await patch_extension(store, By("ada"), E100, {"voicemail_pin": "80808"})
    await take_in(store, clock, {key: value})
    assert not (await extension(store)).pin_locked


async def test_a_pin_set_by_an_administrator_unlocks_and_one_chosen_by_phone_does_not() -> None:
    store, clock, device = await demo()
    await take_in(store, clock, dict([row("pin", "locked", clock.now(), device)]))
    await take_in_pin(store, E100, "70707")
    assert (await extension(store)).pin_locked
    saved = await patch_extension(store, By("ada"), E100, {"voicemail_pin": "80808"})
    assert (saved.entity.pin_failures, saved.entity.pin_locked) == (0, False)
    with pytest.raises(InvalidField, match="pin_locked: is counted"):
        await patch_extension(store, By("ada"), E100, {"pin_locked": True})
