"""What a change would push, said without making it: the same rows as making it changes, and no trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from control_plane.domain.entities import Decommission
from control_plane.domain.model import Model
from control_plane.errors import ControlPlaneError, IllegalTransition, InvalidField, UnknownEntity
from control_plane.plan.steps import Op
from control_plane.render.units import render_unit, units
from control_plane.service import preview
from control_plane.service.allocation import allocate_number
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import patch_extension
from control_plane.service.groups import create_group, patch_group
from control_plane.service.main_numbers import create_main_number, patch_main_number
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number
from control_plane.service.places import (
    create_site,
    patch_organisation,
    patch_site,
    patch_trunk,
)
from control_plane.service.tenants import create_person, patch_occupancy, patch_person
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
MAIN = "+6561000900"
DESK = {"kind": "extension", "target": "100"}

Change = Callable[[MemoryStore, By, tuple[str, str], Mapping[str, object]], Awaitable[object]]
Look = Callable[[MemoryStore, By, tuple[str, str], Mapping[str, object]], Awaitable[preview.Preview]]

EXTENSION = (preview.preview_extension, patch_extension, ("acme", "101"))
GROUP = (preview.preview_group, patch_group, ("acme", "300"))
MAIN_NUMBER = (preview.preview_main_number, patch_main_number, ("acme", "singapore"))


ORGANISATION = (preview.preview_organisation, patch_organisation, "acme")
SITE = (preview.preview_site, patch_site, "singapore")
TRUNK = (preview.preview_trunk, patch_trunk, "carrier")
OCCUPANCY = (preview.preview_occupancy, patch_occupancy, ("acme", "singapore"))
PERSON = (preview.preview_person, patch_person, ("acme", "grace"))


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    await create_number(store, BY, {"e164": MAIN, "site": "singapore", "main": True})
    await allocate_number(store, BY, NumberPolicy(ManualClock()), MAIN, "acme")
    await create_group(store, BY, {"org": "acme", "site": "singapore", "key": "300", "members": ("101",)})
    main = {"org": "acme", "site": "singapore", "in_hours": DESK, "out_of_hours": DESK}
    await create_main_number(store, BY, main)
    return store


def held(model: Model, node: str = "lab") -> dict[str, str]:
    """Everything the node is to hold: artefact -> value."""
    return {
        str(key): value
        for unit in units(model, node)
        for key, value in render_unit(model, node, unit).values.items()
    }


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        (EXTENSION, {"dnd": True}),
        (EXTENSION, {"label": "Front"}),
        (EXTENSION, {"forwarding": {"enabled": True, "extensions": ("102",)}}),
        (GROUP, {"members": ("102", "103")}),
        (GROUP, {"strategy": "sequential", "otherwise": {"kind": "number", "target": "6123 4567"}}),
        (GROUP, {"label": "Front"}),
        (MAIN_NUMBER, {"hours": ("mon 09:00-12:00",)}),
        (MAIN_NUMBER, {"in_hours": {"kind": "group", "target": "300"}, "if_not_answered": DESK}),
        (MAIN_NUMBER, {}),
    ],
)
async def test_a_preview_names_the_rows_that_the_change_then_changes(
    store: MemoryStore, case: tuple[Look, Change, tuple[str, str]], changes: Mapping[str, object]
) -> None:
    look, make, key = case
    before, revision = (await store.snapshot()).model, await store.revision()
    plan = (await look(store, BY, key, changes)).plan
    assert ((await store.snapshot()).model, await store.revision()) == (before, revision)
    await make(store, BY, key, changes)
    old, new = held(before), held((await store.snapshot()).model)
    different = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    assert {str(step.key) for step in plan.steps if step.op is not Op.RELOAD} == different


@pytest.mark.parametrize(
    ("case", "changes", "error", "sentence"),
    [
        (GROUP, {"members": ("199",)}, InvalidField, "members: there is no extension 199 in acme"),
        (MAIN_NUMBER, {"hours": ("mon 12:00-09:00",)}, InvalidField, "must end later than it begins"),
        (EXTENSION, {"forwarding": {"extensions": ("999",)}}, InvalidField, "there is no extension"),
    ],
)
async def test_what_the_change_would_refuse_is_refused(
    store: MemoryStore,
    case: tuple[Look, Change, tuple[str, str]],
    changes: Mapping[str, object],
    error: type[ControlPlaneError],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        await case[0](store, BY, case[2], changes)


@pytest.mark.parametrize("case", [EXTENSION, GROUP, MAIN_NUMBER])
async def test_what_is_not_there_or_leaves_has_no_preview(
    store: MemoryStore, case: tuple[Look, Change, tuple[str, str]]
) -> None:
    with pytest.raises(UnknownEntity):
        await case[0](store, BY, ("acme", "77777"), {})
    async with store.transaction("test") as tx:
        leaving = tx.model.organisations["acme"].model_copy(update={"decommission": Decommission.PENDING})
        tx.put(leaving)
    with pytest.raises(IllegalTransition, match="is being decommissioned"):
        await case[0](store, BY, case[2], {"label": "x"})


@pytest.mark.parametrize(
    ("case", "changes", "nodes"),
    [
        (ORGANISATION, {"name": "Apex"}, set()),
        (PERSON, {"name": "Grace Hopper"}, set()),
        (SITE, {"caller_id": "+6561000109"}, {"lab"}),
        (SITE, {"name": "Headquarters"}, set()),
        (SITE, {"media_address": "192.0.2.9"}, {"lab"}),
        (SITE, {"node": "second"}, {"lab", "second"}),
        (TRUNK, {"port": 5062, "username": "acme", "password": "Secret-Words-9"}, {"lab"}),
        (TRUNK, {"node": "second"}, {"lab", "second"}),
        (OCCUPANCY, {"reception": ("9",)}, {"lab"}),
    ],
)
async def test_a_preview_of_what_everything_stands_on_names_the_rows_of_each_node(
    store: MemoryStore, case: Any, changes: Mapping[str, object], nodes: set[str]
) -> None:
    look, make, key = case
    await create_person(store, BY, {"id": "grace", "org": "acme", "name": "Grace"})
    away = {"id": "away", "name": "Away", "region": "GB", "time_zone": "Europe/London", "node": "second"}
    await create_site(store, BY, away)
    before, revision = (await store.snapshot()).model, await store.revision()
    plans = (await look(store, BY, key, changes)).plans
    assert ((await store.snapshot()).model, await store.revision()) == (before, revision)
    await make(store, BY, key, changes)
    after = (await store.snapshot()).model
    assert {plan.node for plan in plans} == nodes
    for node in ("lab", "second"):
        old, new = held(before, node), held(after, node)
        different = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        steps = [step for plan in plans if plan.node == node for step in plan.steps]
        told = {str(step.key) for step in steps if step.op is not Op.RELOAD}
        assert told == different, node
    assert "Secret-Words-9" not in str([plan.as_dict() for plan in plans])


@pytest.mark.parametrize(
    ("case", "changes", "sentence"),
    [
        (SITE, {"trunk": "nobody"}, "trunk: there is no trunk 'nobody'"),
        (TRUNK, {"port": 99999}, "port: must be between 1 and 65535"),
        (OCCUPANCY, {"site": "other"}, "site: cannot be changed"),
        (ORGANISATION, {"id": "other"}, "id: cannot be changed"),
    ],
)
async def test_what_such_a_change_would_refuse_is_refused(
    store: MemoryStore, case: Any, changes: Mapping[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidField, match=sentence):
        await case[0](store, BY, case[2], changes)


async def test_a_stranger_s_person_has_no_preview(store: MemoryStore) -> None:
    await create_person(store, BY, {"id": "grace", "org": "hq", "name": "Grace"})
    with pytest.raises(UnknownEntity):
        await preview.preview_person(store, BY, ("acme", "grace"), {"name": "Ada"})
