"""A TFTP server that only reads out: common files, bootstraps, and all files of devices that are allowed it.

Ours, because none we found fits asyncio and is looked after: tftpy blocks a thread, fbtftp forks for each
transfer and py3tftp has stood still since 2021. Source addresses can be forged, so nothing is sent more than
a few times before the other side has answered, and wrong guesses here count against nobody elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from provisioning_server import tftp_wire as wire
from provisioning_server.access import Access, Decision, Outcome, Request, Scheme, noted
from provisioning_server.errors import JournalUnavailable, StoreUnavailable
from provisioning_server.guard import Guard, network_of, source_network
from provisioning_server.journal import Journal, printable
from provisioning_server.names import Area, Asked, asked_for, masked
from provisioning_server.settings import Settings

logger = logging.getLogger(__name__)

Peer = tuple[Any, ...]
REFUSED_S = 0.02
TRIES_BEFORE_ANSWER = 3
TRIES = 6
TRANSFER_S = 300.0
"""A whole transfer, at most."""


class Transfer(asyncio.DatagramProtocol):
    """One file to one handset, from a port of its own."""

    def __init__(
        self, request: wire.ReadRequest, content: bytes, peer: Peer, done: Callable[[bool], None]
    ) -> None:
        self._content = wire.as_netascii(content) if request.netascii else content
        self._request = request
        self._peer = peer
        self._done: Callable[[bool], None] | None = done
        self._block = 0 if request.options else 1
        self._answered = False
        self._tries = 0
        self._timer: asyncio.TimerHandle | None = None
        self._end = 0.0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self._end = asyncio.get_running_loop().time() + TRANSFER_S
        self._send()

    def datagram_received(self, packet: bytes, address: Peer) -> None:
        if address[:2] != self._peer[:2]:
            if self._transport is not None and not wire.is_error(packet):
                self._transport.sendto(wire.error(wire.Code.UNKNOWN_TID, "not your transfer"), address)
            return
        if wire.is_error(packet):
            self._finish(False)
        elif wire.parse_ack(packet) == self._block & 0xFFFF:
            # An ACK of an earlier block is never answered: two that cross would be sent twice for good.
            self._answered = True
            if self._block and self._is_last():
                self._finish(True)
                return
            self._block += 1
            self._tries = 0
            self._send()

    def error_received(self, exc: Exception) -> None:
        self._finish(False)  # the port is closed over there

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(False)

    def again(self) -> None:
        """The same request came again: what we sent first was lost."""
        if not self._answered:
            self._send()

    def stop(self) -> None:
        """End without having finished."""
        self._finish(False)

    def _is_last(self) -> bool:
        return self._block * self._request.block > len(self._content)

    def _packet(self) -> bytes:
        if self._block == 0:
            return wire.oack(self._request.options, len(self._content))
        size = self._request.block
        return wire.data(self._block, self._content[(self._block - 1) * size : self._block * size])

    def _send(self) -> None:
        loop = asyncio.get_running_loop()
        self._tries += 1
        most = TRIES if self._answered else TRIES_BEFORE_ANSWER
        if self._transport is None or self._tries > most or loop.time() > self._end:
            self._finish(False)
            return
        self._transport.sendto(self._packet(), self._peer)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(self._request.timeout_s, self._send)

    def _finish(self, whole: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        done, self._done = self._done, None
        if done is not None:
            done(whole)


class TftpServer(asyncio.DatagramProtocol):
    """Takes requests on the well-known port."""

    def __init__(self, settings: Settings, access: Access, guard: Guard, journal: Journal) -> None:
        self._settings = settings
        self._access = access
        self._guard = guard
        self._journal = journal
        self._transport: asyncio.DatagramTransport | None = None
        self._transfers: dict[Peer, Transfer | None] = {}
        self._of_network: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, packet: bytes, address: Peer) -> None:
        request = wire.parse_request(packet)
        if request is None:
            return
        if isinstance(request, wire.Refusal):
            self._refuse(address, request.code, request.text)
            return
        peer = address[:2]
        if peer in self._transfers:
            under_way = self._transfers[peer]
            if under_way is not None:
                under_way.again()
            return
        network = network_of(str(address[0]))
        if (
            len(self._transfers) >= self._settings.tftp_transfers
            or self._of_network[network] >= self._settings.tftp_transfers_per_address
        ):
            return  # it asks again
        self._transfers[peer] = None
        self._of_network[network] += 1
        task = asyncio.get_running_loop().create_task(self._answer(request, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Serves until cancelled, then ends every transfer and the port."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._stop()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for transfer in list(self._transfers.values()):
            if transfer is not None:
                transfer.stop()
        if self._transport is not None:
            self._transport.close()

    async def _answer(self, request: wire.ReadRequest, address: Peer) -> None:
        started = False
        try:
            started = await self._started(request, address)
        except (StoreUnavailable, JournalUnavailable, OSError) as exc:
            logger.error("event=unavailable scheme=tftp reason=%r", printable(str(exc)))
        finally:
            if not started:
                self._release(address)

    async def _started(self, request: wire.ReadRequest, address: Peer) -> bool:
        """Whether a transfer has begun."""
        path, now = b"/" + request.name.lstrip(b"/"), time.monotonic()
        asked = asked_for(path)
        of = Request("GET", "", Scheme.TFTP, str(address[0]), "", None, None, now)
        decision = self._access.decide(asked, of)
        if decision.spend is not None and not await self._journal.spend(decision.spend, of.address):
            decision = Decision(Outcome.UNKNOWN, decision.device, reason="spent")
        if decision.file is None or asked is None or decision.outcome is not Outcome.SERVE:
            await self._refused(asked, of, decision, path, address)
            return False
        file = decision.file

        def done(whole: bool) -> None:
            self._release(address)
            if whole:
                self._note(asked, of, decision, 200)

        transfer = Transfer(request, file.content, address, done)
        self._transfers[address[:2]] = transfer
        await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: transfer, local_addr=(self._settings.host, 0)
        )
        return True

    async def _refused(
        self, asked: Asked | None, of: Request, decision: Decision, path: bytes, address: Peer
    ) -> None:
        if decision.guess and self._guard.guessed(of.address, of.now):
            logger.warning("event=limit scheme=tftp address=%s", of.address)
        if asked is not None:
            self._note(asked, of, decision, 403 if decision.outcome is Outcome.UNSAFE else 404)
        logger.info(
            "event=refused scheme=tftp address=%s path=%s reason=%s",
            of.address,
            masked(path),
            decision.reason.replace(" ", "_"),
        )
        await asyncio.sleep(of.now + REFUSED_S - time.monotonic())
        if not self._guard.too_many(of.address, of.now):
            self._refuse(address, wire.Code.NOT_FOUND, "not found")

    def _note(self, asked: Asked, of: Request, decision: Decision, status: int) -> None:
        fetch = noted(asked, of, decision, status)
        if fetch is None:
            return
        self._journal.fetched(fetch)
        if fetch.etag is not None and asked.area is Area.DEVICE:
            self._journal.bind(fetch.mac, None, source_network(of.address))

    def _refuse(self, address: Peer, code: wire.Code, text: str) -> None:
        if self._transport is not None:
            self._transport.sendto(wire.error(code, text), address)

    def _release(self, address: Peer) -> None:
        if self._transfers.pop(address[:2], self) is self:
            return
        network = network_of(str(address[0]))
        self._of_network[network] -= 1
        if not self._of_network[network]:
            del self._of_network[network]
