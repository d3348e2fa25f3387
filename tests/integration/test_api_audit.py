"""The audit searched and undone through the API on the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.store import rows
from tests.integration.api_client import Api, demo_api

E100 = "/organisations/acme/extensions/100"
E101 = "/organisations/acme/extensions/101"
PASSWORD = "four words and a dot."


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with demo_api(tmp_path) as api:
        yield api


async def newest(api: Api, **filters: Any) -> dict[str, Any]:
    found: list[dict[str, Any]] = (await api.ok("GET", "/audit", params=filters | {"limit": "1"})).json()[
        "items"
    ]
    return found[0]


async def undo(api: Api, entry: dict[str, Any], **request: Any) -> dict[str, Any]:
    done: dict[str, Any] = (await api.ok("POST", f"/audit/{entry['id']}/undo", **request)).json()
    return done


async def logged_in(api: Api, email: str, **account: Any) -> dict[str, str]:
    await api.ok("POST", "/accounts", 201, json={"email": email, "password": PASSWORD, **account})
    token = (await api.ok("POST", "/login", json={"email": email, "password": PASSWORD})).json()["token"]
    return {"Authorization": f"Bearer {token}"}


async def test_the_audit_is_searched_by_field_actor_and_time(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    await api.ok(
        "PATCH", E101, json={"forwarding": {"extensions": ["102"], "enabled": True}}, headers=headers
    )
    await api.ok("PATCH", E101, json={"voicemail_pin": "987654"})
    forwarding = await newest(api, field="forwarding")
    assert forwarding["fields"] == ["forwarding.enabled", "forwarding.extensions"]
    assert forwarding["actor"] == "ann@acme.example"
    assert await newest(api, field="forwarding.enabled") == forwarding
    assert await newest(api, actor="ann@acme.example") == forwarding
    pin = await newest(api, field="voicemail_pin")
    assert pin["fields"] == ["voicemail_pin"]
    assert pin["before"]["voicemail_pin"] == pin["after"]["voicemail_pin"] == "***"
    for nothing in (
        {"field": "forward"},
        {"field": "%"},
        {"until": "2000-01-01T00:00:00Z"},
        {"actor": "ann"},
    ):
        assert (await api.ok("GET", "/audit", params=nothing)).json()["items"] == [], nothing
    since = {"since": pin["at"]}
    assert [e["id"] for e in (await api.ok("GET", "/audit", params=since)).json()["items"]] == [pin["id"]]
    await api.problem("GET", "/audit?since=yesterday", 422)


async def test_a_tenant_sees_and_undoes_what_is_his_own(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    await api.ok("PATCH", "/sites/singapore", json={"name": "Island"})
    await api.ok("PATCH", "/organisations/hq", json={"name": "Tower"})
    await api.ok("PATCH", E101, json={"dnd": True})
    seen = (await api.ok("GET", "/audit?limit=1000", headers=headers)).json()["items"]
    assert {entry["org"] for entry in seen} == {"acme"}
    hidden = (await api.ok("GET", "/audit?org=hq", headers=headers)).json()["items"]
    assert hidden == []
    for entry in (await newest(api, kind="site"), await newest(api, org="hq")):
        problem = await api.problem("POST", f"/audit/{entry['id']}/undo", 404, headers=headers)
        assert problem["detail"] == f"There is no audit entry '{entry['id']}'."
    await undo(api, await newest(api, field="dnd"), headers=headers)
    assert (await api.ok("GET", E101)).json()["dnd"] is False
    assert (await newest(api))["actor"] == "ann@acme.example"


async def test_an_undo_is_a_new_change_and_can_be_looked_at_first(api: Api) -> None:
    await api.ok("PATCH", E100, json={"label": "Front", "no_answer": {"ring_timeout_s": 40}})
    entry = await newest(api)
    await api.ok("PATCH", E100, json={"dnd": True})
    revision = await api.store.revision()
    would = await undo(api, entry, params={"dry_run": "true"})
    assert would["changes"] == {"label": ["Front", "Reception"], "no_answer.ring_timeout_s": [40, 20]}
    assert would["revision"] is None
    assert await api.store.revision() == revision
    done = await undo(api, entry)
    assert done["revision"] == revision + 1
    after = (await api.ok("GET", E100)).json()
    assert (after["label"], after["no_answer"]["ring_timeout_s"], after["dnd"]) == ("Reception", 20, True)
    await undo(api, await newest(api))
    assert (await api.ok("GET", E100)).json()["label"] == "Front"


async def test_what_was_changed_since_is_not_undone(api: Api) -> None:
    await api.ok("PATCH", E100, json={"label": "Front"})
    entry = await newest(api)
    await api.ok("PATCH", E100, json={"label": "Back"})
    problem = await api.problem("POST", f"/audit/{entry['id']}/undo", 409)
    assert "was changed since in label" in problem["detail"]
    assert (await api.ok("GET", E100)).json()["label"] == "Back"


async def test_a_secret_comes_back_without_being_shown(api: Api) -> None:
    await api.ok("PATCH", E101, json={"voicemail_pin": "135790"})
    await api.ok("PATCH", E101, json={"voicemail_pin": "987654"})
    done = await undo(api, await newest(api))
    assert done["changes"] == {"voicemail_pin": ["***", "***"]}
    assert (await api.ok("GET", f"{E101}/credentials")).json() == {"voicemail_pin": "135790"}


async def test_a_removed_extension_and_its_device_come_back_as_they_were(api: Api) -> None:
    path = "/organisations/acme/extensions/103"
    await api.ok("PATCH", E100, json={"forwarding": {"extensions": ["101", "102"]}})
    device = (await api.ok("GET", f"{path}/devices")).json()["items"][0]
    before = (await api.ok("GET", path)).json()
    credentials = (await api.ok("GET", f"{path}/devices/{device['id']}/credentials")).json()
    await api.ok("DELETE", path, 204)
    gone = await newest(api, kind="device")
    problem = await api.problem("POST", f"/audit/{gone['id']}/undo", 404)
    assert "extension" in problem["detail"]
    done = await undo(api, await newest(api, kind="extension", key="acme/103"))
    assert done["action"] == "make"
    await undo(api, gone)
    assert (await api.ok("GET", path)).json() == before
    assert (await api.ok("GET", f"{path}/devices/{device['id']}/credentials")).json() == credentials
    await api.problem("POST", f"/audit/{gone['id']}/undo", 409)


async def test_something_made_is_removed_unless_it_is_in_use_or_was_changed(api: Api) -> None:
    body = {"key": "200", "site": "singapore"}
    await api.ok("POST", "/organisations/acme/extensions", 201, json=body)
    made = await newest(api)
    await api.ok("PATCH", E101, json={"forwarding": {"extensions": ["200"]}})
    assert "101" in (await api.problem("POST", f"/audit/{made['id']}/undo", 409))["detail"]
    await undo(api, await newest(api))
    assert (await undo(api, made))["action"] == "remove"
    await api.problem("GET", "/organisations/acme/extensions/200", 404)
    assert "not there any more" in (await api.problem("POST", f"/audit/{made['id']}/undo", 409))["detail"]


async def test_a_reference_that_is_gone_is_named(api: Api) -> None:
    await api.ok("POST", "/organisations/acme/people", 201, json={"id": "ada", "name": "Ada"})
    await api.ok("PATCH", E101, json={"person": "ada"})
    await api.ok("PATCH", E101, json={"person": None})
    entry = await newest(api)
    await api.ok("DELETE", "/organisations/acme/people/ada", 204)
    problem = await api.problem("POST", f"/audit/{entry['id']}/undo", 422)
    assert problem["errors"][0]["field"] == "person"


async def test_what_has_a_life_of_its_own_or_is_too_old_or_unknown_is_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = await api.problem("POST", f"/audit/{(await newest(api, kind='number'))['id']}/undo", 409)
    assert "deallocate it first" in problem["detail"]
    await api.problem("POST", "/audit/999999/undo", 404)
    monkeypatch.setattr(rows, "RETAINED_CHANGES", 2)
    monkeypatch.setattr(rows, "_PRUNE_AT", 2)
    await api.ok("PATCH", E100, json={"label": "Old"})
    entry = await newest(api)
    for number in range(4):
        await api.ok("PATCH", E101, json={"label": f"label {number}"})
    api.store._own.clear()  # what this process has just written it still has in memory
    problem = await api.problem("POST", f"/audit/{entry['id']}/undo", 409)
    assert "too long ago" in problem["detail"]
