"""Opening the provisioning server's journal, which is an SQLite file of its own (docs/published-store.md)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, TypeVar

from control_plane.errors import PublishingFailed

T = TypeVar("T")

BUSY_S: Final = 5.0


async def in_journal(
    path: Path, work: Callable[[sqlite3.Connection], T], mode: Literal["ro", "rw"]
) -> T | None:
    """What `work` returns, done in a thread; None where there is no journal yet: it is never made here.

    Raises:
        PublishingFailed: it is there and cannot be used.
    """
    return await asyncio.to_thread(_work, path, work, mode)


def _work(path: Path, work: Callable[[sqlite3.Connection], T], mode: str) -> T | None:
    if not path.exists():
        return None
    try:
        address = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_S)) as db:
            return work(db)
    except (sqlite3.Error, OSError) as exc:
        raise PublishingFailed(f"The journal {path} cannot be used ({exc}).") from exc
