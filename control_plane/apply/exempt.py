"""Who is never blocked: networks of the settings, the control plane itself, and the trunks of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from ipaddress import ip_address

from control_plane.observe.attacks import Network, is_within, source_of
from control_plane.settings import Settings

RESOLVE_S = 5.0

Resolve = Callable[[str], Awaitable[Collection[str]]]


def exempt_of(settings: Settings) -> tuple[Network, ...]:
    """Networks that are never blocked, whatever the model says: guard_allow and the control plane's own.

    Loopback is not exempt: in a lab on one machine the attackers are there too, and the control plane speaks
    AMI, which blocks do not touch.
    """
    own = [ip_address(text) for text in (settings.api_host, settings.ami_host, settings.sip_address)]
    return (
        *settings.guard_allow,
        *(source_of(str(ip)) for ip in own if not (ip.is_loopback or ip.is_unspecified)),
    )


async def resolve_host(host: str) -> Collection[str]:
    """The addresses of a name as the system resolves it; none when it cannot."""
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, TimeoutError, UnicodeError):
        return ()
    return {str(entry[4][0]) for entry in found}


class Exempt:
    """The networks of one node that no block may touch.

    Args:
        always: those that do not depend on the model.
    """

    def __init__(self, always: Iterable[Network], resolve: Resolve) -> None:
        self._always = tuple(always)
        self._resolve = resolve
        self._of_trunks: dict[str, tuple[Network, ...]] = {}
        self._all: tuple[Network, ...] | None = None

    @property
    def known(self) -> bool:
        """Whether the trunks were read; before that nobody may be blocked."""
        return self._all is not None

    @property
    def networks(self) -> tuple[Network, ...]:
        """None of them before the first `refresh`."""
        return self._all or ()

    def covers(self, source: Network) -> bool:
        """Whether `source` is one of them or lies in one."""
        return is_within(source, self.networks)

    async def refresh(self, hosts: Collection[str]) -> bool:
        """Take in the hosts of the node's trunks; whether anything changed."""
        for host in hosts:
            networks = await self._networks_of(host)
            if networks or host not in self._of_trunks:
                self._of_trunks[host] = networks  # an answer that fails keeps the last good one
        self._of_trunks = {host: self._of_trunks[host] for host in hosts}
        before = self._all
        self._all = (*self._always, *(network for found in self._of_trunks.values() for network in found))
        return self._all != before

    async def _networks_of(self, host: str) -> tuple[Network, ...]:
        try:
            return (source_of(host),)
        except ValueError:
            pass
        addresses = sorted(await self._resolve(host))
        # "fe80::1%eth0": the zone is of this machine and no part of the address.
        return tuple(source_of(address.split("%")[0]) for address in addresses)
