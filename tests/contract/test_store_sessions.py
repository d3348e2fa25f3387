"""Log-ins in the database behind their port, on every database it supports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control_plane.ports import Session
from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import BACKENDS, fresh_location

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def session(ident: str, hours: float = 1) -> Session:
    return Session(ident, "ann@example.com", "digest", "mark", NOW + timedelta(hours=hours))


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    with fresh_location(request.param, tmp_path) as location:
        opened = await open_store(location, SteppingClock())
        yield opened
        await opened.close()


async def test_a_log_in_is_found_until_it_ends(store: SqlStore) -> None:
    await store.sessions.begin(session("a"), NOW)
    assert await store.sessions.find("a") == session("a")
    await store.sessions.end("a")
    await store.sessions.end("a")
    assert await store.sessions.find("a") is None
    assert await store.sessions.seen() == {"account ann@example.com": NOW}


async def test_expired_ones_are_forgotten_with_the_next(store: SqlStore) -> None:
    await store.sessions.begin(session("a", hours=1), NOW)
    await store.sessions.begin(session("b", hours=3), NOW)
    await store.sessions.begin(session("c", hours=9), NOW + timedelta(hours=1))
    assert await store.sessions.find("a") is None
    assert await store.sessions.find("b") == session("b", hours=3)


async def test_the_last_use_is_kept_and_makes_no_revision(store: SqlStore) -> None:
    await store.sessions.note_seen("token a", NOW)
    await store.sessions.note_seen("token a", NOW + timedelta(minutes=1))
    assert await store.sessions.seen() == {"token a": NOW + timedelta(minutes=1)}
    assert await store.revision() == 0
