"""Strangers at the provisioning server: what they cannot find out, and what they cannot get."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioning_server.app import LIMITED_S, REFUSED_S
from tests.provisioning import Server, digest, serving
from tests.published import REALM, Entry, File
from tests.security.raw_http import exchange, get, status, without_chance

MAC = "805ec0a1b2c3"
OTHER = "000b82112233"
SECRET = b"account.1.password = swordfish"
FILES = {f"{MAC}.cfg": File(SECRET, secret=True), "boot.cfg": File(b"open")}
PHONE = Entry(MAC, FILES)
DISABLED = Entry("805ec0a1b2c4", FILES, state="disabled")
ELSEWHERE = Entry("805ec0a1b2c5", FILES, allowed=("192.0.2.0/24",))
CERTIFIED = Entry("805ec0a1b2c6", FILES, certificate="required")
UNKNOWN = Entry("805ec0a1b2c7", FILES)
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
PAST = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
BOOTSTRAP = {
    f"{OTHER}.cfg": File(b"url = https://x/p/t/", bootstrap=True),
    "sip.cfg": File(SECRET, secret=True),
}


def enrolling(**more: object) -> Entry:
    given: dict[str, Any] = {"window_id": "window-1", "window_until": SOON, "files": BOOTSTRAP} | more
    return Entry(OTHER, **given)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, log_requests=True) as running:
        running.publisher.publish(PHONE, DISABLED, ELSEWHERE, CERTIFIED)
        yield running


def basic(entry: Entry) -> str:
    """A device's login as a header of Basic."""
    return "Authorization: Basic " + base64.b64encode(":".join(entry.login).encode()).decode()


async def test_who_is_refused_cannot_tell_why(server: Server) -> None:
    asked = [get(entry.path("boot.cfg")) for entry in (UNKNOWN, DISABLED, ELSEWHERE, CERTIFIED, PHONE)]
    for entry in (UNKNOWN, DISABLED, ELSEWHERE, CERTIFIED):
        asked.append(get(entry.path("boot.cfg"), basic(entry)))  # the right login, where there is one
    asked.append(get(PHONE.path("boot.cfg"), basic(UNKNOWN)))
    for tls in (True, False):
        answers = {without_chance(await exchange(server, request, tls=tls)) for request in asked}
        assert len(answers) == 1, answers
        assert status(answers.pop()) == 401


async def test_what_was_served_once_is_no_nearer_to_who_may_not_have_it(server: Server) -> None:
    """The server remembers whose a path is: all that is asked of who comes is asked again."""
    path = PHONE.path(f"{MAC}.cfg")
    right, wrong = get(path, basic(PHONE)), get(path, basic(UNKNOWN))
    for _ in range(2):
        assert status(await exchange(server, right)) == 200
        assert status(await exchange(server, get(path))) == 401
        assert status(await exchange(server, wrong)) == 401
        assert status(await exchange(server, right, tls=False)) == 401  # Basic is for TLS
        async with server.client(auth=httpx.DigestAuth(*PHONE.login)) as client:
            assert (await client.get(server.http + path)).status_code == 403  # a secret too
            assert (await client.get(server.https + path)).content == SECRET
    for changed in (
        replace(PHONE, files={f"{MAC}.cfg": File(b"new")}),
        replace(PHONE, state="disabled"),
        replace(PHONE, allowed=("192.0.2.0/24",)),
        replace(PHONE, token="another-token-of-the-same-device"),
        replace(PHONE, password="another"),
    ):
        server.publisher.publish(PHONE)
        assert (await exchange(server, right)).endswith(SECRET)
        server.publisher.publish(changed)
        answer = await exchange(server, right)
        assert SECRET not in answer
        assert status(answer) == (401 if changed.files is FILES else 200)


async def test_the_time_a_refusal_takes_says_nothing(server: Server) -> None:
    took: dict[str, list[float]] = {}
    for _ in range(15):
        for name, entry in (("unknown", UNKNOWN), ("disabled", DISABLED), ("known", PHONE)):
            began = time.perf_counter()
            await exchange(server, get(entry.path("boot.cfg")), tls=False)
            took.setdefault(name, []).append(time.perf_counter() - began)
    # The quickest of each, which a busy machine does not change.
    quickest = [min(times) for times in took.values()]
    assert min(quickest) >= REFUSED_S
    assert max(quickest) - min(quickest) < REFUSED_S / 4, took


async def test_enrolment_closed_unknown_and_open_to_others_look_alike(server: Server) -> None:
    server.publisher.publish(enrolling(window_until=PAST), Entry("805ec0a1b2d0", BOOTSTRAP))
    answers = {
        without_chance(await exchange(server, get(path)))
        for path in (
            f"/e/{OTHER}.cfg",
            "/e/805ec0a1b2d0.cfg",
            "/e/805ec0ffffff.cfg",
            f"/e/{MAC}.cfg",
            "/e/x",
            "/x",
        )
    }
    assert len(answers) == 1
    assert status(answers.pop()) == 404


async def test_an_open_window_gives_the_bootstrap_once_and_nothing_else(server: Server) -> None:
    server.publisher.publish(enrolling())
    async with server.client() as client:
        for path in (f"/e/sip.cfg?{OTHER}", f"/e/{OTHER}-phonebook.xml", f"/e/{MAC}.cfg"):
            assert (await client.get(path)).status_code == 404
        assert (await client.head(f"/e/{OTHER}.cfg")).status_code == 404
        answer = await client.get(f"/e/{OTHER.upper()}.cfg")
        assert (answer.status_code, answer.content) == (200, b"url = https://x/p/t/")
        assert (await client.get(f"/e/{OTHER}.cfg")).status_code == 404
    assert [row[0] for row in server.journal("SELECT id FROM spent")] == ["window-1"]


async def test_the_same_name_is_the_bootstrap_by_mac_and_the_file_by_token(server: Server) -> None:
    name = f"{OTHER}.cfg"
    entry = enrolling(files={name: File(SECRET, secret=True)}, bootstraps={name: BOOTSTRAP[name]})
    server.publisher.publish(entry)
    async with server.client() as client:
        assert (await client.get(f"/e/{name}")).content == BOOTSTRAP[name].content
        assert (await client.get(f"/e/{name}")).status_code == 404
    assert SECRET in await exchange(server, get(entry.path(name), basic(entry)), tls=True)


async def test_of_many_first_fetches_at_once_exactly_one_wins(server: Server) -> None:
    server.publisher.publish(enrolling())
    requests = [exchange(server, get(f"/e/{OTHER}.cfg"), tls=index % 2 == 0) for index in range(24)]
    statuses = [status(answer) for answer in await asyncio.gather(*requests)]
    assert sorted(statuses) == [200] + [404] * 23


async def test_a_window_stays_used_after_a_restart(tmp_path: Path) -> None:
    for expected in (200, 404):
        async with serving(tmp_path) as server, server.client() as client:
            server.publisher.publish(enrolling())
            assert (await client.get(f"/e/{OTHER}.cfg")).status_code == expected


async def test_enrolment_wants_the_right_user_agent_and_one_mac(server: Server) -> None:
    server.publisher.publish(enrolling(user_agent="^Grandstream Model HW"))
    async with server.client() as client:
        for agent in ("curl/8", "Yealink SIP-T54W", f"Grandstream Model HW GXP2135 DevId {MAC}"):
            answer = await client.get(f"/e/{OTHER}.cfg", headers={"User-Agent": agent})
            assert answer.status_code == 404, agent
        right = {"User-Agent": f"Grandstream Model HW GXP2135 [V1.2A] SW 1.0.7.97 DevId {OTHER}"}
        assert (await client.get(f"/e/{OTHER}.cfg", headers=right)).status_code == 200


async def test_a_stranger_cannot_write_over_what_a_device_did(server: Server) -> None:
    async with server.client() as client:
        assert (await client.get(PHONE.path("boot.cfg"), auth=digest(PHONE))).status_code == 200
        for path in (f"/e/{MAC}.cfg", f"/e/boot.cfg?{MAC}", f"/e/{MAC}-boot.cfg"):
            await client.get(path, headers={"User-Agent": MAC})
        await client.get(PHONE.path("boot.cfg"))
    rows = await server.journalled(
        "SELECT name, status, count FROM fetches WHERE mac = '805ec0a1b2c3' ORDER BY name"
    )
    assert rows == [("boot.cfg", 200, 1), ("e/", 404, 3)]


async def test_walking_through_a_makers_addresses_finds_nothing_and_ends_soon(server: Server) -> None:
    server.publisher.publish(enrolling())
    prefix = OTHER[:6]
    async with server.client() as client:
        for number in range(server.settings.macs_per_minute + 5):
            assert (await client.get(f"/e/{prefix}{number:06x}.cfg")).status_code == 404
        # Found too late: enrolment is closed to this address.
        assert (await client.get(f"/e/{OTHER}.cfg")).status_code == 404
    assert server.journal("SELECT * FROM spent") == []


async def test_an_office_that_is_guessed_from_still_gets_its_files(server: Server) -> None:
    limit = server.settings.guesses_per_minute
    async with server.client() as client:
        guesses = [client.get(f"/p/guess-{number:032d}/boot.cfg") for number in range(limit + 5)]
        assert {answer.status_code for answer in await asyncio.gather(*guesses)} == {401}
        began = time.monotonic()
        assert (await client.get("/p/another-guess-of-a-token/boot.cfg")).status_code == 401
        assert time.monotonic() - began >= LIMITED_S
        began = time.monotonic()
        assert (await client.get(PHONE.path("boot.cfg"), auth=PHONE.login)).status_code == 200
        assert time.monotonic() - began < LIMITED_S
        assert (await client.get(PHONE.path("boot.cfg"), auth=digest(PHONE))).status_code == 200


async def test_disabled_handsets_that_keep_asking_close_enrolment_to_nobody(server: Server) -> None:
    """They hold what is right, and a person who disables an office must still be able to enrol there."""
    server.publisher.publish(enrolling())
    count = server.settings.guesses_per_minute + 5
    async with server.client() as client:
        asked = [client.get(DISABLED.path("boot.cfg"), auth=digest(DISABLED)) for _ in range(count)]
        answers = await asyncio.gather(*asked)
        assert {answer.status_code for answer in answers} == {401}
        assert (await client.get(f"/e/{OTHER}.cfg")).status_code == 200
    # What is not counted is still seen by whoever looks at the handset.
    noted = await server.journalled("SELECT mac, name, status FROM fetches WHERE name = 'boot.cfg'")
    assert noted == [(DISABLED.mac, "boot.cfg", 401)]


@pytest.mark.parametrize(
    "entry", [DISABLED, ELSEWHERE, CERTIFIED], ids=["disabled", "network", "certificate"]
)
async def test_what_is_wrong_with_the_right_token_is_a_guess(server: Server, entry: Entry) -> None:
    server.publisher.publish(enrolling())
    wrong = (entry.login[0], "wrong-" + entry.login[1])
    async with server.client() as client:
        asked = [
            client.get(entry.path("boot.cfg"), auth=wrong) for _ in range(server.settings.guesses_per_minute)
        ]
        assert {answer.status_code for answer in await asyncio.gather(*asked)} == {401}
        assert (await client.get(f"/e/{OTHER}.cfg")).status_code == 404


async def test_a_flood_of_guesses_is_cut_off_and_who_is_right_is_served(server: Server) -> None:
    answers = await asyncio.gather(
        *(exchange(server, get(f"/p/guess-{n:032d}/x"), tls=False) for n in range(200)),
        return_exceptions=True,
    )
    statuses = [status(answer) if isinstance(answer, bytes) else 0 for answer in answers]
    assert statuses.count(0) > 0
    async with server.client() as client:
        assert (await client.get(PHONE.path("boot.cfg"), auth=PHONE.login)).status_code == 200


def answer_to(challenge: bytes, method: str, uri: str, entry: Entry, count: int = 1, qop: bool = True) -> str:
    """A digest answer as a handset of its own make writes it (RFC 7616 3.4.1; RFC 2069 without qop)."""
    nonce = challenge.split(b'nonce="')[1].split(b'"')[0].decode()
    user, password = entry.login

    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - RFC 7616

    middle = f":{count:08x}:cn:auth:" if qop else ":"
    response = h(f"{h(f'{user}:{REALM}:{password}')}:{nonce}{middle}{h(f'{method}:{uri}')}")
    more = f', qop=auth, nc={count:08x}, cnonce="cn"' if qop else ""
    return (
        f'Authorization: Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{uri}",'
        f' response="{response}", algorithm=MD5{more}'
    )


async def test_a_digest_answer_counts_once_and_for_its_request_only(server: Server) -> None:
    path, other = PHONE.path("boot.cfg"), PHONE.path(f"{MAC}.cfg")
    challenge = await exchange(server, get(path), tls=False)
    first = answer_to(challenge, "GET", path, PHONE, 1)
    assert status(await exchange(server, get(path, first), tls=False)) == 200
    replayed = await exchange(server, get(path, first), tls=False)
    assert status(replayed) == 401
    assert b"stale=true" in replayed
    assert status(await exchange(server, get(other, answer_to(challenge, "GET", path, PHONE, 2)))) == 401
    late = [answer_to(challenge, "GET", path, PHONE, count) for count in (5, 3, 4)]
    assert [status(await exchange(server, get(path, one), tls=False)) for one in late] == [200, 200, 200]
    assert status(await exchange(server, get(path, late[1]), tls=False)) == 401
    far = answer_to(challenge, "GET", path, PHONE, 0xFFFFFFFF)
    assert status(await exchange(server, get(path, far), tls=False)) == 200
    assert (
        status(await exchange(server, get(path, answer_to(challenge, "GET", path, PHONE, 6)), tls=False))
        == 401
    )


async def test_a_digest_answer_of_the_old_form_counts_once(server: Server) -> None:
    path = PHONE.path("boot.cfg")
    challenge = await exchange(server, get(path), tls=False)
    old = answer_to(challenge, "GET", path, PHONE, qop=False)
    assert [status(await exchange(server, get(path, old), tls=False)) for _ in range(2)] == [200, 401]


async def test_a_nonce_that_is_not_ours_or_an_answer_that_is_wrong_is_refused(server: Server) -> None:
    path = PHONE.path("boot.cfg")
    challenge = await exchange(server, get(path), tls=False)
    forged = challenge.replace(b'nonce="', b'nonce="AAAA')
    for header in (
        answer_to(forged, "GET", path, PHONE),
        answer_to(challenge, "HEAD", path, PHONE),
        answer_to(challenge, "GET", path, UNKNOWN),
        answer_to(challenge, "GET", path, PHONE).replace("nc=00000001", "nc=00000000"),
        answer_to(challenge, "GET", path, PHONE).replace("qop=auth,", "qop=auth-int,"),
        answer_to(challenge, "GET", path, PHONE) + f', username="{UNKNOWN.login[0]}"',
        answer_to(challenge, "GET", path, PHONE).replace("MD5", "NONE"),
        "Authorization: Digest " + "a" * 5000,
        "Authorization: Basic !!!!",
        "Authorization: Bearer x",
    ):
        answer = await exchange(server, get(path, header), tls=False)
        assert status(answer) == 401, header
        assert b"stale" not in answer


async def test_a_link_works_once_over_tls_and_not_after_its_time(server: Server) -> None:
    soft = Entry("s0000000000a", {"account.xml": File(SECRET, secret=True)})
    server.publisher.publish(soft)
    server.publisher.link("link-0123456789abcdef-1", soft, "account.xml", SOON)
    server.publisher.link("link-0123456789abcdef-2", soft, "account.xml", PAST)
    async with server.plain() as client:
        assert (await client.get("/s/link-0123456789abcdef-1")).status_code == 404
    async with server.client() as client:
        assert (await client.head("/s/link-0123456789abcdef-1")).status_code == 404  # a messenger's preview
        answers = await asyncio.gather(*(client.get("/s/link-0123456789abcdef-1") for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [404] * 7
        assert (await client.get("/s/link-0123456789abcdef-2")).status_code == 404


async def test_no_secret_is_in_the_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    soft = Entry("s0000000000a", {"account.xml": File(SECRET, secret=True)})
    server.publisher.publish(soft, enrolling())
    server.publisher.link("link-0123456789abcdef-1", soft, "account.xml", SOON)
    guess = "guessed-0123456789abcdef"
    with caplog.at_level(logging.DEBUG):
        async with server.client(auth=PHONE.login) as client:
            for path in (
                PHONE.path(f"{MAC}.cfg"),
                PHONE.path("none.cfg"),
                f"//p//{PHONE.clear_token}//boot.cfg",
                f"/P/{guess}/x",
                f"/{guess}",
                f"/x/{guess}",
                "/s/link-0123456789abcdef-1",
                f"/s/{guess}?token={guess}",
                f"/e/{OTHER}.cfg",
                f"/%70/{guess}/x",
            ):
                await client.get(path)
            await client.put(PHONE.path("x.cfg"), content=SECRET)
        async with server.client(auth=digest(PHONE)) as client:
            await client.get(PHONE.path(f"{MAC}.cfg"))
    said = "\n".join(
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("provisioning_server", "uvicorn"))
    )
    assert "event=served" in said
    assert "event=refused" in said
    for secret in (PHONE.clear_token, guess, "link-0123", PHONE.login[1], "swordfish", "Basic ", "Digest "):
        assert secret not in said
    assert basic(PHONE).split()[-1] not in said
