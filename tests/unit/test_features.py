"""The table of feature codes: what settings may make of it, and that every reader follows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.callpath.explain import InsideCaller, explain
from control_plane.domain.features import FEATURE_CODES, Feature, with_codes
from control_plane.errors import InvalidField
from control_plane.render.dialplan import dialplan_text
from tests.unit.test_callpath import extension, model


def test_codes_not_named_keep_theirs() -> None:
    table = {entry.feature: entry.code for entry in with_codes({"dnd_on": "*60"})}
    assert table[Feature.DND_ON] == "*60"
    assert table[Feature.DND_OFF] == "*79"


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"dnd": "*60"}, "there is no feature 'dnd'"),
        ({"dnd_on": "60"}, "must be * and one to four digits"),
        ({"dnd_on": "*6,1"}, "must be * and one to four digits"),
        ({"dnd_on": "*79"}, "begins with"),
        ({"voicemail": "*721"}, "*721 begins with *72"),
    ],
)
def test_a_code_that_cannot_work_is_refused(chosen: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidField) as refused:
        with_codes(chosen)
    assert says in str(refused.value)


def test_explain_and_the_dialplan_follow_the_table() -> None:
    codes = with_codes({"dnd_on": "*60"})
    changed = replace(model(extension("100")), feature_codes=codes)
    assert explain(changed, InsideCaller("acme", "100"), "*60").outcome == "feature"
    assert explain(changed, InsideCaller("acme", "100"), "*78").outcome == "unknown_number"
    assert "exten => *60,1" in dialplan_text(["acme"], codes)
    assert "exten => *78,1" in dialplan_text(["acme"], FEATURE_CODES)
