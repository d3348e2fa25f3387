"""What handsets sent, over the API: listed, and given as a file to save that a browser runs nothing of."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest

from control_plane.adapters.uploads import public_key
from provisioning_server.uploads import seal
from tests.contract.fake_node import FakeNode
from tests.integration.api_client import UPLOAD_KEY, Api, demo_api

MAC = "805ec0123456"
SENT = b"<script>alert(1)</script>\naccount.1.password = hunter2\nlang = en\n"
PATH = f"/organisations/acme/handsets/{MAC}/uploads"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    node = FakeNode()
    await node.connect()
    async with demo_api(tmp_path, node) as made:
        body = {"mac": MAC, "model": "T54W", "site": "singapore"}
        await made.ok("POST", "/organisations/acme/handsets", 201, json=body)
        yield made


def received(directory: Path, id: int, content: bytes) -> None:
    """As the provisioning server writes it down."""
    with closing(sqlite3.connect(directory / "journal.sqlite3")) as db, db:
        db.executescript((files("provisioning_server") / "journal.sql").read_text())
        values = (id, MAC, "page.html", "2026-01-31T09:30:00+00:00", content)
        db.execute("INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", values)


async def test_what_a_handset_sent_is_listed_and_saved(api: Api, tmp_path: Path) -> None:
    assert (await api.ok("GET", PATH)).json() == []
    await api.problem("GET", f"{PATH}/7", 404)
    received(tmp_path, 7, seal(bytes.fromhex(public_key(UPLOAD_KEY)), MAC, "page.html", SENT))
    [listed] = (await api.ok("GET", PATH)).json()
    assert listed == {"id": 7, "name": "page.html", "at": "2026-01-31T09:30:00Z", "size": len(SENT)}
    found = await api.ok("GET", f"{PATH}/7")
    assert found.text == "<script>alert(1)</script>\naccount.1.password =***\nlang = en\n"
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert found.headers["content-disposition"] == f'attachment; filename="{MAC}-7.txt"'
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in found.headers["content-security-policy"]
    assert found.headers["cache-control"] == "no-store"


async def test_what_cannot_be_opened_and_what_is_of_another_is_a_problem(api: Api, tmp_path: Path) -> None:
    received(tmp_path, 8, b"sealed for somebody else, and long enough to be it")
    assert "cannot be opened" in (await api.problem("GET", f"{PATH}/8", 503))["detail"]
    await api.problem("GET", PATH.replace(MAC, "805ec0ffffff"), 404)
    await api.problem("GET", PATH.replace("acme", "globex") + "/8", 404)
    for wrong in ("0", "-1", "x", str(2**53)):
        await api.problem("GET", f"{PATH}/{wrong}", 422)
        await api.problem("DELETE", f"{PATH}/{wrong}", 422)
    await api.problem("DELETE", PATH.replace("acme", "globex") + "/8", 404)
    assert [listed["id"] for listed in (await api.ok("GET", PATH)).json()] == [8]


async def test_what_is_removed_is_gone_and_the_audit_says_who_did(api: Api, tmp_path: Path) -> None:
    await api.problem("DELETE", f"{PATH}/9", 404)
    for id in (9, 10):
        received(tmp_path, id, b"sealed for somebody else: what cannot be opened can be removed")
    answer = await api.ok("DELETE", f"{PATH}/9", 204)
    assert [listed["id"] for listed in (await api.ok("GET", PATH)).json()] == [10]
    await api.problem("DELETE", f"{PATH}/9", 404)
    entry = (await api.ok("GET", f"/audit?kind=handset&key={MAC}")).json()["items"][0]
    assert (entry["fields"], str(entry["revision"])) == (["upload_removed"], answer.headers["X-Revision"])
    assert entry["after"]["upload_removed"].startswith("9 at ")
    told = await api.problem("POST", f"/audit/{entry['id']}/undo", 409)
    assert told["detail"] == f"What handset {MAC} sent does not come back once it is removed."
