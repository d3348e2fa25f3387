"""Planning, pushing and blocking over HTTP: a real reconciler and guard on a node in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.api.nodes import NodePorts
from tests.contract.fake_node import FakeNode
from tests.integration.api_client import Api, demo_api

LAB = "/nodes/lab"
E100 = "/organisations/acme/extensions/100"


@pytest.fixture
async def node() -> FakeNode:
    node = FakeNode()
    await node.connect()
    return node


@pytest.fixture
async def api(tmp_path: Path, node: FakeNode) -> AsyncIterator[Api]:
    async with demo_api(tmp_path, node) as api:
        yield api


async def test_a_plan_is_applied_and_then_there_is_nothing_left(api: Api) -> None:
    plan = (await api.ok("POST", f"{LAB}/plan")).json()
    assert plan["steps"]
    assert {step["drift"] for step in plan["steps"]} == {"model_moved"}
    applied = (await api.ok("POST", f"{LAB}/apply", json={"digest": plan["digest"]})).json()
    assert applied["ok"], applied["problems"]
    assert applied["steps"] == len(plan["steps"])
    assert (await api.ok("POST", f"{LAB}/plan")).json()["steps"] == []
    assert (await api.ok("POST", f"{LAB}/apply")).json()["plan"] is None


async def test_following_a_revision_ends_when_the_node_holds_it(api: Api) -> None:
    ports: NodePorts = api.app.state.nodes["lab"]
    running = asyncio.create_task(ports.reconciler.run())
    try:
        written = await api.ok("PATCH", E100, json={"dnd": True})
        revision = written.headers["X-Revision"]
        state = (await api.ok("POST", f"{LAB}/follow?revision={revision}&within_s=30")).json()
        assert state["in_sync"]
        assert state["revision_pushed"] == int(revision)
        assert [found["node"] for found in (await api.ok("GET", "/nodes")).json()] == ["lab"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_plan_shows_no_secret(api: Api) -> None:
    listing = (await api.ok("GET", f"{E100}/devices")).json()["items"]
    secrets = [(await api.ok("GET", f"{E100}/credentials")).json()["voicemail_pin"]]
    for device in listing:
        path = f"{E100}/devices/{device['id']}/credentials"
        secrets.append((await api.ok("GET", path)).json()["sip_password"])
    plan = await api.ok("POST", f"{LAB}/plan")
    assert not [secret for secret in secrets if secret in plan.text]
    assert "***" in plan.text or "secret" in plan.text


async def test_a_plan_that_is_out_of_date_is_not_applied(api: Api) -> None:
    plan = (await api.ok("POST", f"{LAB}/plan")).json()
    await api.ok("PATCH", E100, json={"dnd": True})
    problem = await api.problem("POST", f"{LAB}/apply", 409, json={"digest": plan["digest"]})
    assert problem["type"] == "urn:wirechief:problem:stale-plan"


async def test_drift_is_what_the_model_is_not_the_cause_of(api: Api, node: FakeNode) -> None:
    await api.ok("POST", f"{LAB}/apply")
    key = next(key for key in sorted(node.rows) if key.startswith("pbx/endpoint/"))
    node.rows[key] = node.rows[key].replace("}", ', "edited": "yes"}', 1)
    node.rows["did/+6500000000"] = "foreign"
    await api.ok("PATCH", "/organisations/acme/extensions/103", json={"dnd": True})
    drift = (await api.ok("POST", f"{LAB}/drift")).json()
    assert {step["drift"] for step in drift["steps"]} == {"edited", "foreign"}


async def test_a_node_that_cannot_be_reached_is_said_so(api: Api, node: FakeNode) -> None:
    node.cut()
    for path in ("plan", "apply", "drift"):
        problem = await api.problem("POST", f"{LAB}/{path}", 503)
        assert problem["type"] == "urn:wirechief:problem:asterisk-unreachable"
    assert (await api.ok("GET", LAB)).json()["link"] == "disconnected"
    state = (await api.ok("POST", f"{LAB}/follow?revision=1&within_s=0.05")).json()
    assert not state["in_sync"]


async def test_contacts_are_what_is_registered(api: Api, node: FakeNode) -> None:
    node.contact_uris["abcdefghijkl"] = "sip:abcdefghijkl@192.0.2.7"
    assert (await api.ok("GET", f"{LAB}/contacts")).json() == {"abcdefghijkl": "sip:abcdefghijkl@192.0.2.7"}


async def test_nobody_is_blocked_and_lifting_a_block_that_is_not_there_says_so(api: Api) -> None:
    assert (await api.ok("GET", f"{LAB}/blocked")).json() == []
    assert (await api.ok("DELETE", f"{LAB}/blocked")).json() == {"unblocked": 0}
    await api.problem("DELETE", f"{LAB}/blocked/192.0.2.7", 404)
    await api.problem("DELETE", f"{LAB}/blocked/somebody", 422)


async def test_an_unknown_node_is_not_found(api: Api) -> None:
    for method, path in (("GET", ""), ("POST", "/plan"), ("POST", "/apply"), ("GET", "/blocked")):
        await api.problem(method, f"/nodes/elsewhere{path}", 404)


async def test_the_last_calls_are_told_with_the_way_they_took(api: Api, node: FakeNode) -> None:
    ports: NodePorts = api.app.state.nodes["lab"]
    watching = asyncio.create_task(ports.observer.run())
    try:
        await asyncio.sleep(0)  # the task begins: it subscribes before it first waits
        told = {"UserEvent": "CallPath", "Call": "1.1", "From": "101", "To": "100", "Dialled": "100"}
        node.emit("UserEvent", **told, Path="100>102", Trace="leg.hops:ok leg.ring:answered")
        node.emit("UserEvent", **told, Path="", Trace="in.forward:answered")
        calls = (await api.ok("GET", f"{LAB}/calls?limit=5")).json()
        assert [(call["call"], call["outcome"]) for call in calls] == [("1.1", "answered")]
        assert [part["path"] for part in calls[0]["parts"]] == ["", "100>102"]
        assert calls[0]["parts"][1]["trace"][0] == {"node": "leg.hops", "outcome": "ok"}
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_findings_of_the_model_come_with_the_node(api: Api) -> None:
    assert (await api.ok("GET", LAB)).json()["warnings"] == []
    await api.ok("PATCH", "/sites/singapore", json={"trunk": None})
    assert "Emergency numbers cannot be reached" in (await api.ok("GET", LAB)).json()["warnings"][0]
