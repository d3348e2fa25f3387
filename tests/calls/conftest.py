"""One engine of phones and one connected node for all call tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control_plane.adapters.phones import Engine
from tests.calls.node import NodeUnderTest, node_under_test
from tests.lab import RunningLab


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def node(running_lab: RunningLab) -> Iterator[NodeUnderTest]:
    with node_under_test(running_lab) as node:
        yield node
