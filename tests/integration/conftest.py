"""The whole product, started once for all tests that disturb it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import pytest

from control_plane.adapters.phones import Engine
from control_plane.bootstrap.lab import prepare_database
from control_plane.bootstrap.wiring import wire
from tests.integration.machine import Machine
from tests.integration.stack import Stack, restore, running_stack
from tests.lab import own_settings

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
def demo_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with the demo, to be copied."""
    directory = tmp_path_factory.mktemp("demo") / "state"
    asyncio.run(prepare_database(wire(own_settings(directory))))
    return directory


@pytest.fixture
def machine(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Machine:
    """The command line of a machine with the demo, where nothing is pushed."""
    copytree(demo_state, tmp_path / "state")
    monkeypatch.setenv("WIRECHIEF_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("WIRECHIEF_AUTO_APPLY", "false")
    return Machine(capsys)


@pytest.fixture(scope="session")
def whole_stack(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Engine() as engine, running_stack(tmp_path_factory.mktemp("stack"), asterisk_image, engine) as stack:
        yield stack


@pytest.fixture
def stack(whole_stack: Stack) -> Stack:
    """All of it up and in sync, phones registered, extensions as the demo has them."""
    restore(whole_stack)
    return whole_stack
