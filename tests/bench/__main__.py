"""`python -m tests.bench`: every figure, one JSON line each on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from control_plane.adapters.engine import docker
from control_plane.render.artefacts import OWNED_ROWS
from tests.bench import calls, changes, lookups, numbers, provisioning, pushes
from tests.bench.child import Plane, plane_of
from tests.bench.figures import Report, say
from tests.bench.load import Load, Loaded, made
from tests.bench.raw_ami import RawAmi
from tests.bench.sip import Registrar
from tests.lab import RunningLab, remove_orphans, running_lab_in

SIZES = "100,1000,10000"
GROUPS = (
    "push",
    "audit",
    "memory",
    "dnd",
    "password",
    "register",
    "calls",
    "explain",
    "mailboxes",
    "provisioning",
    "numbers",
)
PUSHES = {100: 5, 1_000: 4, 10_000: 3}


class Bench:
    """One size on one fresh lab."""

    def __init__(self, report: Report, only: frozenset[str], lab: RunningLab, scratch: Path) -> None:
        self.report = report
        self.only = only
        self.lab = lab
        self.scratch = scratch
        settings = lab.settings
        self.ami = RawAmi(
            settings.ami_host, settings.ami_port, settings.ami_user, lab.secrets.ami.get_secret_value()
        )

    def wants(self, *groups: str) -> bool:
        return bool(self.only.intersection(groups))

    def run(self, n: int) -> None:
        """Every wanted figure at `n` extensions."""
        loaded = made(n, Load.PLAIN, self.lab.settings, self.scratch)
        if self.wants("explain"):
            lookups.explains(self.report, loaded)
        if self.wants("push", "audit", "memory", "dnd", "password", "register"):
            self.pushed(loaded)
        if self.wants("calls"):
            if not self.wants("push", "audit", "memory", "dnd", "password", "register"):
                self.pushed(loaded)
            calls.calls(self.report, loaded, self.lab, asterisk_pid(self.lab))
        if self.wants("mailboxes"):
            self.pushed(made(n, Load.MAILBOX, self.lab.settings, self.scratch))

    def pushed(self, loaded: Loaded) -> None:
        """What needs the model in Asterisk and the control plane running."""
        times = PUSHES.get(loaded.n, 3) if self.wants("push") and loaded.load is Load.PLAIN else 1
        bare, timings = [], []
        for count in range(times):
            say(f"first push, {loaded.n} extensions, {loaded.load}")
            bare.append(pushes.bare_push(self.ami, loaded, self.lab.settings.node))
            self.ami.wipe(OWNED_ROWS)
            loaded.copy_to(self.lab.settings.state_dir)
            with plane_of(self.lab) as plane:
                timings.append(plane.push)
                if count == times - 1:
                    if self.wants("push"):
                        pushes.report_push(self.report, loaded, timings, bare)
                    self.running(loaded, plane)

    def running(self, loaded: Loaded, plane: Plane) -> None:
        """What is measured on a control plane that has pushed."""
        if self.wants("memory"):
            pushes.memory(self.report, plane, loaded)
        if self.wants("audit"):
            pushes.audits(self.report, plane, self.ami, loaded)
        if loaded.load is Load.MAILBOX:
            return
        if self.wants("dnd"):
            changes.dnd(self.report, plane, self.ami, loaded, asterisk_pid(self.lab))
        settings = self.lab.settings
        host = settings.sip_address.rpartition(".")[0]
        with Registrar(f"{host}.10", (settings.sip_address, settings.sip_port)) as registrar:
            if self.wants("register"):
                changes.first_register(self.report, loaded, registrar, asterisk_pid(self.lab))
            if self.wants("password"):
                changes.password(self.report, plane, self.ami, loaded, registrar)


def asterisk_pid(lab: RunningLab) -> int:
    """The node's Asterisk on this machine: the only child of the container's init."""
    init = docker("inspect", "--format", "{{.State.Pid}}", lab.lab.node_name)
    children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
    return int(children[0])


def main() -> None:
    """Parse, and run each size on a lab of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sizes", default=SIZES, help=f"numbers of extensions (default {SIZES})")
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}")
    given = parser.parse_args()
    only = frozenset(given.only.split(","))
    if not only <= frozenset(GROUPS):
        parser.error(f"--only: {', '.join(sorted(only - frozenset(GROUPS)))} is none of {', '.join(GROUPS)}")
    remove_orphans()
    report = Report()
    if "provisioning" in only:
        provisioning.provisioning(report)
    sizes = given.sizes if only - {"provisioning", "numbers"} else ""
    for n in sorted(int(size) for size in sizes.split(",") if size):
        with tempfile.TemporaryDirectory(prefix="wirechief-bench-") as directory:
            say(f"starting a lab for {n} extensions")
            with running_lab_in(Path(directory) / "state", guard_max_failures=0) as lab:
                Bench(report, only, lab, Path(directory)).run(n)
    if "numbers" in only:
        with tempfile.TemporaryDirectory(prefix="wirechief-bench-") as directory:
            say(f"starting a lab for {numbers.NUMBERS} numbers")
            with running_lab_in(Path(directory) / "state", guard_max_failures=0) as lab:
                numbers.load(lab.settings, lab.settings.state_dir)
                with plane_of(lab) as plane:
                    numbers.measure(report, lab, plane)
    say("done")


if __name__ == "__main__":
    main()
