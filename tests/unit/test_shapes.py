"""Rows made from a template's shape are the rows of the text that the template yields."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import MissingTemplateValue, UnsafeValue
from control_plane.render.pjsip import DEVICE, NEUTRAL, TRUNK
from control_plane.render.shapes import MAX_VALUE_BYTES, rows
from control_plane.render.templates import render, sections

PLAIN = st.text("abcz0189-", min_size=1, max_size=8)
HOSTILE = st.text(
    st.sampled_from('ab %s(){}"\\=;,[]<>\u27e6id\u27e7\xe9\U0001f4de'), max_size=12
) | st.sampled_from(["%(password)s", "\u27e6password\u27e7", "%%", "{{ id }}", "a=b", "[x]"])
FLAG = st.sampled_from([0, 1])

DEVICES = st.fixed_dictionaries(
    {
        **dict.fromkeys(("id", "org", "site", "key"), PLAIN),
        **dict.fromkeys(("password", "previous", "number", "caller_id", "mailbox", "media_address"), HOSTILE),
        **dict.fromkeys(("track", "restricted", "counted"), FLAG),
        **dict.fromkeys(("tls", "srtp"), st.booleans()),
    }
)
NEUTRALS = st.fixed_dictionaries(
    {
        **dict.fromkeys(("id", "org", "site", "mac"), PLAIN),
        **dict.fromkeys(("password", "previous", "caller_id", "media_address"), HOSTILE),
        "tls": st.booleans(),
    }
)
TRUNKS = st.fixed_dictionaries(
    {
        "id": PLAIN,
        "port": st.integers(1, 65535),
        **dict.fromkeys(("host", "region", "username", "password"), HOSTILE),
    }
)


def rows_of_text(template: str, values: dict[str, object]) -> list[tuple[str, str]]:
    """The long way: run the template, read its sections."""
    return [
        (
            f"pbx/{section.type}/{section.name}",
            json.dumps(section.fields, separators=(",", ":"), ensure_ascii=False),
        )
        for section in sections(render(template, values))
    ]


@given(DEVICES)
def test_a_device(values: dict[str, object]) -> None:
    assert list(rows(DEVICE, values)) == rows_of_text(DEVICE, values)


@given(NEUTRALS)
def test_a_neutral_line(values: dict[str, object]) -> None:
    assert list(rows(NEUTRAL, values)) == rows_of_text(NEUTRAL, values)


@given(TRUNKS)
def test_a_trunk(values: dict[str, object]) -> None:
    assert list(rows(TRUNK, values)) == rows_of_text(TRUNK, values)


A_TRUNK = {"id": "t", "host": "h", "port": 5060, "region": "SG", "username": "u", "password": "p"}


@pytest.mark.parametrize("poison", ["a\nb", "a\r\n[x]", "\0", "\u2028"])
def test_a_text_that_would_end_its_line_is_refused(poison: str) -> None:
    with pytest.raises(UnsafeValue):
        list(rows(TRUNK, A_TRUNK | {"password": poison}))


@pytest.mark.parametrize("letter", ["x", "\xe9"])
def test_a_row_longer_than_ami_carries_is_refused_and_its_values_are_not_named(letter: str) -> None:
    with pytest.raises(UnsafeValue, match="pbx/auth/trunk-t") as caught:
        list(rows(TRUNK, A_TRUNK | {"password": letter * (MAX_VALUE_BYTES // len(letter.encode()))}))
    assert letter * 3 not in str(caught.value)


def test_a_value_that_is_not_given_is_named() -> None:
    with pytest.raises(MissingTemplateValue, match="host"):
        list(rows(TRUNK, {name: value for name, value in A_TRUNK.items() if name != "host"}))
