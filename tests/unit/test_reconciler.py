from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.apply.outcome import Outcome
from control_plane.apply.state import Stage
from control_plane.errors import StalePlan, Unreachable
from control_plane.plan.changes import Drift
from control_plane.ports import ConfigLine
from control_plane.render.mailboxes import MAILBOX_FILES, mailbox_file
from tests.unit.pushing import (
    FAST,
    NUMBER,
    bench,
    contents,
    device,
    extension,
    following,
    mailbox_lines,
    running,
    small_model,
    undisturbed,
)

DND = "ext/acme/100/dnd"
AUTH = "pbx/auth/aphone000101"
ENDPOINT = "pbx/endpoint/aphone000101"


async def test_a_first_push_brings_everything_and_a_second_nothing() -> None:
    made = bench()
    await made.node.connect()
    applied = await made.reconciler.apply()
    assert applied is not None and applied.ok, applied and applied.problems()
    assert ENDPOINT in made.node.rows
    assert list(mailbox_lines(made.node)) == ["100"]
    assert "generated_dialplan.conf" in made.node.files
    assert await made.reconciler.apply() is None
    assert (await made.reconciler.plan()).is_empty


async def test_a_change_reaches_the_node_and_touches_nothing_else() -> None:
    async with running() as made:
        await made.settled()
        made.node.operations.clear()
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        await made.settled()
        assert made.node.rows[DND] == "1"
        assert [op for op in made.node.operations if op[0] in ("put", "delete")] == [("put", DND)]


async def test_a_change_that_nobody_nudges_about_is_found_by_polling() -> None:
    async with running() as made:
        await made.settled()
        made.store.edit("100", dnd=True)
        await made.until(lambda: DND in made.node.rows)


async def test_a_removed_extension_leaves_nothing_behind() -> None:
    async with running() as made:
        await made.settled()
        made.store.remove(made.store.extension("101"), device("101"))
        made.reconciler.nudge()
        await made.settled()
        assert not [name for name in made.node.rows if "101" in name.split("/")[-1]]


async def test_a_lost_change_log_leads_to_the_same_end() -> None:
    async with running() as made:
        await made.settled()
        made.store.edit("100", dnd=True)
        made.store.forgotten_before = made.store.number + 1
        made.store.change(device("101", password="y" * 20))
        made.reconciler.nudge()
        await made.settled()
        assert "y" * 20 in made.node.rows[AUTH]
        assert DND in made.node.rows


async def test_without_auto_apply_a_change_is_reported_and_waits_for_apply() -> None:
    async with running(options=replace(FAST, auto_apply=False)) as made:
        await made.until(lambda: made.reconciler.state.pending is not None)
        assert not made.node.rows
        await made.reconciler.apply()
        await made.settled()
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        await made.until(lambda: made.reconciler.state.pending is not None)
        pending = made.reconciler.state.pending
        assert pending is not None
        assert [step.reason for step in pending.steps] == ["extension acme/100 changed: dnd on"]
        assert DND not in made.node.rows
        await made.reconciler.apply(pending)
        assert made.node.rows[DND] == "1"


async def test_a_plan_is_stale_once_the_model_moved() -> None:
    made = bench()
    await made.node.connect()
    plan = await made.reconciler.plan()
    made.store.edit("100", dnd=True)
    with pytest.raises(StalePlan, match="make a new plan"):
        await made.reconciler.apply(plan)
    assert not made.node.rows


async def test_a_node_that_is_away_says_so_and_catches_up_when_it_comes() -> None:
    made = bench()
    made.node.faults.unreachable = True
    async with following(made):
        with pytest.raises(Unreachable):
            await made.node.connect()
        await made.until(lambda: made.reconciler.state.last_error == "The node cannot be reached.")
        assert made.reconciler.state.stage is Stage.WAITING
        with pytest.raises(Unreachable):
            await made.reconciler.plan()
        made.node.faults.unreachable = False
        await made.node.connect()
        await made.settled()
        assert made.reconciler.state.last_error is None


async def test_each_kind_of_drift_is_named_and_repaired() -> None:
    async with running() as made:
        await made.settled()
        before = contents(made.node)
        made.node.rows[ENDPOINT] = '{"context": "elsewhere"}'
        made.node.rows["ext/acme/666/dnd"] = "1"
        del made.node.rows[AUTH]
        found = {step.key.name: step.drift for step in (await made.reconciler.plan()).steps}
        assert found == {ENDPOINT: Drift.EDITED, "ext/acme/666/dnd": Drift.FOREIGN, AUTH: Drift.LOST}
        await made.reconciler.apply()
        await made.settled()
        assert contents(made.node) == before


async def test_hand_edited_files_are_named_and_repaired() -> None:
    async with running() as made:
        await made.settled()
        before = contents(made.node)
        dialplan = made.node.files["generated_dialplan.conf"]
        dialplan[next(iter(dialplan))].append(ConfigLine("exten", "_X.,1,Dial(PJSIP/thief)"))
        proper = mailbox_file("acme/100")
        wrong = next(name for name in MAILBOX_FILES if name != proper)
        made.node.files[proper]["acme"].append(ConfigLine("100", "4711,Twice,,,"))
        made.node.files.setdefault(wrong, {})["acme"] = [ConfigLine("100", "4711,Elsewhere,,,")]
        foreign = made.node.files.setdefault(mailbox_file("acme/666"), {})
        foreign.setdefault("acme", []).append(ConfigLine("666", "1234,Thief,,,"))
        plan = await made.reconciler.plan()
        assert {(s.key.name, s.drift) for s in plan.steps if s.module is None} == {
            ("generated_dialplan.conf", Drift.EDITED),
            ("acme/666", Drift.FOREIGN),
            (f"acme/100={wrong}", Drift.FOREIGN),
            ("acme/100", Drift.EDITED),
        }
        await made.reconciler.apply()
        assert contents(made.node) == before


async def test_rows_a_crash_took_are_lost_not_edited_and_come_back() -> None:
    async with running() as made:
        await made.settled()
        made.node.commit()
        made.store.change(device("101", password="y" * 20))
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        await made.settled()
        before = contents(made.node)
        made.node.crash()
        await made.node.connect()
        await made.settled()
        assert contents(made.node) == before
        assert len(made.reconciler.state.last_drift) == 2
        assert all("does not hold" in reason for reason in made.reconciler.state.last_drift)


async def test_one_refused_row_stops_its_own_extension_and_no_other() -> None:
    made = bench()
    await made.node.connect()
    made.node.faults.refuse_keys.add(AUTH)
    applied = await made.reconciler.apply()
    assert applied is not None and not applied.ok
    held = made.node.rows
    assert AUTH not in held and ENDPOINT not in held
    assert "pbx/endpoint/aphone000100" in held
    failed = {r.step.key.name for r in applied.results if r.outcome is Outcome.FAILED}
    assert failed == {AUTH}


async def test_a_refused_row_is_tried_again_until_asterisk_takes_it() -> None:
    made = bench()
    made.node.faults.refuse_keys.add(AUTH)
    await made.node.connect()
    async with following(made):
        await made.until(lambda: made.reconciler.state.counts.errors >= 2)
        error = made.reconciler.state.last_error
        assert error is not None and AUTH in error and "x" * 20 not in error
        made.node.faults.refuse_keys.clear()
        await made.settled()
        assert made.reconciler.state.last_error is None
    assert contents(made.node) == contents(await undisturbed())


UNRENDERABLE = {"label": "two\nlines"}


async def test_a_unit_that_cannot_be_rendered_is_a_fault_and_stops_no_other() -> None:
    async with running() as made:
        await made.settled()
        made.store.edit("100", **UNRENDERABLE)
        made.store.edit("101", dnd=True)
        made.reconciler.nudge()
        await made.until(lambda: "ext/acme/101/dnd" in made.node.rows)
        (fault,) = made.reconciler.state.faults
        assert fault.startswith("extension acme/100 cannot be rendered: ")
        assert "pbx/endpoint/aphone000100" in made.node.rows


async def test_rows_of_a_unit_that_was_never_rendered_are_not_taken_for_foreign() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    before = contents(made.node)
    restarted = bench()
    restarted.store.edit("100", **UNRENDERABLE)
    restarted.node.rows, restarted.node.files = made.node.rows, made.node.files
    await restarted.node.connect()
    async with following(restarted):
        await restarted.until(lambda: restarted.reconciler.state.counts.audits > 0)
        assert contents(restarted.node) == before
        assert restarted.reconciler.state.faults
        restarted.store.edit("100", label="Ann")
        await restarted.settled()
        assert restarted.reconciler.state.faults == ()


async def test_who_waits_for_a_revision_learns_when_asterisk_holds_it() -> None:
    async with running() as made:
        assert await made.reconciler.wait_pushed(made.store.number, 5.0)
        made.store.edit("100", dnd=True)
        assert await made.reconciler.wait_pushed(made.store.number, 5.0)
        assert made.node.rows[DND] == "1"
        assert not await made.reconciler.wait_pushed(made.store.number + 1, 0.05)


async def test_an_endpoint_row_that_asterisk_cannot_read_is_a_fault_that_names_it() -> None:
    made = bench()
    made.node.unreadable.add("aphone000101")
    await made.node.connect()
    async with following(made):
        await made.until(lambda: bool(made.reconciler.state.faults))
        (fault,) = made.reconciler.state.faults
        assert f"Asterisk cannot read {ENDPOINT}:" in fault
        assert "aphone000100" not in fault


async def test_after_a_bulk_push_the_endpoints_are_counted() -> None:
    many = [extension(str(n)) for n in range(200, 320)] + [device(str(n)) for n in range(200, 320)]
    made = bench([*small_model(), *many])
    made.node.endpoints = 1
    await made.node.connect()
    await made.reconciler.apply()
    (fault,) = made.reconciler.state.faults
    assert "sees 1 endpoints where 123 rows are" in fault
    made.node.endpoints = None
    await made.reconciler.apply()
    assert made.reconciler.state.faults == ()


async def test_new_devices_are_watched_after_one_reload_and_changed_ones_need_none() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    assert made.node.operations.count(("reload", "res_pjsip.so")) == 1
    made.store.change(device("101", password="y" * 20))
    await made.reconciler.apply()
    assert made.node.operations.count(("reload", "res_pjsip.so")) == 1


async def test_a_device_added_while_running_is_watched_soon() -> None:
    async with running() as made:
        await made.settled()
        await made.until(lambda: ("reload", "res_pjsip.so") in made.node.operations)
        made.node.operations.clear()
        made.store.change(device("101", "b"))
        made.reconciler.nudge()
        await made.until(lambda: ("reload", "res_pjsip.so") in made.node.operations)
        reload = made.node.operations.index(("reload", "res_pjsip.so"))
        assert ("put", "pbx/endpoint/bphone000101") in made.node.operations[:reload]


async def test_nothing_is_reloaded_while_an_unreadable_row_hides_devices() -> None:
    made = bench()
    made.node.unreadable.add("aphone000101")
    await made.node.connect()
    await made.reconciler.apply()
    assert ("reload", "res_pjsip.so") not in made.node.operations


async def test_digests_are_on_record_soon_after_a_push() -> None:
    async with running() as made:
        await made.settled()
        await made.until(lambda: f"row:{AUTH}" in made.store.recorded)
        assert "x" * 20 not in str(made.store.recorded)
        assert not [name for name in made.store.recorded if name.startswith("reload:")]


async def test_a_restarted_control_plane_finds_nothing_to_do() -> None:
    first = bench()
    await first.node.connect()
    await first.reconciler.apply()
    second = bench()
    second.store.recorded = first.store.recorded
    second.node.rows, second.node.files = first.node.rows, first.node.files
    await second.node.connect()
    assert (await second.reconciler.plan()).is_empty


async def test_a_number_taken_from_an_extension_goes_before_nothing_dials_it() -> None:
    async with running() as made:
        await made.settled()
        made.store.change(NUMBER.model_copy(update={"extension": None}))
        made.store.edit("100", number=None)
        made.reconciler.nudge()
        await made.settled()
        assert "did/+6561000100" not in made.node.rows


async def test_a_model_that_knows_nothing_of_what_asterisk_holds_removes_nothing_by_itself() -> None:
    """An empty or restored database must not take a working PBX down; an apply is somebody's decision."""
    async with running(options=replace(FAST, audit_s=0.05)) as made:
        await made.settled()
        strange = {f"ext/acme/{key}": "active" for key in range(200, 400)}
        await made.node.put_rows(strange.items())
        audits = made.reconciler.state.counts.audits
        await made.until(lambda: made.reconciler.state.counts.audits > audits + 1)
        assert strange.items() <= made.node.rows.items()
        assert not made.reconciler.state.in_sync
        assert any("200 artefacts" in fault for fault in made.reconciler.state.faults)
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        await made.until(lambda: DND in made.node.rows, "the model's own changes are pushed all the same")
        applied = await made.reconciler.apply()
        assert applied is not None and applied.ok
        assert not strange.keys() & made.node.rows.keys()
        assert made.reconciler.state.faults == ()
