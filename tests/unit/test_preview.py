"""What a change would push, said without making it: the same rows as making it changes, and no trace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import pytest

from control_plane.domain.entities import Decommission
from control_plane.domain.model import Model
from control_plane.errors import ControlPlaneError, IllegalTransition, InvalidField, UnknownEntity
from control_plane.plan.plan import Plan
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
from control_plane.service.writing import By
from tests.unit.memory_store import ManualClock, MemoryStore

BY = By("test")
MAIN = "+6561000900"
DESK = {"kind": "extension", "target": "100"}

Change = Callable[[MemoryStore, By, tuple[str, str], Mapping[str, object]], Awaitable[object]]
Look = Callable[[MemoryStore, By, tuple[str, str], Mapping[str, object]], Awaitable[Plan]]

EXTENSION = (preview.preview_extension, patch_extension, ("acme", "101"))
GROUP = (preview.preview_group, patch_group, ("acme", "300"))
MAIN_NUMBER = (preview.preview_main_number, patch_main_number, ("acme", "singapore"))


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


def held(model: Model) -> dict[str, str]:
    """Everything the node is to hold: artefact -> value."""
    return {
        str(key): value
        for unit in units(model, "lab")
        for key, value in render_unit(model, "lab", unit).values.items()
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
    plan = await look(store, BY, key, changes)
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
