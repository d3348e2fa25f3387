"""The published store, file and fake: what is written is read back, all at once or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from control_plane.adapters.published import JournalFile, PublishedFile
from control_plane.errors import PublishingFailed
from control_plane.ports import PublishedStore
from control_plane.render.handsets.publication import Publication, publication_of, version_of
from control_plane.render.handsets.setup import HandsetFile
from provisioning_server.store import PublishedStore as ReadStore
from tests.contract.fake_published import FakePublished

MAC, OTHER = "805ec0123456", "805ec0123457"


DIRECTORY = b"<directory>" + b"<entry/>" * 500 + b"</directory>"


def publication(
    mac: str = MAC,
    content: bytes = b"account.1.password = x\n",
    token: str = "a" * 64,
    directory: bytes = DIRECTORY,
) -> str:
    files = (
        HandsetFile(f"{mac}.cfg", content, "text/plain", secret=True),
        HandsetFile(f"{mac}.cfg", b"bootstrap", "text/plain", bootstrap=True),
        HandsetFile("logo.bin", b"\xff\x00\xfe", "application/octet-stream"),
        HandsetFile("directory.xml", directory, "application/xml"),
    )
    row = {
        "vendor": "yealink", "family": "yealink-t", "model": "SIP-T54W", "state": "enabled", "token": token,
        "token_previous": None, "auth": "digest", "user": "u", "ha1": "b" * 32, "user_previous": None,
        "ha1_previous": None, "ha1_sha256": "c" * 64, "ha1_sha256_previous": None, "allowed": "[]",
        "plain": 0, "certificate": "off", "window_id": None,
        "window_until": None, "user_agent": "", "version": version_of(files), "sequence": 7,
    }  # fmt: skip
    return Publication(row, files).text()


COMMON = Publication({}, (HandsetFile("y000000000096.cfg", b"#!version:1.0.0.1\n", "text/plain"),)).text()


@pytest.fixture(params=["file", "fake"])
async def published(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[PublishedStore]:
    if request.param == "fake":
        yield FakePublished()
        return
    made = PublishedFile(tmp_path / "published" / "store.sqlite3", "realm")
    yield made
    await made.close()


async def test_what_is_written_is_read_back_as_the_same_text(published: PublishedStore) -> None:
    texts = {MAC: publication(), "common/y000000000096.cfg": COMMON}
    assert await published.read() == {}
    await published.replace(texts)
    assert await published.read() == texts
    assert await published.read([MAC]) == {MAC: texts[MAC]}
    assert await published.read(["common/y000000000096.cfg", "nobody"]) == {
        "common/y000000000096.cfg": COMMON
    }


async def test_a_replaced_handset_has_no_file_of_before(published: PublishedStore) -> None:
    await published.replace({MAC: publication()})
    only = Publication(
        publication_of(publication()).device, (HandsetFile("new.cfg", b"1", "text/plain"),)
    ).text()
    await published.replace({MAC: only})
    assert await published.read() == {MAC: only}


async def test_a_token_passes_from_one_handset_to_another_in_one_write(published: PublishedStore) -> None:
    await published.replace({MAC: publication(token="a" * 64), OTHER: publication(OTHER, token="c" * 64)})
    swapped = {MAC: publication(token="c" * 64), OTHER: publication(OTHER, token="a" * 64)}
    await published.replace(swapped)
    assert await published.read() == swapped


async def test_none_withdraws(published: PublishedStore) -> None:
    await published.replace({MAC: publication(), "common/y000000000096.cfg": COMMON})
    await published.replace({MAC: None, "common/y000000000096.cfg": None, "never-there": None})
    assert await published.read() == {}


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[tuple[PublishedFile, Path]]:
    path = tmp_path / "published" / "store.sqlite3"
    made = PublishedFile(path, "realm")
    yield made, path
    await made.close()


def edit(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


def meta(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT key, value FROM meta"))


async def test_sha256_is_offered_as_soon_as_every_login_has_it(file: tuple[PublishedFile, Path]) -> None:
    """Rows an older program wrote have none, and a handset that was offered it would be refused."""
    published, path = file
    await published.replace({MAC: publication(), OTHER: publication(OTHER, token="d" * 64)})
    assert meta(path)["sha256"] == "1"
    await published.close()
    edit(path, "UPDATE devices SET ha1_sha256 = NULL WHERE mac = ?", OTHER)
    edit(path, "DELETE FROM meta WHERE key = 'sha256'")
    await published.replace({MAC: publication(content=b"x")})
    assert meta(path)["sha256"] == "0"
    await published.replace({OTHER: publication(OTHER, token="d" * 64)})
    assert meta(path)["sha256"] == "1"


async def test_all_of_a_write_or_nothing(file: tuple[PublishedFile, Path]) -> None:
    published, _ = file
    await published.replace({MAC: publication()})
    bad = Publication(dict(publication_of(publication(OTHER)).device) | {"state": "perhaps"}, ()).text()
    with pytest.raises(PublishingFailed):
        await published.replace({MAC: None, OTHER: bad})
    assert await published.read() == {MAC: publication()}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE files SET content = 'evil' WHERE secret = 1",
        "UPDATE files SET etag = 'x'",
        "UPDATE devices SET state = 'disabled'",
        "DELETE FROM files WHERE bootstrap = 1",
        "UPDATE contents SET content = 'evil'",
        "DELETE FROM contents",
        "DELETE FROM devices",
        "INSERT INTO files (mac, name, content, content_type, etag) SELECT mac, 1, 2, 3, 4 FROM devices",
    ],
)
async def test_every_edit_by_somebody_else_is_seen(file: tuple[PublishedFile, Path], statement: str) -> None:
    published, path = file
    await published.replace({MAC: publication()})
    edit(path, statement)
    assert await published.read() != {MAC: publication()}
    await published.replace({MAC: publication()})
    assert await published.read() == {MAC: publication()}, "and mended"


def contents(path: Path) -> list[bytes]:
    """What is shared."""
    with closing(sqlite3.connect(path)) as reader:
        return [row[0] for row in reader.execute("SELECT content FROM contents ORDER BY content")]


async def test_what_devices_have_alike_is_there_once_and_goes_with_the_last(
    file: tuple[PublishedFile, Path],
) -> None:
    published, path = file
    texts = {MAC: publication(), OTHER: publication(OTHER, token="b" * 64)}
    await published.replace(texts)
    assert contents(path) == [DIRECTORY], "no secret, no bootstrap, nothing small"
    assert await published.read() == texts
    renamed = publication(directory=DIRECTORY + b"<!-- -->")
    await published.replace({MAC: renamed})
    assert contents(path) == [DIRECTORY, DIRECTORY + b"<!-- -->"]
    await published.replace({OTHER: None})
    assert contents(path) == [DIRECTORY + b"<!-- -->"]
    assert await published.read() == {MAC: renamed}
    await published.replace({MAC: None})
    assert contents(path) == []


async def test_a_store_of_the_schema_before_is_taken_over_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    made = PublishedFile(path, "realm")
    texts = {MAC: publication(), "common/y000000000096.cfg": COMMON}
    await made.replace(texts)
    until = datetime.now(UTC) + timedelta(hours=1)
    await made.add_link("secret-token", MAC, "app.xml", until)
    await made.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(
            "CREATE TABLE old (mac TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL,"
            " content_type TEXT NOT NULL, etag TEXT NOT NULL, secret INTEGER NOT NULL DEFAULT 0,"
            " bootstrap INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mac, bootstrap, name)) WITHOUT ROWID;"
            "INSERT INTO old SELECT mac, name, COALESCE(content, (SELECT content FROM contents"
            " WHERE contents.etag = files.etag)), content_type, etag, secret, bootstrap FROM files;"
            "DROP TABLE files; DROP TABLE contents; ALTER TABLE old RENAME TO files;"
            "UPDATE meta SET value = '1' WHERE key = 'schema';"
        )
    before = ReadStore(path)
    before.refresh()
    served = before.file(MAC, "directory.xml")
    assert served is not None and served.content == DIRECTORY, "served while the control plane is not there"
    before.close()
    again = PublishedFile(path, "realm")
    assert await again.read() == texts
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM links").fetchone() == (1,)
    await again.replace({MAC: publication()})
    assert contents(path) == [DIRECTORY]
    after = ReadStore(path)
    after.refresh()
    shared = after.file(MAC, "directory.xml")
    assert shared is not None and shared.content == DIRECTORY
    assert after.file(OTHER, "directory.xml") is None, "it is its devices' alone"
    after.close()
    await again.close()


async def test_what_devices_have_alike_is_once_in_the_memory_of_who_serves_it(
    file: tuple[PublishedFile, Path],
) -> None:
    published, path = file
    await published.replace({MAC: publication(), OTHER: publication(OTHER, b"own = y\n", token="c" * 64)})
    server = ReadStore(path)
    server.refresh()
    one, other = (server.file(mac, "directory.xml") for mac in (MAC, OTHER))
    assert one is not None and other is not None
    assert one.content is other.content
    own = server.file(OTHER, f"{OTHER}.cfg")
    assert own is not None and own.content == b"own = y\n"
    directory = b"<directory/>"
    await published.replace({MAC: publication(directory=directory)})
    server.refresh()
    changed, same = (server.file(mac, "directory.xml") for mac in (MAC, OTHER))
    assert changed is not None and same is not None
    assert (changed.content, same.content) == (directory, DIRECTORY)
    server.close()


async def test_the_file_is_for_its_owner_and_a_reader_never_waits(file: tuple[PublishedFile, Path]) -> None:
    published, path = file
    await published.replace({MAC: publication()})
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        meta = dict(reader.execute("SELECT key, value FROM meta"))
    assert (meta["schema"], meta["realm"], meta["sequence"]) == ("2", "realm", "1")


async def test_a_store_removed_under_us_is_made_anew(file: tuple[PublishedFile, Path]) -> None:
    published, path = file
    await published.replace({MAC: publication()})
    for part in path.parent.iterdir():
        part.unlink()
    assert await published.read() == {}
    await published.replace({MAC: publication()})
    with closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM devices").fetchone() == (1,)


async def test_a_store_that_cannot_be_written_says_so_and_recovers(tmp_path: Path) -> None:
    place = tmp_path / "published"
    place.write_text("a file where the folder should be")
    published = PublishedFile(place / "store.sqlite3", "realm")
    with pytest.raises(PublishingFailed, match="check that its folder can be written"):
        await published.read()
    place.unlink()
    assert await published.read() == {}
    await published.close()


async def test_a_link_is_kept_as_a_digest(file: tuple[PublishedFile, Path]) -> None:
    published, path = file
    until = datetime.now(UTC) + timedelta(hours=1)
    await published.add_link("secret-token", MAC, "App.XML", until)
    with closing(sqlite3.connect(path)) as reader:
        ((token, mac, name, valid_until),) = reader.execute("SELECT * FROM links")
    assert (len(token), mac, name, valid_until) == (64, MAC, "app.xml", until.isoformat())


async def test_without_a_journal_nothing_was_fetched_and_with_one_the_newest_comes_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = JournalFile(path)
    assert (dict(await journal.fetches()), dict(await journal.bound()), await journal.spent()) == (
        {}, {}, frozenset(),
    )  # fmt: skip
    schema = (Path(__file__).parents[2] / "provisioning_server" / "journal.sql").read_text()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
        for name, at in (("a.cfg", "2026-01-01T10:00:00+00:00"), ("b.cfg", "2026-01-01T11:00:00+00:00")):
            db.execute(
                "INSERT INTO fetches (mac, name, at, status, scheme, address, user_agent) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (MAC, name, at, 200, "https", "127.0.0.1", "Yealink"),
            )
    found = await journal.fetches([MAC])
    assert [fetched.name for fetched in found[MAC]] == ["b.cfg", "a.cfg"]
    assert await journal.fetches([OTHER]) == {}


async def test_a_damaged_journal_is_an_error_and_not_silence(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(PublishingFailed, match="journal"):
        await JournalFile(path).fetches()


async def test_all_that_is_kept_of_a_handset_is_erased_and_what_it_used_up_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    journal = JournalFile(path)
    await journal.forget([MAC])
    assert await journal.macs() == frozenset() and not path.exists()
    schema = (Path(__file__).parents[2] / "provisioning_server" / "journal.sql").read_text()
    at = "2026-01-01T10:00:00+00:00"
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
        for mac in (MAC, OTHER):
            db.execute(
                "INSERT INTO fetches (mac, name, at, status, scheme, address, user_agent) "
                "VALUES (?, 'a.cfg', ?, 200, 'https', '127.0.0.1', 'Yealink')",
                (mac, at),
            )
            db.execute("INSERT INTO uploads (mac, name, at, sealed) VALUES (?, 'log', ?, x'00')", (mac, at))
        db.execute("INSERT INTO bound (mac, network, at) VALUES (?, '127.0.0.1/32', ?)", (MAC, at))
        db.execute("INSERT INTO spent (id, at, address) VALUES ('window', ?, '127.0.0.1')", (at,))
    assert await journal.macs() == {MAC, OTHER}
    await journal.forget([MAC])
    assert await journal.macs() == {OTHER} and dict(await journal.bound()) == {}
    assert await journal.spent() == {"window"}
