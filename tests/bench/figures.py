"""A figure: what was measured, against what, under which load, as one JSON line."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STARTED = time.monotonic()
SPIN_S = 0.05


def say(text: str) -> None:
    """Progress, for people, on stderr."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` of the samples do not exceed (nearest rank)."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Figure:
    """One measured quantity at one size.

    `baseline` is in `unit`; `ratio` is p50 / baseline unless a better one is known. `goal` is a sentence when
    the project set one, and `met` whether it holds. `notes` state the load and anything needed to read the
    number.
    """

    name: str
    n: int
    samples: tuple[float, ...]
    unit: str
    baseline: float | None = None
    goal: str | None = None
    met: bool | None = None
    notes: Mapping[str, object] = field(default_factory=dict)
    known_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        if self.known_ratio is not None:
            return self.known_ratio
        return self.p50 / self.baseline if self.baseline else None

    @property
    def p50(self) -> float:
        return percentile(self.samples, 0.5)

    @property
    def p95(self) -> float:
        return percentile(self.samples, 0.95)

    def line(self) -> str:
        """The JSON line."""
        return json.dumps(
            {
                "name": self.name,
                "n": self.n,
                "p50": _short(self.p50),
                "p95": _short(self.p95),
                "unit": self.unit,
                "baseline": _short(self.baseline),
                "ratio": _short(self.ratio),
                "samples": len(self.samples),
                "goal": self.goal,
                "met": self.met,
                "notes": {
                    **self.notes,
                    "load_average": round(os.getloadavg()[0], 2),
                    "cpu_share": cpu_share(),
                },
            }
        )


def cpu_share() -> float:
    """How much of a core this process gets when it wants a whole one; 1.0 on a machine that rests.

    Times on the clock grow with its inverse; CPU times and ratios do not.
    """
    began, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < SPIN_S:
        pass
    return round(SPIN_S / (time.perf_counter() - began), 2)


def _short(value: float | None) -> float | None:
    """Four digits that count."""
    return None if value is None else float(f"{value:.4g}")


class Report:
    """Prints each figure as soon as it is there, and compares sizes."""

    def __init__(self) -> None:
        self.figures: dict[tuple[str, int], Figure] = {}

    def add(self, figure: Figure) -> None:
        self.figures[figure.name, figure.n] = figure
        print(figure.line(), flush=True)

    def p95_at(self, name: str, n: int) -> float | None:
        """The p95 of a figure at another size, if it was measured in this run."""
        figure = self.figures.get((name, n))
        return figure.p95 if figure else None


def process_rss_mib(pid: int | str = "self") -> float:
    """Resident memory of a process (proc(5), VmRSS)."""
    return _status_mib(pid, "VmRSS")


def peak_rss_mib(pid: int | str = "self") -> float:
    """The most it ever was (VmHWM). Unlike ru_maxrss not that of the process that started it, where more."""
    return _status_mib(pid, "VmHWM")


def _status_mib(pid: int | str, name: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(kib) / 1024


def process_cpu_s(pid: int) -> float:
    """CPU seconds a process has used, threads that ended included (proc(5), utime + stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
