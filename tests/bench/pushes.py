"""First push from empty, audit without drift, memory."""

from __future__ import annotations

import time
from collections.abc import Sequence

from control_plane.render.artefacts import OWNED_ROWS
from tests.bench.child import Plane
from tests.bench.figures import Figure, Report, percentile, say
from tests.bench.load import Load, Loaded
from tests.bench.raw_ami import RawAmi

PUSH_GOAL_S, AUDIT_GOAL_S, GOAL_SIZE = 3.0, 1.0, 10_000
PARTS = {
    "look": "what Asterisk holds is read",
    "load": "the model is read from the database",
    "render": "the model is rendered",
    "plan": "compared with what Asterisk holds, and ordered",
    "push": "written",
    "verify": "read back",
    "settle": "each step's outcome is booked; here the push ends",
    "book": "digests of what was pushed are stored",
    "check": "PJSIP lists every endpoint",
    "sync": "PJSIP is reloaded once, to watch the new devices",
}
AUDITS = {100: 30, 1_000: 20, 10_000: 8}


def suffix(load: Load) -> str:
    return "" if load is Load.PLAIN else "_with_mailboxes"


def bare_push(ami: RawAmi, loaded: Loaded, node: str) -> float:
    """Seconds to write the same rows, rendered before the clock starts, into an empty AstDB."""
    rows = loaded.rows(node)
    ami.wipe(OWNED_ROWS)
    began = time.perf_counter()
    ami.put(rows)
    return time.perf_counter() - began


def report_push(
    report: Report, loaded: Loaded, pushes: Sequence[dict[str, tuple[float, float]]], bare: Sequence[float]
) -> None:
    """The whole push and each part of it."""
    name, n = f"first_push{suffix(loaded.load)}", loaded.n
    walls = tuple(push["total"][0] for push in pushes)
    goal = n == GOAL_SIZE and loaded.load is Load.PLAIN
    report.add(
        Figure(
            name,
            n,
            walls,
            "s",
            percentile(bare, 0.5),
            f"at most {PUSH_GOAL_S:g} s" if goal else None,
            percentile(walls, 0.5) <= PUSH_GOAL_S if goal else None,
            {
                "load": loaded.load.value,
                "control_plane_cpu_s": _cpu(pushes, "total"),
                "baseline_is": "pipelined DBPut of the same rows",
            },
        )
    )
    for part, meaning in PARTS.items():
        samples = tuple(push[part][0] for push in pushes)
        notes: dict[str, object] = {"what": meaning, "control_plane_cpu_s": _cpu(pushes, part)}
        report.add(Figure(f"{name}.{part}", n, samples, "s", notes=notes))


def _cpu(pushes: Sequence[dict[str, tuple[float, float]]], part: str) -> float:
    return round(percentile([push[part][1] for push in pushes], 0.5), 3)


def audits(report: Report, plane: Plane, ami: RawAmi, loaded: Loaded) -> None:
    """Audits that find nothing, against reading the same families."""
    times = AUDITS.get(loaded.n, 10)
    if loaded.load is Load.MAILBOX:
        times = max(3, times // 3)
    say(f"audit, {loaded.n} extensions, {loaded.load}")
    bare, samples, rows = [], [], 0
    for _ in range(times):
        began = time.perf_counter()
        rows = sum(ami.tree(family) for family in OWNED_ROWS)
        bare.append(time.perf_counter() - began)
        samples.append(plane.ask("audit")["took"])
    goal = loaded.n == GOAL_SIZE and loaded.load is Load.PLAIN
    report.add(
        Figure(
            f"audit{suffix(loaded.load)}",
            loaded.n,
            tuple(samples),
            "s",
            percentile(bare, 0.5),
            f"at most {AUDIT_GOAL_S:g} s" if goal else None,
            percentile(samples, 0.95) <= AUDIT_GOAL_S if goal else None,
            {"load": loaded.load.value, "rows": rows, "baseline_is": "DBGetTree of the same rows"},
        )
    )


def memory(report: Report, plane: Plane, loaded: Loaded) -> None:
    """Resident memory of the control plane after its first push; the baseline is before it."""
    report.add(
        Figure(
            f"memory{suffix(loaded.load)}",
            loaded.n,
            (plane.ask("memory")["memory"],),
            "MiB",
            plane.memory_before,
            notes={"load": loaded.load.value, "baseline_is": "the same process before the push"},
        )
    )


def memory_published(report: Report, plane: Plane, loaded: Loaded) -> None:
    """The same after the first publication, which runs beside the push."""
    published = plane.ask("publication")
    report.add(
        Figure(
            "memory_with_handsets",
            loaded.n,
            (plane.ask("memory")["memory"],),
            "MiB",
            plane.memory_before,
            notes={
                "load": loaded.load.value,
                "cpu_s_until_pushed_and_published": round(published["cpu"], 2),
                "baseline_is": "the same process before the push",
            },
        )
    )
