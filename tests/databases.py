"""Databases with the newest schema and nothing in them: made once, then copied.

Running every migration takes a tenth of a second and more, which hundreds of tests would each pay. Those that
are about the migrations open a file that is not there yet instead.
"""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from control_plane.adapters.clock import SystemClock
from control_plane.store import open_store


def migrated_file(path: Path) -> Path:
    """`path`, where an SQLite database with all its tables and no rows now is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())
    return path


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(1) as other_thread:
        path = Path(directory) / "wirechief.db"
        other_thread.submit(asyncio.run, _make(path)).result()  # this one may be running a loop already
        assert [file.name for file in path.parent.iterdir()] == [path.name], "more than the one file"
        return path.read_bytes()


async def _make(path: Path) -> None:
    await (await open_store(path, SystemClock())).close()
