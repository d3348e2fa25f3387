from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from control_plane.plan.changes import Drift, diff
from control_plane.plan.plan import Plan, make_plan
from control_plane.plan.steps import Op
from control_plane.render.packed import digest
from tests.unit.asterisk_model import State, after_step, dangling, row, worlds


def plan_of(desired: State, pushed: State, observed: State) -> Plan:
    return make_plan("lab", 1, diff(desired, {k: digest(v) for k, v in pushed.items()}, observed))


def mess(world: State, draw: st.DataObject) -> State:
    """`world` with rows edited, lost and added, as people and crashes leave it."""
    messy = dict(world)
    if messy:
        for key in draw.draw(st.lists(st.sampled_from(sorted(messy)), unique=True)):
            if draw.draw(st.booleans()):
                messy[key] = "{edited"
            else:
                del messy[key]
    for name in draw.draw(st.lists(st.sampled_from(["ext/acme/666/dnd", "pbx/endpoint/thief"]), unique=True)):
        messy[row(name)] = "{}"
    return messy


@given(worlds, worlds)
def test_nothing_differs_from_itself(world: State, pushed: State) -> None:
    assert diff(world, {k: digest(v) for k, v in pushed.items()}, world) == ()


@given(worlds, worlds, st.data())
def test_applying_the_plan_yields_the_desired_state(
    desired: State, pushed: State, data: st.DataObject
) -> None:
    observed = mess(pushed, data)
    assert reduce(after_step, plan_of(desired, pushed, observed).steps, observed) == desired


@given(worlds, worlds, st.data())
def test_every_interrupted_prefix_plans_again_to_the_same_end(
    desired: State, pushed: State, data: st.DataObject
) -> None:
    state = mess(pushed, data)
    for step in plan_of(desired, pushed, state).steps:
        state = after_step(state, step)
        rest = plan_of(desired, pushed, state)
        assert reduce(after_step, rest.steps, state) == desired


@given(worlds, worlds)
def test_no_step_leaves_a_row_that_dials_something_missing(desired: State, held: State) -> None:
    state = held
    assert not dangling(state)
    for step in plan_of(desired, held, held).steps:
        state = after_step(state, step)
        assert not dangling(state), step


@given(worlds, worlds)
def test_what_the_model_changed_is_never_blamed_on_anybody_else(desired: State, held: State) -> None:
    kinds = {step.drift for step in plan_of(desired, held, held).steps}
    assert kinds <= {Drift.MODEL_MOVED}


@given(worlds, st.data())
def test_with_the_model_unmoved_each_difference_has_its_own_kind(world: State, data: st.DataObject) -> None:
    observed = mess(world, data)
    for step in plan_of(world, world, observed).steps:
        if step.op is Op.RELOAD:
            continue
        if step.key not in world:
            assert step.drift is Drift.FOREIGN
        elif step.key not in observed:
            assert step.drift is Drift.LOST
        else:
            assert step.drift is Drift.EDITED


@given(worlds, worlds)
def test_a_plan_is_the_same_however_its_inputs_are_ordered(desired: State, held: State) -> None:
    backwards = dict(reversed(desired.items()))
    assert plan_of(desired, held, held) == plan_of(backwards, held, held)
    assert plan_of(desired, held, held).digest == plan_of(backwards, held, held).digest
