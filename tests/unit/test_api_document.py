"""docs/openapi.json is what the API serves, so that a change of the API shows in review.

`WIRECHIEF_UPDATE_SNAPSHOTS=1` writes it anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import SecretStr

from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts
from control_plane.service.devices import SipAddress
from control_plane.service.number_policy import NumberPolicy
from tests.unit.memory_store import ManualClock, MemoryStore, MemoryTasks, memory_logins

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
GUIDE = Path(__file__).parents[2] / "docs" / "api.md"


def document() -> dict[str, object]:
    sip = SipAddress("127.0.0.1", 5060, 5061)
    store = MemoryStore()
    ports = ApiPorts(
        store,
        SecretStr("token"),
        sip,
        tasks=MemoryTasks(),
        clock=ManualClock(),
        policy=NumberPolicy(ManualClock()),
        logins=memory_logins(store),
    )
    return create_app(ports).openapi()


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
