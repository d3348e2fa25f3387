"""Publishing to handsets: `python -m tests.bench.publishing [SIZE ...]`. One JSON line per figure.

SIZE handsets in organisations of 100, on files in the temporary directory. The baseline of publishing one
changed handset is the same rows replaced and committed by Python's own sqlite3.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from control_plane.adapters.published import PublishedFile
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher, PublisherOptions
from control_plane.domain.entities import Entity, Organisation, Site
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.handsets import Handset
from control_plane.domain.regions import RegionCode
from control_plane.store import SqlStore, open_store
from tests.bench.store import report
from tests.contract.stores import SteppingClock, put
from tests.unit.handset_models import PLACE

SIZES = (100, 1_000, 10_000)
CHANGES = 200
TENANT = 100


def entities(size: int) -> Iterator[Entity]:
    yield Site(id="hq", name="HQ", region=RegionCode.SG, time_zone="Asia/Singapore")
    for number in range(size):
        org, key = f"org-{number // TENANT}", str(100 + number % TENANT)
        if number % TENANT == 0:
            yield Organisation(id=org, name=org)
        ident = f"d{number:011d}"
        yield Extension(org=org, key=key, site="hq", label=f"Person {number}", voicemail_pin="4711")
        yield Device(id=ident, org=org, extension=key, kind=DeviceKind.IP_PHONE, sip_password="p" * 24)
        yield Handset(
            mac=f"805ec0{number:06x}",
            model="T54W",
            org=org,
            site="hq",
            extension=key,
            device=ident,
            token=f"{number:040x}",
            http_user=f"user{number:08d}",
            http_password="h" * 24,
            admin_password="a" * 24,
        )


async def change_one(store: SqlStore, publisher: Publisher, number: int) -> float:
    """Seconds from the committed change of a label to its publication, verified."""
    org, key = f"org-{number // TENANT}", str(100 + number % TENANT)
    async with store.transaction("bench") as transaction:
        old = transaction.model.extensions[org, key]
        transaction.put(old.model_copy(update={"label": f"{old.label} x"}))
    revision = await store.revision()
    started = time.perf_counter()
    assert await publisher.wait_published(revision, 30)
    return time.perf_counter() - started


def bare_replace(path: Path) -> float:
    """Median seconds of one handset's rows replaced and committed."""
    samples = []
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = NORMAL")
        rows = list(db.execute("SELECT * FROM files WHERE mac = '805ec0000000'"))
        device = db.execute("SELECT * FROM devices WHERE mac = '805ec0000000'").fetchone()
        for _ in range(CHANGES):
            started = time.perf_counter()
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM files WHERE mac = '805ec0000000'")
            db.execute("DELETE FROM devices WHERE mac = '805ec0000000'")
            db.execute(f"INSERT INTO devices VALUES ({', '.join('?' * len(device))})", device)  # noqa: S608
            db.executemany(f"INSERT INTO files VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
            db.execute("COMMIT")
            samples.append(time.perf_counter() - started)
    return sorted(samples)[CHANGES // 2]


async def measure(size: int, directory: Path) -> None:
    store = await open_store(directory / "bench.db", SteppingClock())
    await put(store, *entities(size))
    path = directory / "published" / "store.sqlite3"
    published = PublishedFile(path, "realm")
    # Directories of colleagues follow later: what is measured is the handset that changed.
    options = PublisherOptions(settle_s=3600, audit_s=3600)
    publisher = Publisher(published, store, HandsetFiles(lambda: PLACE), options=options)
    started = time.perf_counter()
    await publisher.apply()
    report("publishing.first", size, [time.perf_counter() - started])
    started = time.perf_counter()
    await publisher.plan()
    report("publishing.audit", size, [time.perf_counter() - started])
    following = asyncio.create_task(publisher.run())
    await publisher.wait_published(await store.revision(), 60)
    samples = [await change_one(store, publisher, number % size) for number in range(CHANGES)]
    following.cancel()
    await asyncio.wait([following])
    report("publishing.one_changed_handset", size, samples, bare_replace(path))
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{size} handsets: {path.stat().st_size / 1e6:.1f} MB published, {megabytes:.0f} MB peak",
        file=sys.stderr,
    )
    await published.close()
    await store.close()


def main() -> None:
    for size in [int(argument) for argument in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(measure(size, Path(directory)))


if __name__ == "__main__":
    main()
