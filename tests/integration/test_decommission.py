"""An occupier leaves: over HTTP, on the real store, resumed after a failure and in the middle (R34-R37)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.clock import SystemClock
from control_plane.domain.accounts import Account, Role
from control_plane.domain.entities import Decommission, NumberStatus
from control_plane.errors import StoreBusy
from control_plane.ports import Snapshot
from control_plane.service import decommission
from control_plane.service.decommission import left_of
from control_plane.service.decommissioner import Decommissioner
from control_plane.service.number_policy import NumberPolicy
from tests.contract.fake_node import FakeNode
from tests.integration.api_client import Api, demo_api

ACME = "/organisations/acme"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    node = FakeNode()
    await node.connect()
    async with demo_api(tmp_path, node) as api:
        yield api


def worker(api: Api, why: str | None = None) -> Decommissioner:
    """What carries decommissions out; `why` is what keeps the node from following."""

    async def await_push(org: str, revision: int, within_s: float) -> str | None:
        return why

    clock = SystemClock()
    return Decommissioner(api.store, api.store, clock, NumberPolicy(clock), await_push)


async def numbers_of_acme(api: Api) -> list[str]:
    model = (await api.store.snapshot()).model
    return sorted(number.e164 for number in model.numbers.values() if number.org == "acme")


async def test_everything_is_taken_back_and_numbers_rest(api: Api) -> None:
    async with api.store.transaction("test") as tx:
        tx.put(Account(email="boss@acme.example", role=Role.OCCUPIER_ADMIN, org="acme"))
    mine = await numbers_of_acme(api)
    task = (await api.ok("POST", f"{ACME}/decommission", 202)).json()
    assert (task["kind"], task["state"], task["object"]["key"]) == ("decommission", "queued", "acme")
    await worker(api).work_off()
    done = (await api.ok("GET", f"/tasks/{task['id']}")).json()
    assert (done["state"], done["error"]) == ("done", None)
    assert done["steps_done"] == done["steps_total"]
    model = (await api.store.snapshot()).model
    assert left_of(model, "acme") == {}
    assert mine and all(model.numbers[e164].status is NumberStatus.COOLDOWN for e164 in mine)
    assert all(model.numbers[e164].org is None for e164 in mine)
    assert (await api.ok("GET", ACME)).json()["decommission"] == "decommissioned"
    standing = (await api.ok("GET", f"{ACME}/decommission")).json()
    assert standing["sentence"] == "Decommissioned: all its numbers are deallocated and in their cooldown."
    await api.problem("POST", f"{ACME}/decommission", 409)


async def test_while_it_leaves_nothing_of_it_can_be_changed(api: Api) -> None:
    number = (await numbers_of_acme(api))[0]
    await api.ok("POST", f"{ACME}/decommission", 202)
    refused = [
        ("PATCH", f"/numbers/{number}", {"label_1": "Front"}),
        ("POST", f"/numbers/{number}/deactivate", None),
        ("PATCH", f"{ACME}/extensions/100", {"dnd": True}),
        ("POST", f"{ACME}/extensions", {"key": "777", "site": "singapore"}),
        ("POST", f"{ACME}/people", {"id": "new", "name": "New"}),
        ("POST", f"{ACME}/call-groups", {"key": "60", "site": "singapore", "members": ["100"]}),
        ("POST", f"{ACME}/extensions/100/devices", {"kind": "desktop"}),
    ]
    before = await api.store.revision()
    for method, path, body in refused:
        problem = await api.problem(method, path, 409, json=body)
        assert "is being decommissioned: all controls" in problem["detail"], path
    assert await api.store.revision() == before
    assert "the search is disabled" in (await api.problem("GET", "/numbers?org=acme&search=1", 409))["detail"]
    await api.ok("GET", "/numbers?org=acme")


async def test_a_node_that_is_away_makes_it_fail_by_name_and_it_is_resumed(api: Api) -> None:
    task = (await api.ok("POST", f"{ACME}/decommission", 202)).json()["id"]
    await worker(api, "There is no connection to Asterisk.").work_off()
    failed = (await api.ok("GET", f"/tasks/{task}")).json()
    assert failed["state"] == "failed"
    assert failed["error"].startswith("There is no connection to Asterisk. ")
    standing = (await api.ok("GET", f"{ACME}/decommission")).json()
    assert (standing["status"], standing["task"]) == ("failed", task)
    assert standing["sentence"].startswith("Decommission failed: There is no connection to Asterisk.")
    await api.ok("POST", f"/tasks/{task}/retry", 202)
    assert (await api.ok("GET", f"{ACME}/decommission")).json()["status"] == "pending"
    await worker(api).work_off()
    done = (await api.ok("GET", f"/tasks/{task}")).json()
    assert (done["state"], done["attempts"]) == ("done", 2)


@pytest.mark.parametrize("at", range(8))
async def test_cut_anywhere_it_is_taken_up_by_the_next_process(
    api: Api, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.ok("POST", f"{ACME}/decommission", 202)
    real = decommission.take_back
    steps = 0

    async def cut(*args: Any) -> int:
        nonlocal steps
        steps += 1
        if steps > at:
            raise StoreBusy("Another writer holds the database.")
        return await real(*args)

    monkeypatch.setattr(decommission, "take_back", cut)
    await worker(api).work_off()
    left = left_of((await api.store.snapshot()).model, "acme")
    standing = (await api.ok("GET", f"{ACME}/decommission")).json()
    assert standing["left"] == left
    assert standing["status"] == "failed"
    monkeypatch.undo()
    await worker(api).work_off()  # another one: what is to be done is in the database
    assert (await api.store.snapshot()).model.organisations[
        "acme"
    ].decommission is Decommission.DECOMMISSIONED


async def test_the_operator_stays(api: Api) -> None:
    problem = await api.problem("POST", "/organisations/hq/decommission", 409)
    assert "only an occupier can be decommissioned" in problem["detail"]


async def test_two_requests_at_once_are_one_task_which_ends(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = api.store.snapshot
    both = asyncio.Barrier(2)

    async def together() -> Snapshot:
        found = await real()
        await both.wait()
        return found

    monkeypatch.setattr(api.store, "snapshot", together)  # so that both have seen that there is no task yet
    first, second = await asyncio.gather(*(api.ok("POST", f"{ACME}/decommission", 202) for _ in range(2)))
    monkeypatch.undo()
    assert first.json()["id"] == second.json()["id"]
    await worker(api).work_off()
    found = (await api.ok("GET", "/tasks?kind=decommission")).json()["items"]
    assert [task["state"] for task in found] == ["done"]


async def test_a_request_in_the_worker_s_last_moment_leaves_no_task_behind(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends between what the request looks at and what it writes."""
    await api.ok("POST", f"{ACME}/decommission", 202)
    real = api.store.snapshot
    worked = False

    async def then_the_worker() -> Snapshot:
        nonlocal worked
        found = await real()
        if not worked:
            worked = True
            await worker(api).work_off()
        return found

    monkeypatch.setattr(api.store, "snapshot", then_the_worker)
    await api.client.request("POST", f"{ACME}/decommission")
    monkeypatch.undo()
    await worker(api).work_off()
    found = (await api.ok("GET", "/tasks?kind=decommission")).json()["items"]
    assert {task["state"] for task in found} == {"done"}


async def test_voicemail_that_cannot_be_erased_makes_it_fail(api: Api) -> None:
    why = "The voicemail of extension acme/103 cannot be erased: look at its directory in the spool."
    await api.ok("POST", f"{ACME}/decommission", 202)
    await worker(api, why).work_off()
    standing = (await api.ok("GET", f"{ACME}/decommission")).json()
    assert standing["sentence"].startswith(f"Decommission failed: {why}")
