from __future__ import annotations

import json

import pytest

from control_plane.plan.changes import Change, Drift, classify, diff
from control_plane.plan.plan import make_plan, step_as_dict
from control_plane.plan.steps import Op, Phase, order
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, UnitKind
from control_plane.render.packed import digest
from tests.unit.asterisk_model import row

EXTENSION = Unit(UnitKind.EXTENSION, ("acme", "100"))
DIALPLAN = ArtefactKey(Holder.FILE, "generated_dialplan.conf")
MAILBOX = ArtefactKey(Holder.MAILBOX, "acme/100")


def reason(change: Change, unit: Unit | None = EXTENSION) -> str:
    units = {change.key: unit} if unit is not None else {}
    return order([change], units)[0].reason


def test_a_row_that_went_back_to_what_it_was_a_second_ago_was_lost_not_edited() -> None:
    assert classify("new", digest("new"), "old", digest("old")) is Drift.LOST
    assert classify("new", digest("new"), "other", digest("old")) is Drift.EDITED


def test_a_removed_row_that_came_back_is_lost_and_not_foreign() -> None:
    assert classify(None, None, "old", digest("old")) is Drift.LOST
    assert classify(None, None, "old") is Drift.FOREIGN


def test_a_row_never_pushed_is_the_models_doing() -> None:
    assert classify("new", None, None) is Drift.MODEL_MOVED
    assert classify("new", None, "old") is Drift.MODEL_MOVED
    assert classify(None, digest("old"), "old") is Drift.MODEL_MOVED


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (None, "1", "extension acme/100 changed: dnd on"),
        ("1", None, "extension acme/100 changed: dnd off"),
        ("5", "20", "extension acme/100 changed: dnd is now 20"),
        (None, "20", "extension acme/100 changed: dnd added (20)"),
        ("20", None, "extension acme/100 changed: dnd removed"),
    ],
)
def test_a_reason_names_the_extension_and_what_became_of_the_setting(
    before: str | None, after: str | None, sentence: str
) -> None:
    assert reason(Change(row("ext/acme/100/dnd"), before, after, Drift.MODEL_MOVED)) == sentence


@pytest.mark.parametrize(
    ("drift", "before", "after", "sentence"),
    [
        (Drift.EDITED, '{"a": "1"}', '{"a": "2"}',
         "row pbx/endpoint/x was edited in Asterisk (a); put back as the model says"),
        (Drift.LOST, None, '{"a": "2"}',
         "Asterisk does not hold row pbx/endpoint/x as it was given; written again"),
        (Drift.LOST, "{}", None,
         "row pbx/endpoint/x was removed, but Asterisk has it again; removed once more"),
        (Drift.FOREIGN, "{}", None, "row pbx/endpoint/x belongs to nothing in the model; removed"),
    ],
)  # fmt: skip
def test_a_reason_says_which_kind_of_drift_it_is(
    drift: Drift, before: str | None, after: str | None, sentence: str
) -> None:
    assert reason(Change(row("pbx/endpoint/x"), before, after, drift)) == sentence


def test_a_changed_object_is_shown_field_by_field_and_secrets_only_as_changed() -> None:
    old = json.dumps({"username": "x", "password": "secret-one", "realm": "a"})
    new = json.dumps({"username": "x", "password": "secret-two", "realm": "b"})
    (step,) = order([Change(row("pbx/auth/x"), old, new, Drift.MODEL_MOVED)])
    shown = step_as_dict(step)
    assert shown["diff"] == ["password: *** -> ***", "realm: a -> b"]
    assert "secret-" not in json.dumps(shown) + repr(step)


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        (row("pbx/auth/x"), "{broken secret-one", '{"password": "secret-two"}'),
        (row("pbx/auth/x"), '["secret-one"]', None),
        (row("code/acme/hq"), "secret-one", "secret-two"),
        (row("code/acme/hq"), None, "secret-two"),
        (MAILBOX, "secret-one,Ann,,,", "secret-two,Ann,,,"),
        (MAILBOX, "secret-one,Ann,,,\nsecret-two,Bob,,,", "secret-two,Ann,,,"),
    ],
)
@pytest.mark.parametrize("drift", list(Drift))
def test_no_secret_is_in_a_reason_a_diff_or_a_repr(
    key: ArtefactKey, before: str | None, after: str | None, drift: Drift
) -> None:
    plan = make_plan("lab", 1, [Change(key, before, after, drift)])
    told = json.dumps(plan.as_dict()) + repr(plan) + repr(Change(key, before, after, drift))
    assert "secret-" not in told
    assert plan.steps[0].secret


def test_a_mailbox_shows_its_name_but_not_its_pin() -> None:
    (step, _) = order([Change(MAILBOX, "1111,Ann,,,", "2222,Bob,,,", Drift.EDITED)])
    assert step_as_dict(step)["diff"] == ["name: Ann -> Bob", "pin: *** -> ***"]


def test_a_file_is_shown_as_a_unified_diff() -> None:
    (step, _) = order(
        [Change(DIALPLAN, "[a]\nexten => 1,1,NoOp()\n", "[a]\nexten => 2,1,NoOp()\n", Drift.EDITED)]
    )
    shown = step_as_dict(step)["diff"]
    assert isinstance(shown, list)
    assert "-exten => 1,1,NoOp()" in shown
    assert "+exten => 2,1,NoOp()" in shown


def test_the_dialplan_is_written_and_loaded_before_rows_and_only_its_reload_touches_calls() -> None:
    steps = order(
        [
            Change(row("ext/acme/100/dnd"), None, "1", Drift.MODEL_MOVED),
            Change(DIALPLAN, None, "[a]\n", Drift.MODEL_MOVED),
        ]
    )
    assert [step.op for step in steps] == [Op.WRITE_FILE, Op.RELOAD, Op.PUT]
    assert [step.touches_calls for step in steps] == [False, True, False]


def test_many_mailboxes_are_loaded_by_one_reload() -> None:
    changes = [
        Change(ArtefactKey(Holder.MAILBOX, f"acme/{n}"), None, "1111,,,,", Drift.MODEL_MOVED)
        for n in range(100, 103)
    ]
    assert [step.op for step in order(changes)] == [Op.EDIT_MAILBOX] * 3 + [Op.RELOAD]


def test_a_reload_that_a_cut_push_still_owes_is_planned_even_when_nothing_else_is() -> None:
    steps = order([], reloads_owed=frozenset({"app_voicemail.so", "pbx_config.so"}))
    assert [(step.op, step.module) for step in steps] == [
        (Op.RELOAD, "pbx_config.so"),
        (Op.RELOAD, "app_voicemail.so"),
    ]


def test_an_owed_reload_merges_with_one_that_is_due_anyway() -> None:
    change = Change(DIALPLAN, None, "[a]\n", Drift.MODEL_MOVED)
    assert len(order([change], reloads_owed=frozenset({"pbx_config.so"}))) == 2


def test_removing_a_device_is_last_and_says_that_it_touches_calls() -> None:
    steps = order(
        [
            Change(row("pbx/auth/x"), "{}", None, Drift.MODEL_MOVED),
            Change(row("pbx/endpoint/x"), "{}", None, Drift.MODEL_MOVED),
            Change(row("ext/acme/100/devices"), "x", "y", Drift.MODEL_MOVED),
            Change(row("did/+6531580000"), "acme/100", None, Drift.MODEL_MOVED),
        ]
    )
    assert [step.phase for step in steps] == [
        Phase.EXTENSIONS,
        Phase.NO_ENTRANCES,
        Phase.NO_ENDPOINTS,
        Phase.NO_CREDENTIALS,
    ]
    assert [step.touches_calls for step in steps] == [False, False, True, True]


def test_a_plan_of_nothing_is_empty() -> None:
    plan = make_plan("lab", 7, diff({}, {}, {}))
    assert plan.is_empty
    assert not plan.touches_calls
    assert plan.as_dict()["steps"] == []
