"""Tasks in the database: born with their revision, settled with the push, forgotten in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control_plane.domain.entities import Organisation, Person
from control_plane.errors import InvalidField, UnknownEntity
from control_plane.plan.tasks import LATE_AFTER, NewTask, Progress, TaskFilter, TaskKind, TaskState
from control_plane.store import SqlStore, open_store
from control_plane.store import tasks as statements
from tests.clocks import SteppingClock
from tests.contract.stores import BACKENDS, device, extension, fresh_location, places, put

ALL = TaskFilter()
DONE = Progress(TaskState.DONE, finished=datetime(2030, 1, 2, tzinfo=UTC), attempts=1, steps=({"op": "put"},))


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    with fresh_location(request.param, tmp_path) as where:
        opened = await open_store(where, SteppingClock())
        yield opened
        await opened.close()


async def test_a_change_that_concerns_a_node_is_a_task_from_its_commit_on(store: SqlStore) -> None:
    await put(store, *places())
    revision = await put(store, extension(), device(1), actor="ann")
    task = (await store.tasks(ALL))[0]
    assert (task.kind, task.node, task.revision, task.actor) == (TaskKind.PUSH, "lab", revision, "ann")
    assert task.subjects == (("extension", "acme/100"),)
    assert task.org == "acme"
    assert task.progress == Progress()


async def test_a_change_of_several_tenants_is_a_task_of_each(store: SqlStore) -> None:
    await put(store, *places(), Organisation(id="globex", name="Globex"), Organisation(id="a", name="A"))
    await put(store, extension(), extension(org="globex", key="200"))
    (task,) = await store.tasks(TaskFilter(org="globex"))
    assert (await store.tasks(TaskFilter(org="acme")))[0] == task
    assert {task.org, *task.others} == {"acme", "globex"}
    assert task.concerns("acme") and task.concerns("globex") and not task.concerns("a")
    for other in ("a", "glob", "%", "_"):
        assert await store.tasks(TaskFilter(org=other)) == ()


async def test_a_change_that_asterisk_never_sees_is_no_task(store: SqlStore) -> None:
    await put(store, *places())
    before = await store.tasks(ALL)
    await put(store, Person(id="bob", org="acme", name="Bob"))
    assert await store.tasks(ALL) == before


async def test_a_refused_change_leaves_no_task(store: SqlStore) -> None:
    await put(store, *places())
    before = await store.tasks(ALL)
    with pytest.raises(InvalidField):
        await put(store, extension(site="nowhere"))
    assert await store.tasks(ALL) == before


async def test_outcomes_are_kept_with_the_digests(store: SqlStore) -> None:
    await put(store, *places())
    revision = await put(store, extension())
    assert revision in await store.open_pushes("lab")
    await store.record_pushed("lab", {"row:a": "1"}, {revision: DONE})
    assert revision not in await store.open_pushes("lab")
    assert await store.pushed("lab") == {"row:a": "1"}
    listed = (await store.tasks(ALL))[0]
    assert listed.progress == replace(DONE, steps=())
    assert (await store.task(listed.id)).progress == DONE
    assert ("lab", revision) not in await store.open_subjects()


async def test_tasks_are_found_by_state_and_by_what_they_are_about(store: SqlStore) -> None:
    await put(store, *places())
    first = await put(store, extension("100"))
    second = await put(store, extension("101"))
    await store.record_pushed("lab", {}, {first: DONE})
    about = TaskFilter(subject=("extension", "acme/101"))
    assert [task.revision for task in await store.tasks(about)] == [second]
    assert [t.revision for t in await store.tasks(TaskFilter(frozenset({TaskState.DONE})))] == [first]
    assert await store.tasks(TaskFilter(subject=("extension", "acme/1%"))) == ()
    page = await store.tasks(ALL, limit=1)
    assert [t.revision for t in await store.tasks(ALL, limit=1, before_id=page[0].id)] == [first]


async def test_a_task_of_its_own_is_added_and_moves_on(store: SqlStore) -> None:
    made = await store.add_task("ann", NewTask(TaskKind.HANDSET, (("device", "phone1"),), "acme"))
    await store.set_progress(made.id, Progress(TaskState.FAILED, error="It is not registered."))
    found = await store.task(made.id)
    assert found.progress.error == "It is not registered."
    assert found.is_late(found.created + LATE_AFTER + timedelta(seconds=1))
    assert not found.is_late(found.created + LATE_AFTER)
    with pytest.raises(UnknownEntity, match="There is no task '99'"):
        await store.task(99)


async def test_old_tasks_are_forgotten_once_they_are_over(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "RETAINED_TASKS", 3)
    await put(store, *places())
    stays = await put(store, extension("100"))
    for count in range(5):
        revision = await put(store, extension("101", label=f"{count}"))
        await store.record_pushed("lab", {}, {revision: DONE})
    kept = [task.revision for task in await store.tasks(ALL)]
    assert len(kept) == 5  # the three newest, and two that are open
    assert stays in kept


async def test_of_a_change_of_many_things_the_first_are_kept_when_it_is_done(store: SqlStore) -> None:
    await put(store, *places())
    revision = await put(store, *(extension(str(1000 + n)) for n in range(60)))
    assert len((await store.open_subjects())["lab", revision]) == 60
    await store.record_pushed("lab", {}, {revision: DONE})
    task = (await store.tasks(ALL))[0]
    assert (len(task.subjects), task.subject_count) == (50, 60)
