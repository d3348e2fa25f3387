"""Main numbers: who may have one (R8, A8), and what calls to it meet."""

from __future__ import annotations

import pytest

from control_plane.domain.entities import NumberStatus
from control_plane.domain.groups import MainNumber
from control_plane.errors import Conflict, IllegalTransition, InvalidField
from control_plane.service.allocation import allocate_number
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.groups import create_group, patch_group
from control_plane.service.main_numbers import create_main_number, delete_main_number, patch_main_number
from control_plane.service.number_life import deallocate_number
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number, patch_number
from control_plane.service.warnings import ModelFindings
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
POLICY = NumberPolicy(ManualClock())
ACME, SITE = "acme", "singapore"
MAIN, OTHER = "+6561000900", "+6561000901"


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    await create_number(store, BY, {"e164": MAIN, "site": SITE, "main": True})
    await allocate_number(store, BY, POLICY, MAIN, ACME)
    return store


async def test_an_organisation_has_one_main_number_at_a_site(store: MemoryStore) -> None:
    await create_number(store, BY, {"e164": OTHER, "site": SITE, "main": True})
    with pytest.raises(IllegalTransition, match=r"\+6561000900 is the main number already"):
        await allocate_number(store, BY, POLICY, OTHER, ACME)
    await patch_number(store, BY, POLICY, OTHER, {"main": False})
    await allocate_number(store, BY, POLICY, OTHER, ACME)
    with pytest.raises(IllegalTransition, match="withdraw its nomination first"):
        await patch_number(store, BY, POLICY, OTHER, {"main": True})
    await patch_number(store, BY, POLICY, MAIN, {"main": False})
    assert (await patch_number(store, BY, POLICY, OTHER, {"main": True})).entity.main


async def test_a_main_number_belongs_to_no_extension(store: MemoryStore) -> None:
    with pytest.raises(InvalidField, match="extension: a main number is inbound only"):
        await patch_number(store, BY, POLICY, MAIN, {"extension": "102"})
    with pytest.raises(InvalidField, match="number: a main number is inbound only"):
        await patch_extension(store, BY, (ACME, "102"), {"number": MAIN})


DESK = {"kind": "extension", "target": "100"}


async def features(store: MemoryStore, **values: object) -> MainNumber:
    wanted = {"org": ACME, "site": SITE, "in_hours": DESK, "out_of_hours": DESK, **values}
    return (await create_main_number(store, BY, wanted)).entity


async def test_the_nominated_number_gets_its_features_with_usual_business_hours(store: MemoryStore) -> None:
    main = await features(store)
    assert main.e164 == MAIN
    assert main.hours == ("mon-fri 08:30-18:00",)
    assert main.open_spans() == dict.fromkeys(range(1, 6), ((510, 1080),))


async def test_without_a_nomination_there_are_no_features(store: MemoryStore) -> None:
    await patch_number(store, BY, POLICY, MAIN, {"main": False})
    with pytest.raises(InvalidField, match="acme has no nominated main number at singapore"):
        await features(store)
    with pytest.raises(InvalidField, match=r"\+6561000900 is not nominated as the main number"):
        await features(store, e164=MAIN)


@pytest.mark.parametrize(
    ("values", "field", "rule"),
    [
        ({"hours": ("monday 08:30-18:00",)}, "hours[0]", "must be days and times such as"),
        ({"hours": ("fri-mon 08:30-18:00",)}, "hours[0]", "must be days and times such as"),
        ({"hours": ("mon 18:00-08:30",)}, "hours[0]", "must end later than it begins"),
        ({"hours": ("mon 08:60-18:00",)}, "hours[0]", "must end later than it begins"),
        ({"hours": ("mon 08:30-24:01",)}, "hours[0]", "must end later than it begins"),
        ({"holidays": ("2026-02-29",)}, "holidays[0]", "must be a date such as 2026-12-25"),
        ({"in_hours": {"kind": "group", "target": "300"}}, "in_hours.target", "there is no call group '300'"),
        ({"ring_timeout_s": 61}, "ring_timeout_s", "must be between 5 and 60"),
    ],
)
async def test_a_refusal_names_the_field_and_the_rule(
    store: MemoryStore, values: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        await features(store, **values)
    assert refused.value.field == field
    assert rule in refused.value.rule


async def test_some_members_of_a_group_are_members_of_it_and_stay_so(store: MemoryStore) -> None:
    await create_group(store, BY, {"org": ACME, "site": SITE, "key": "300", "members": ("102", "101")})
    with pytest.raises(InvalidField, match=r"in_hours\.members: 103 is not a member of call group 300"):
        await features(store, in_hours={"kind": "group", "target": "300", "members": ("103",)})
    await features(store, in_hours={"kind": "group", "target": "300", "members": ("101",)})
    with pytest.raises(Conflict, match="101 is named by in_hours of the main number at singapore"):
        await patch_group(store, BY, (ACME, "300"), {"members": ("102",)})


async def test_a_loop_through_the_main_number_is_refused(store: MemoryStore) -> None:
    await features(store)
    with pytest.raises(Conflict, match="Forwarding loop: 100 -> main number at singapore -> 100 of acme"):
        await patch_extension(store, BY, (ACME, "100"), {"forwarding": {"enabled": True, "numbers": (MAIN,)}})


async def test_the_nomination_stays_while_there_are_features(store: MemoryStore) -> None:
    await features(store)
    with pytest.raises(Conflict, match="still used by its group features at singapore"):
        await patch_number(store, BY, POLICY, MAIN, {"main": False})
    await delete_main_number(store, BY, (ACME, SITE))
    await patch_number(store, BY, POLICY, MAIN, {"main": False})


async def test_a_number_that_is_taken_away_takes_its_features_with_it(store: MemoryStore) -> None:
    await features(store)
    await deallocate_number(store, BY, POLICY, MAIN)
    assert not (await store.snapshot()).model.main_numbers


async def test_part_of_a_destination_can_be_changed(store: MemoryStore) -> None:
    await features(store)
    changed = await patch_main_number(store, BY, (ACME, SITE), {"in_hours": {"target": "101"}})
    assert (changed.entity.in_hours.kind, changed.entity.in_hours.target) == ("extension", "101")


async def test_a_nominated_number_without_features_is_found(store: MemoryStore) -> None:
    async with store.transaction("test") as tx:
        tx.put(tx.model.numbers[MAIN].model_copy(update={"status": NumberStatus.ACTIVE}))
    (sentence,) = await ModelFindings(store).sentences()
    assert sentence.startswith(f"Calls to {MAIN}, the main number of acme at singapore, reach nothing")
