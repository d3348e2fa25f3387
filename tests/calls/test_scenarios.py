"""Every scenario twice: through `explain` and as a real call; traces and outcomes must be equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.phones import Engine
from control_plane.callpath import compare as races
from control_plane.callpath.explain import Explanation
from control_plane.callpath.graph import ANSWERED, FEATURE
from control_plane.domain.model import Model
from tests.calls.node import NodeUnderTest
from tests.calls.player import Player, Seen, model_on, pairs
from tests.calls.scenario import CallSpec, Scenario, all_scenarios, build, explained, load, qualified

SCENARIOS = all_scenarios()
SIP_OK = 200


def name_of(path: Path) -> str:
    return path.stem


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 30


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
def test_explain_says_what_the_scenario_demands(path: Path) -> None:
    scenario = load(path)
    model = build(scenario)
    for spec in scenario.calls:
        check_expectation(scenario, spec, explained(scenario, model, spec))


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
def test_the_real_call_equals_explain(path: Path, node: NodeUnderTest, engine: Engine) -> None:
    play_and_compare(load(path), node, engine)


def play_and_compare(scenario: Scenario, node: NodeUnderTest, engine: Engine) -> None:
    """Push the scenario's model, make its calls, and hold each against `explain`."""
    model = model_on(node, scenario)
    node.hold(model)
    player = Player(node, engine, scenario, model)
    for spec in scenario.calls:
        compare(scenario, model, spec, player.play(spec))


def compare(scenario: Scenario, model: Model, spec: CallSpec, seen: Seen) -> None:
    explanation = explained(scenario, model, spec)
    trace, legs = pairs(explanation)
    assert seen.trace == trace
    if is_reached_twice(explanation):
        assert races.compare(explanation, seen.trace, seen.legs).differences == ()
    else:
        assert seen.legs == legs
    assert seen.outcome == explanation.outcome
    inside = frozenset(name for name in explanation.rings if "/" in name)
    assert seen.rings == inside
    assert seen.answered_by == frozenset(n for n in explanation.answered_by if "/" in n)
    if explanation.outcome == FEATURE.name:
        assert seen.status == SIP_OK, "the dialplan failed behind the last node of the trace"
    if spec.expect.status is not None:
        assert seen.status == spec.expect.status


def is_reached_twice(explanation: Explanation) -> bool:
    """Whether a phone that answers is called on two legs at once: which call it takes is chance."""
    ends = [leg.path.rpartition(">")[2] for leg in explanation.legs if leg.outcome == ANSWERED.name]
    return any(ends.count(name.rpartition("/")[2]) > 1 for name in explanation.answered_by)


def check_expectation(scenario: Scenario, spec: CallSpec, explanation: Explanation) -> None:
    expect = spec.expect
    assert explanation.outcome == expect.outcome
    assert frozenset(explanation.rings) == {qualified(scenario, name) for name in expect.rings}
    assert frozenset(explanation.answered_by) == {qualified(scenario, n) for n in expect.answered_by}
    passed = [f"{s.node}:{s.outcome}" for s in explanation.trace]
    passed += [f"{s.node}:{s.outcome}" for leg in explanation.legs for s in leg.trace]
    for step in expect.passes:
        assert step in passed, (step, passed)


def test_a_phone_that_is_closed_leaves_no_contact_behind(node: NodeUnderTest, engine: Engine) -> None:
    """Else the next call rings an address nobody is at, until the transaction times out after 32 s."""
    scenario = load(next(path for path in SCENARIOS if path.stem == "internal-call-is-answered"))
    model = model_on(node, scenario)
    node.hold(model)
    with Player(node, engine, scenario, model).phones(frozenset()):
        assert len(node.run(node.link.contacts())) == 2
    assert node.run(node.link.contacts()) == {}


@pytest.mark.parametrize(("code", "row"), [("*79", "dnd"), ("*73", "fwd")])
def test_switching_off_by_phone_is_in_force_with_no_control_plane_there(
    node: NodeUnderTest, engine: Engine, code: str, row: str
) -> None:
    """Nobody but the dialplan can take the row away here."""
    scenario = Scenario.model_validate(
        {
            "title": f"Off by {code}",
            "extensions": {
                "100": {"dnd": True, "forwarding": {"enabled": True, "extensions": ["101"]}},
                "101": {},
            },
            "calls": [{"from": "100", "to": code, "expect": {"outcome": "feature"}}],
        }
    )
    model = model_on(node, scenario)
    node.hold(model)
    family = f"ext/{scenario.slug}/100"
    assert row in keys_below(node, family)
    seen = Player(node, engine, scenario, model).play(scenario.calls[0])
    assert seen.status == SIP_OK
    assert row not in keys_below(node, family)


def keys_below(node: NodeUnderTest, family: str) -> set[str]:
    return {name.rpartition("/")[2] for name in node.run(node.link.read_rows(family))}
