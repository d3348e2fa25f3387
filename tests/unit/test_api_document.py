"""docs/openapi.json is what the API serves, so that a change of the API shows in review.

`WIRECHIEF_UPDATE_SNAPSHOTS=1` writes it anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts
from control_plane.service.devices import SipAddress
from control_plane.service.number_policy import NumberPolicy
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore, MemoryTasks, memory_logins

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
GUIDE = Path(__file__).parents[2] / "docs" / "api.md"


def document() -> dict[str, object]:
    return application("token").openapi()


def application(token: str) -> FastAPI:
    sip = SipAddress("127.0.0.1", 5060, 5061)
    store = MemoryStore()
    ports = ApiPorts(
        store,
        SecretStr(token),
        sip,
        tasks=MemoryTasks(),
        clock=ManualClock(),
        policy=NumberPolicy(ManualClock()),
        logins=memory_logins(store),
    )
    return create_app(ports)


def test_the_openapi_snapshot_is_current() -> None:
    text = json.dumps(document(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("WIRECHIEF_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert SNAPSHOT.read_text() == text, "look at the change, then set WIRECHIEF_UPDATE_SNAPSHOTS=1"


def test_every_address_is_in_the_guide() -> None:
    guide = GUIDE.read_text()
    paths = document()["paths"]
    assert isinstance(paths, dict)
    missing = [path for path in paths if f"`{path.removeprefix('/api/v1')}`" not in guide]
    assert not missing


def test_operation_names_are_unique() -> None:
    paths = document()["paths"]
    assert isinstance(paths, dict)
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("own", "token", "status"), [("one", "one", 200), ("two", "one", 401), ("two", "two", 200)]
)
async def test_applications_share_their_routes_and_not_what_they_stand_on(
    own: str, token: str, status: int
) -> None:
    applications = {name: application(name) for name in ("one", "two")}
    transport = httpx.ASGITransport(applications[own])
    async with httpx.AsyncClient(transport=transport, base_url="http://wirechief.test") as client:
        answer = await client.get("/api/v1/organisations", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status
