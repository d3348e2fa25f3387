"""The plug and play responder: tells handsets on the local network that may enrol now where to ask.

The MAC in the question proves nothing, so all it gets is the enrolment URL, which is no secret.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

from provisioning_server import pnp_message as message
from provisioning_server.errors import ServerError, StoreUnavailable
from provisioning_server.settings import PREFIX, Settings

logger = logging.getLogger(__name__)

GROUP = "224.0.1.75"
PAUSE_S = 1.0
"""One answer a second for one handset; they ask again and again."""
RETRY_S = 0.5
TRIES = 3
_KNOWN = 2000
_PER_SECOND = 50

MayEnrol = Callable[[str], bool]
"""Whether the device with this MAC address may enrol now."""


class Responder(asyncio.DatagramProtocol):
    """Listens to the group; answers from a socket of its own, because port 5060 is Asterisk's."""

    def __init__(self, settings: Settings, may_enrol: MayEnrol) -> None:
        self._settings = settings
        self._may_enrol = may_enrol
        self._url = f"{settings.base_url}/e/"
        self._answers = _Answers()
        self._recent: OrderedDict[str, float] = OrderedDict()
        self._second = (0, 0)

    async def opened(self) -> Coroutine[Any, Any, None]:
        """Joins the group; what is returned answers until cancelled.

        Raises:
            ServerError: the group cannot be joined.
        """
        loop = asyncio.get_running_loop()
        group = _group_socket(self._settings.pnp_interface, self._settings.pnp_port)
        sending, _ = await loop.create_datagram_endpoint(
            lambda: self._answers, local_addr=(self._settings.pnp_interface, 0)
        )
        listening, _ = await loop.create_datagram_endpoint(lambda: self, sock=group)
        logger.info("event=listening what=pnp address=%s port=%d", GROUP, self._settings.pnp_port)
        return _until_cancelled(listening, sending)

    def datagram_received(self, packet: bytes, address: tuple[Any, ...]) -> None:
        source, port = str(address[0]), int(address[1])
        if not any(ip_address(source) in network for network in self._settings.pnp_allow):
            return
        asked = message.parse_subscribe(packet)
        if asked is None or not self._is_due(asked.mac) or not self._is_expected(asked.mac):
            return
        us = self._answers.us
        tag, branch = secrets.token_hex(8), secrets.token_hex(12)
        self._answers.send(message.ok(asked, us, tag), (source, port))
        to = (source, message.notify_port(asked, source, port))
        self._answers.insist(asked.call_id, message.notify(asked, us, tag, branch, self._url), to)
        logger.info(
            "event=pnp mac=%s address=%s vendor=%s", asked.mac, source, asked.vendor.replace(" ", "_")
        )

    def _is_expected(self, mac: str) -> bool:
        try:
            return self._may_enrol(mac)
        except StoreUnavailable:
            return False

    def _is_due(self, mac: str) -> bool:
        now = asyncio.get_running_loop().time()
        second, count = self._second
        self._second = (int(now), count + 1 if second == int(now) else 1)
        if self._second[1] > _PER_SECOND or now - self._recent.get(mac, -PAUSE_S) < PAUSE_S:
            return False
        self._recent[mac] = now
        self._recent.move_to_end(mac)
        if len(self._recent) > _KNOWN:
            self._recent.popitem(last=False)
        return True


async def _until_cancelled(*transports: asyncio.DatagramTransport) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        for transport in transports:
            transport.close()


class _Answers(asyncio.DatagramProtocol):
    """Sends; repeats a NOTIFY until it is answered."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self.us = ""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        address, port = transport.get_extra_info("sockname")[:2]
        self.us = f"{address}:{port}"

    def datagram_received(self, packet: bytes, address: tuple[Any, ...]) -> None:
        call = message.answered_call(packet)
        timer = self._waiting.pop(call, None) if call else None
        if timer is not None:
            timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._waiting.values():
            timer.cancel()

    def send(self, packet: bytes, to: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(packet, to)

    def insist(self, call: str, packet: bytes, to: tuple[str, int], tries: int = TRIES) -> None:
        """Send until the call is answered or `tries` are used up."""
        before = self._waiting.pop(call, None)
        if before is not None:
            before.cancel()
        if tries == 0 or len(self._waiting) >= _KNOWN:
            return
        self.send(packet, to)
        self._waiting[call] = asyncio.get_running_loop().call_later(
            RETRY_S, self.insist, call, packet, to, tries - 1
        )


def _group_socket(interface: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound to the group and not to every address: what is sent to this machine's port 5060 is not for us.
        sock.bind((GROUP, port))
        member = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(interface))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    except OSError as exc:
        sock.close()
        raise ServerError(
            f"The group {GROUP} cannot be joined on {interface} ({exc.strerror}): set {PREFIX}PNP_INTERFACE"
            f" to an address of this machine, or {PREFIX}PNP to false."
        ) from exc
    return sock
