"""What an attacker learns and how long he is let: SIPVicious and raw packets against a real node."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.ami.address import AmiAddress
from control_plane.adapters.ami.link import AmiLink
from control_plane.adapters.clock import SystemClock
from control_plane.apply.guard import Guard
from control_plane.domain.entities import Organisation, Site, Trunk
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import AsteriskError
from control_plane.observe.attacks import BlockReason, Network, Policy, observe_failure
from control_plane.ports import AmiEvent, LinkState
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.units import render_unit
from tests.lab import RunningLab, running_lab_in
from tests.one_model import OneModel
from tests.security.attacker import attack
from tests.security.sip_wire import SipSocket
from tests.waiting import until

pytestmark = pytest.mark.asterisk

DEADLINE_S = 10.0
WORDS = 300
"""Length of the dictionary; the right password is the tenth from its end."""
POLICY = Policy()
PACE_S = 0.005
"""Between two requests, as svcrack does it."""
FEW = 100
"""Attempts let through at most. On an idle machine it is 5 or 6: Asterisk tells of a failure within 1 ms and
an ACL row takes 1 ms. A busy machine may deliver the events tens of milliseconds late."""


def make_model(*trunks: Trunk) -> tuple[Model, tuple[Device, Device]]:
    """Two extensions with a device each, as the control plane would render them."""
    site = Site(id="hq", name="HQ", region=RegionCode("SG"), time_zone="Asia/Singapore")
    keys = ("100", "101")
    first, second = (
        Device(
            id="d" + secrets.token_hex(6)[:11],
            org="acme",
            extension=key,
            kind=DeviceKind.IP_PHONE,
            sip_password=SecretStr(secrets.token_hex(10)),
        )
        for key in keys
    )
    model = Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[site],
        extensions=[Extension(org="acme", key=key, site="hq") for key in keys],
        devices=[first, second],
        trunks=trunks,
    )
    return model, (first, second)


@dataclass
class Scene:
    """A node with two devices pushed, and the link to it."""

    lab: RunningLab
    link: AmiLink
    model: Model
    devices: tuple[Device, Device]
    failures: list[tuple[float, str]] = field(default_factory=list)

    @property
    def node(self) -> tuple[str, int]:
        return self.lab.settings.sip_address, self.lab.settings.sip_port

    def address(self, last: int) -> str:
        """An address in the lab's own loopback network."""
        return f"{self.lab.settings.sip_address.rpartition('.')[0]}.{last}"

    def socket(self, last: int) -> SipSocket:
        return SipSocket(self.address(last), self.node)

    def failures_from(self, last: int) -> list[float]:
        return [at for at, address in self.failures if address == self.address(last)]

    @asynccontextmanager
    async def guarded(self, *, block_s: int = 900, exempt: tuple[Network, ...] = ()) -> AsyncIterator[Guard]:
        """A guard at work; every block is lifted at the end."""
        guard = Guard(
            self.link,
            OneModel(self.model),
            SystemClock(),
            node="lab",
            policy=replace(POLICY, block_s=block_s),
            exempt=exempt,
        )
        running = asyncio.create_task(guard.run())
        try:
            await guard.turn()
            yield guard
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await guard.unblock_all()


def address_of(lab: RunningLab) -> AmiAddress:
    return AmiAddress(lab.settings.ami_host, lab.settings.ami_port, lab.settings.ami_user, lab.secrets.ami)


@asynccontextmanager
async def scene_in(lab: RunningLab) -> AsyncIterator[Scene]:
    model, devices = make_model()
    link = AmiLink(address_of(lab))
    scene = Scene(lab, link, model, devices)

    def note(event: AmiEvent) -> None:
        failure = observe_failure(event.name, event.headers)
        if failure is not None:
            scene.failures.append((asyncio.get_running_loop().time(), str(failure.source.network_address)))

    await link.connect()
    link.subscribe(note)
    rows = [
        (key.name, value)
        for extension in ("100", "101")
        for key, value in render_unit(
            model, "lab", Unit(UnitKind.EXTENSION, ("acme", extension))
        ).values.items()
    ]
    try:
        await link.put_rows(rows)
        yield scene
    finally:
        contacts = [key for key in await link.read_rows("registrar") if any(d.id in key for d in devices)]
        await link.delete_rows([name for name, _ in rows] + contacts)
        await link.close()


@pytest.fixture
async def scene(running_lab: RunningLab) -> AsyncIterator[Scene]:
    async with scene_in(running_lab) as made:
        yield made


@pytest.fixture
def dictionary(scene: Scene, tmp_path: Path) -> Path:
    """Wrong passwords with the right one of the first device near the end."""
    words = [secrets.token_hex(10) for _ in range(WORDS)]
    words[-10] = scene.devices[0].sip_password.get_secret_value()
    path = tmp_path / "words.txt"
    path.write_text("\n".join(words) + "\n")
    return path


async def in_force(guard: Guard) -> None:
    """Wait until somebody is blocked and Asterisk has been told."""
    await until(guard.blocked, "a block", DEADLINE_S)
    await guard.turn()  # rounds are one at a time: the one that blocked is over now


# What an attacker learns.


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
async def test_known_and_unknown_users_get_equal_answers(scene: Scene, method: str) -> None:
    known = scene.devices[0].id
    unknown = ("d" + "z" * 11, "100", "trunk-carrier", "anonymous", "admin", "from-device")
    with scene.socket(60) as wire:
        expected = (await wire.ask(method, known, to="100")).shape
        assert expected[0] == 401
        for user in unknown:
            assert (await wire.ask(method, user, to="100")).shape == expected, user


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
async def test_a_wrong_password_gets_equal_answers_for_known_and_unknown_users(
    scene: Scene, method: str
) -> None:
    with scene.socket(60) as wire:
        known = await wire.login(scene.devices[0].id, "wrong", method)
        unknown = await wire.login("d" + "z" * 11, "wrong", method)
    assert known.status == 401
    assert known.shape == unknown.shape


async def test_no_answer_tells_the_software_or_its_version(scene: Scene) -> None:
    device = scene.devices[0]
    with scene.socket(60) as wire:
        replies = [
            await wire.ask(method, "nobody") for method in ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE")
        ]
        replies.append(await wire.login(device.id, device.sip_password.get_secret_value()))
        await wire.ask("REGISTER", device.id, expires=0)
    for reply in replies:
        assert reply.all("Server") == [scene.lab.settings.sip_user_agent]
        text = "\n".join(f"{name}: {value}" for name, value in reply.headers) + reply.body
        assert not re.search(r"asterisk(?!\")|pjsip|pbx|\b2[0-9]\.[0-9]+\.[0-9]", text, re.IGNORECASE), text


async def test_svmap_sees_a_sip_server_and_no_version(scene: Scene) -> None:
    seen = await attack("svmap", scene.address(61), scene.node[0])
    assert scene.lab.settings.sip_user_agent in seen
    assert not re.search(r"asterisk|[0-9]+\.[0-9]+\.[0-9]+-", seen, re.IGNORECASE)


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "INVITE"])
async def test_svwar_finds_no_extension_even_from_a_list_of_the_right_ones(
    scene: Scene, tmp_path: Path, method: str
) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["100", "101", "d" + "z" * 11, *(d.id for d in scene.devices)]) + "\n")
    for found in (
        await attack("svwar", scene.address(62), "--force", "-m", method, "-d", str(names), scene.node[0]),
        await attack("svwar", scene.address(62), "--force", "-m", method, "-e", "99-103", scene.node[0]),
    ):
        assert "found nothing" in found
        assert "reqauth" not in found


# How long an attacker is let.


async def test_svcrack_finds_a_listed_password_when_nobody_guards(scene: Scene, dictionary: Path) -> None:
    """The attack is a real one: what the other tests stop would have succeeded."""
    device = scene.devices[0]
    said = await attack("svcrack", scene.address(63), "-u", device.id, "-d", str(dictionary), scene.node[0])
    assert device.sip_password.get_secret_value() in said


async def test_svcrack_is_blocked_before_it_comes_to_the_right_password(
    scene: Scene, dictionary: Path, record_property: Callable[[str, object], None]
) -> None:
    device = scene.devices[0]
    async with scene.guarded() as guard:
        cracking = asyncio.create_task(
            attack("svcrack", scene.address(64), "-u", device.id, "-d", str(dictionary), scene.node[0])
        )
        await until(guard.blocked, "a block", DEADLINE_S)
        blocked_at = asyncio.get_running_loop().time()
        said = await cracking
        (block,) = guard.blocked()
        contacts = await scene.link.contacts()
    attempts = scene.failures_from(64)
    assert device.sip_password.get_secret_value() not in said
    assert device.id not in contacts
    assert (block.address, block.reason) == (scene.address(64), BlockReason.FAILURES)
    record_property("attempts_until_blocked", len(attempts))
    record_property("seconds_until_blocked", round(blocked_at - attempts[0], 3))
    assert POLICY.max_failures <= len(attempts) < FEW


async def test_a_scanner_that_walks_through_names_is_refused_after_a_few(scene: Scene) -> None:
    async with scene.guarded() as guard:
        with scene.socket(65) as scanner:
            for number in range(200):
                assert (await scanner.ask("OPTIONS", str(1000 + number))).status == 401
                await asyncio.sleep(PACE_S)
        assert [block.address for block in guard.blocked()] == [scene.address(65)]
    assert POLICY.max_failures <= len(scene.failures_from(65)) < FEW


async def test_a_blocked_address_is_refused_even_with_the_right_password_and_another_is_not(
    scene: Scene,
) -> None:
    device = scene.devices[0]
    password = device.sip_password.get_secret_value()
    async with scene.guarded() as guard:
        with scene.socket(66) as attacker, scene.socket(67) as phone:
            for _ in range(5):
                await attacker.login(device.id, "wrong")
            await in_force(guard)
            assert (await attacker.login(device.id, password)).status == 401
            assert (await phone.login(device.id, password)).status == 200
            await guard.unblock(scene.address(66))
            assert (await attacker.login(device.id, password)).status == 200


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"])
async def test_nobody_can_tell_from_outside_that_an_address_is_blocked(scene: Scene, method: str) -> None:
    device = scene.devices[0]
    async with scene.guarded() as guard:
        with scene.socket(74) as attacker:
            before = await attacker.ask(method, "nobody", to="100")
            for _ in range(5):
                await attacker.login("nobody", "wrong")
            await in_force(guard)
            for user in ("nobody", device.id):
                assert (await attacker.ask(method, user, to="100")).shape == before.shape
            right = await attacker.login(device.id, device.sip_password.get_secret_value(), method)
            assert right.shape == (await attacker.login("nobody", "wrong", method)).shape


async def test_a_block_ends_by_itself(scene: Scene) -> None:
    device = scene.devices[0]
    password = device.sip_password.get_secret_value()
    async with scene.guarded(block_s=2) as guard:
        with scene.socket(68) as attacker:
            for _ in range(5):
                await attacker.login("nobody", "wrong")
            await in_force(guard)
            assert (await attacker.login(device.id, password)).status == 401
            await until(lambda: not guard.blocked(), "the end of the block", DEADLINE_S)
            await guard.turn()
            assert (await attacker.login(device.id, password)).status == 200


async def test_a_phone_with_a_wrong_password_does_not_cut_off_its_office(scene: Scene) -> None:
    """Both phones are behind one address; only far more failures than a phone makes block it."""
    good, bad = scene.devices
    password = good.sip_password.get_secret_value()
    async with scene.guarded() as guard:
        with scene.socket(69) as one, scene.socket(69) as other:
            assert (await one.login(good.id, password)).status == 200
            for _ in range(15):
                await other.login(bad.id, "wrong")
            await guard.turn()
            assert guard.blocked() == ()
            assert (await one.login(good.id, password)).status == 200
            for _ in range(5):
                await other.login(bad.id, "wrong")
            await in_force(guard)
            assert guard.blocked()[0].reason is BlockReason.ACCOUNT


async def test_a_scan_from_behind_a_phone_s_address_is_blocked(scene: Scene) -> None:
    good, _ = scene.devices
    async with scene.guarded() as guard:
        with scene.socket(70) as one, scene.socket(70) as other:
            assert (await one.login(good.id, good.sip_password.get_secret_value())).status == 200
            for number in range(16):
                await other.ask("REGISTER", str(1000 + number))
            await guard.turn()
            assert guard.blocked() == ()
            await other.ask("REGISTER", "1016")
            await in_force(guard)
            assert guard.blocked()[0].reason is BlockReason.SCAN


async def test_an_allowed_network_is_let(scene: Scene) -> None:
    allowed = ip_network(f"{scene.address(71)}/32")
    async with scene.guarded(exempt=(allowed,)) as guard:
        with scene.socket(71) as friend:
            for number in range(60):
                await friend.ask("REGISTER", f"x{number}")
            await guard.turn()
            assert guard.blocked() == ()
            assert (await friend.ask("REGISTER", "x")).status == 401


async def test_a_trunk_is_let(scene: Scene) -> None:
    scene.model, _ = make_model(Trunk(id="carrier", host=scene.address(72), region=RegionCode("SG")))
    async with scene.guarded() as guard:
        with scene.socket(72) as trunk:
            for number in range(20):
                await trunk.ask("REGISTER", f"x{number}")
            await guard.turn()
            assert guard.blocked() == ()


@pytest.fixture
def own_lab(asterisk_image: str, tmp_path: Path) -> Iterator[RunningLab]:
    """A lab that may be killed: nobody else uses it."""
    with running_lab_in(tmp_path, asterisk_image=asterisk_image) as lab:
        yield lab


async def test_blocks_outlive_the_control_plane_and_asterisk(own_lab: RunningLab) -> None:
    async with scene_in(own_lab) as scene:
        right = scene.devices[0].id, scene.devices[0].sip_password.get_secret_value()
        with scene.socket(73) as attacker:
            async with _abandoned_guard(scene) as guard:
                for _ in range(5):
                    await attacker.login("nobody", "wrong")
                await in_force(guard)
                before = guard.blocked()
            assert (await attacker.login(*right)).status == 401
            async with scene.guarded() as guard:
                assert guard.blocked() == before
                await asyncio.to_thread(own_lab.lab.kill_node)
                await until(lambda: scene.link.state is not LinkState.CONNECTED, "the cut", DEADLINE_S)
                await asyncio.to_thread(own_lab.lab.start_node)
                await until(lambda: scene.link.state is LinkState.CONNECTED, "the connection", 30)
                await guard.turn()
                assert guard.blocked() == before
                assert (await attacker.login(*right)).status == 401


@asynccontextmanager
async def _abandoned_guard(scene: Scene) -> AsyncIterator[Guard]:
    """A guard whose control plane dies: nothing is lifted at the end."""
    guard = Guard(scene.link, OneModel(scene.model), SystemClock(), node="lab", policy=POLICY)
    running = asyncio.create_task(guard.run())
    try:
        await guard.turn()
        yield guard
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, AsteriskError):
            await running
