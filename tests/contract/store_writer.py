"""A process that writes revisions and prints each one it was told is committed, until it is killed.

Usage: python -m tests.contract.store_writer DATABASE
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import extension, places

BULK = 200
MAX_REVISIONS = 2_000


def label_of(revision: int) -> str:
    """The label every extension of a revision gets, so that a reader can tell which one it sees."""
    return f"revision {revision}"


async def write_until_killed(store: SqlStore) -> None:
    async with store.transaction("writer") as transaction:
        for place in places():
            transaction.put(place)
    for _ in range(MAX_REVISIONS):
        revision = await store.revision() + 1
        # Every third revision is large, so that kills land inside a commit and inside a checkpoint too.
        count = BULK if revision % 3 == 0 else 1
        async with store.transaction("writer") as transaction:
            for number in range(count):
                transaction.put(extension(str(1_000 + number), label=label_of(revision)))
        print(revision, flush=True)  # noqa: T201 - the parent reads it


async def main() -> None:
    store = await open_store(Path(sys.argv[1]), SteppingClock())
    await write_until_killed(store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
