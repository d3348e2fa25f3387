"""Which process runs the control plane, as its file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control_plane.bootstrap.locks import PidFile
from control_plane.errors import LabError


def test_a_file_that_a_crash_left_behind_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "control-plane.pid").write_text("1 4026531836\n")
    left = PidFile(tmp_path)
    assert left.running() is None
    left.require_in_sight()
    left.require_free()


def test_the_holder_is_named_and_a_second_one_refused(tmp_path: Path) -> None:
    holder = PidFile(tmp_path)
    holder.hold()
    other = PidFile(tmp_path)
    assert other.running() == os.getpid()
    other.require_in_sight()
    with pytest.raises(LabError, match=rf"runs already \(process {os.getpid()}\)"):
        other.hold()


def test_a_holder_in_a_container_is_not_taken_for_the_process_of_that_number_here(tmp_path: Path) -> None:
    holder = PidFile(tmp_path)
    holder.hold()
    holder.path.write_text("7 4000000000\n")
    with pytest.raises(LabError, match="runs in a container: stop it there"):
        PidFile(tmp_path).require_in_sight()


def test_the_holder_tells_what_it_runs(tmp_path: Path) -> None:
    assert PidFile(tmp_path).version() == ""
    holder = PidFile(tmp_path)
    holder.hold("abc123")
    assert PidFile(tmp_path).version() == "abc123"
    assert PidFile(tmp_path).running() == os.getpid()


def test_a_file_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "control-plane.pid").mkdir()
    with pytest.raises(LabError, match=r"control-plane\.pid cannot be used .*: run this as the user"):
        PidFile(tmp_path).hold()
    with pytest.raises(LabError, match="cannot be used"):
        PidFile(tmp_path).running()
