"""The provisioning server over real sockets: what a handset that is ours gets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.provisioning import Server, digest, serving
from tests.published import Entry, File, Publisher, sha256

MAC = "805ec0a1b2c3"
CONFIG = File(b"#!version:1.0.0.1\naccount.1.password = s3cret\n", secret=True)
PHONE = Entry(
    MAC,
    {
        f"{MAC}.cfg": CONFIG,
        "phonebook.xml": File(b"<AddressBook/>", content_type="application/xml"),
    },
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as running:
        running.publisher.publish(PHONE, common={"y000000000096.cfg": File(b"#!version:1.0.0.1\n")})
        yield running


async def test_a_handset_gets_its_file_by_token_and_login(server: Server) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        answer = await client.get(PHONE.path(f"{MAC}.cfg"))
    assert answer.status_code == 200
    assert answer.content == CONFIG.content
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == str(len(CONFIG.content))
    assert "transfer-encoding" not in answer.headers
    assert "content-encoding" not in answer.headers
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        f"{MAC.upper()}.CFG",
        f"{MAC}.cfg?model=T54W&x=1",
        f"/{MAC}.cfg",
        "80-5E-C0-A1-B2-C3.cfg",
        "directory/phonebook.xml",
        f"{MAC}.cfg/phonebook.xml",
        "y000000000096.cfg",
    ],
)
async def test_names_as_handsets_spell_them(server: Server, path: str) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        assert (await client.get(PHONE.path(path))).status_code == 200


async def test_a_missing_file_is_a_real_404_and_a_common_one_needs_no_login(server: Server) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        assert (await client.get(PHONE.path(f"{MAC}.boot"))).status_code == 404
    async with server.client() as client:
        assert (await client.get("/c/y000000000096.cfg")).content == b"#!version:1.0.0.1\n"
        assert (await client.get("/c/ca.crt")).text.startswith("-----BEGIN CERTIFICATE-----")
        assert (await client.get("/c/none.cfg")).status_code == 404


async def test_basic_is_taken_over_tls_only(server: Server) -> None:
    async with server.client(auth=PHONE.login) as client:
        assert (await client.get(PHONE.path(f"{MAC}.cfg"))).status_code == 200
    async with server.plain(auth=PHONE.login) as client:
        answer = await client.get(PHONE.path("phonebook.xml"))
        assert answer.status_code == 401
        assert all(offer.startswith("Digest ") for offer in answer.headers.get_list("www-authenticate"))


async def test_a_secret_goes_over_tls_only_unless_the_site_allows_it(server: Server) -> None:
    async with server.plain(auth=digest(PHONE)) as client:
        assert (await client.get(PHONE.path("phonebook.xml"))).status_code == 200
        assert (await client.get(PHONE.path(f"{MAC}.cfg"))).status_code == 403
        server.publisher.publish(Entry(MAC, PHONE.files, plain=True))
        assert (await client.get(PHONE.path(f"{MAC}.cfg"))).status_code == 200


async def test_an_unchanged_file_is_304_and_a_head_has_no_body(server: Server) -> None:
    etag = f'"{sha256(CONFIG.content)}"'
    async with server.client(auth=digest(PHONE)) as client:
        head = await client.head(PHONE.path(f"{MAC}.cfg"))
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
        assert head.headers["content-length"] == str(len(CONFIG.content))
        for matching in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = await client.get(PHONE.path(f"{MAC}.cfg"), headers={"If-None-Match": matching})
            assert (answer.status_code, answer.content) == (304, b"")
        other = await client.get(PHONE.path(f"{MAC}.cfg"), headers={"If-None-Match": '"other"'})
        assert other.status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-3", 206, CONFIG.content[:4]),
        ("bytes=5-", 206, CONFIG.content[5:]),
        ("bytes=-4", 206, CONFIG.content[-4:]),
        ("bytes=0-999999", 206, CONFIG.content),
        (f"bytes={len(CONFIG.content)}-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=3-1", 200, CONFIG.content),
        ("bytes=0-1,3-4", 200, CONFIG.content),
        ("bytes=-", 200, CONFIG.content),
        ("lines=1-2", 200, CONFIG.content),
    ],
)
async def test_a_single_range(server: Server, asked: str, status: int, body: bytes) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        answer = await client.get(PHONE.path(f"{MAC}.cfg"), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, body)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_only_reading_is_allowed(server: Server, method: str) -> None:
    async with server.client(auth=PHONE.login) as client:
        answer = await client.request(method, PHONE.path(f"{MAC}-local.cfg"), content=b"x" * 100_000)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"
        assert (await client.get(PHONE.path(f"{MAC}.cfg"))).status_code == 200


async def test_a_publication_counts_at_once(server: Server) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        await client.get(PHONE.path(f"{MAC}.cfg"))
        for number in range(5):
            server.publisher.publish(Entry(MAC, {f"{MAC}.cfg": File(b"%d" % number)}))
            assert (await client.get(PHONE.path(f"{MAC}.cfg"))).content == b"%d" % number
            assert (await client.get(PHONE.path("phonebook.xml"))).status_code == 404


async def test_who_asks_while_a_publication_is_written_gets_the_one_before(server: Server) -> None:
    async with server.client(auth=digest(PHONE)) as client:
        under_way = server.publisher.begin()
        under_way.execute("UPDATE files SET content = 'half' WHERE mac = ?", (MAC,))
        assert (await client.get(PHONE.path(f"{MAC}.cfg"))).content == CONFIG.content
        under_way.execute("ROLLBACK")


async def test_a_rotation_takes_both_until_it_is_over(server: Server) -> None:
    old = PHONE
    fresh = Entry(
        MAC,
        PHONE.files,
        token="new-token-0123456789abcdef",
        token_previous=old.clear_token,
        user="new",
        password="fresh-password",
        previous=old.login,
    )
    server.publisher.publish(fresh)
    for token in (old, fresh):
        for login in (old, fresh):
            async with server.client(auth=digest(login)) as client:
                assert (await client.get(token.path(f"{MAC}.cfg"))).status_code == 200
    server.publisher.publish(
        Entry(MAC, PHONE.files, token=fresh.token, user="new", password="fresh-password")
    )
    for token, login in ((old, fresh), (fresh, old)):
        async with server.client(auth=digest(login)) as client:
            assert (await client.get(token.path(f"{MAC}.cfg"))).status_code == 401


async def test_what_was_fetched_is_in_the_journal(server: Server) -> None:
    headers = {"User-Agent": "Yealink SIP-T54W 96.86.0.70 80:5e:c0:a1:b2:c3 \xe9".encode("latin-1")}
    async with server.client(auth=digest(PHONE), headers=headers) as client:
        for _ in range(3):
            await client.get(PHONE.path(f"{MAC}.cfg"))
    rows = await server.journalled(
        "SELECT mac, name, etag, scheme, user_agent FROM fetches WHERE status = 200"
    )
    agent = "Yealink SIP-T54W 96.86.0.70 80:5e:c0:a1:b2:c3 ?"
    assert rows == [(MAC, f"{MAC}.cfg", sha256(CONFIG.content), "https", agent)]
    bound = await server.journalled("SELECT mac, certificate, network FROM bound")
    assert bound == [(MAC, None, "127.0.0.0/24")]


async def test_a_store_put_in_place_of_another_is_read(server: Server, tmp_path: Path) -> None:
    other = Publisher(tmp_path / "other.sqlite3")
    other.publish(Entry(MAC, {f"{MAC}.cfg": File(b"restored")}))
    other.close()
    server.publisher.close()
    for suffix in ("-wal", "-shm"):
        server.settings.store_path.with_name(server.settings.store_path.name + suffix).unlink(missing_ok=True)
    (tmp_path / "other.sqlite3").replace(server.settings.store_path)
    async with server.client(auth=digest(PHONE)) as client:
        while (answer := await client.get(PHONE.path(f"{MAC}.cfg"))).content != b"restored":
            assert answer.status_code in (200, 503)


async def test_without_a_store_handsets_are_told_to_come_again(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, store=tmp_path / "nothing" / "store.sqlite3") as running,
        running.client() as client,
    ):
        running.publisher.close()
        for path in running.settings.store_path.parent.iterdir():
            path.unlink()
        answer = await client.get(PHONE.path(f"{MAC}.cfg"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
