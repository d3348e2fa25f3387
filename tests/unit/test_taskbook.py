"""Tasks of the push: done when Asterisk holds the change, failed with why it does not (R31, A32)."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from control_plane.apply.state import Stage
from control_plane.apply.taskbook import Standing, TaskBook
from control_plane.domain.extension import Extension
from control_plane.plan.tasks import Progress, TaskState
from control_plane.render.artefacts import ArtefactKey, Holder, Unit, UnitKind
from tests.clocks import ManualClock
from tests.unit.pushing import Bench, bench, device, extension, following, running

DND = "ext/acme/100/dnd"


async def finished(made: Bench, revision: int, state: TaskState) -> Progress:
    """How the push of a revision was recorded, once it was recorded so."""

    def recorded() -> bool:
        found = made.store.outcomes.get(revision)
        return found is not None and found.state is state

    await made.until(recorded, f"revision {revision} {state}: {made.store.outcomes.get(revision)}")
    return made.store.outcomes[revision]


async def test_a_change_is_done_with_its_steps_and_their_reasons() -> None:
    async with running() as made:
        await made.settled()
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        found = await finished(made, made.store.number, TaskState.DONE)
        assert (found.steps_done, found.steps_total, found.attempts) == (1, 1, 1)
        assert found.error is None and found.finished is not None
        (step,) = found.steps
        assert step["reason"] == "extension acme/100 changed: dnd on"
        assert step["outcome"] == "done"


async def test_a_change_that_asterisk_refuses_fails_with_why_and_is_done_later() -> None:
    async with running() as made:
        await made.settled()
        made.node.faults.refuse_keys.add(DND)
        made.store.edit("100", dnd=True)
        revision = made.store.number
        made.reconciler.nudge()
        failed = await finished(made, revision, TaskState.FAILED)
        assert failed.error is not None and "as the test said" in failed.error
        assert failed.steps[0]["outcome"] == "failed"
        made.node.faults.refuse_keys.clear()
        made.reconciler.retry()
        done = await finished(made, revision, TaskState.DONE)
        assert done.attempts > failed.attempts
        assert done.error is None
        assert made.node.rows[DND] == "1"


async def test_one_failing_change_does_not_make_another_fail() -> None:
    async with running() as made:
        await made.settled()
        made.node.faults.refuse_keys.add(DND)
        made.store.edit("100", dnd=True)
        made.store.edit("101", dnd=True)
        made.reconciler.nudge()
        await finished(made, made.store.number - 1, TaskState.FAILED)
        await finished(made, made.store.number, TaskState.DONE)


async def test_no_secret_is_in_a_step() -> None:
    async with running() as made:
        await made.settled()
        made.store.change(device("101", password="y" * 20))
        made.reconciler.nudge()
        found = await finished(made, made.store.number, TaskState.DONE)
        assert found.steps and "y" * 20 not in str(found.steps)


async def test_a_mailbox_is_done_when_voicemail_was_reloaded() -> None:
    async with running() as made:
        await made.settled()
        before = made.node.operations.count(("reload", "app_voicemail.so"))
        changed = made.store.extension("100").model_dump() | {"voicemail_pin": "987654"}
        made.store.change(Extension.model_validate(changed))
        made.reconciler.nudge()
        found = await finished(made, made.store.number, TaskState.DONE)
        assert made.node.operations.count(("reload", "app_voicemail.so")) > before
        assert {step["op"] for step in found.steps} == {"edit_mailbox", "reload"}


async def test_a_task_left_open_is_taken_up_by_the_next_process() -> None:
    made = bench()
    made.store.outcomes[made.store.number] = Progress()
    await made.node.connect()
    async with following(made):
        await finished(made, made.store.number, TaskState.DONE)


async def test_a_change_waits_while_the_node_is_away() -> None:
    async with running() as made:
        await made.settled()
        made.node.cut()
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        await made.until(lambda: made.reconciler.state.stage is Stage.WAITING, "a turn without the node")
        assert made.store.number not in made.store.outcomes
        await made.node.connect()
        await finished(made, made.store.number, TaskState.DONE)


async def test_a_removed_extension_is_done_when_its_rows_are_gone() -> None:
    async with running([*bench().store.entities.values(), extension("102", dnd=True)]) as made:
        await made.settled()
        made.store.remove(made.store.extension("102"))
        made.store.edit("100", dnd=True)
        made.reconciler.nudge()
        found = await finished(made, made.store.number - 1, TaskState.DONE)
        assert found.steps_total > 0
        assert "ext/acme/102" not in str(sorted(made.node.rows))


KEYS = [ArtefactKey(Holder.ROW, f"ext/acme/10{n}/dnd") for n in range(4)]
UNITS = [Unit(UnitKind.EXTENSION, ("acme", f"10{n}")) for n in range(4)]
Turn = tuple[frozenset[int], frozenset[int]]


@given(st.lists(st.tuples(st.frozensets(st.integers(0, 3)), st.frozensets(st.integers(0, 3))), max_size=12))
def test_a_task_is_done_exactly_when_nothing_of_it_is_left(turns: list[Turn]) -> None:
    """Each turn is a revision that touches some extensions, and what is not in Asterisk after it."""
    book = TaskBook(ManualClock())
    mine: dict[int, Collection[ArtefactKey]] = {}
    done: set[int] = set()
    for revision, (changed, left) in enumerate(turns, start=1):
        keys = frozenset(KEYS[n] for n in changed)
        if changed:
            mine[revision] = keys
        book.take(
            {revision: frozenset(UNITS[n] for n in changed)}, keys, lambda unit: [KEYS[int(unit.key[1][-1])]]
        )
        unsettled = {KEYS[n] for n in left}
        book.settle(Standing(unsettled, (), {}))
        done |= {r for r, keys_of_it in mine.items() if not unsettled.intersection(keys_of_it)}
        live = book.live()
        assert {r for r, progress in live.items() if progress.state is TaskState.DONE} == done
        assert set(live) == set(mine)
