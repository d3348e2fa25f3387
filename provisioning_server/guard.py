"""How often an address was wrong. Nobody who is right is slowed down: this is about the wrong only.

Addresses are judged as networks: an IPv6 host has a /64 to choose from. Everything is bounded; when there are
too many networks, the oldest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

WINDOW_S = 60.0
NETWORKS = 50_000


@lru_cache(maxsize=16_384)
def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address without its zone; IPv4 written as IPv6 is the IPv4 address. None for what is none."""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


@lru_cache(maxsize=16_384)
def network_of(address: str) -> str:
    """The address, or the /64 of an IPv6 one. IPv4 written as IPv6 is the IPv4 address."""
    parsed = address_of(address)
    if parsed is None:
        return address
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64" if isinstance(parsed, IPv6Address) else str(parsed)


def source_network(address: str) -> str:
    """The network a device was first seen in: /24, or /64."""
    parsed = address_of(address)
    if isinstance(parsed, IPv4Address):
        return f"{IPv4Address(int(parsed) >> 8 << 8)}/24"
    return network_of(address)


class _Counted:
    """What one network did wrong in its current window."""

    __slots__ = ("guesses", "macs", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.guesses = 0
        self.macs: set[str] = set()


class Guard:
    """Counts per network and overall, in windows of a minute."""

    def __init__(self, guesses: int, macs: int, overall: int) -> None:
        self._limits = (guesses, macs, overall)
        self._counted: OrderedDict[str, _Counted] = OrderedDict()
        self._overall = _Counted(float("-inf"))

    def guessed(self, address: str, now: float) -> bool:
        """Takes note of a wrong token or login; True when it is the one that reaches the limit."""
        counted = self._of(address, now)
        counted.guesses += 1
        self._all(now).guesses += 1
        return counted.guesses == self._limits[0]

    def named(self, address: str, mac: str, now: float) -> bool:
        """Takes note of a MAC address nobody knows; True when it is the one that reaches the limit."""
        counted = self._of(address, now)
        if mac in counted.macs or len(counted.macs) > self._limits[1]:
            return False
        counted.macs.add(mac)
        self._all(now).guesses += 1
        return len(counted.macs) == self._limits[1]

    def too_many(self, address: str, now: float) -> bool:
        """Whether what is wrong from here is answered late."""
        return self._known(address, now).guesses >= self._limits[0]

    def may_enrol(self, address: str, now: float) -> bool:
        """Whether enrolment is open to this address now."""
        guesses, macs, overall = self._limits
        counted = self._known(address, now)
        return counted.guesses < guesses and len(counted.macs) < macs and self._all(now).guesses < overall

    def _known(self, address: str, now: float) -> _Counted:
        counted = self._counted.get(network_of(address))
        return counted if counted is not None and now - counted.since < WINDOW_S else _NOTHING

    def _of(self, address: str, now: float) -> _Counted:
        network = network_of(address)
        counted = self._counted.get(network)
        if counted is None or now - counted.since >= WINDOW_S:
            counted = self._counted[network] = _Counted(now)
            self._counted.move_to_end(network)
            if len(self._counted) > NETWORKS:
                self._counted.popitem(last=False)
        return counted

    def _all(self, now: float) -> _Counted:
        if now - self._overall.since >= WINDOW_S:
            self._overall = _Counted(now)
        return self._overall


_NOTHING = _Counted(float("-inf"))
