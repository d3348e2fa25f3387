"""The graph, explain and the checks, without Asterisk."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from control_plane.callpath.checks import key_problem
from control_plane.callpath.evaluators import EVALUATORS
from control_plane.callpath.explain import (
    Behaviour,
    Circumstances,
    InsideCaller,
    OutsideCaller,
    explain,
)
from control_plane.callpath.graph import GRAPH, NODES, End
from control_plane.callpath.passing import passing_problem, passing_problems
from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site, Trunk
from control_plane.domain.extension import (
    Device,
    DeviceKind,
    Extension,
    Forwarding,
    NoAnswer,
    NoAnswerAction,
)
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.dialplan import dialplan_text

VIPS = ("+6531234567", "+6569876543")


def device(key: str, kind: DeviceKind = DeviceKind.IP_PHONE) -> Device:
    return Device(
        id=f"d{key}{kind.value[:2]}".replace("_", "").ljust(12, "x"),
        org="acme",
        extension=key,
        kind=kind,
        sip_password=SecretStr("s" * 24),
    )


def model(*extensions: Extension, numbers: tuple[PhoneNumber, ...] = ()) -> Model:
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[Site(id="sg", name="SG", region=RegionCode.SG, time_zone="Asia/Singapore", trunk="carrier")],
        trunks=[Trunk(id="carrier", host="127.0.0.2", region=RegionCode.SG)],
        extensions=extensions,
        devices=[device(e.key) for e in extensions],
        numbers=numbers,
    )


def extension(key: str, **fields: object) -> Extension:
    return Extension.model_validate({"org": "acme", "key": key, "site": "sg", **fields})


def r95() -> Model:
    return model(
        extension(
            "100",
            number="+6561000100",
            forwarding=Forwarding(enabled=True, extensions=("101", "102", "103"), vip=VIPS),
        ),
        *(extension(key) for key in ("101", "102", "103")),
        numbers=(
            PhoneNumber(
                e164="+6561000100", site="sg", org="acme", extension="100", status=NumberStatus.ACTIVE
            ),
        ),
    )


def test_every_node_has_an_evaluator_and_renders() -> None:
    assert set(EVALUATORS) == set(GRAPH)
    text = dialplan_text(["acme"])
    for node in NODES:
        for outcome in node.outcomes:
            settled_at_hangup = outcome in {"answered", "cancelled"}
            assert f"{node.id}:{outcome}" in text or settled_at_hangup, (node.id, outcome)


def test_every_goto_of_the_dialplan_has_its_label() -> None:
    text = dialplan_text(["acme"])
    for block in re.split(r"(?m)^\[", text)[1:]:
        labels = set(re.findall(r"(?m)(?:same|exten) => [^,]*?\(([\w-]+)\)", block))
        labels |= set(re.findall(r"(?m)same => n\(([\w-]+)\)", block))
        labels |= set(re.findall(r"(?m)exten => s,1\(([\w-]+)\)", block))
        for target in re.findall(r"(?m),Goto\(([\w-]+)\)$", block):
            assert target in labels, (block.split("]")[0], target)


def test_no_label_stands_twice_in_one_context() -> None:
    """Asterisk jumps to the first, so a node's own label would shadow an outcome's and the call circle."""
    for block in re.split(r"(?m)^\[", dialplan_text(["acme"]))[1:]:
        for exten in re.split(r"(?m)^exten => ", block)[1:]:
            labels = re.findall(r"(?m)(?:same => n|^[^,]*,1)\(([\w-]+)\)", exten)
            assert len(labels) == len(set(labels)), (block.split("]")[0], sorted(labels))


def dead_ends() -> set[str]:
    """Nodes from which no end can be reached."""
    ends: set[str] = set()
    while True:
        more = {
            node.id
            for node in GRAPH.values()
            if node.id not in ends and any(isinstance(t, End) or t in ends for t in node.outcomes.values())
        }
        if not more:
            return set(GRAPH) - ends
        ends |= more


def test_no_node_is_a_dead_end_and_every_target_exists() -> None:
    assert dead_ends() == set()
    for node in NODES:
        for target in node.outcomes.values():
            assert isinstance(target, End) or target in GRAPH


@pytest.mark.parametrize("caller", VIPS)
def test_r95_a_vip_rings_the_devices_of_100(caller: str) -> None:
    result = explain(r95(), OutsideCaller("carrier", caller), "+6561000100")
    assert result.rings == ("acme/100",)
    assert ("in.vip", "yes") in [(s.node, s.outcome) for s in result.trace]


def test_r95_everybody_else_rings_101_102_and_103_together() -> None:
    result = explain(r95(), OutsideCaller("carrier", "+6500000000"), "+6561000100")
    assert result.rings == ("acme/101", "acme/102", "acme/103")


def test_an_anonymous_caller_is_never_a_vip() -> None:
    result = explain(r95(), OutsideCaller("carrier", None), "+6561000100")
    assert ("in.vip", "no") in [(s.node, s.outcome) for s in result.trace]


def test_dnd_wins_over_vip_and_forwarding() -> None:
    quiet = extension("100", dnd=True, forwarding=Forwarding(enabled=True, extensions=("101",), vip=("101",)))
    result = explain(model(quiet, extension("101")), InsideCaller("acme", "101"), "100")
    assert result.outcome == "busy"
    assert result.trace[-1].node == "in.dnd"


def test_nobody_answering_the_forwarded_call_leads_to_the_original_callees_action() -> None:
    original = extension(
        "100",
        voicemail_pin="4711",
        no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL),
        forwarding=Forwarding(enabled=True, extensions=("101", "102")),
    )
    circumstances = Circumstances(behaviour={"acme/101": Behaviour.RING, "acme/102": Behaviour.UNREGISTERED})
    result = explain(
        model(original, extension("101"), extension("102"), extension("103")),
        InsideCaller("acme", "103"),
        "100",
        circumstances,
    )
    assert result.outcome == "voicemail"
    assert [(s.node, s.outcome) for s in result.trace][-2:] == [
        ("in.forward", "no_answer"),
        ("in.no_answer", "voicemail"),
    ]


def test_a_forwarding_loop_is_named_with_its_path() -> None:
    first = extension("100", forwarding=Forwarding(enabled=True, extensions=("101",)))
    second = extension("101", forwarding=Forwarding(enabled=True, extensions=("100",)))
    problem = passing_problem(model(first, second), ("acme", "101"))
    assert problem is not None
    assert "101 -> 100 -> 101" in problem


def test_three_forwardings_in_a_row_are_allowed_and_four_are_not() -> None:
    chain = [
        extension(str(key), forwarding=Forwarding(enabled=True, extensions=(str(key + 1),)))
        for key in range(100, 103)
    ]
    good = model(*chain, extension("103"))
    assert all(passing_problem(good, (e.org, e.key)) is None for e in chain)
    fourth = extension("103", forwarding=Forwarding(enabled=True, extensions=("104",)))
    problem = passing_problem(model(*chain, fourth, extension("104")), ("acme", "103"))
    assert problem is not None
    assert "4 times" in problem


def test_a_loop_that_exists_anyway_ends_at_the_hop_limit() -> None:
    first = extension("100", forwarding=Forwarding(enabled=True, extensions=("101",)))
    second = extension("101", forwarding=Forwarding(enabled=True, extensions=("100",)))
    result = explain(model(first, second, extension("102")), InsideCaller("acme", "102"), "100")
    assert result.outcome == "unavailable"
    assert result.legs[-1].trace[0].outcome == "exceeded" or any(
        step.outcome == "exceeded" for leg in result.legs for step in leg.trace
    )


@pytest.mark.parametrize("key", ["999", "112", "911", "000"])
def test_an_extension_cannot_shadow_an_emergency_number(key: str) -> None:
    assert key_problem(key) is not None


def test_every_loop_and_every_chain_that_is_too_long_is_named_once() -> None:
    def to(key: str, *targets: str) -> Extension:
        return extension(key, forwarding=Forwarding(enabled=True, extensions=targets))

    sound = model(to("100", "101", "102"), to("101", "102"), extension("102"))
    assert passing_problems(sound) == ()
    tangled = model(
        to("100", "101", "200"),  # leads into the first loop and is in none
        to("101", "102"),
        to("102", "103", "101"),
        to("103", "101"),
        to("200", "201"),
        *(to(str(key), str(key + 1)) for key in range(300, 305)),
        extension("201"),
        extension("305"),
    )
    assert passing_problems(tangled) == (
        "Forwarding loop: 101 -> 102 -> 101 of acme. Take one of these out of the forwarding.",
        "Forwarding loop: 103 -> 101 -> 102 -> 103 of acme. Take one of these out of the forwarding.",
        "Forwarding chain too long: along 300 -> 301 -> 302 -> 303 -> 304 of acme a call is forwarded 4 "
        "times in a row, 3 are allowed.",
    )
