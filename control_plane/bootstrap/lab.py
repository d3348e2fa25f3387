"""The lab as one thing: containers, database with the demo, control plane process, first push."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from control_plane.adapters.containers import LabStatus
from control_plane.adapters.engine import ContainerState
from control_plane.adapters.passwords import Argon2Passwords
from control_plane.bootstrap import process, provisioning
from control_plane.bootstrap.client import Client
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.accounts import Role
from control_plane.domain.model import Model
from control_plane.errors import ControlPlaneError, LabError, Unreachable
from control_plane.service.accounts import create_account
from control_plane.service.credentials import new_password
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.logins import Logins
from control_plane.service.rights import root
from control_plane.service.writing import By
from control_plane.store import SqlStore

FIRST_ACCOUNT = "admin@localhost"
READY_S = 60.0
"""From the start of the control plane until everything is pushed."""
_LOOK_AGAIN_S = 0.05

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabReady:
    """A lab that is up.

    `code` is the authorization code of the demo, `password` that of FIRST_ACCOUNT, the operator's first; each
    is known at its first start only.
    """

    already_up: bool
    code: str | None
    password: str | None
    restart_needed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabView:
    """How the lab stands. `node` is what the control plane says of its node; None when it does not run.

    `control_plane` and `provisioning` are process numbers. `contacts` maps SIP user names to where they are
    registered; None when it cannot be known. `unanswered` is why a control plane that runs cannot be asked.
    """

    containers: LabStatus | None
    containers_problem: str | None
    control_plane: int | None
    provisioning: int | None
    provisioning_url: str
    node: dict[str, Any] | None
    contacts: dict[str, str] | None
    unanswered: str | None = None

    @property
    def runs(self) -> bool:
        """Whether the control plane runs, and both containers where there are any of the lab."""
        there = set() if self.containers is None else {self.containers.node, self.containers.carrier}
        all_or_none = there in (set(), {ContainerState.RUNNING}, {ContainerState.ABSENT})
        return self.control_plane is not None and all_or_none


def up(wiring: Wiring, report: Report) -> LabReady:
    """Brings up whatever is not, and returns when the node holds the whole model.

    Raises:
        LabError: with the remedy.
    """
    lab = wiring.lab(report)
    _stop_outdated(wiring, report)
    # First, because the handsets' files hold its authority's certificate.
    if provisioning.start(wiring):
        report("the provisioning server is started")
    authority = provisioning.authority(wiring)
    if authority is not None:
        lab.adopt_authority(*authority)
    if wiring.pid_file.running() is not None and _settled(wiring):
        status = lab.status()
        if status.node is status.carrier is ContainerState.RUNNING:
            return LabReady(True, None, None, status.restart_needed)
    status = lab.up()
    first = asyncio.run(prepare_database(wiring))
    started = None
    if wiring.pid_file.running() is None:
        report("starting the control plane")
        started = process.start_detached(wiring)
    _wait_until_settled(wiring, started, report)
    return LabReady(False, first.code, first.password, status.restart_needed)


def _stop_outdated(wiring: Wiring, report: Report) -> None:
    """End a control plane that runs other code or settings than ours; calls go on meanwhile."""
    if wiring.pid_file.running() is None or wiring.pid_file.version() == process.version(wiring):
        return
    report("restarting the control plane: its code or settings changed")
    process.stop(wiring)


def down(wiring: Wiring, report: Report) -> bool:
    """Stops both processes and both containers; everything kept stays. False when nothing ran.

    Raises:
        LabError: with the remedy. Where one of the processes runs in another container, before anything ends.
    """
    for running in (wiring.pid_file, provisioning.pid_file(wiring)):
        running.require_in_sight()
    ran = process.stop(wiring)
    if ran:
        report("the control plane is stopped")
    if provisioning.stop(wiring):
        ran = True
        report("the provisioning server is stopped")
    lab = wiring.lab(report)
    status = lab.status()
    lab.down()
    return ran or ContainerState.ABSENT not in (status.node, status.carrier)


def view(wiring: Wiring) -> LabView:
    """How everything stands, as far as it can be known."""
    containers, problem = None, None
    try:
        containers = wiring.lab().status()
    except LabError as exc:
        problem = str(exc)
    client = Client(wiring)
    node, contacts, unanswered = None, None, None
    pid = wiring.pid_file.running()
    if pid is not None:
        try:
            node = client.node()
            contacts = client.contacts()
        except ControlPlaneError as exc:
            unanswered = str(exc)
    handsets = provisioning.pid_file(wiring)
    return LabView(containers, problem, pid, handsets.running(), handsets.url(), node, contacts, unanswered)


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """What was made for the first time just now; None: it was there already."""

    code: str | None = field(repr=False)
    password: str | None = field(repr=False)


async def prepare_database(wiring: Wiring) -> FirstSecrets:
    """Makes or upgrades the database, loads the demo into an empty one and makes the first account."""
    s = wiring.settings
    async with wiring.store() as store:
        code = await load_demo(store, DemoPlace(s.node, s.carrier_address, s.carrier_sip_port, s.sip_address))
        return FirstSecrets(code, await _make_first_account(wiring, store))


async def _make_first_account(wiring: Wiring, store: SqlStore) -> str | None:
    """The password of a new account of the operator; None where there are accounts."""
    if (await store.snapshot()).model.accounts:
        return None
    password = new_password()
    values = {"email": FIRST_ACCOUNT, "name": "Operator", "role": Role.OPERATOR_ADMIN}
    logins = Logins(store, store.sessions, Argon2Passwords(), wiring.clock)
    await create_account(store, logins, By("lab up"), root("lab up"), values, password)
    return password


async def read_model(wiring: Wiring) -> Model:
    """The newest model."""
    async with wiring.store() as store:
        return (await store.snapshot()).model


def registered(wiring: Wiring) -> dict[str, str] | None:
    """SIP user name -> contact of what is registered now; None when nobody can be asked."""
    try:
        if wiring.pid_file.running() is not None:
            return Client(wiring).contacts()
        return asyncio.run(_contacts(wiring))
    except ControlPlaneError:
        return None


async def _contacts(wiring: Wiring) -> dict[str, str]:
    async with wiring.connected() as link:
        return await link.contacts()


def _settled(wiring: Wiring) -> bool:
    """Whether the control plane answers and its node needs nothing that it would push by itself."""
    try:
        node = Client(wiring).node()
    except ControlPlaneError:
        return False
    return bool(node["in_sync"]) or (not wiring.settings.auto_apply and node["link"] == "connected")


def _wait_until_settled(wiring: Wiring, started: subprocess.Popen[bytes] | None, report: Report) -> None:
    deadline = time.monotonic() + READY_S
    while not _settled(wiring):
        if started is not None:
            process.require_alive(started, wiring)
        if time.monotonic() > deadline:
            raise LabError(f"The node was not in sync within {READY_S:g} s: {_why_not(wiring)}")
        time.sleep(_LOOK_AGAIN_S)
    report("everything is pushed")


def _why_not(wiring: Wiring) -> str:
    try:
        node = Client(wiring).node()
    except Unreachable as exc:
        return str(exc)
    reasons = [node["last_error"], *node["faults"], f"'{wiring.log_file}' may say more"]
    return "; ".join(str(reason) for reason in reasons if reason) + "."
