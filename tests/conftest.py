"""Fixtures every tier with a real Asterisk shares."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from control_plane.adapters.containers import BOOTSTRAP
from control_plane.adapters.engine import make_image
from tests.lab import RunningLab, remove_orphans, running_lab_in

# How long an example takes says something about the machine, not about the code: `make bench` measures. What
# fails is shrunk, and not explained: that runs a heavy property some hundred times more for a few comments.
settings.register_profile("tests", deadline=None, phases=[phase for phase in Phase if phase != Phase.explain])
settings.load_profile("tests")


@pytest.fixture(scope="session")
def asterisk_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image, after getting this machine ready: engine, base image and all.

    Of several test processes one does it and the others wait: two would install the same packages at once.
    """
    with (tmp_path_factory.getbasetemp().parent / "getting-ready.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        image = make_image(BOOTSTRAP, print)
        remove_orphans()
    return image


@pytest.fixture(scope="session")
def running_lab(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """One fresh node and carrier for the whole session; tests leave no objects behind in it."""
    with running_lab_in(tmp_path_factory.mktemp("lab"), asterisk_image=asterisk_image) as running:
        yield running
