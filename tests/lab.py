"""Labs for tests: fresh Asterisks with addresses, ports and a state directory of their own."""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from control_plane.adapters.carrier import Carrier
from control_plane.adapters.containers import Lab
from control_plane.adapters.engine import Listener, docker, remove, require_free
from control_plane.adapters.media_ports import ephemeral_ports, overlap, taken_ports
from control_plane.adapters.secrets import LabSecrets, load_or_make_secrets
from control_plane.errors import LabError
from control_plane.settings import Settings

_INSTANCE = re.compile(r"^wirechief-test-(\d+)-\d+-(node|carrier)$")
_numbers = itertools.count(1)
RTP_PORTS = 400
"""Media ports of a lab, half of them the carrier's."""


@dataclass(frozen=True)
class RunningLab:
    """A node and a carrier that are up, and what is needed to use them."""

    settings: Settings
    secrets: LabSecrets
    lab: Lab
    carrier: Carrier

    @property
    def log(self) -> str:
        """Every warning and error the node has logged since its first start."""
        return (self.lab.node_dir / "log" / "messages").read_text()


def own_settings(state_dir: Path, **explicit: object) -> Settings:
    """Settings with addresses and ports nobody on this machine uses, for one test session.

    Each lab has loopback addresses of its own, so that the standard ports can be used. Its RTP ports are none
    that the machine gives to any program, a phone or a browser of another test: a call with SRTP whose RTCP
    port is taken is refused.
    """
    # The tests' seed is the same in every session of the same seed; addresses must differ between them.
    dice = random.SystemRandom()
    for _ in range(20):
        network = f"127.{dice.randrange(64, 250)}.{dice.randrange(1, 250)}"
        rtp = dice.choice(_rtp_blocks())
        values: dict[str, object] = {
            "state_dir": state_dir,
            "instance": f"test-{os.getpid()}-{next(_numbers)}",
            "sip_address": f"{network}.1",
            "ami_host": f"{network}.1",
            "carrier_address": f"{network}.2",
            "api_host": f"{network}.1",
            "provisioning_public_url": f"https://{network}.1:8443",
            "rtp_port_min": rtp,
            "rtp_port_max": rtp + RTP_PORTS // 2 - 1,
            "carrier_rtp_port_min": rtp + RTP_PORTS // 2,
            "carrier_rtp_port_max": rtp + RTP_PORTS - 1,
        }
        try:
            require_free(Listener(f"{network}.1", 5060, "UDP", "", ""))
            require_free(Listener(f"{network}.2", 5060, "UDP", "", ""))
        except LabError:
            continue
        if taken_ports(f"{network}.1", range(rtp, rtp + RTP_PORTS)):
            continue
        return Settings.model_validate(values | explicit)
    raise LabError("No free loopback addresses were found in 20 attempts.")


def _rtp_blocks() -> list[int]:
    """First ports of the blocks a lab may take; 20000-21999 are the defaults of a lab that is no test's."""
    given = ephemeral_ports()
    blocks = (range(first, first + RTP_PORTS) for first in range(22000, 65000, RTP_PORTS))
    return [block.start for block in blocks if not overlap(block, given)]


@contextmanager
def running_lab_in(state_dir: Path, **explicit: object) -> Iterator[RunningLab]:
    """A fresh lab, torn down at the end whatever happens; `explicit` settings win."""
    settings = own_settings(state_dir, **explicit)
    secrets = load_or_make_secrets(state_dir)
    lab = Lab(settings, secrets)
    try:
        lab.up()
        yield RunningLab(settings, secrets, lab, Carrier(settings, secrets.carrier_ami.get_secret_value()))
    finally:
        lab.down()


def remove_orphans() -> None:
    """Removes the containers of test sessions that were killed before they could do so themselves."""
    for name in docker("ps", "--all", "--format", "{{.Names}}").split():
        match = _INSTANCE.match(name)
        if match and not Path(f"/proc/{match[1]}").exists():
            remove(name)
