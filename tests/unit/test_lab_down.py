"""`lab down` ends what it can end as a whole, and else nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.bootstrap import lab
from control_plane.bootstrap.locks import PidFile
from control_plane.bootstrap.wiring import wire
from control_plane.errors import LabError
from control_plane.settings import Settings

HOLD = """
import sys
from pathlib import Path
from control_plane.bootstrap.locks import PidFile
held = PidFile(Path(sys.argv[1]))
held.hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_in_a_container_that_holds_one_of_the_two_processes_neither_is_ended(tmp_path: Path) -> None:
    wiring = wire(Settings(state_dir=tmp_path))
    (tmp_path / "provisioning").mkdir()
    elsewhere = PidFile(tmp_path / "provisioning", "provisioning.pid")
    elsewhere.hold()
    elsewhere.path.write_text("7 4000000000\n")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as here:
        assert here.stdout is not None
        assert here.stdout.readline() == "held\n"
        with pytest.raises(LabError, match=r"provisioning server .* runs in a container: stop it there"):
            lab.down(wiring, lambda _: None)
        assert wiring.pid_file.running() == here.pid
        assert here.poll() is None
