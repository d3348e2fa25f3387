"""The provisioning server's journal: what a flush writes, and where it ends."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from provisioning_server.journal import NAMES_PER_DEVICE, ROWS_AT_ONCE, Fetch, Journal

MAC = "805ec0000001"
OTHER = "805ec0000002"


def fetch(name: str, mac: str = MAC, **more: Any) -> Fetch:
    return Fetch(mac, name, 200, "https", "127.0.0.1", "Yealink", **more)


async def written(path: Path, *rounds: list[Fetch]) -> list[dict[str, Any]]:
    """The journal's rows after each round was flushed."""
    journal = Journal(path)
    await journal.open()
    try:
        for fetches in rounds:
            for each in fetches:
                journal.fetched(each)
            await journal.flush()
    finally:
        await journal.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM fetches ORDER BY mac, name")]


async def test_a_fetch_is_kept_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    began = time.time()
    rows = await written(
        tmp_path / "journal",
        [Fetch(MAC, "a\n.cfg", 404, "http", "::1", "Ü" * 300, etag="e", version="v")],
    )
    at = datetime.fromisoformat(rows[0].pop("at"))
    assert at.utcoffset() == timedelta(0)
    assert began - 0.001 <= at.timestamp() <= time.time()
    assert rows == [
        {
            "mac": MAC,
            "name": "a?.cfg",
            "status": 404,
            "etag": "e",
            "version": "v",
            "scheme": "http",
            "address": "::1",
            "user_agent": "?" * 200,
            "count": 1,
        }
    ]


async def test_a_file_fetched_again_has_one_row_with_the_newest_and_how_often(tmp_path: Path) -> None:
    rows = await written(
        tmp_path / "journal",
        [fetch("a.cfg", etag="1"), fetch("a.cfg", etag="2")],
        [fetch("a.cfg", etag="3"), fetch("b.cfg")],
    )
    assert [(row["name"], row["etag"], row["count"]) for row in rows] == [
        ("a.cfg", "3", 3),
        ("b.cfg", None, 1),
    ]


async def test_more_than_fit_into_one_statement_are_all_written(tmp_path: Path) -> None:
    fetches = [fetch("a.cfg", f"{number:012x}") for number in range(1001)]
    rows = await written(tmp_path / "journal", fetches, fetches)
    assert [(row["mac"], row["count"]) for row in rows] == [(each.mac, 2) for each in fetches]


async def test_names_without_end_do_not_fill_the_disk(tmp_path: Path) -> None:
    """What is known is still written, and so are others."""
    many = [fetch(f"{number:04}.cfg") for number in range(3 * ROWS_AT_ONCE)]
    rows = await written(
        tmp_path / "journal", many[:NAMES_PER_DEVICE], [*many[-3:], many[0], fetch("a.cfg", OTHER)], many
    )
    mine = {row["name"]: row["count"] for row in rows if row["mac"] == MAC}
    assert mine == {each.name: 2 for each in many[:NAMES_PER_DEVICE]} | {many[0].name: 3}
    assert [row["name"] for row in rows if row["mac"] == OTHER] == ["a.cfg"]


async def test_a_flood_of_names_in_one_flush_ends_too(tmp_path: Path) -> None:
    rows = await written(tmp_path / "journal", [fetch(f"{number:04}.cfg") for number in range(2000)])
    assert NAMES_PER_DEVICE <= len(rows) <= NAMES_PER_DEVICE + ROWS_AT_ONCE


async def test_where_a_handset_is_bound_is_noted_anew_once_the_control_plane_erased_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    await journal.open()
    try:
        journal.bind(MAC, None, "192.0.2.0/24")
        await journal.flush()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("DELETE FROM bound")
        journal.fetched(fetch("a.cfg", OTHER))
        await journal.flush()
        assert not journal.is_bound(MAC)
        journal.bind(MAC, None, "198.51.100.0/24")
        await journal.flush()
    finally:
        await journal.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT network FROM bound").fetchall() == [("198.51.100.0/24",)]
