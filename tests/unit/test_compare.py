"""Comparing what was explained with what a real call did."""

from __future__ import annotations

from control_plane.callpath.compare import compare
from control_plane.callpath.explain import Explanation, Leg, Step


def steps(text: str) -> tuple[Step, ...]:
    return tuple(Step(node, outcome, "why") for node, _, outcome in (w.partition(":") for w in text.split()))


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((node, outcome) for node, _, outcome in (w.partition(":") for w in text.split()))


FORWARDED = Explanation(
    "answered",
    steps("in.forward:answered"),
    (
        Leg("100>101", "answered", steps("leg.dnd:off leg.ring:answered")),
        Leg("100>102", "answered", steps("leg.dnd:off leg.ring:answered")),
    ),
)


def test_equal_traces_are_equal() -> None:
    found = compare(Explanation("busy", steps("in.dnd:busy")), pairs("in.dnd:busy"), {})
    assert found.equal
    assert [row.equal for row in found.trace] == [True]


def test_of_two_legs_that_would_answer_one_does() -> None:
    legs = {
        "100>101": pairs("leg.dnd:off leg.ring:cancelled"),
        "100>102": pairs("leg.dnd:off leg.ring:answered"),
    }
    assert compare(FORWARDED, pairs("in.forward:answered"), legs).equal


def test_that_nobody_answers_where_somebody_would_is_a_difference() -> None:
    legs = dict.fromkeys(("100>101", "100>102"), pairs("leg.dnd:off leg.ring:cancelled"))
    found = compare(FORWARDED, pairs("in.forward:answered"), legs)
    assert found.differences == ("explain says that a forward target answers, and none did",)


def test_the_first_difference_of_a_way_is_told_and_not_what_follows_from_it() -> None:
    found = compare(Explanation("busy", steps("in.dnd:busy")), pairs("in.dnd:off in.ring:answered"), {})
    assert found.differences == ("step 1: explained in.dnd:busy, real in.dnd:off",)
    assert [row.equal for row in found.trace] == [False, False]


def test_a_leg_that_was_not_explained_is_a_difference() -> None:
    found = compare(Explanation("busy", ()), (), {"100>101": pairs("leg.hops:ok")})
    assert found.differences == ("leg 100>101: step 1: explained nothing, real leg.hops:ok",)


def test_a_trace_that_stops_short_is_a_difference() -> None:
    found = compare(Explanation("busy", steps("in.dnd:busy")), (), {})
    assert found.differences == ("step 1: explained in.dnd:busy, real nothing",)


def test_a_call_that_fails_behind_the_last_node_is_a_difference() -> None:
    feature = Explanation("feature", steps("out.feature:dnd_off"))
    found = compare(feature, pairs("out.feature:dnd_off"), {}, status=603)
    assert found.differences == ("explain says that the caller is answered, and the SIP status was 603",)
    assert compare(feature, pairs("out.feature:dnd_off"), {}, status=200).equal
