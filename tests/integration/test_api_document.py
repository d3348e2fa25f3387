"""The OpenAPI document is true: requests made from it by schemathesis, answered by a real server.

A bounded number per operation; WIRECHIEF_SCHEMATHESIS_EXAMPLES asks for more.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis import AuthContext, Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.contract.fake_node import FakeNode
from tests.integration.api_client import TOKEN, demo_api

EXAMPLES = int(os.environ.get("WIRECHIEF_SCHEMATHESIS_EXAMPLES", "8"))
SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"
START_S = 30.0
WAIT_S = 0.05
MISSED = "missed,acme,100,+6561234567,1767574800,busy"


class _Server(threading.Thread):
    """The API on a port of its own, with its store, in an event loop of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(name="api-under-test", daemon=True)
        self._directory = directory
        self._uvicorn: uvicorn.Server | None = None
        self.url: Future[str] = Future()

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if not self.url.done():
                self.url.set_exception(exc)
            raise

    async def _serve(self) -> None:
        node = FakeNode()
        await node.connect()
        node.rows |= {
            "outbox/1": MISSED,
            "outbox-failed/2": f"{MISSED}|1|1767574800|why",
            "outbox-failed/3": "",
        }
        async with demo_api(self._directory, node) as api:
            config = uvicorn.Config(api.app, log_config=None, lifespan="off")
            with socket.create_server(("127.0.0.1", 0)) as listener:
                self._uvicorn = uvicorn.Server(config)
                # The socket listens already: what comes in before uvicorn accepts waits in its queue.
                self.url.set_result(f"http://127.0.0.1:{listener.getsockname()[1]}")
                await self._uvicorn.serve([listener])

    def stop(self) -> None:
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self.join(START_S)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = _Server(tmp_path_factory.mktemp("api"))
    server.start()
    try:
        yield server.url.result(START_S)
    finally:
        server.stop()


schema = schemathesis.openapi.from_path(SNAPSHOT)


@schema.auth()
class _Bearer:
    """Gives every generated request the token."""

    def get(self, case: Case[Any], context: AuthContext) -> str:
        return TOKEN

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_to_the_document(case: Case[Any], served: str) -> None:
    if case.path.endswith("/follow"):
        # Nothing is pushed or published here: a wait lasts as long as it may.
        with suppress(ValueError, TypeError):  # what is no number is sent as it is
            if float(case.query.setdefault("within_s", WAIT_S)) > WAIT_S:
                case.query["within_s"] = WAIT_S
    # Rules between fields and entities are beyond a schema: valid by it is not yet acceptable.
    case.call_and_validate(
        base_url=served,
        excluded_checks=[positive_data_acceptance],
    )
