"""A provisioning server for tests that ask it many times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.provisioning import serving


@pytest.fixture(scope="session")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, asyncio.Runner]]:
    """Address, port and the event loop it runs in; TFTP is on."""
    with asyncio.Runner() as runner:
        context = serving(tmp_path_factory.mktemp("one"), header_s=1.0, tftp_port=6969)
        server = runner.run(context.__aenter__())
        yield server.settings.host, server.settings.http_port, runner
        runner.run(context.__aexit__(None, None, None))
