"""How long the store takes, on a file in the temporary directory: `python -m tests.bench.store [SIZE ...]`.

One JSON line per figure. The baseline of a change is the same row written and committed by Python's own
sqlite3 with the same durability, so the ratio is what history, model and the asynchronous driver cost.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import many, places, put

SIZES = (100, 1_000, 10_000)
CHANGES = 200


def report(name: str, n: int, samples_s: Sequence[float], baseline_s: float | None = None) -> None:
    ordered = sorted(samples_s)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    figures = {"name": name, "n": n, "p50": round(p50 * 1e3, 3), "p95": round(p95 * 1e3, 3), "unit": "ms"}
    if baseline_s is not None:
        figures |= {"baseline": round(baseline_s * 1e3, 3), "ratio": round(p50 / baseline_s, 2)}
    print(json.dumps(figures), flush=True)


async def change_one(store: SqlStore, number: int) -> float:
    """Seconds for one transaction that turns DND of one extension over."""
    started = time.perf_counter()
    async with store.transaction("bench") as transaction:
        old = transaction.model.extensions["acme", str(100_000 + number)]
        transaction.put(old.model_copy(update={"dnd": not old.dnd}))
    return time.perf_counter() - started


async def read_one(store: SqlStore) -> float:
    started = time.perf_counter()
    await store.snapshot()
    return time.perf_counter() - started


def bare_change(database: Path) -> float:
    """Median seconds of the bare UPDATE and commit."""
    samples = []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        for number in range(CHANGES):
            started = time.perf_counter()
            connection.execute(
                "UPDATE extensions SET dnd = 1 - dnd WHERE org = 'acme' AND key = ?",
                (str(100_000 + number % 100),),
            )
            samples.append(time.perf_counter() - started)
    return sorted(samples)[CHANGES // 2]


async def measure(size: int, database: Path) -> None:
    store = await open_store(database, SteppingClock())
    await put(store, *places())
    started = time.perf_counter()
    await put(store, *many(size))
    report("store.write_all_in_one_transaction", size, [time.perf_counter() - started])
    await store.close()

    loads = []
    for _ in range(3):
        store = await open_store(database, SteppingClock())
        loads.append(await read_one(store))
        if len(loads) < 3:
            await store.close()
    report("store.load_whole_model", size, loads)
    changes = [await change_one(store, number % size) for number in range(CHANGES)]
    report("store.change_one_extension", size, changes, bare_change(database))
    report("store.snapshot_nothing_new", size, [await read_one(store) for _ in range(CHANGES)])
    await store.close()


def main() -> None:
    for size in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(measure(size, Path(directory) / "state" / "bench.db"))


if __name__ == "__main__":
    main()
