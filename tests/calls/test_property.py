"""Random small models and calls: what `explain` says is what the real call does.

A failing case is shrunk and printed as a scenario that can be saved in `scenarios/`. The number of cases is
small in `make test`; `WIRECHIEF_CALL_EXAMPLES=500` runs more.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from control_plane.adapters.phones import Engine
from control_plane.callpath.explain import Behaviour
from control_plane.domain.entities import NumberStatus
from control_plane.domain.extension import DeviceKind, Forwarding, NoAnswer, NoAnswerAction
from control_plane.domain.groups import Destination, DestinationKind, Strategy
from tests.calls.node import NodeUnderTest
from tests.calls.player import Player, model_on
from tests.calls.scenario import (
    HANDSET,
    CallSpec,
    Expected,
    ExtensionSpec,
    GroupSpec,
    HandsetSpec,
    MainSpec,
    Scenario,
    build,
    explained,
)
from tests.calls.test_scenarios import compare

EXAMPLES = int(os.environ.get("WIRECHIEF_CALL_EXAMPLES", "12"))
KEYS = ("100", "101", "102", "103")
GROUPS = ("300", "301")
MAIN = "+6561000900"
OUTSIDE = ("+6588881001", "+6588881002")
CALLERS_OUTSIDE = ("+6531234567", "31234567", "+6591112222", "anonymous")
DIALLED_OUTSIDE = ("+6588881003", "88881003", "999", "777", "*55", "*72300", "*97")
DIALLED_NEUTRAL = ("999", "+6588881003", "*72101", "*11", "*11", "00#")
MAC = "805ec0a1b2c3"
MONDAY_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=ZoneInfo("Asia/Singapore"))
NOT_ANSWERED = (Behaviour.BUSY, Behaviour.REFUSE, Behaviour.RING, Behaviour.UNREGISTERED)


def did(key: str) -> str:
    return f"+6561000{key}"


@st.composite
def forwardings(draw: st.DrawFn, key: str) -> Forwarding:
    others = [*(k for k in KEYS if k != key), draw(st.sampled_from(GROUPS))]
    targets = draw(st.lists(st.sampled_from(others), max_size=2, unique=True))
    numbers = draw(st.lists(st.sampled_from([OUTSIDE[0], did("103"), MAIN]), max_size=1))
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
    one, two = (DeviceKind.DESKTOP,), (DeviceKind.IP_PHONE, DeviceKind.DESKTOP)
    devices = draw(st.sampled_from([one, one, two, ()]))
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


def destinations(*groups: str, number: str) -> st.SearchStrategy[Destination]:
    """Somewhere to send a call; what rings for a minute has to answer, what rings on legs must not."""
    return st.builds(
        lambda place: Destination(kind=place[0], target=place[1]),
        st.sampled_from(
            [
                *((DestinationKind.GROUP, key) for key in groups),
                (DestinationKind.EXTENSION, "102"),
                (DestinationKind.VOICEMAIL, "109"),
                (DestinationKind.NUMBER, number),
            ]
        ),
    )


def groups(*onward: str) -> st.SearchStrategy[GroupSpec]:
    return st.builds(
        GroupSpec,
        members=st.lists(st.sampled_from(KEYS), max_size=3, unique=True).map(tuple),
        strategy=st.sampled_from(Strategy),
        ring_timeout_s=st.just(5),
        total_ring_s=st.sampled_from([5, 8, 20]),
        otherwise=st.none() | destinations(*onward, number=OUTSIDE[1]),
    )


mains = st.builds(
    MainSpec,
    holidays=st.sampled_from([(), (), ("2026-11-23",)]),
    in_hours=destinations(*GROUPS, number=OUTSIDE[0]),
    out_of_hours=destinations("300", number=OUTSIDE[0]),
    if_not_answered=st.none() | destinations("301", number=OUTSIDE[1]),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    specs = {key: draw(extensions(key)) for key in KEYS}
    # The caller must have a phone in service; everything else about it stays random.
    specs["100"] = specs["100"].model_copy(
        update={"devices": (DeviceKind.DESKTOP,), "status": NumberStatus.ACTIVE}
    )
    specs["109"] = ExtensionSpec(devices=(), no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL))
    # One phone at most takes the call, so that no two answers race; a number outside answers at once and
    # would cut short the legs beside it, so it answers only where it is dialled alone.
    taker = draw(st.sampled_from([*KEYS, None]))
    behaviour = {key: draw(st.sampled_from(NOT_ANSWERED)) for key in KEYS if key != taker}
    behaviour[OUTSIDE[0]] = draw(st.sampled_from([Behaviour.BUSY, Behaviour.RING]))
    enter = draw(st.sampled_from([("4711",), ("1111", "4711")]))
    kind = draw(st.sampled_from(["outside", "inside", "neutral"]))
    if kind == "neutral":
        caller = f"{HANDSET}{MAC}"
        to = draw(st.sampled_from(["101", "101", *GROUPS, "102", did("102"), MAIN, *DIALLED_NEUTRAL]))
        enter = (draw(st.sampled_from([*KEYS, "999"])), *enter)
    elif kind == "outside":
        numbers = [*(did(key) for key in KEYS[1:]), MAIN]
        caller, to = draw(st.sampled_from(CALLERS_OUTSIDE)), draw(st.sampled_from(numbers))
    else:
        inside = [*KEYS[1:], *KEYS[1:], *GROUPS, *GROUPS, did("102"), MAIN]
        caller, to = "100", draw(st.sampled_from([*inside, *DIALLED_OUTSIDE]))
    return Scenario(
        title="Found by the property test",
        extensions=specs,
        groups={"300": draw(groups("301")), "301": draw(groups())},
        main=draw(mains),
        code="4711",
        handsets={MAC: HandsetSpec()},
        reception=draw(st.sampled_from([(), ("101",), ("101", *GROUPS)])),
        calls=(
            CallSpec.model_validate(
                {
                    "from": caller,
                    "to": to,
                    "behaviour": behaviour,
                    "at": MONDAY_NOON + timedelta(hours=draw(st.sampled_from([0, 8]))),
                    "enter": enter,
                    "expect": Expected(outcome="?"),
                }
            ),
        ),
    )


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(drawn=scenarios())
def test_any_call_in_any_small_model_does_what_explain_says(
    drawn: Scenario, node: NodeUnderTest, engine: Engine
) -> None:
    scenario = filled_in(drawn)
    spec = scenario.calls[0]
    model = model_on(node, scenario)
    note(f"As a scenario:\n{scenario.as_yaml()}")
    node.hold(model)
    compare(scenario, model, spec, Player(node, engine, scenario, model).play(spec))


def filled_in(scenario: Scenario) -> Scenario:
    """The scenario with what `explain` expects; codes are typed only where they are asked for."""
    spec = scenario.calls[0]
    explanation = explained(scenario, build(scenario), spec)
    asked = any(
        step.node in {"out.authorization", "mailbox.pin", "neutral.who"}
        and step.outcome in {"right", "wrong", "known", "unknown"}
        for step in explanation.trace
    )
    names = {name: name.rpartition("/")[2] for name in explanation.rings}
    expect = Expected(
        outcome=explanation.outcome,
        rings=frozenset(names.values()),
        answered_by=frozenset(names[name] for name in explanation.answered_by),
    )
    call = spec.model_copy(update={"expect": expect, "enter": spec.enter if asked else ()})
    return scenario.model_copy(update={"calls": (call,)})
