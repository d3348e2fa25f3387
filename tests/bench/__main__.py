"""Every figure of the project: one JSON line each on stdout, progress on stderr.

`name` and `n` say what was measured and at which size; `ratio` is to `baseline`, measured in the same run;
`met` says whether the goal holds. docs/performance.md tells how to read them.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from control_plane.adapters.containers import BOOTSTRAP
from control_plane.adapters.engine import docker, make_image
from control_plane.render.artefacts import OWNED_ROWS
from tests.bench import calls, changes, lookups, numbers, provisioning, publishing, pushes
from tests.bench.child import Plane, plane_of
from tests.bench.figures import Report, say
from tests.bench.load import Load, Loaded, made
from tests.bench.raw_ami import RawAmi
from tests.bench.sip import Registrar
from tests.lab import RunningLab, remove_orphans, running_lab_in

SIZES = "100,1000,10000"
GROUPS = {
    "push": "first push from empty, and its parts",
    "audit": "audit without drift",
    "memory": "of the control plane; with mailboxes and with handsets where those are wanted too",
    "dnd": "PATCH of a setting until Asterisk has it",
    "password": "PATCH of a password until the phone registers with it",
    "register": "first REGISTER of a new device",
    "calls": "what a call costs on the full path, against a bare Dial()",
    "explain": "decisions explained without a call",
    "mailboxes": "push, audit and memory with a mailbox for each extension",
    "handsets": "memory with a handset for each extension, all published",
    "publishing": "first publication, one changed handset, audit, memory",
    "provisioning": "requests to the provisioning server, and a boot storm (10 000 devices)",
    "numbers": "lists and allocation of 50 000 numbers",
}
PLANE = ("push", "audit", "memory", "dnd", "password", "register")
"""What is measured on a control plane that has pushed."""
ALONE = frozenset({"publishing", "provisioning", "numbers"})
"""What needs no lab of one size."""
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
        if self.wants(*PLANE):
            self.pushed(loaded)
        if self.wants("calls"):
            if not self.wants(*PLANE):
                self.pushed(loaded)
            calls.calls(self.report, loaded, self.lab, asterisk_pid(self.lab))
        if self.wants("handsets"):
            self.published(made(n, Load.HANDSET, self.lab.settings, self.scratch))
        if self.wants("mailboxes"):  # last: mailboxes are in no row, so nothing wipes them for who comes next
            self.pushed(made(n, Load.MAILBOX, self.lab.settings, self.scratch))

    def published(self, loaded: Loaded) -> None:
        """The memory of a control plane that has pushed and published."""
        say(f"first push and publication, {loaded.n} extensions, {loaded.load}")
        self.ami.wipe(OWNED_ROWS)
        loaded.copy_to(self.lab.settings.state_dir)
        with plane_of(self.lab) as plane:
            pushes.memory_published(self.report, plane, loaded)

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
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        epilog="groups:\n" + "\n".join(f"  {name:<14}{what}" for name, what in GROUPS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", default=SIZES, help=f"numbers of extensions (default {SIZES})")
    parser.add_argument("--only", default=",".join(GROUPS), help="some of the groups, with commas between")
    given = parser.parse_args()
    only = frozenset(given.only.split(","))
    if not only <= GROUPS.keys():
        parser.error(f"--only: {', '.join(sorted(only - GROUPS.keys()))} is none of {', '.join(GROUPS)}")
    sizes = sorted(int(size) for size in given.sizes.split(","))
    make_image(BOOTSTRAP, say)
    remove_orphans()
    report = Report()
    if "provisioning" in only:
        provisioning.provisioning(report)
    for n in sizes if "publishing" in only else ():
        publishing.publishing(report, n)
    for n in sizes if only - ALONE else ():
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
