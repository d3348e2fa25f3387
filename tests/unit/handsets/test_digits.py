"""Digit patterns in each make's notation."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.digits import (
    digit_map,
    excluding,
    grandstream_map,
    mgcp_map,
    parse_pattern,
    regular_expression,
)
from tests.handsets.setups import patterns


def test_the_notations() -> None:
    told = ("112", "1XX", "00X.", "[2-9]XX", "+X.", "*[1-3].")
    assert mgcp_map(told) == "112|1xx|00xx.T|[2-9]xx|+xx.T|*[1-3][1-3].T"
    assert grandstream_map(told) == "{ 112 | 1xx | 00x+ | [2-9]xx | \\+x+ | *[1-3]+ }"
    assert [regular_expression(pattern) for pattern in digit_map(told)] == [
        "112",
        "1[0-9][0-9]",
        "00[0-9]+",
        "[2-9][0-9][0-9]",
        r"\+[0-9]+",
        r"\*[1-3]+",
    ]


def test_what_may_go_on_waits_and_only_that() -> None:
    told = ("112", "0XXX", "0[1-9]XXXXX.", "1XXX", "*72", "*72X.", "*73")
    assert mgcp_map(told) == "112T|00xx|0[1-9]xxT|0[1-9]xxxxxx.T|1xxx|*72T|*72xx.T|*73"
    assert grandstream_map(told) == ("{ 112+ | 00xx | 0[1-9]xx+ | 0[1-9]xxxxx+ | 1xxx | *72+ | *72x+ | *73 }")


def test_a_start_is_taken_out_of_a_pattern() -> None:
    assert excluding("[2-9]XXX", "911") == ("[2-8]XXX", "9[023456789]XX", "91[023456789]X")
    assert excluding("1XX", "112") == ("1XX",)
    assert excluding("00X.", "0") == ()
    assert excluding("1XXX.", "112") == ("1[023456789]XX.", "11[013456789]X.")


@given(patterns)
def test_the_regular_expression_takes_what_the_pattern_says_and_not_one_digit_less(text: str) -> None:
    pattern = parse_pattern(text)
    dialled = "".join(part[1] if part[0] == "[" else part.replace("X", "7") for part in pattern.elements)
    found = re.compile(regular_expression(pattern))
    assert found.fullmatch(dialled)
    assert not found.fullmatch(dialled[:-1])
    assert bool(found.fullmatch(dialled + dialled[-1])) == pattern.open_ended


@pytest.mark.parametrize("text", ["", ".", "1|2", "1)", "x", "[9", "[a-z]", "[9-2]", "1..", "1.2", "T", "$a"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UnsafeValue):
        parse_pattern(text)
