"""Publishing to handsets: how long, how much processor time and how much memory, by the number of handsets.

Organisations of 100, one Yealink T54W for each extension, on files in the temporary directory. Each size has
processes of its own: one makes the database, the other is measured, so that its memory is only what it needs.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from control_plane.adapters.clock import SystemClock
from control_plane.adapters.published import PublishedFile
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher, PublisherOptions
from control_plane.asgi import COLLECT_AFTER
from control_plane.domain.entities import Entity, Organisation, Site
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.regions import RegionCode
from control_plane.store import SqlStore, open_store
from tests.bench.figures import Figure, Report, peak_rss_mib, percentile, process_rss_mib, say
from tests.bench.load import TENANT, handset
from tests.contract.stores import put
from tests.unit.handset_models import PLACE

T = TypeVar("T")

CHANGES = 200
AUDITS = 3
GOAL_SIZE = 10_000
ONE_GOAL_S, FIRST_GOAL_CPU_S, MEMORY_GOAL_MIB = 0.020, 20.0, 300
SAME = 1.5
"""What counts as independent of the number: the same factor as for a push (changes.py)."""


@dataclass(frozen=True)
class Measured:
    """What one size came to, in seconds and MiB."""

    first_s: float
    first_cpu_s: float
    bare_first_s: float
    audits_s: tuple[float, ...]
    audit_cpu_s: float
    changes_s: tuple[float, ...]
    change_cpu_s: float
    bare_change_s: float
    loaded_mib: float
    peak_mib: float
    store_mb: float


def entities(size: int) -> Iterator[Entity]:
    """A site, organisations, and one extension with its device and handset for each of `size`."""
    yield Site(id="hq", name="HQ", region=RegionCode.SG, time_zone="Asia/Singapore")
    for number in range(size):
        org, key = f"org-{number // TENANT}", str(100 + number % TENANT)
        if number % TENANT == 0:
            yield Organisation(id=org, name=org)
        ident = f"d{number:011d}"
        yield Extension(
            org=org, key=key, site="hq", label=f"Person {number}", voicemail_pin=SecretStr("4711")
        )
        yield Device(
            id=ident, org=org, extension=key, kind=DeviceKind.IP_PHONE, sip_password=SecretStr("p" * 24)
        )
        yield handset(number, org, key, "hq", ident)


def fill(directory: Path, size: int) -> None:
    """The database of one size."""

    async def filled() -> None:
        store = await open_store(directory / "bench.db", SystemClock())
        await put(store, *entities(size))
        await store.close()

    asyncio.run(filled())


def measure(directory: Path, size: int) -> Measured:
    """Every figure of one size, over a database that is there."""
    gc.set_threshold(*COLLECT_AFTER)  # as in earnest
    return asyncio.run(_measured(directory, size))


async def _measured(directory: Path, size: int) -> Measured:
    store = await open_store(directory / "bench.db", SystemClock())
    revision = (await store.snapshot()).revision
    loaded = process_rss_mib()
    path = directory / "published" / "store.sqlite3"
    published = PublishedFile(path, "realm")
    # Directories of colleagues follow later: what is measured is the handset that changed.
    options = PublisherOptions(settle_s=3600, audit_s=3600)
    publisher = Publisher(published, store, HandsetFiles(lambda: PLACE), options=options)
    began, cpu = time.perf_counter(), time.process_time()
    await publisher.apply()
    first_s, first_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    audits, cpu = [], time.process_time()
    for _ in range(AUDITS):
        began = time.perf_counter()
        plan = await publisher.plan()
        audits.append(time.perf_counter() - began)
        if not plan.is_empty:
            raise RuntimeError(f"the audit found {len(plan.steps)} differences: {plan.steps[0].reason}")
    audit_cpu_s = (time.process_time() - cpu) / AUDITS
    following = asyncio.create_task(publisher.run())
    await publisher.wait_published(revision, 60)
    changes = [await _change_one(store, publisher, number % size) for number in range(CHANGES)]
    following.cancel()
    await asyncio.wait([following])
    peak = peak_rss_mib()
    await published.close()
    await store.close()
    return Measured(
        first_s,
        first_cpu_s,
        _bare_first(path, directory / "bare.sqlite3"),
        tuple(audits),
        audit_cpu_s,
        tuple(wall for wall, _ in changes),
        percentile([used for _, used in changes], 0.5),
        _bare_replace(path),
        loaded,
        peak,
        path.stat().st_size / 1e6,
    )


async def _change_one(store: SqlStore, publisher: Publisher, number: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, from the commit of a label to its verified publication."""
    org, key = f"org-{number // TENANT}", str(100 + number % TENANT)
    async with store.transaction("bench") as transaction:
        old = transaction.model.extensions[org, key]
        transaction.put(old.model_copy(update={"label": f"{old.label} x"}))
    revision = await store.revision()
    began, cpu = time.perf_counter(), time.process_time()
    if not await publisher.wait_published(revision, 30):
        raise RuntimeError(f"revision {revision} was not published in 30 s: {publisher.state.last_error}")
    return time.perf_counter() - began, time.process_time() - cpu


def _bare_first(source: Path, target: Path) -> float:
    """Seconds for the same rows, written by Python's sqlite3 in one transaction each 200 handsets."""
    with closing(sqlite3.connect(source)) as db:
        schema = [sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
    began = time.perf_counter()
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        for sql in schema:
            db.execute(sql)
        db.execute("ATTACH ? AS source", (str(source),))
        macs = [mac for (mac,) in db.execute("SELECT mac FROM source.devices ORDER BY mac")]
        for first in range(0, len(macs), 200):
            among = (macs[first], macs[min(first + 199, len(macs) - 1)])
            db.execute("BEGIN IMMEDIATE")
            for table in ("devices", "files"):
                copy = f"INSERT INTO main.{table} SELECT * FROM source.{table} WHERE mac BETWEEN ? AND ?"  # noqa: S608
                db.execute(copy, among)
            db.execute("COMMIT")
    return time.perf_counter() - began


def _bare_replace(path: Path) -> float:
    """Median seconds of one handset's rows replaced and committed by Python's sqlite3."""
    samples = []
    mac = "805ec0000000"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = NORMAL")
        rows = list(db.execute("SELECT * FROM files WHERE mac = ?", (mac,)))
        device = db.execute("SELECT * FROM devices WHERE mac = ?", (mac,)).fetchone()
        for _ in range(CHANGES):
            began = time.perf_counter()
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM files WHERE mac = ?", (mac,))
            db.execute("DELETE FROM devices WHERE mac = ?", (mac,))
            db.execute(f"INSERT INTO devices VALUES ({', '.join('?' * len(device))})", device)  # noqa: S608
            db.executemany(f"INSERT INTO files VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
            db.execute("COMMIT")
            samples.append(time.perf_counter() - began)
    return percentile(samples, 0.5)


def publishing(report: Report, size: int) -> None:
    """Every figure of publishing to `size` handsets."""
    with tempfile.TemporaryDirectory(prefix="wirechief-bench-") as name:
        directory = Path(name)
        say(f"publishing: {size} handsets")
        _apart(fill, directory, size)
        _report(report, size, _apart(measure, directory, size))


def _apart(work: Callable[[Path, int], T], directory: Path, size: int) -> T:
    """What `work` gives, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, directory, size).result()


def _report(report: Report, size: int, found: Measured) -> None:
    load = f"organisations of {TENANT}, one Yealink T54W each"
    goal = size == GOAL_SIZE
    report.add(
        Figure(
            "publish_first",
            size,
            (found.first_s,),
            "s",
            found.bare_first_s,
            f"at most {FIRST_GOAL_CPU_S:g} s of processor time" if goal else None,
            found.first_cpu_s <= FIRST_GOAL_CPU_S if goal else None,
            {
                "load": load,
                "cpu_s": round(found.first_cpu_s, 2),
                "cpu_ms_per_handset": round(found.first_cpu_s / size * 1000, 2),
                "published_mb": round(found.store_mb, 1),
                "baseline_is": "the same rows written to an empty file by sqlite3",
            },
        )
    )
    notes: dict[str, object] = {"load": load, "cpu_s": round(found.audit_cpu_s, 3)}
    report.add(Figure("publish_audit", size, found.audits_s, "s", notes=notes))
    smallest = min((n for name, n in report.figures if name == "publish_one"), default=size)
    before = report.figures.get(("publish_one", smallest))
    cpu_ms = found.change_cpu_s * 1000
    first_cpu_ms = float(str(before.notes["cpu_ms"])) if before is not None else cpu_ms
    report.add(
        Figure(
            "publish_one",
            size,
            found.changes_s,
            "s",
            found.bare_change_s,
            f"p95 at most {ONE_GOAL_S * 1000:g} ms, processor time at most {SAME:g} x that at {smallest}",
            percentile(found.changes_s, 0.95) <= ONE_GOAL_S and cpu_ms <= SAME * first_cpu_ms,
            {
                "load": load,
                "cpu_ms": round(cpu_ms, 2),
                f"cpu_to_{smallest}": round(cpu_ms / first_cpu_ms, 2),
                "baseline_is": "the same rows replaced and committed by sqlite3",
            },
        )
    )
    report.add(
        Figure(
            "publish_memory",
            size,
            (found.peak_mib,),
            "MiB",
            found.loaded_mib,
            f"at most {MEMORY_GOAL_MIB} MiB" if goal else None,
            found.peak_mib <= MEMORY_GOAL_MIB if goal else None,
            {"load": load, "baseline_is": "the same process with the model read"},
        )
    )
