"""When a lab counts as running, for whoever asks by exit code."""

from __future__ import annotations

import pytest

from control_plane.adapters.containers import LabStatus
from control_plane.adapters.engine import ContainerState
from control_plane.bootstrap.lab import LabView

RUNNING, STOPPED, ABSENT = ContainerState.RUNNING, ContainerState.STOPPED, ContainerState.ABSENT


@pytest.mark.parametrize(
    ("containers", "control_plane", "runs"),
    [
        ((RUNNING, RUNNING), 4711, True),
        ((RUNNING, STOPPED), 4711, False),
        ((ABSENT, RUNNING), 4711, False),
        ((RUNNING, RUNNING), None, False),
        ((ABSENT, ABSENT), None, False),
        ((ABSENT, ABSENT), 4711, True),  # beside an Asterisk that is not in a container of ours
        (None, 4711, True),  # no container engine
        (None, None, False),
    ],
)
def test_a_lab_runs_when_the_control_plane_and_its_containers_do(
    containers: tuple[ContainerState, ContainerState] | None, control_plane: int | None, runs: bool
) -> None:
    status = None if containers is None else LabStatus(*containers, ())
    assert LabView(status, None, control_plane, None, "", None, None).runs is runs
