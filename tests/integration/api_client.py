"""The API in this process on the real store, with the demo in it, and a node in memory behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import httpx
from pydantic import SecretStr

from control_plane.adapters.clock import SystemClock
from control_plane.adapters.passwords import Argon2Passwords
from control_plane.adapters.published import JournalFile, PublishedFile
from control_plane.adapters.uploads import UploadsFile
from control_plane.adapters.voicemail import VoicemailSpool
from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts
from control_plane.api.nodes import NodePorts
from control_plane.apply.guard import Guard
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.handsets import Intake
from control_plane.apply.observer import Observer
from control_plane.apply.publisher import Publisher
from control_plane.apply.reconciler import Reconciler
from control_plane.bootstrap.wiring import PROVISIONING_REALM
from control_plane.observe.attacks import Policy
from control_plane.ports import Mailer, TaskStore
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.devices import SipAddress
from control_plane.service.handset import take_in, take_in_pin
from control_plane.service.handset_preview import HandsetSource
from control_plane.service.handset_view import Provisioning
from control_plane.service.logins import Logins
from control_plane.service.notify import Outbox
from control_plane.service.number_life import confirm_numbers
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.warnings import ModelFindings
from control_plane.store import SqlStore, open_store
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.databases import migrated_file
from tests.unit.handset_models import PLACE

TOKEN = "test-token-of-the-api"
NODE = "lab"
UPLOAD_KEY = SecretStr("05" * 32)


class Publishing(TypedDict):
    """What the API stands on for handsets."""

    handsets: Provisioning
    publisher: Publisher
    sealed: UploadsFile
    handset_source: HandsetSource


class Api:
    """A client of the API, the store below it, and how often the reconciler was nudged."""

    def __init__(
        self, store: SqlStore, nodes: Mapping[str, NodePorts], publishing: Publishing | None = None
    ) -> None:
        self.store = store
        self.nudges = 0
        self.clock = ManualClock(datetime.now(UTC))
        self.logins = Logins(store, store.sessions, Argon2Passwords(), self.clock)
        sip = SipAddress("127.0.0.1", 5060, 5061)
        ports = ApiPorts(
            store,
            SecretStr(TOKEN),
            sip,
            tasks=store,
            clock=SystemClock(),
            logins=self.logins,
            nudge=self._nudge,
            nodes=nodes,
            policy=NumberPolicy(SystemClock()),
        )
        if publishing is not None:
            ports = replace(ports, **publishing)
        self.app = create_app(ports)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://wirechief.test/api/v1",
            headers={"Authorization": f"Bearer {TOKEN}"},
        )

    def _nudge(self) -> None:
        self.nudges += 1

    async def ok(self, method: str, path: str, status: int = 200, **request: Any) -> httpx.Response:
        response = await self.client.request(method, path, **request)
        assert response.status_code == status, response.text
        return response

    async def problem(self, method: str, path: str, status: int, **request: Any) -> dict[str, Any]:
        """The problem a request is answered with; its shape is the same for every error."""
        response = await self.client.request(method, path, **request)
        assert response.status_code == status, response.text
        return self.as_problem(response)

    @staticmethod
    def as_problem(response: httpx.Response) -> dict[str, Any]:
        assert response.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = response.json()
        assert set(body) == {"type", "title", "status", "detail", "errors"}
        assert body["status"] == response.status_code
        assert "Traceback" not in body["detail"]
        return body


def node_ports(
    store: SqlStore,
    node: FakeNode,
    spool: Path,
    tasks: TaskStore | None = None,
    mailer: Mailer | None = None,
) -> NodePorts:
    """What runs for a node, not running: a test asks it for plans and pushes."""
    clock = SystemClock()
    intake = Intake(
        partial(take_in, store, clock),
        partial(take_in_pin, store),
        partial(confirm_numbers, store, NumberPolicy(clock)),
    )
    return NodePorts(
        Reconciler(NODE, node, store, intake, clock, tasks=tasks),
        Guard(node, store, clock, node=NODE, policy=Policy()),
        Outbox(node, store, clock, node=NODE, mailer=mailer, recordings=VoicemailSpool(spool)),
        node,
        ModelFindings(store),
        Observer(node, clock),
    )


def publishing_ports(store: SqlStore, node: FakeNode, directory: Path) -> Publishing:
    """What publishes to a file in `directory`; no provisioning server reads it."""
    held = PublishedFile(directory / "published.sqlite3", PROVISIONING_REALM)
    journal = JournalFile(directory / "journal.sqlite3")
    return {
        "handsets": Provisioning(store, held, journal, SystemClock(), lambda aor: None, node, PLACE.url),
        "publisher": Publisher(held, store, HandsetFiles(lambda: PLACE)),
        "sealed": UploadsFile(directory / "journal.sqlite3", UPLOAD_KEY),
        "handset_source": HandsetSource(held, lambda: PLACE),
    }


@asynccontextmanager
async def demo_api(
    directory: Path, node: FakeNode | None = None, mailer: Mailer | None = None
) -> AsyncIterator[Api]:
    """The API over a new database with the demo, and `node` as its node "lab"."""
    store = await open_store(migrated_file(directory / "wirechief.db"), SystemClock())
    try:
        await load_demo(store, DemoPlace(NODE, "127.0.0.2", 5060))
        if node is None:
            api = Api(store, {})
        else:
            api = Api(
                store,
                {NODE: node_ports(store, node, directory, store, mailer)},
                publishing_ports(store, node, directory),
            )
        async with api.client:
            yield api
    finally:
        await store.close()
