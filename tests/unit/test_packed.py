"""Packed texts: small, equal when they mean the same, and named by what they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.render.packed import digest, pack, unpack

LONG = "linekey.1.type = 15\n" * 400


@given(st.text())
def test_what_is_packed_comes_out_again_under_the_same_name(text: str) -> None:
    assert unpack(pack(text)) == text
    assert digest(pack(text)) == digest(text)
    assert pack(text) == pack(text)


def test_a_plain_text_is_left_as_it_is() -> None:
    assert unpack(LONG) == LONG


def test_a_long_text_gets_small() -> None:
    assert len(pack(LONG)) * 10 < len(LONG)


@pytest.mark.parametrize(
    "damage", (lambda packed: packed[:-5], lambda packed: packed[:60] + "x" + packed[61:])
)
def test_damage_is_said(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(ValueError, match="damaged"):
        unpack(damage(pack(LONG)))
