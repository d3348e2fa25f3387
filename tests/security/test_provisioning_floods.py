"""Hostile HTTP: paths that want out, what is too large, too slow or too much. Afterwards it still answers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning_server.names import asked_for, mac_of, masked
from tests.provisioning import Server, serving
from tests.published import Entry, File
from tests.security.raw_http import exchange, get, status

MAC = "805ec0a1b2c3"
PHONE = Entry(MAC, {f"{MAC}.cfg": File(b"x" * 3000, secret=True)})
LIMITS = {
    "header_s": 1.0,
    "request_s": 2.0,
    "keep_alive_s": 1.0,
    "connections": 60,
    "connections_per_address": 20,
    "header_bytes": 8192,
}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, **LIMITS) as running:
        running.publisher.publish(PHONE, common={"empty.cfg": File(b"")})
        yield running
        assert await still_serves(running)


async def still_serves(server: Server) -> bool:
    async with server.client(auth=PHONE.login) as client:
        answer = await client.get(PHONE.path(f"{MAC}.cfg"))
    return answer.status_code == 200 and answer.content == b"x" * 3000


def escapes() -> list[bytes]:
    """Ways out of a folder, as they have worked elsewhere, below each of our areas."""
    up = [
        b"..", b"%2e%2e", b"%2E.", b".%2e", b"%252e%252e", b"..%00", b"%c0%ae%c0%ae", b"%e0%80%ae%e0%80%ae",
        b"..%5c..", b"..\\..", b"..;", b"%u002e%u002e", b"\xc0\xae\xc0\xae", b"....", b". .", b"...%2f..",
    ]  # fmt: skip
    token = PHONE.clear_token.encode()
    below = [b"/p/" + token + b"/", b"/c/", b"/e/", b"/s/", b"/", b"/p/" + token + b"/a/"]
    targets = [b"/etc/passwd", b"%2fetc%2fpasswd", b"/tls/ca.key", b"%5cca.key", b"/ca.key%00.cfg"]
    return [root + part + target for root in below for part in up for target in targets]


async def test_no_path_leads_out(server: Server) -> None:
    async def statuses(paths: list[bytes]) -> set[int]:
        found = set()
        for path in paths:
            answer = await exchange(server, get(path), tls=False)
            assert b"root:" not in answer
            assert b"PRIVATE KEY" not in answer
            found.add(status(answer))
        return found

    paths = escapes()
    assert len(paths) > 400
    parts = await asyncio.gather(*(statuses(paths[start::12]) for start in range(12)))
    assert set.union(*parts) <= {0, 400, 401, 404}


@given(
    st.sampled_from(("p", "P", "c", "s")),
    st.text("aB_-", min_size=14, max_size=18) | st.text("a", min_size=118, max_size=130),
    st.text("aB.:~ -_%2\n/", max_size=6) | st.text("a", min_size=118, max_size=122),
)
def test_the_usual_path_is_read_as_any_other(area: str, token: str, name: str) -> None:
    """A second slash makes it an unusual one, which is taken apart piece by piece."""
    path = f"/{area}/{token}/{name}".encode()
    assert asked_for(path) == asked_for(b"/" + path)


@given(st.binary(max_size=700))
def test_whatever_the_path_a_name_is_harmless(raw: bytes) -> None:
    for path in (raw, b"/c/" + raw, b"/p/" + b"t" * 32 + b"/" + raw):
        asked = asked_for(path)
        if asked is not None:
            assert asked.name.isascii()
            assert asked.name.isprintable()
            assert "\\" not in asked.name
            assert not any(
                part in ("", ".", "..") or part.startswith(".") for part in asked.name.split("/")[:-1]
            )
            assert asked.name == asked.name.lower()
        assert masked(path).isascii()
        assert b"t" * 32 not in masked(path).encode()
        mac_of(path.decode("latin-1"))


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/c/" + "a" * 100_000),
        get("/c/empty.cfg", "X: " + "a" * 100_000),
        get("/c/empty.cfg", *(f"X{n}: y" for n in range(5000))),
        b"GET " + b"/" * 60_000,
        b"A" * 60_000,
    ],
)
async def test_a_header_that_is_too_large_ends_the_connection(server: Server, request_bytes: bytes) -> None:
    answer = await exchange(server, request_bytes, tls=False)
    assert status(answer) in (0, 400, 404, 431)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: a\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_what_is_no_proper_request_is_refused(server: Server, request_bytes: bytes) -> None:
    answer = await exchange(server, request_bytes, tls=False)
    assert status(answer) in (0, 400, 404, 405, 408)


async def test_a_body_nobody_wants_is_not_read_for_long(server: Server) -> None:
    head = f"PUT {PHONE.path('x.cfg')} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(server.settings.host, server.settings.http_port)
    with pytest.raises((ConnectionError, TimeoutError)):
        writer.write(head)
        async with asyncio.timeout(5):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                await asyncio.sleep(0)
    answer = await reader.read(100) if not reader.exception() else b" 405 "
    assert b" 405 " in answer or not answer
    writer.close()


async def closed_after(reader: asyncio.StreamReader, began: float) -> float:
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    return time.monotonic() - began


async def test_slow_clients_are_hung_up_on_and_others_do_not_notice(server: Server) -> None:
    host, port = server.settings.host, server.settings.http_port
    began = time.monotonic()
    slow = []
    for index in range(15):
        reader, writer = await asyncio.open_connection(host, port)
        if index % 3:
            writer.write(b"GET /c/empty.cfg HTTP/1.1\r\nHost: x\r\n")
        slow.append((reader, writer, index))

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, index: int) -> float:
        ended = asyncio.ensure_future(closed_after(reader, began))
        while not ended.done() and index % 3 == 1:
            writer.write(b"X-a: b\r\n")
            await asyncio.wait({ended}, timeout=0.2)
        return await ended

    dripping = [asyncio.ensure_future(drip(*one)) for one in slow]
    assert await still_serves(server)
    times = await asyncio.gather(*dripping)
    assert max(times) < LIMITS["header_s"] + 2
    for _, writer, _ in slow:
        writer.close()


async def test_a_handshake_that_never_comes_ends(server: Server) -> None:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(server.settings.host, server.settings.https_port)
    assert await closed_after(reader, began) < LIMITS["header_s"] + 2
    writer.close()


async def test_one_address_gets_so_many_connections_and_its_places_come_back(server: Server) -> None:
    host, port = server.settings.host, server.settings.https_port
    opened = [await asyncio.open_connection(host, port) for _ in range(30)]
    ended = await asyncio.gather(
        *(asyncio.wait_for(reader.read(1), 0.5) for reader, _ in opened), return_exceptions=True
    )
    assert sum(not isinstance(one, TimeoutError) for one in ended) == 10
    for _, writer in opened:
        writer.transport.abort()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_tls_is_refused_unless_its_port_is_on(tmp_path: Path) -> None:
    def old(server: Server) -> ssl.SSLContext:
        context = server.trust
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    async with serving(tmp_path, legacy_tls_port=8444) as server:
        server.publisher.publish(PHONE)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(server.settings.host, server.settings.https_port, ssl=old(server))
        reader, writer = await asyncio.open_connection(server.settings.host, 8444, ssl=old(server))
        tls = writer.get_extra_info("ssl_object")
        assert tls.version() in ("TLSv1", "TLSv1.1")
        writer.write(get("/c/ca.crt"))
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.close()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_bytes_of_any_kind(one_server: tuple[str, int, asyncio.Runner], data: list[bytes]) -> None:
    host, port, runner = one_server

    async def send() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            for part in data:
                writer.write(part)
                await asyncio.sleep(0)
            writer.write(b"\r\n\r\n" + get("/c/ca.crt"))
            writer.write_eof()
            async with asyncio.timeout(10):
                await reader.read()
        except OSError:
            pass  # hung up on
        finally:
            writer.transport.abort()
        answer_reader, answer_writer = await asyncio.open_connection(host, port)
        answer_writer.write(get("/c/ca.crt"))
        async with asyncio.timeout(10):
            assert status(await answer_reader.readuntil(b"\r\n\r\n")) == 200
        answer_writer.transport.abort()

    runner.run(send())
