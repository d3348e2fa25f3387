"""Whether the UDP ports for media are there for Asterisk alone.

A call leg takes an even port for RTP and the odd one above it for RTCP. Asterisk looks for another pair when
the even one is taken, and gives RTCP up, silently, when only the odd one is: a call without SRTP then has no
RTCP, and one with SRTP is refused with 488 and "Couldn't negotiate stream" (measured with Asterisk 22.10).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from pathlib import Path

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
SHOWN = 3


def ephemeral_ports() -> range:
    """The ports this machine gives to programs that ask for any (ip(7)); empty where it does not say."""
    try:
        first, last = map(int, EPHEMERAL.read_text().split())
    except (OSError, ValueError):
        return range(0)
    return range(first, last + 1)


def overlap(ports: range, given: range) -> range:
    """The ports of both ranges."""
    return range(max(ports.start, given.start), min(ports.stop, given.stop))


def taken_ports(address: str, ports: Iterable[int]) -> list[int]:
    """Those of `ports` that another program has on UDP, on `address` or on all addresses.

    Raises:
        OSError: `address` is no address of this machine.
    """
    return [port for port in ports if _is_taken(address, port)]


def _is_taken(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return True
            raise
    return False


def media_warnings(address: str, ports: range, setting: str) -> list[str]:
    """A sentence for each reason why calls may be refused for want of a port; none when all is well.

    `setting` is the name of the range's settings without _MIN and _MAX.

    Raises:
        OSError: `address` is no address of this machine.
    """
    warnings = []
    remedy = f"set WIRECHIEF_{setting}_MIN and WIRECHIEF_{setting}_MAX to ports that are free"
    given = ephemeral_ports()
    shared = overlap(ports, given)
    if shared:
        warnings.append(
            f"warning: of the media ports {_span(ports)} this machine gives {_span(shared)} to any program"
            f" (net.ipv4.ip_local_port_range): now and then a call with SRTP will be refused (488); {remedy},"
            f" outside {_span(given)}."
        )
    taken = taken_ports(address, ports)
    if taken:
        shown = ", ".join(map(str, taken[:SHOWN])) + (", ..." if len(taken) > SHOWN else "")
        warnings.append(
            f"warning: other programs have {len(taken)} of the media ports {_span(ports)} on {address}"
            f" ({shown}): a call with SRTP that gets one is refused (488); end those, or {remedy}."
        )
    return warnings


def _span(ports: range) -> str:
    return f"{ports.start}-{ports.stop - 1}"
