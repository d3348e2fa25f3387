"""Main numbers: who may have one (R8, A8)."""

from __future__ import annotations

import pytest

from control_plane.errors import IllegalTransition, InvalidField
from control_plane.service.allocation import allocate_number
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number, patch_number
from control_plane.service.writing import By
from tests.unit.memory_store import ManualClock, MemoryStore

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
