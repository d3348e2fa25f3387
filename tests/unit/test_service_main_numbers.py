"""Main numbers: who may have one (R8, A8)."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidField
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.numbers import create_number, patch_number
from control_plane.service.writing import By
from tests.unit.memory_store import MemoryStore

BY = By("test")
ACME, SITE = "acme", "singapore"
MAIN, OTHER = "+6561000900", "+6561000901"


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    await create_number(store, BY, {"e164": MAIN, "site": SITE, "org": ACME, "main": True})
    return store


async def test_an_organisation_has_one_main_number_at_a_site(store: MemoryStore) -> None:
    with pytest.raises(InvalidField, match=r"\+6561000900 is the main number of acme at singapore already"):
        await create_number(store, BY, {"e164": OTHER, "site": SITE, "org": ACME, "main": True})
    await create_number(store, BY, {"e164": OTHER, "site": SITE, "main": True})
    with pytest.raises(InvalidField, match="take the nomination from it first"):
        await patch_number(store, BY, OTHER, {"org": ACME})
    await patch_number(store, BY, MAIN, {"main": False})
    assert (await patch_number(store, BY, OTHER, {"org": ACME})).entity.main


async def test_a_main_number_belongs_to_no_extension(store: MemoryStore) -> None:
    with pytest.raises(InvalidField, match="extension: a main number is inbound only"):
        await patch_number(store, BY, MAIN, {"extension": "102"})
    with pytest.raises(InvalidField, match="number: a main number is inbound only"):
        await patch_extension(store, BY, (ACME, "102"), {"number": MAIN})
