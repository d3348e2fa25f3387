"""Operations > Tasks over HTTP: a real reconciler on a node in memory, the real store below it (R31, R32)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fake_node import FakeNode
from tests.integration.api_client import Api, demo_api

E100 = "/organisations/acme/extensions/100"
DND = "ext/acme/100/dnd"
DEADLINE_S = 10.0

Json = dict[str, Any]


@pytest.fixture
async def node() -> FakeNode:
    node = FakeNode()
    await node.connect()
    return node


@pytest.fixture
async def api(tmp_path: Path, node: FakeNode) -> AsyncIterator[Api]:
    async with demo_api(tmp_path, node) as api:
        running = asyncio.create_task(api.app.state.nodes["lab"].reconciler.run())
        try:
            yield api
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def newest(api: Api) -> Json:
    found: Json = (await api.ok("GET", "/tasks?limit=1")).json()["items"][0]
    return found


async def in_state(api: Api, task: int, state: str) -> Json:
    """The task, once it is in `state`."""
    found: Json = {}
    try:
        async with asyncio.timeout(DEADLINE_S):
            while found.get("state") != state:
                found = (await api.ok("GET", f"/tasks/{task}")).json()
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never {state}: {found}") from None
    return found


async def pushed(api: Api) -> None:
    revision = (await api.ok("PATCH", E100, json={"label": "Front desk"})).headers["X-Revision"]
    state = (await api.ok("POST", f"/nodes/lab/follow?revision={revision}&within_s=20")).json()
    assert state["in_sync"]


async def test_a_change_is_a_task_and_ends_with_its_steps(api: Api) -> None:
    await pushed(api)
    written = await api.ok("PATCH", E100, json={"dnd": True})
    task = await newest(api)
    assert task["revision"] == int(written.headers["X-Revision"])
    assert task["object"] == {"kind": "extension", "key": "acme/100"}
    assert (task["kind"], task["organisation"]) == ("push", "acme")
    done = await in_state(api, task["id"], "done")
    assert done["steps"][0]["reason"] == "extension acme/100 changed: dnd on"
    assert done["retry"] is False and done["late"] is False
    problem = await api.problem("POST", f"/tasks/{task['id']}/retry", 409)
    assert problem["detail"] == f"Task {task['id']} is done: there is nothing to retry."


async def test_a_failed_task_says_why_and_is_retried(api: Api, node: FakeNode) -> None:
    await pushed(api)
    node.faults.refuse_keys.add(DND)
    await api.ok("PATCH", E100, json={"dnd": True})
    task = await newest(api)
    failed = await in_state(api, task["id"], "failed")
    assert "as the test said" in failed["error"]
    assert failed["retry"] is True
    listed = (await api.ok("GET", "/tasks?state=failed")).json()["items"]
    assert [found["id"] for found in listed] == [task["id"]]
    node.faults.refuse_keys.clear()
    assert (await api.ok("POST", f"/tasks/{task['id']}/retry", 202)).json()["id"] == task["id"]
    await in_state(api, task["id"], "done")
    assert DND in node.rows


async def test_a_task_waits_while_the_node_is_away_and_says_for_what(api: Api, node: FakeNode) -> None:
    await pushed(api)
    node.cut()
    await api.ok("PATCH", E100, json={"dnd": True})
    task = await newest(api)
    assert task["state"] == "queued"
    assert task["waiting_for"]
    await node.connect()
    await in_state(api, task["id"], "done")


async def test_tasks_are_listed_in_pages_and_by_what_they_are_about(api: Api) -> None:
    await pushed(api)
    for label in ("One", "Two", "Three"):
        await api.ok("PATCH", "/organisations/acme/extensions/101", json={"label": label})
    first = (await api.ok("GET", "/tasks?about=extension acme/101&limit=2")).json()
    rest = (await api.ok("GET", f"/tasks?about=extension acme/101&before={first['next']}")).json()
    ids = [task["id"] for task in [*first["items"], *rest["items"]]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == len(ids) >= 3
    assert (await api.problem("GET", "/tasks/999999", 404))["detail"] == "There is no task '999999'."
    await api.problem("GET", "/tasks?state=sleeping", 422)


async def test_a_failed_task_says_how_its_change_is_undone(api: Api, node: FakeNode) -> None:
    await pushed(api)
    node.faults.refuse_keys.add(DND)
    await api.ok("PATCH", E100, json={"dnd": True})
    task = await newest(api)
    failed = await in_state(api, task["id"], "failed")
    (entry,) = (await api.ok("GET", "/audit?limit=1")).json()["items"]
    assert failed["undo"] == [entry["id"]]
    await api.ok("POST", f"/audit/{entry['id']}/undo")
    assert (await api.ok("GET", E100)).json()["dnd"] is False
    done = await in_state(api, task["id"], "done")
    assert done["undo"] == []


async def as_tenant(api: Api) -> dict[str, str]:
    """The headers of an administrator of acme."""
    password = "four words and a dot."
    account = {"email": "ann@acme.example", "role": "occupier_admin", "org": "acme", "password": password}
    await api.ok("POST", "/accounts", 201, json=account)
    token = (await api.ok("POST", "/login", json={"email": account["email"], "password": password})).json()
    return {"Authorization": f"Bearer {token['token']}"}


async def test_a_tenant_sees_and_retries_the_tasks_of_his_own(api: Api, node: FakeNode) -> None:
    await pushed(api)
    mine = await as_tenant(api)
    node.faults.refuse_keys.add(DND)
    await api.ok("PATCH", E100, json={"dnd": True})
    task = (await in_state(api, (await newest(api))["id"], "failed"))["id"]
    await api.ok("PATCH", "/sites/singapore", json={"media_address": "192.0.2.9"})
    other = (await newest(api))["id"]
    seen = (await api.ok("GET", "/tasks", headers=mine)).json()["items"]
    assert task in [found["id"] for found in seen]
    assert {found["organisation"] for found in seen} == {"acme"}
    assert (await api.ok("GET", "/tasks?org=hq", headers=mine)).json()["items"] == []
    await api.problem("GET", f"/tasks/{other}", 404, headers=mine)
    await api.problem("POST", f"/tasks/{other}/retry", 404, headers=mine)
    shown = (await api.ok("GET", f"/tasks/{task}", headers=mine)).json()
    assert shown["retry"] and len(shown["undo"]) == 1
    node.faults.refuse_keys.clear()
    await api.ok("POST", f"/tasks/{task}/retry", 202, headers=mine)
    await in_state(api, task, "done")


async def repairs(api: Api) -> list[Json]:
    found: list[Json] = (await api.ok("GET", "/tasks?kind=repair")).json()["items"]
    return found


async def test_what_somebody_changed_in_asterisk_is_put_right_as_a_task(api: Api, node: FakeNode) -> None:
    await api.ok("PATCH", E100, json={"dnd": True})
    await pushed(api)
    before = await repairs(api)
    node.rows[DND] = "edited"
    await api.ok("POST", "/nodes/lab/apply")
    task, *others = await repairs(api)
    assert others == before
    assert (task["state"], task["actor"], task["node"]) == ("done", "control plane", "lab")
    assert task["objects"] == [{"kind": "node", "key": "lab"}, {"kind": "extension", "key": "acme/100"}]
    (step,) = (await api.ok("GET", f"/tasks/{task['id']}")).json()["steps"]
    assert (step["drift"], step["outcome"]) == ("edited", "done")
    await api.ok("POST", "/nodes/lab/apply")
    assert await repairs(api) == [task, *before], "nothing to put right, no task"
    mine = await as_tenant(api)
    (seen,) = (await api.ok("GET", "/tasks?kind=repair", headers=mine)).json()["items"]
    assert (seen["id"], seen["organisation"], seen["retry"]) == (task["id"], "acme", False)
    assert seen["objects"] == [{"kind": "extension", "key": "acme/100"}]
    assert (await api.ok("GET", f"/tasks/{task['id']}", headers=mine)).json()["steps"] == [step]
    node.rows["site/singapore"] = "edited"
    await api.ok("POST", "/nodes/lab/apply")
    theirs = (await repairs(api))[0]["id"]
    await api.problem("GET", f"/tasks/{theirs}", 404, headers=mine)


def by_phone(node: FakeNode, field: str, device: str) -> str:
    """A feature code switches something on, as the dialplan writes and tells it; the row of the journal."""
    epoch = int(time.time()) + 2  # after the newest change of the model, which is of this second
    row = f"journal/acme/100/{field}/{epoch}.8"
    node.rows |= {row: f"1,{epoch},{device}", f"ext/acme/100/{field}": "1"}
    node.emit("UserEvent", UserEvent="HandsetChange", Row=row)
    return row


async def without(api: Api, node: FakeNode, row: str) -> None:
    """Until `row` is gone and the node is as the model says."""
    reconciler = api.app.state.nodes["lab"].reconciler
    for _ in range(int(DEADLINE_S * 100)):
        if row not in node.rows and reconciler.state.in_sync:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{row} stays: {reconciler.state}")


async def test_what_a_phone_set_and_the_model_refuses_is_put_right_as_a_task_at_once(
    api: Api, node: FakeNode
) -> None:
    await pushed(api)
    audits = api.app.state.nodes["lab"].reconciler.state.counts.audits
    before = await repairs(api)
    device = (await api.ok("GET", f"{E100}/devices")).json()["items"][0]["id"]
    await without(api, node, by_phone(node, "dnd", device))
    assert (await api.ok("GET", E100)).json()["dnd"] is True
    assert await repairs(api) == before, "what the model takes is no repair"
    by_phone(node, "fwd", "a-stranger-s")
    await without(api, node, "ext/acme/100/fwd")
    task, *others = await repairs(api)
    assert others == before
    done = await in_state(api, task["id"], "done")
    (step,) = done["steps"]
    assert (step["artefact"], step["drift"]) == ("row:ext/acme/100/fwd", "foreign")
    assert done["objects"] == [{"kind": "node", "key": "lab"}, {"kind": "extension", "key": "acme/100"}]
    assert api.app.state.nodes["lab"].reconciler.state.counts.audits == audits, "between two audits"


async def test_a_repair_that_fails_is_one_task_until_it_succeeds(api: Api, node: FakeNode) -> None:
    await api.ok("PATCH", E100, json={"dnd": True})
    await pushed(api)
    known = {task["id"] for task in await repairs(api)}
    node.rows[DND] = "edited"
    node.faults.refuse_keys.add(DND)
    for _ in range(2):
        await api.ok("POST", "/nodes/lab/apply")
    (task,) = [found for found in await repairs(api) if found["id"] not in known]
    assert (task["state"], task["retry"]) == ("failed", True)
    assert "as the test said" in task["error"]
    node.faults.refuse_keys.clear()
    await api.ok("POST", f"/tasks/{task['id']}/retry", 202)
    done = await in_state(api, task["id"], "done")
    assert done["attempts"] >= 2
    assert len({found["id"] for found in await repairs(api)} - known) == 1
