"""Random small models and calls: what `explain` says is what the real call does.

A failing case is shrunk and printed as a scenario that can be saved in `scenarios/`. The number of cases is
small in `make test`; `WIRECHIEF_CALL_EXAMPLES=500` runs more.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st

from control_plane.adapters.phones import Engine
from control_plane.callpath.explain import Behaviour, Explanation
from control_plane.domain.entities import NumberStatus
from control_plane.domain.extension import DeviceKind, Forwarding, NoAnswer, NoAnswerAction
from control_plane.domain.model import Model
from tests.calls.node import NodeUnderTest
from tests.calls.player import Player, model_on
from tests.calls.scenario import CallSpec, Expected, ExtensionSpec, Scenario, build, explained
from tests.calls.test_scenarios import compare

EXAMPLES = int(os.environ.get("WIRECHIEF_CALL_EXAMPLES", "12"))
KEYS = ("100", "101", "102", "103")
OUTSIDE = ("+6588881001", "+6588881002")
CALLERS_OUTSIDE = ("+6531234567", "31234567", "+6591112222", "anonymous")
DIALLED_OUTSIDE = ("+6588881003", "88881003", "999", "777", "*55")
NOT_ANSWERED = (Behaviour.BUSY, Behaviour.REFUSE, Behaviour.RING, Behaviour.UNREGISTERED)


def did(key: str) -> str:
    return f"+6561000{key}"


@st.composite
def forwardings(draw: st.DrawFn, key: str) -> Forwarding:
    targets = draw(st.lists(st.sampled_from([k for k in KEYS if k != key]), max_size=2, unique=True))
    numbers = draw(st.lists(st.sampled_from([OUTSIDE[0], did("103")]), max_size=1))
    callers = draw(st.lists(st.sampled_from(["+6531234567", "+6591112222", *KEYS]), max_size=2, unique=True))
    if key in targets or did(key) in numbers:
        numbers = []
    return Forwarding(
        enabled=bool(targets or numbers) and draw(st.booleans()),
        extensions=tuple(targets),
        numbers=tuple(numbers),
        vip=tuple(callers),
        vip_ring_devices=draw(st.sampled_from([(), (DeviceKind.DESKTOP,), (DeviceKind.MOBILE,)])),
    )


@st.composite
def extensions(draw: st.DrawFn, key: str) -> ExtensionSpec:
    action = draw(st.sampled_from(NoAnswerAction))
    devices = draw(st.sampled_from([("desktop",), ("desktop",), ("ip_phone", "desktop"), ()]))
    return ExtensionSpec(
        devices=devices,
        number=did(key),
        status=draw(st.sampled_from([NumberStatus.ACTIVE] * 5 + [NumberStatus.RESERVED])),
        ring_devices=draw(st.sampled_from([(), (DeviceKind.DESKTOP,), (DeviceKind.IP_PHONE,)])),
        dnd=draw(st.sampled_from([False, False, False, True])),
        dnd_action=draw(st.sampled_from(["auto", "busy", "voicemail"])),
        call_waiting=draw(st.booleans()),
        restricted=draw(st.sampled_from([False, False, True])),
        type=draw(st.sampled_from(["normal", "normal", "contact_center"])),
        forwarding=draw(forwardings(key)),
        no_answer=NoAnswer(
            action=action,
            ring_timeout_s=5,
            number=OUTSIDE[1] if action is NoAnswerAction.FORWARD else None,
        ),
    )


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    specs = {key: draw(extensions(key)) for key in KEYS}
    # The caller must have a phone in service; everything else about it stays random.
    specs["100"] = specs["100"].model_copy(
        update={"devices": (DeviceKind.DESKTOP,), "status": NumberStatus.ACTIVE}
    )
    # One phone at most takes the call, so that no two answers race; a number outside answers at once and
    # would cut short the legs beside it, so it answers only where it is dialled alone.
    taker = draw(st.sampled_from([*KEYS, None]))
    behaviour = {key: draw(st.sampled_from(NOT_ANSWERED)) for key in KEYS if key != taker}
    behaviour[OUTSIDE[0]] = draw(st.sampled_from([Behaviour.BUSY, Behaviour.RING]))
    if draw(st.booleans()):
        caller, to = draw(st.sampled_from(CALLERS_OUTSIDE)), draw(st.sampled_from([did(k) for k in KEYS[1:]]))
    else:
        caller, to = "100", draw(st.sampled_from([*KEYS[1:], *KEYS[1:], did("102"), *DIALLED_OUTSIDE]))
    return Scenario(
        title="Found by the property test",
        extensions=specs,
        code="4711",
        reception=draw(st.sampled_from([(), ("101",)])),
        calls=(
            CallSpec.model_validate(
                {
                    "from": caller,
                    "to": to,
                    "behaviour": behaviour,
                    "enter": draw(st.sampled_from([("4711",), ("1111", "4711")])),
                    "expect": Expected(outcome="?"),
                }
            ),
        ),
    )


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    print_blob=True,
)
@given(drawn=scenarios())
def test_any_call_in_any_small_model_does_what_explain_says(
    drawn: Scenario, node: NodeUnderTest, engine: Engine
) -> None:
    scenario = filled_in(drawn)
    spec = scenario.calls[0]
    model = model_on(node, scenario)
    assume(not races(explained(scenario, model, spec), model))
    note(f"As a scenario:\n{scenario.as_yaml()}")
    node.hold(model)
    compare(scenario, model, spec, Player(node, engine, scenario, model).play(spec))


def races(explanation: Explanation, model: Model) -> bool:
    """Whether two legs ask the same one-call extension: which of them finds it busy is a matter of timing."""
    rung = [name for name in explanation.rings if "/" in name]
    return any(
        rung.count(name) > 1 and not model.extensions[_ident(name)].rings_waiting_calls for name in rung
    )


def _ident(name: str) -> tuple[str, str]:
    org, _, key = name.partition("/")
    return org, key


def filled_in(scenario: Scenario) -> Scenario:
    """The scenario with what `explain` expects; codes are typed only where they are asked for."""
    spec = scenario.calls[0]
    explanation = explained(scenario, build(scenario), spec)
    asked = any(
        step.node == "out.authorization" and step.outcome in {"right", "wrong"} for step in explanation.trace
    )
    names = {name: name.rpartition("/")[2] for name in explanation.rings}
    expect = Expected(
        outcome=explanation.outcome,
        rings=frozenset(names.values()),
        answered_by=frozenset(names[name] for name in explanation.answered_by),
    )
    call = spec.model_copy(update={"expect": expect, "enter": spec.enter if asked else ()})
    return scenario.model_copy(update={"calls": (call,)})
