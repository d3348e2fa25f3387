"""The lab's two Asterisks, up and down: the node (the PBX) and the carrier (the outside world).

Blocking: call it from a thread where an event loop runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from control_plane.adapters.ami_exchange import wait_until_booted
from control_plane.adapters.carrier import CARRIER_USER
from control_plane.adapters.engine import (
    AsteriskContainer,
    ContainerState,
    Listener,
    changed_since_start,
    container_state,
    create,
    docker,
    image_name,
    log_tail,
    make_image,
    remove,
    seed_files,
    write_files,
)
from control_plane.adapters.media_ports import media_warnings
from control_plane.adapters.secrets import SECRETS_FILE, LabSecrets
from control_plane.errors import LabError, LoginRefused, Unreachable
from control_plane.render.static import (
    SEEDED_FILES,
    CarrierStart,
    NodeStart,
    render_carrier,
    render_node,
)
from control_plane.settings import Settings

AMI_PERMIT = ("127.0.0.0/8",)
"""Networks that may log in to the manager interfaces: this machine, and no other."""

BOOTSTRAP = Path(__file__).parents[2] / "docker" / "bootstrap"


@dataclass(frozen=True, slots=True)
class LabStatus:
    """The two containers, and what a restart of each would take up.

    `restart_needed` names the changed files as `node: pjsip.conf`; empty when nothing waits.
    """

    node: ContainerState
    carrier: ContainerState
    restart_needed: tuple[str, ...]


def node_start(settings: Settings, secrets: LabSecrets) -> NodeStart:
    """What the node is started with."""
    s = settings
    return NodeStart(
        name=s.node,
        sip_address=s.sip_address,
        sip_port=s.sip_port,
        sip_tls_port=s.sip_tls_port,
        rtp_port_min=s.rtp_port_min,
        rtp_port_max=s.rtp_port_max,
        ami_address=s.ami_host,
        ami_port=s.ami_port,
        ami_user=s.ami_user,
        ami_secret=secrets.ami.get_secret_value(),
        ami_permit=AMI_PERMIT,
        realm=s.sip_realm,
        user_agent=s.sip_user_agent,
    )


class Lab:
    """One lab of this machine. Every method may be called in any state and any number of times."""

    def __init__(
        self,
        settings: Settings,
        secrets: LabSecrets,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`report` is given one line of progress at a time while something takes long."""
        self._settings = settings
        self._secrets = secrets
        self._report = report

    @property
    def node_dir(self) -> Path:
        """The node's mounted directories: etc, db, spool (voicemail), log."""
        return self._settings.state_dir / "node"

    @property
    def carrier_dir(self) -> Path:
        """The carrier's mounted directories."""
        return self._settings.state_dir / "carrier"

    @property
    def certificate_authority(self) -> Path:
        """The certificate phones need to check the node's; there after the first start."""
        return self.node_dir / "etc" / "keys" / "ca.crt"

    @property
    def node_name(self) -> str:
        """Name of the node's container."""
        return f"wirechief-{self._settings.instance}-node"

    @property
    def carrier_name(self) -> str:
        """Name of the carrier's container."""
        return f"wirechief-{self._settings.instance}-carrier"

    def up(self) -> LabStatus:
        """Starts what does not run and returns when both Asterisks are fully booted.

        What runs is left alone, calls included: when its files would be different now, the status says so.

        Raises:
            LabError: the engine, the image, a port or Asterisk itself; the sentence names the remedy.
        """
        if not self._settings.asterisk_image:
            self._image = make_image(BOOTSTRAP, self._report)
        for container in (self._node, self._carrier):
            if container_state(container.name) is not ContainerState.RUNNING:
                self._report(f"starting {container.name}")
                remove(container.name)
                create(container)
                if container.name == self.node_name:
                    self._warn_of_media_ports()
        self._wait_booted()
        return self.status()

    def _warn_of_media_ports(self) -> None:
        """Tell it now, when none of them is the node's own yet; nobody speaks SRTP with the carrier."""
        s = self._settings
        ports = range(s.rtp_port_min, s.rtp_port_max + 1)
        for warning in media_warnings(s.sip_address, ports, "RTP_PORT"):
            self._report(warning)

    def adopt_authority(self, certificate: Path, key: Path) -> None:
        """Let the node's certificate be signed by this authority, unless the node has one already.

        Handsets are given one authority to trust, for their files and for SIP alike.

        Raises:
            LabError: a file cannot be read or written.
        """
        try:
            files = {"ca.crt": certificate.read_bytes(), "ca.key": key.read_bytes()}
        except OSError as exc:
            raise LabError(f"{exc.filename} cannot be read ({exc.strerror}).") from exc
        seed_files(self.certificate_authority.parent, files)

    def write_files(self) -> None:
        """Makes both directories as a first start would, and starts nothing: for other ways to run them."""
        for container in (self._node, self._carrier):
            write_files(container)

    def down(self) -> None:
        """Stops and removes both containers; everything in the state directory stays."""
        for name in (self.node_name, self.carrier_name):
            remove(name)

    def status(self) -> LabStatus:
        """What runs, and which changed files wait for a restart."""
        waiting = [
            f"{label}: {name}"
            for label, container in (("node", self._node), ("carrier", self._carrier))
            if container_state(container.name) is ContainerState.RUNNING
            for name in changed_since_start(container)
        ]
        return LabStatus(
            node=container_state(self.node_name),
            carrier=container_state(self.carrier_name),
            restart_needed=tuple(waiting),
        )

    def kill_node(self) -> None:
        """SIGKILL to the node, as a crash would do; it stays down until started."""
        docker("kill", "--signal", "KILL", self.node_name)

    def start_node(self) -> None:
        """Starts the node again as it was, and returns when it is fully booted.

        Raises:
            LabError: it does not boot.
        """
        docker("start", self.node_name)
        self._wait_booted()

    def _wait_booted(self) -> None:
        asyncio.run(self._both_booted())

    async def _both_booted(self) -> None:
        settings, secrets = self._settings, self._secrets
        node = (settings.ami_host, settings.ami_port, settings.ami_user, secrets.ami.get_secret_value())
        carrier = (
            settings.carrier_address,
            settings.carrier_ami_port,
            CARRIER_USER,
            secrets.carrier_ami.get_secret_value(),
        )
        await asyncio.gather(self._booted(self.node_name, node), self._booted(self.carrier_name, carrier))

    async def _booted(self, name: str, login: tuple[str, int, str, str]) -> None:
        try:
            await wait_until_booted(*login, within_s=self._settings.start_deadline_s)
        except LoginRefused as exc:
            raise LabError(
                f"{name} runs with another manager password than {SECRETS_FILE} has: "
                "run 'wirechief lab down' and start it again."
            ) from exc
        except Unreachable as exc:
            tail = await asyncio.to_thread(log_tail, name)
            raise LabError(
                f"{name} was not ready within {self._settings.start_deadline_s:g} s. Its last lines:\n{tail}"
            ) from exc

    @cached_property
    def _image(self) -> str:
        return self._settings.asterisk_image or image_name(BOOTSTRAP)

    @property
    def _node(self) -> AsteriskContainer:
        s = self._settings
        start = node_start(s, self._secrets)
        names = (f"IP:{s.sip_address}", *(f"DNS:{name}" for name in s.sip_tls_names))
        return AsteriskContainer(
            name=self.node_name,
            image=self._image,
            directory=self.node_dir,
            files=render_node(start),
            seeded=SEEDED_FILES,
            listeners=(
                Listener(s.sip_address, s.sip_port, "UDP", "SIP_PORT", "SIP_ADDRESS"),
                Listener(s.sip_address, s.sip_port, "TCP", "SIP_PORT", "SIP_ADDRESS"),
                Listener(s.sip_address, s.sip_tls_port, "TCP", "SIP_TLS_PORT", "SIP_ADDRESS"),
                Listener(s.ami_host, s.ami_port, "TCP", "AMI_PORT", "AMI_HOST"),
            ),
            environment={"TLS_NAMES": ",".join(names)},
        )

    @property
    def _carrier(self) -> AsteriskContainer:
        s = self._settings
        start = CarrierStart(
            name="carrier",
            sip_address=s.carrier_address,
            sip_port=s.carrier_sip_port,
            rtp_port_min=s.carrier_rtp_port_min,
            rtp_port_max=s.carrier_rtp_port_max,
            ami_address=s.carrier_address,
            ami_port=s.carrier_ami_port,
            ami_user=CARRIER_USER,
            ami_secret=self._secrets.carrier_ami.get_secret_value(),
            ami_permit=AMI_PERMIT,
            pbx_address=s.sip_address,
            pbx_port=s.sip_port,
        )
        return AsteriskContainer(
            name=self.carrier_name,
            image=self._image,
            directory=self.carrier_dir,
            files=render_carrier(start),
            seeded=frozenset(),
            listeners=(
                Listener(s.carrier_address, s.carrier_sip_port, "UDP", "CARRIER_SIP_PORT", "CARRIER_ADDRESS"),
                Listener(s.carrier_address, s.carrier_ami_port, "TCP", "CARRIER_AMI_PORT", "CARRIER_ADDRESS"),
            ),
            environment={},
        )
