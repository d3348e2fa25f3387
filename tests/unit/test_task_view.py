"""What a tenant sees of a task, and what he may have tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.model import Model
from control_plane.errors import Forbidden, UnknownEntity
from control_plane.plan.tasks import Progress, Subject, Task, TaskKind, TaskState, subject_of
from control_plane.service.rights import SCOPES, Caller, Position, root
from control_plane.service.task_view import (
    NOT_RIGHT,
    NOT_SEEN,
    WAITING,
    as_seen,
    may_retry,
    require_may_retry,
    require_seen,
    waiting_for,
)

TENANT = Caller("ann", Position.OCCUPIER_ADMIN, "acme", scopes=SCOPES[Position.OCCUPIER_ADMIN])
READER = Caller("bob", Position.OCCUPIER_READER, "acme")
MINE, OTHERS = "+442071838750", "+442071838799"
MODEL = Model.of(
    numbers=[
        PhoneNumber(e164=MINE, site="london", org="acme", status=NumberStatus.RESERVED),
        PhoneNumber(e164=OTHERS, site="london", org="globex", status=NumberStatus.RESERVED),
    ]
)


def step(unit: str | None, outcome: str = "done", why: str | None = None) -> dict[str, Any]:
    return {"unit": unit, "outcome": outcome, "why": why, "artefact": f"row of {unit}"}


def task(*subjects: Subject, kind: TaskKind = TaskKind.PUSH, **progress: Any) -> Task:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    return Task(7, kind, "lab", 3, subjects, len(subjects), "acme", "root", at, Progress(**progress))


def test_a_push_of_several_tenants_shows_each_his_own() -> None:
    found = task(
        ("extension", "acme/100"),
        ("extension", "globex/200"),
        ("number", MINE),
        ("number", OTHERS),
        ("site", "london"),
        steps=(step("extension acme/100"), step("extension globex/200"), step(None), step(f"number {MINE}")),
    )
    seen = as_seen(TENANT, MODEL, found)
    assert seen.subjects == (("extension", "acme/100"), ("number", MINE))
    assert seen.subject_count == 2
    assert [s["unit"] for s in seen.progress.steps] == ["extension acme/100", f"number {MINE}"]
    assert as_seen(root("op"), MODEL, found) is found


def test_the_second_tenant_of_a_push_learns_nothing_of_the_first() -> None:
    found = replace(
        task(("number", OTHERS), ("extension", "globex/200"), ("extension", "acme/100"), error="of globex"),
        org="globex",
        others=frozenset({"acme"}),
    )
    require_seen(TENANT, found)
    seen = as_seen(TENANT, MODEL, found)
    assert (seen.org, seen.subjects, seen.subject_count) == ("acme", (("extension", "acme/100"),), 1)
    assert may_retry(TENANT, seen)
    for text in ("globex", OTHERS):
        assert text not in repr(seen)
    of_neither = replace(found, others=frozenset({"initech"}))
    with pytest.raises(UnknownEntity):
        require_seen(TENANT, of_neither)


def test_a_repair_shows_each_tenant_what_was_put_right_of_his() -> None:
    foreign = step(None) | {"artefact": "row:ext/acme/999/dnd"}
    others = (
        step(None) | {"artefact": "row:ext/globex/200/dnd"},
        step(None) | {"artefact": "row:site/london"},
        step("extension globex/200", "failed", "globex is wrong"),
    )
    found = replace(
        task(
            ("node", "lab"),
            ("extension", "globex/200"),
            ("extension", "acme/100"),
            kind=TaskKind.REPAIR,
            state=TaskState.FAILED,
            error="put row of globex: wrong",
            steps=(step("extension acme/100"), foreign, *others),
        ),
        org=None,
        others=frozenset({"acme", "globex"}),
    )
    require_seen(TENANT, found)
    seen = as_seen(TENANT, MODEL, found)
    assert (seen.org, seen.subjects, seen.subject_count) == ("acme", (("extension", "acme/100"),), 1)
    assert seen.progress.steps == (step("extension acme/100"), foreign)
    assert seen.progress.error == NOT_RIGHT
    for text in ("globex", "london"):
        assert text not in repr(seen)
    with pytest.raises(Forbidden, match="is the operator's to try again"):
        require_may_retry(TENANT, seen)
    assert as_seen(root("op"), MODEL, found) is found


@pytest.mark.parametrize(
    ("unit", "artefact", "subject"),
    [
        ("extension acme/100", "row:ext/acme/100/dnd", ("extension", "acme/100")),
        (None, "row:ext/acme/100/fwd", ("extension", "acme/100")),
        (None, "row:vip/acme/100/+6531234567", ("extension", "acme/100")),
        (None, "row:pin/acme/100", ("extension", "acme/100")),
        (None, "mailbox:acme/100", ("extension", "acme/100")),
        (None, "row:ext/acme", None),
        (None, "row:did/+442071838750", None),
        (None, "file:generated_dialplan.conf", None),
        (None, "", None),
    ],
)
def test_what_a_step_is_about_is_told_by_its_name_where_the_model_has_nothing(
    unit: str | None, artefact: str, subject: Subject | None
) -> None:
    assert subject_of(unit, artefact) == subject


def test_of_a_push_of_more_than_is_kept_a_further_tenant_is_told_that_it_is_about_him() -> None:
    found = replace(task(("number", OTHERS)), org="globex", others=frozenset({"acme"}), subject_count=60)
    seen = as_seen(TENANT, MODEL, found)
    assert (seen.subjects, seen.subject_count) == ((("organisation", "acme"),), 1)
    with pytest.raises(Forbidden, match="about organisation acme"):
        require_may_retry(TENANT, seen)


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((step("extension globex/200", "failed", "globex is wrong"),), NOT_SEEN),
        (
            (
                step("extension globex/200", "failed", "globex is wrong"),
                step("extension acme/100", "failed", "Asterisk said no"),
            ),
            "Asterisk said no",
        ),
    ],
)
def test_why_it_failed_is_told_of_his_own_steps_only(steps: tuple[dict[str, Any], ...], told: str) -> None:
    found = task(
        ("extension", "acme/100"), state=TaskState.FAILED, error="put row of globex: wrong", steps=steps
    )
    assert as_seen(TENANT, MODEL, found).progress.error == told


def test_why_a_node_takes_no_changes_is_the_operator_s_to_know() -> None:
    assert waiting_for(TENANT, "put globex/200: refused") == WAITING
    assert waiting_for(TENANT, None) is None
    assert waiting_for(root("op"), "put globex/200: refused") == "put globex/200: refused"


@pytest.mark.parametrize("caller", [TENANT, READER])
def test_a_task_of_somebody_else_is_not_there(caller: Caller) -> None:
    require_seen(caller, task(("extension", "acme/100")))
    for org in ("globex", None):
        other = task(("extension", "acme/100"))
        object.__setattr__(other, "org", org)
        with pytest.raises(UnknownEntity, match="There is no task '7'"):
            require_seen(caller, other)


@pytest.mark.parametrize(
    ("caller", "subject", "kind", "allowed"),
    [
        (TENANT, ("extension", "acme/100"), TaskKind.PUSH, True),
        (TENANT, ("number", MINE), TaskKind.PUSH, True),
        (TENANT, ("handset", "805ec0000001"), TaskKind.HANDSET, True),
        (TENANT, ("organisation", "acme"), TaskKind.DECOMMISSION, False),
        (TENANT, ("organisation", "acme"), TaskKind.PUSH, False),
        (READER, ("extension", "acme/100"), TaskKind.PUSH, False),
        (root("op"), ("organisation", "acme"), TaskKind.DECOMMISSION, True),
    ],
)
def test_who_may_make_a_change_may_have_it_tried_again(
    caller: Caller, subject: Subject, kind: TaskKind, allowed: bool
) -> None:
    found = task(subject, kind=kind)
    assert may_retry(caller, found) is allowed
    if not allowed:
        with pytest.raises(Forbidden, match="is the operator's to try again"):
            require_may_retry(caller, found)
