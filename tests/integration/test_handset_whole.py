"""A handset's whole way: set up, enrolled, fetched, registered with that, told, rotated, logged out.

Real parts: the control plane with its database, Asterisk, the provisioning server over TLS, SIP packets. The
handset itself is the test: it fetches as a Yealink does and registers with the values parsed out of its file.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from control_plane.adapters.phones import Engine, Phone, SipAccount
from control_plane.bootstrap.plane import ControlPlane, running
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.entities import Organisation, Site
from control_plane.domain.extension import Extension, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.regions import RegionCode
from control_plane.service import handsets
from control_plane.service.handset_status import HandsetStatus, Sync
from control_plane.service.handsets import Binding
from control_plane.service.writing import By
from provisioning_server.serve import running as serving
from provisioning_server.settings import Settings as ServerSettings
from tests.integration.test_handset_notify import notify_at
from tests.lab import RunningLab, running_lab_in
from tests.security.sip_wire import SipSocket

pytestmark = pytest.mark.asterisk

BY = By("test")
MAC = "805ec0123456"
DEADLINE_S = 15.0
SIP = frozenset({handsets.Secrets.SIP})


@pytest.fixture(scope="module")
def lab(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab_in(tmp_path_factory.mktemp("whole"), asterisk_image=asterisk_image) as made:
        yield made


@dataclass
class Desk:
    """Everything running, and a handset on the desk."""

    plane: ControlPlane
    lab: RunningLab
    trust: ssl.SSLContext
    base: str

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not await condition():  # noqa: ASYNC110 - what is awaited is a state
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"never came: {what}") from None

    async def in_force(self) -> None:
        self.plane.nudge()
        revision = await self.plane.store.revision()
        assert await self.plane.publisher.wait_published(revision, DEADLINE_S)
        assert await self.plane.reconciler.wait_pushed(revision, DEADLINE_S)

    async def handset(self) -> Handset:
        return (await self.plane.store.snapshot()).model.handsets[MAC]

    async def status(self) -> HandsetStatus:
        model = (await self.plane.store.snapshot()).model
        return (await self.plane.provisioning.statuses(model, [MAC]))[MAC]

    async def is_in_sync(self) -> bool:
        return (await self.status()).sync is Sync.IN_SYNC

    async def until_settled(self, register: Callable[[], Awaitable[int]], what: str) -> None:
        """The handset renews its registration until no older secret works; `register`: the SIP status."""

        async def is_settled() -> bool:
            assert await register() == 200
            await asyncio.sleep(0.3)  # a renewal within the same second says nothing new
            return not (await self.status()).rotating

        await self.until(is_settled, what)

    async def get(self, url: str, login: tuple[str, str] | None = None) -> httpx.Response:
        auth = httpx.DigestAuth(*login) if login else None
        agent = {"User-Agent": "Yealink SIP-T54W 96.86.0.70 80:5e:c0:12:34:56"}
        async with httpx.AsyncClient(verify=self.trust, trust_env=False, headers=agent, auth=auth) as client:
            return await client.get(url)

    async def enrolled(self) -> dict[str, str]:
        """What the bootstrap says that the handset gets within its window."""
        await handsets.open_window(self.plane.store, BY, self.plane.wiring.clock, MAC, 5)
        await self.in_force()
        answer = await self.get(f"{self.base}/e/{MAC}.cfg")
        assert answer.status_code == 200 and "account.1.password" not in answer.text
        return values(answer.text)

    async def fetch(self, boot: dict[str, str]) -> dict[str, str]:
        """The settings, fetched with what the bootstrap said."""
        login = (
            boot["static.auto_provision.server.username"],
            boot["static.auto_provision.server.password"],
        )
        answer = await self.get(f"{boot['static.auto_provision.server.url']}{MAC}.cfg", login)
        assert answer.status_code == 200, answer.text
        return values(answer.text)

    def real(self, engine: Engine, user: str, password: str) -> Phone:
        """A SIP phone that registers and calls by itself."""
        s = self.lab.settings
        account = SipAccount(sip_user=user, sip_password=password, host=s.sip_address, port=s.sip_port)
        return Phone(engine, replace(account, local_address=f"{s.sip_address.rpartition('.')[0]}.61"))

    def phone(self, last: int) -> SipSocket:
        s = self.lab.settings
        return SipSocket(f"{s.sip_address.rpartition('.')[0]}.{last}", (s.sip_address, s.sip_port))


def values(text: str) -> dict[str, str]:
    """The settings in a Yealink file."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


@asynccontextmanager
async def desk_of(lab: RunningLab) -> AsyncIterator[Desk]:
    host = lab.settings.sip_address
    server = ServerSettings.model_validate(
        {"state_dir": lab.settings.state_dir, "host": host, "names": ("localhost",), "addresses": (host,)}
    )
    base = f"https://{host}:{server.https_port}"
    settings = lab.settings.model_copy(update={"provisioning_public_url": base})
    async with serving(server):
        trust = ssl.create_default_context(cafile=str(server.own_dir / "tls" / "ca.crt"))
        async with running(Wiring(settings, lab.secrets)) as plane:
            async with plane.store.transaction("seed") as tx:
                tx.put(Organisation(id="acme", name="Acme"))
                node = lab.settings.node
                tx.put(Site(id="hq", name="HQ", region=RegionCode.SG, time_zone="Asia/Singapore", node=node))
                tx.put(
                    Extension(org="acme", key="100", site="hq", label="Ada", voicemail_pin=SecretStr("4711"))
                )
            yield Desk(plane, lab, trust, base)


@pytest.fixture
async def desk(lab: RunningLab) -> AsyncIterator[Desk]:
    async with desk_of(lab) as made:
        yield made


async def test_the_whole_way(desk: Desk, tmp_path: Path) -> None:
    store, clock = desk.plane.store, desk.plane.wiring.clock
    login = Binding("100", transport=Transport.UDP)
    await handsets.create_handset(
        store, BY, {"mac": MAC, "model": "T54W", "org": "acme", "site": "hq"}, login
    )
    await desk.in_force()
    assert (await desk.status()).sync is Sync.NEVER_FETCHED

    # Enrolment: nothing by bare MAC until a window is open, then the bootstrap, once and without SIP secret.
    bare = f"{desk.base}/e/{MAC}.cfg"
    assert (await desk.get(bare)).status_code == 404
    boot = await desk.enrolled()
    assert (await desk.get(bare)).status_code == 404

    # Settings, and a registration with what they say.
    told = await desk.fetch(boot)
    assert told["account.1.label"] == "Ada"
    user, password = told["account.1.user_name"], told["account.1.password"]
    await desk.until(desk.is_in_sync, "in sync")
    assert (await desk.status()).shown_as is None  # fetched, and not registered yet
    with desk.phone(60) as phone:
        assert (await phone.login(user, password)).status == 200

        async def is_registered() -> bool:
            return (await desk.status()).shown_as == "T54W - 80:5E:C0:12:34:56"

        await desk.until(is_registered, "the status names the device")

        # Rotation: told at its contact; both passwords work until it fetched and registered with the new.
        await handsets.rotate(store, BY, clock, MAC)
        await desk.in_force()
        notified = await notify_at(phone, DEADLINE_S)
        assert notified is not None and "\r\nEvent: check-sync;reboot=false\r\n" in notified
        assert (await phone.login(user, password)).status == 200
        again = await desk.fetch(boot)  # at the old address, with the old login
        renewed = again["account.1.password"]
        assert renewed != password
        assert (await phone.login(user, renewed)).status == 200

        async def renew() -> int:
            return (await phone.login(user, renewed)).status

        await desk.until_settled(renew, "the old secrets end")
        await desk.in_force()
        assert (await phone.login(user, password)).status == 401
        server = "static.auto_provision.server"
        login_before = (boot[f"{server}.username"], boot[f"{server}.password"])
        gone = await desk.get(f"{boot[f'{server}.url']}{MAC}.cfg", login_before)
        assert gone.status_code in (401, 404)
        await desk.fetch(again)  # the new address is in the settings it fetched

        # Logged out: told where it was registered; it fetches its neutral line, what it had is worthless.
        await handsets.log_out(store, BY, MAC)
        await desk.in_force()
        assert await notify_at(phone, DEADLINE_S) is not None
        neutral = await desk.fetch(again)
        assert neutral["account.1.user_name"] != user and neutral["account.1.password"] != renewed
        assert (await phone.login(user, renewed)).status == 401
        assert (await desk.status()).shown_as is None
        own = neutral["account.1.user_name"], neutral["account.1.password"]
        assert (await phone.login(*own)).status == 200
        await desk.until(is_registered, "the status names the device again")
        await handsets.delete_handset(store, BY, MAC)


async def test_a_neutral_line_is_rotated_under_two_control_planes_and_calls_all_the_while(
    lab: RunningLab,
) -> None:
    pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
    async with desk_of(lab) as desk:
        store = desk.plane.store
        new = {"mac": MAC, "model": "T54W", "org": "acme", "site": "hq"}
        await handsets.create_handset(store, BY, new, Binding("100", transport=Transport.UDP))
        await handsets.log_out(store, BY, MAC)
        boot = await desk.enrolled()
        neutral = await desk.fetch(boot)
        line, old = neutral["account.1.user_name"], neutral["account.1.password"]
        await desk.until(desk.is_in_sync, "in sync")
        with desk.phone(60) as phone:
            assert (await phone.login(line, old)).status == 200
            await handsets.rotate(store, BY, desk.plane.wiring.clock, MAC, SIP)
            await desk.in_force()
            told = await notify_at(phone, DEADLINE_S)
            assert told is not None and told.startswith(f"NOTIFY sip:{line}@{phone.address}:{phone.port}")
            assert "\r\nEvent: check-sync;reboot=false\r\n" in told
    async with desk_of(lab) as desk:
        with Engine() as engine, desk.real(engine, line, old) as before:
            await desk.in_force()
            assert (await desk.status()).sync is Sync.BEHIND
            assert await asyncio.to_thread(before.register) == 200
            renewed = (await desk.fetch(boot))["account.1.password"]
            assert renewed != old
            with desk.real(engine, line, renewed) as after:
                call = await asyncio.to_thread(before.call, "*11")
                await asyncio.to_thread(call.wait_confirmed)
                await asyncio.to_thread(call.hangup)
                await desk.until_settled(partial(asyncio.to_thread, after.register), "the old password ends")
                await desk.in_force()
                assert await asyncio.to_thread(after.register) == 200
            assert await asyncio.to_thread(before.register) == 401
        await handsets.delete_handset(desk.plane.store, BY, MAC)

        async def is_forgotten() -> bool:
            return MAC not in await desk.plane.provisioning.journal.macs()

        await desk.until(is_forgotten, "nothing is kept of what it fetched")
