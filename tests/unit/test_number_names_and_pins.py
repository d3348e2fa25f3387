"""Names, assignment, softphones and PINs of a number, and what becomes of them when it is given back."""

from __future__ import annotations

import pytest

from control_plane.domain.assignment import AssignmentKind, assignment_of
from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.model import Model
from control_plane.domain.pins import PinVerdict
from control_plane.errors import Conflict, IllegalTransition, InvalidField
from control_plane.ports import EntityKind
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.number_life import (
    assign_number,
    confirm_numbers,
    deactivate_number,
    deallocate_number,
    reset_pin,
    unassign_number,
)
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import patch_number
from control_plane.service.pins import check_pin
from control_plane.service.tenants import create_person
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
POLICY = NumberPolicy(ManualClock())
NUMBER, EXTENSION = "+6561000102", ("acme", "102")


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore(POLICY.clock)
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    for person, org, name in (("ada", "acme", "Ada King Lovelace"), ("hal", "hq", "Hal")):
        await create_person(store, BY, {"id": person, "org": org, "name": name})
    return store


async def model(store: MemoryStore) -> Model:
    return (await store.snapshot()).model


async def number(store: MemoryStore) -> PhoneNumber:
    return (await model(store)).numbers[NUMBER]


async def test_an_assigned_number_and_its_phones_bear_the_name_of_the_person(store: MemoryStore) -> None:
    after = (await assign_number(store, BY, POLICY, NUMBER, "ada")).entity
    assert (after.label_1, after.label_2) == ("Ada", "King Lovelace")
    extension = (await model(store)).extensions[EXTENSION]
    assert (extension.label, extension.person) == ("Ada King Lovelace", "ada")
    assert assignment_of(after).kind is AssignmentKind.PERSON


async def test_a_new_name_overwrites_that_of_the_person_and_outlives_the_assignment(
    store: MemoryStore,
) -> None:
    """R45, R48, A48."""
    assert assignment_of(await number(store)).text == "Unassigned"
    await assign_number(store, BY, POLICY, NUMBER, "ada")
    await patch_number(store, BY, POLICY, NUMBER, {"label_1": "Front", "label_2": "Desk"})
    assert assignment_of(await number(store)).text == "Front / Desk"
    after = (await unassign_number(store, BY, POLICY, NUMBER)).entity
    assert assignment_of(after).kind is AssignmentKind.TEXT
    assert assignment_of(after).text == "Front / Desk"
    extension = (await model(store)).extensions[EXTENSION]
    assert (extension.label, extension.person) == ("Front Desk", None)


async def test_a_number_is_assigned_within_its_organisation_and_once(store: MemoryStore) -> None:
    with pytest.raises(InvalidField, match="there is no person 'hal' in acme"):
        await assign_number(store, BY, POLICY, NUMBER, "hal")
    await assign_number(store, BY, POLICY, NUMBER, "ada")
    with pytest.raises(IllegalTransition, match="assigned to ada"):
        await assign_number(store, BY, POLICY, NUMBER, "ada")


async def test_a_softphone_needs_an_assigned_number_and_goes_with_the_assignment(store: MemoryStore) -> None:
    """R29."""
    with pytest.raises(IllegalTransition, match="assigned to nobody"):
        await patch_number(store, BY, POLICY, NUMBER, {"softphone": True})
    await assign_number(store, BY, POLICY, NUMBER, "ada")
    assert (await patch_number(store, BY, POLICY, NUMBER, {"softphone": True})).entity.softphone
    assert not (await unassign_number(store, BY, POLICY, NUMBER)).entity.softphone


async def test_a_pin_is_locked_by_wrong_ones_in_a_row_and_unlocked_by_a_reset(store: MemoryStore) -> None:
    """R53, A53: locked, even the right one is not told; reset sets the default PIN."""
    right = (await model(store)).extensions[EXTENSION].voicemail_pin.get_secret_value()
    wrong = "0" if right != "0" else "1"

    async def tried(pin: str) -> PinVerdict:
        return await check_pin(store, BY, NUMBER, pin)

    assert [await tried(wrong) for _ in range(4)] == [PinVerdict.WRONG] * 4
    assert await tried(right) is PinVerdict.RIGHT
    assert [await tried(wrong) for _ in range(5)] == [PinVerdict.WRONG] * 4 + [PinVerdict.LOCKED]
    assert await tried(right) is PinVerdict.LOCKED
    assert not (await number(store)).allocation_lock  # two locks, two facts (A33)
    after = (await reset_pin(store, BY, POLICY, NUMBER)).entity
    assert not (await model(store)).extensions[EXTENSION].pin_locked
    assert await tried(after.default_pin.get_secret_value()) is PinVerdict.RIGHT


async def test_who_reset_a_pin_is_in_the_audit_also_where_the_pin_stays_the_same(store: MemoryStore) -> None:
    clock, pins = ManualClock(), []
    for who in ("ann", "bob"):
        clock.forward(60)
        entries = len(store.entries)
        after = (await reset_pin(store, By(who), NumberPolicy(clock), NUMBER)).entity
        pins.append(after.default_pin)
        assert after.pin_reset_at == clock.now()
        told = [e for e in store.entries[entries:] if e.key == (NUMBER,)]
        assert [(e.actor, "pin_reset_at" in e.fields) for e in told] == [(who, True)]
    assert pins[0] == pins[1]


async def test_a_number_out_of_service_has_no_pin(store: MemoryStore) -> None:
    await deactivate_number(store, BY, POLICY, NUMBER)
    with pytest.raises(Conflict, match="has no PIN"):
        await check_pin(store, BY, NUMBER, "1234")
    with pytest.raises(IllegalTransition, match="cannot be given its default PIN"):
        await reset_pin(store, BY, POLICY, NUMBER)


async def test_a_number_given_back_keeps_nothing(store: MemoryStore) -> None:
    devices = [device.id for device in (await model(store)).devices[EXTENSION]]
    await patch_number(store, BY, POLICY, NUMBER, {"label_1": "Front"})
    await deactivate_number(store, BY, POLICY, NUMBER)
    versions = await store.versions(EntityKind.NUMBER)
    await confirm_numbers(store, POLICY, [(NUMBER, versions[(NUMBER,)])])
    with pytest.raises(Conflict, match="still used by the forwarding of extension 100"):
        await deallocate_number(store, BY, POLICY, NUMBER)
    async with store.transaction("test") as tx:
        first = tx.model.extensions["acme", "100"]
        tx.put(first.model_copy(update={"forwarding": type(first.forwarding)()}))
    after = (await deallocate_number(store, BY, POLICY, NUMBER)).entity
    until = POLICY.clock.now() + POLICY.cooldown
    bare = PhoneNumber(
        e164=NUMBER,
        site="singapore",
        status=NumberStatus.COOLDOWN,
        ever_active=True,
        cooldown_until=until,
    )
    assert after == bare
    left = await model(store)
    assert EXTENSION not in left.extensions
    assert EXTENSION not in left.devices
    assert [list(gone.devices) for gone in left.leftovers.values()] == [devices]
