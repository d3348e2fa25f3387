"""Who runs, and who may push: locks that die with their holder."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.bootstrap.locks import PidFile, exclusive_on
from control_plane.errors import LabError
from tests.session import ROOT

HOLD = (
    "import sys, pathlib\n"
    "from control_plane.bootstrap.locks import PidFile\n"
    "held = PidFile(pathlib.Path(sys.argv[1])); held.hold()\n"
    "print('held', flush=True); sys.stdin.read()"
)


def holder(directory: Path) -> subprocess.Popen[str]:
    """A process that runs until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_process_is_known_for_as_long_as_it_lives_and_not_longer(tmp_path: Path) -> None:
    pid_file = PidFile(tmp_path)
    assert pid_file.running() is None
    with holder(tmp_path) as process:
        assert pid_file.running() == process.pid
        with pytest.raises(LabError, match=rf"runs already \(process {process.pid}\)"):
            PidFile(tmp_path).hold()
        process.kill()
        process.wait()
    assert (tmp_path / "control-plane.pid").exists()
    assert pid_file.running() is None


def test_a_file_that_a_crash_left_behind_names_nobody_and_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "control-plane.pid").write_text("1\n")  # always somebody else
    assert PidFile(tmp_path).running() is None
    with holder(tmp_path) as process:
        assert PidFile(tmp_path).running() == process.pid
        process.communicate()
    assert stat.S_IMODE((tmp_path / "control-plane.pid").stat().st_mode) & 0o022 == 0


async def test_two_pushes_to_one_node_come_one_after_the_other(tmp_path: Path) -> None:
    order: list[str] = []

    async def push(name: str) -> None:
        async with exclusive_on(tmp_path, "lab")():
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(push("a"), push("b"))
    assert sorted(order[:2]) == [f"{order[0][0]} begins", f"{order[0][0]} ends"]
    assert len(order) == 4


async def test_pushes_to_different_nodes_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with asyncio.timeout(5), exclusive_on(tmp_path, "one")(), exclusive_on(tmp_path, "two")():
        pass


async def test_a_lock_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "push-lab.lock").mkdir()
    with pytest.raises(LabError, match=r"push-lab\.lock cannot be used .*: run this as the user"):
        async with exclusive_on(tmp_path, "lab")():
            pytest.fail("it was taken")
