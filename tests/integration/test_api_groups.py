"""Call groups and main numbers over the API on the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api_client import Api, demo_api

GROUPS = "/organisations/acme/call-groups"
MAINS = "/organisations/acme/main-numbers"
NUMBER = "+6561000900"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with demo_api(tmp_path) as api:
        yield api


async def test_a_call_group_from_its_making_to_its_end(api: Api) -> None:
    body = {"key": "300", "site": "singapore", "members": ["101", "102"], "strategy": "round_robin"}
    made = await api.ok("POST", GROUPS, 201, json=body)
    assert made.headers["Location"] == "/api/v1/organisations/acme/call-groups/300"
    assert made.json() == body | {
        "org": "acme",
        "label": "",
        "ring_timeout_s": 20,
        "total_ring_s": 60,
        "otherwise": None,
    }
    onward = {"otherwise": {"kind": "extension", "target": "103"}}
    changed = await api.ok("PATCH", f"{GROUPS}/300", json=onward, headers={"If-Match": made.headers["ETag"]})
    assert changed.json()["otherwise"] == {"kind": "extension", "target": "103", "members": []}
    stale = {"If-Match": made.headers["ETag"]}
    await api.problem("PATCH", f"{GROUPS}/300", 412, json={"label": "x"}, headers=stale)
    problem = await api.problem("DELETE", "/organisations/acme/extensions/103", 409)
    assert "used by call group 300" in problem["detail"]
    # Both come back as they were from a store that reads them from the database.
    assert (await api.ok("GET", GROUPS)).json()["items"] == [changed.json()]
    await api.ok("DELETE", f"{GROUPS}/300", 204)
    await api.problem("GET", f"{GROUPS}/300", 404)


async def test_what_is_wrong_with_a_group_is_said_by_field(api: Api) -> None:
    body = {"key": "1", "site": "singapore", "ring_timeout_s": 4, "otherwise": {"kind": "nowhere"}}
    problem = await api.problem("POST", GROUPS, 422, json=body)
    assert {error["field"] for error in problem["errors"]} == {"key", "ring_timeout_s", "otherwise.kind"}
    body = {"key": "300", "site": "singapore", "otherwise": {"kind": "extension"}}
    problem = await api.problem("POST", GROUPS, 422, json=body)
    assert [error["field"] for error in problem["errors"]] == ["otherwise.target"]


async def test_a_main_number_is_set_up_and_explained_at_a_time(api: Api) -> None:
    await api.ok("POST", "/numbers", 201, json={"e164": NUMBER, "site": "singapore", "main": True})
    await api.ok("POST", f"/numbers/{NUMBER}/allocate", json={"org": "acme"})
    body = {
        "site": "singapore",
        "in_hours": {"kind": "extension", "target": "100"},
        "out_of_hours": {"kind": "number", "target": "6123 4567"},
    }
    made = (await api.ok("POST", MAINS, 201, json=body)).json()
    assert (made["e164"], made["hours"]) == (NUMBER, ["mon-fri 08:30-18:00"])
    assert made["out_of_hours"]["target"] == "+6561234567"
    changed = await api.ok("PATCH", f"{MAINS}/singapore", json={"hours": ["mon 09:00-12:00"], "holidays": []})
    assert changed.json()["hours"] == ["mon 09:00-12:00"]
    problem = await api.problem("PATCH", f"{MAINS}/singapore", 422, json={"hours": ["mon 12:00-09:00"]})
    assert "must end later than it begins" in problem["detail"]
    await api.ok("GET", f"{MAINS}/singapore")
    await api.ok("DELETE", f"{MAINS}/singapore", 204)


async def test_a_preview_says_what_would_be_pushed_and_saves_nothing(api: Api) -> None:
    await api.ok("POST", GROUPS, 201, json={"key": "300", "site": "singapore", "members": ["101"]})
    before, nudged = await api.store.revision(), api.nudges
    found = (await api.ok("POST", f"{GROUPS}/300/preview", json={"members": ["101", "102"]})).json()
    assert [step["artefact"] for step in found["steps"] if step["unit"] == "call_group acme/300"] == [
        "row:group/acme/300"
    ]
    nothing = (await api.ok("POST", f"{GROUPS}/300/preview", json={"members": ["101"]})).json()
    assert nothing["steps"] == []
    problem = await api.problem("POST", f"{GROUPS}/300/preview", 422, json={"members": ["999"]})
    assert "there is no extension 999 in acme" in problem["detail"]
    await api.problem("POST", f"{GROUPS}/301/preview", 404, json={})
    await api.problem("POST", f"{MAINS}/singapore/preview", 404, json={})
    extension = "/organisations/acme/extensions/101/preview"
    found = (await api.ok("POST", extension, json={"dnd": True})).json()
    assert [step["artefact"] for step in found["steps"]] == ["row:ext/acme/101/dnd"]
    assert (await api.store.revision(), api.nudges) == (before, nudged)


async def test_what_a_call_can_meet_is_answered_as_a_picture(api: Api) -> None:
    await api.ok("POST", GROUPS, 201, json={"key": "300", "site": "singapore", "members": ["101"]})
    await api.ok("POST", "/numbers", 201, json={"e164": NUMBER, "site": "singapore", "main": True})
    await api.ok("POST", f"/numbers/{NUMBER}/allocate", json={"org": "acme"})
    places = {
        "in_hours": {"kind": "group", "target": "300"},
        "out_of_hours": {"kind": "extension", "target": "100"},
    }
    await api.ok("POST", MAINS, 201, json={"site": "singapore", **places})
    for path, line in (
        (f"{GROUPS}/300", 'group_ring_101["101'),
        (f"{MAINS}/singapore", f'call(["Call to {NUMBER}"]) --> did_active'),
        ("/organisations/acme/extensions/100", "--> in_active"),
    ):
        picture = (await api.ok("GET", f"{path}/picture")).json()["mermaid"]
        assert picture.startswith("flowchart TD\n") and line in picture
        await api.problem("GET", f"{path}0/picture", 404)
