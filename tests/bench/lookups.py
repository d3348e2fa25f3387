"""How many calls a second can be explained without making them."""

from __future__ import annotations

import random
import time

from control_plane.callpath.explain import Circumstances, InsideCaller, explain
from tests.bench.figures import Figure, Report, say
from tests.bench.load import ORG, Loaded, key_of

BLOCKS, BLOCK_S = 8, 0.2


def explains(report: Report, loaded: Loaded) -> None:
    """Random pairs of extensions, blocks of BLOCK_S seconds."""
    say(f"explain, {loaded.n} extensions")
    dice = random.Random(loaded.n)
    pairs = [(key_of(dice.randrange(loaded.n)), key_of(dice.randrange(loaded.n))) for _ in range(1000)]
    here = Circumstances()
    samples = []
    for _ in range(BLOCKS):
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < BLOCK_S:
            caller, callee = pairs[done % len(pairs)]
            explain(loaded.model, InsideCaller(ORG, caller), callee, here)
            done += 1
        samples.append(done / (time.perf_counter() - began))
    notes: dict[str, object] = {"load": loaded.load.value, "call": "extension to extension, answered"}
    report.add(Figure("explain", loaded.n, tuple(samples), "1/s", notes=notes))
