"""TFTP over real sockets: the protocol as RFC 1350 and its options have it, and what breaks servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning_server import tftp_wire as wire
from tests.provisioning import Server, serving
from tests.published import Entry, File

MAC, OTHER, THIRD = "805ec0a1b2c3", "805ec0a1b2c4", "805ec0a1b2c5"
BODY = bytes(range(256)) * 21
PLAIN = Entry(MAC, {f"{MAC}.cfg": File(BODY, secret=True)}, plain=True)
STRICT = Entry(OTHER, {f"{OTHER}.cfg": File(BODY, secret=True)})
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
NEW = Entry(THIRD, {f"{THIRD}.cfg": File(b"url", bootstrap=True)}, window_id="w", window_until=SOON)
COMMON = {
    "common.cfg": File(BODY),
    "even.cfg": File(b"x" * 1024),
    "empty.cfg": File(b""),
    "lines": File(b"a\nb\rc\r\n"),
}


def rrq(name: str | bytes, *options: str, mode: str = "octet") -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    return b"\0\1" + b"".join(part + b"\0" for part in (raw, mode.encode(), *(o.encode() for o in options)))


def ack(block: int) -> bytes:
    return b"\0\4" + (block & 0xFFFF).to_bytes(2, "big")


class Client:
    """A handset's side, packet by packet."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.server = server
        self.peer: tuple[str, int] = server

    async def send(self, packet: bytes, to: tuple[str, int] | None = None) -> None:
        await asyncio.get_running_loop().sock_sendto(self.socket, packet, to or self.peer)

    async def receive(self, deadline: float = 5.0) -> bytes:
        async with asyncio.timeout(deadline):
            packet, self.peer = await asyncio.get_running_loop().sock_recvfrom(self.socket, 70_000)
        return packet

    async def silence(self, seconds: float = 0.3) -> bool:
        try:
            await self.receive(seconds)
        except TimeoutError:
            return True
        return False

    async def get(self, name: str, *options: str, mode: str = "octet") -> bytes:
        """A whole transfer. Raises FileNotFoundError when it is refused."""
        await self.send(rrq(name, *options, mode=mode), self.server)
        packet, found, block, size = await self.receive(), b"", 1, 512
        if packet[:2] == b"\0\6":
            given = packet[2:-1].split(b"\0")
            size = int(dict(zip(given[::2], given[1::2], strict=True)).get(b"blksize", b"512"))
            await self.send(ack(0))
            packet = await self.receive()
        while True:
            if packet[:2] == b"\0\5":
                raise FileNotFoundError(packet)
            assert packet[:4] == b"\0\3" + (block & 0xFFFF).to_bytes(2, "big")
            found += packet[4:]
            await self.send(ack(block))
            if len(packet) - 4 < size:
                return found
            block += 1
            packet = await self.receive()

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path, tftp_port=6969, http_port=0, https_port=0) as running:
        running.publisher.publish(PLAIN, STRICT, NEW, common=COMMON)
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client((server.settings.host, 6969))
    yield client
    client.close()


@pytest.mark.parametrize(
    "options", [(), ("blksize", "1024"), ("tsize", "0"), ("blksize", "8", "timeout", "3")]
)
async def test_files_of_every_length_arrive_whole(client: Client, options: tuple[str, ...]) -> None:
    for name, file in COMMON.items():
        assert await client.get(name, *options) == file.content


async def test_more_blocks_than_a_number_counts(server: Server, client: Client) -> None:
    body = bytes(8 * 65540 + 3)
    server.publisher.publish(common={"long.bin": File(body)})
    assert await client.get("long.bin", "blksize", "8") == body


async def test_netascii_has_its_own_line_ends(client: Client) -> None:
    assert await client.get("lines", mode="NETASCII") == b"a\r\nb\r\0c\r\n"


async def test_only_what_a_site_allows_goes_over_tftp(server: Server, client: Client) -> None:
    assert await client.get(PLAIN.path(f"{MAC}.cfg")) == BODY
    for name in (
        STRICT.path(f"{OTHER}.cfg"),
        f"{MAC}.cfg",
        f"{OTHER}.cfg",
        "../../etc/passwd",
        "/etc/passwd",
        "tls/ca.key",
        "..\\x",
        "x" * 600,
    ):
        with pytest.raises(FileNotFoundError, match="not found"):
            await client.get(name)
    rows = await server.journalled("SELECT mac, scheme FROM fetches WHERE status = 200")
    assert rows == [(MAC, "tftp")]


async def test_a_bootstrap_is_given_once_in_its_window(client: Client) -> None:
    assert await client.get(f"{THIRD.upper()}.cfg") == b"url"
    with pytest.raises(FileNotFoundError):
        await client.get(f"{THIRD}.cfg")


async def test_a_request_that_is_repeated_is_one_transfer(client: Client) -> None:
    for _ in range(3):
        await client.send(rrq(f"{THIRD}.cfg"), client.server)
    packets = [await client.receive() for _ in range(1)]
    peers = {client.peer}
    while not await client.silence(0.2):
        peers.add(client.peer)
    assert packets[0] == b"\0\3\0\1url"
    assert len(peers) == 1


async def test_an_ack_that_comes_twice_is_answered_once(client: Client) -> None:
    await client.send(rrq("common.cfg"))
    first = await client.receive()
    for _ in range(3):
        await client.send(ack(1))
    assert (await client.receive())[:4] == b"\0\3\0\2"
    assert await client.silence()
    assert first[:4] == b"\0\3\0\1"


async def test_what_is_lost_is_sent_again(client: Client) -> None:
    await client.send(rrq("common.cfg"))
    first = await client.receive()
    assert await client.receive() == first


async def test_somebody_else_cannot_take_part(client: Client) -> None:
    await client.send(rrq("common.cfg"))
    await client.receive()
    stranger = Client(client.peer)
    await stranger.send(ack(1))
    assert (await stranger.receive())[:4] == b"\0\5\0\5"
    await stranger.send(wire.error(wire.Code.NOT_FOUND, "x"))
    stranger.close()
    await client.send(ack(1))
    assert (await client.receive())[:4] == b"\0\3\0\2"


async def test_an_error_ends_a_transfer(client: Client) -> None:
    await client.send(rrq("common.cfg"))
    await client.receive()
    await client.send(wire.error(wire.Code.NOT_FOUND, "enough"))
    assert await client.silence(1.5)


@pytest.mark.parametrize(
    ("packet", "begins"),
    [
        (b"\0\2x\0octet\0", b"\0\5\0\2"),
        (rrq("common.cfg", mode="mail"), b"\0\5\0\4"),
        (rrq("common.cfg", mode="quux"), b"\0\5\0\4"),
        (b"\0\1common.cfg", b"\0\5\0\4"),
        (b"\0\1common.cfg\0octet", b"\0\5\0\4"),
        (b"\0\1\0octet\0", b"\0\5\0\4"),
        (rrq("common.cfg", *("x", "1") * 20), b"\0\5\0\x08"),
        (rrq("common.cfg", "blksize", "0"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize", "7"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize", "99999999"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize", "-1"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize", "65464"), b"\0\6blksize\x001428\0"),
        (rrq("common.cfg", "tsize", "0"), b"\0\6tsize\x005376\0"),
        (rrq("common.cfg", "timeout", "0"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize"), b"\0\3\0\1"),
        (rrq("common.cfg", "blksize", "16", "BLKSIZE", "1400"), b"\0\6blksize\x0016\0"),
    ],
)
async def test_odd_requests(client: Client, packet: bytes, begins: bytes) -> None:
    await client.send(packet)
    assert (await client.receive()).startswith(begins)


@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\1", b"\0\1\0", b"\0\3\0\1x", ack(1), b"\0\7\0\0", b"\xff" * 2000]
)
async def test_what_gets_no_answer(client: Client, packet: bytes) -> None:
    await client.send(packet)
    assert await client.silence()


async def test_a_forged_sender_is_not_flooded(client: Client) -> None:
    await client.send(rrq("common.cfg"))
    packets = 0
    while not await client.silence(1.5):
        packets += 1
    assert packets <= 3


async def test_one_address_has_so_many_transfers(server: Server) -> None:
    clients = [
        Client((server.settings.host, 6969)) for _ in range(server.settings.tftp_transfers_per_address + 8)
    ]
    for one in clients:
        await one.send(rrq("common.cfg"))
    silent = await asyncio.gather(*(one.silence(0.8) for one in clients))
    assert silent.count(False) == server.settings.tftp_transfers_per_address
    for one in clients:
        one.close()


@given(st.binary(max_size=600))
def test_no_packet_breaks_the_parser(packet: bytes) -> None:
    for one in (packet, b"\0\1" + packet, b"\0\1" + packet + b"\0octet\0"):
        parsed = wire.parse_request(one)
        if isinstance(parsed, wire.ReadRequest):
            assert 8 <= parsed.block <= wire.LARGEST_BLOCK
            assert len(wire.oack(parsed.options, 10**9)) < 200
    wire.parse_ack(packet)
    assert b"\n" not in wire.as_netascii(packet).replace(b"\r\n", b"")


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    packets=st.lists(
        st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b"\0\1" + b + b"\0octet\0")),
        max_size=6,
    )
)
def test_packets_of_any_kind_and_it_still_serves(
    one_server: tuple[str, int, asyncio.Runner], packets: list[bytes]
) -> None:
    host, _, runner = one_server

    async def send() -> None:
        client = Client((host, 6969))
        for packet in packets:
            await client.send(packet)
        fresh = Client((host, 6969))
        assert (await fresh.get("ca.crt")).startswith(b"-----BEGIN CERTIFICATE")
        client.close()
        fresh.close()

    runner.run(send())
