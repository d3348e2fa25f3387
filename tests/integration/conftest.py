"""The whole product, started once for all tests that disturb it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from control_plane.adapters.phones import Engine
from tests.integration.stack import Stack, restore, running_stack

FIGURES = pytest.StashKey[list[str]]()

Record = Callable[[str, float], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Notes a measured figure, shown at the end of the run."""
    figures = request.config.stash.setdefault(FIGURES, [])
    return lambda name, value: figures.append(f"{name} {value:.3g}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was measured."""
    figures = config.stash.get(FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for figure in sorted(figures):
            terminalreporter.write_line(figure)


@pytest.fixture(scope="session")
def whole_stack(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Engine() as engine, running_stack(tmp_path_factory.mktemp("stack"), asterisk_image, engine) as stack:
        yield stack


@pytest.fixture
def stack(whole_stack: Stack) -> Stack:
    """All of it up and in sync, phones registered, extensions as the demo has them."""
    restore(whole_stack)
    return whole_stack
