"""How wrong PINs are counted, and what a call that asks for one comes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.callpath.explain import Circumstances, InsideCaller, explain
from control_plane.domain.extension import Extension
from control_plane.domain.model import Model
from control_plane.domain.pins import PinCount, PinVerdict, verdict, verdict_of_call
from control_plane.plan.wording import diff_lines
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, UnitKind
from control_plane.render.dialplan import dialplan_text
from control_plane.render.units import pin_digest, render_unit
from tests.unit.test_callpath import extension, model

MAILBOX = {"no_answer": {"action": "voicemail"}, "voicemail_pin": "4711"}


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 10))
def test_it_is_locked_exactly_when_so_many_in_a_row_were_wrong(tries: list[bool], most: int) -> None:
    count = PinCount()
    row = longest = 0
    for right in tries:
        found, count = verdict(count, right=right, failures_max=most)
        row = 0 if right and longest < most else row + 1
        longest = max(longest, row)
        assert count.locked == (longest >= most)
        assert (found is PinVerdict.LOCKED) == count.locked


@pytest.mark.parametrize(
    ("count", "typed", "found"),
    [
        (PinCount(), (), PinVerdict.WRONG),
        (PinCount(), (True,), PinVerdict.RIGHT),
        (PinCount(), (False, False, True), PinVerdict.RIGHT),
        (PinCount(), (False, False, False, True), PinVerdict.WRONG),
        (PinCount(3), (False, False, True), PinVerdict.LOCKED),
        (PinCount(5, locked=True), (True,), PinVerdict.LOCKED),
    ],
)
def test_a_call_is_asked_three_times(count: PinCount, typed: tuple[bool, ...], found: PinVerdict) -> None:
    assert verdict_of_call(count, typed, 5) is found


@pytest.mark.parametrize(
    ("fields", "typed", "outcome", "last"),
    [
        (MAILBOX, (True,), "mailbox", "mailbox.open:opened"),
        (MAILBOX, (), "refused", "mailbox.pin:wrong"),
        (MAILBOX | {"pin_failures": 4}, (False, True), "pin_locked", "mailbox.pin:locked"),
        (MAILBOX | {"pin_locked": True}, (True,), "pin_locked", "mailbox.pin:locked"),
        ({}, (True,), "refused", "mailbox.there:no"),
    ],
)
def test_explain_asks_for_the_pin(
    fields: dict[str, object], typed: tuple[bool, ...], outcome: str, last: str
) -> None:
    asked = model(extension("100", **fields))
    found = explain(asked, InsideCaller("acme", "100"), "*97", Circumstances(codes=typed))
    assert found.outcome == outcome
    assert f"{found.trace[-1].node}:{found.trace[-1].outcome}" == last


def rows(of: Model) -> dict[str, str]:
    unit = Unit(UnitKind.EXTENSION, ("acme", "100"))
    return {key.name: value for key, value in render_unit(of, "lab", unit).values.items()}


@pytest.mark.parametrize(
    ("fields", "row"), [({}, None), ({"pin_failures": 2}, "2"), ({"pin_locked": True}, "locked")]
)
def test_the_count_is_a_row_where_there_is_one(fields: dict[str, object], row: str | None) -> None:
    assert rows(model(extension("100", **fields))).get("ext/acme/100/pin") == row


def test_the_digest_of_a_pin_is_a_row_only_where_no_mailbox_has_it_and_is_masked() -> None:
    plain: Extension = extension("100", voicemail_pin="4711")
    assert rows(model(plain))["pin/acme/100"] == pin_digest(plain)
    assert "pin/acme/100" not in rows(model(extension("100", **MAILBOX)))
    assert "pin/acme/100" not in rows(model(extension("100")))
    (line,) = diff_lines(ArtefactKey(Holder.ROW, "pin/acme/100"), None, pin_digest(plain))
    assert line == "value: (none) -> ***"


def test_the_dialplan_locks_after_as_many_as_the_setting_says() -> None:
    assert "$[${WC_FAILED} < 7]" in dialplan_text(["acme"], pin_failures_max=7)
