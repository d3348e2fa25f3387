"""NOTIFY and rotation on a real Asterisk: the one contact is told, both passwords work until one is ended."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.ami import AmiAddress, AmiLink
from control_plane.domain.extension import Device
from control_plane.domain.model import Model
from control_plane.errors import Rejected, UnsafeValue
from control_plane.ports import AmiEvent
from control_plane.render.artefacts import Holder, Unit, UnitKind
from control_plane.render.units import render_unit
from tests.lab import RunningLab, running_lab_in
from tests.security.sip_wire import SipSocket
from tests.security.test_sip_attacks import make_model

pytestmark = pytest.mark.asterisk

CHECK_SYNC = "check-sync;reboot=false"
DEADLINE_S = 5.0
QUIET_S = 0.5
"""A NOTIFY that was sent arrives within milliseconds on one machine."""


@dataclass
class Scene:
    """A node with two devices, and the link to it."""

    lab: RunningLab
    link: AmiLink
    model: Model
    devices: tuple[Device, Device]
    events: list[AmiEvent]

    def socket(self, last: int) -> SipSocket:
        settings = self.lab.settings
        network = settings.sip_address.rpartition(".")[0]
        return SipSocket(f"{network}.{last}", (settings.sip_address, settings.sip_port))

    async def hold(self, device: Device) -> None:
        """Push the rows of one device's extension, its secrets first, and take away what is no more."""
        ident = (device.org, device.extension)
        model = Model.of(
            organisations=self.model.organisations.values(),
            sites=self.model.sites.values(),
            extensions=self.model.extensions.values(),
            devices=[device],
        )
        rendered = render_unit(model, "lab", Unit(UnitKind.EXTENSION, ident)).values
        rows = {key.name: value for key, value in rendered.items() if key.holder is Holder.ROW}
        await self.link.put_rows(sorted(rows.items()))
        gone = [name for name in await self.link.read_rows("pbx/auth") if name.endswith("~old")]
        await self.link.delete_rows(name for name in gone if name not in rows)


@pytest.fixture(scope="module")
def lab(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    with running_lab_in(tmp_path_factory.mktemp("notify"), asterisk_image=asterisk_image) as made:
        yield made


@pytest.fixture
async def scene(lab: RunningLab) -> AsyncIterator[Scene]:
    settings = lab.settings
    link = AmiLink(AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, lab.secrets.ami))
    await link.connect()
    model, devices = make_model()
    events: list[AmiEvent] = []
    link.subscribe(events.append)
    made = Scene(lab, link, model, devices, events)
    for device in devices:
        await made.hold(device)
    yield made
    await link.close()


async def notify_at(phone: SipSocket, within_s: float) -> str | None:
    """The NOTIFY that arrives at a phone; None when none does."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            while True:
                data = await loop.sock_recv(phone._socket, 65535)
                if data.startswith(b"NOTIFY"):
                    return data.decode()
    except TimeoutError:
        return None


async def test_the_contact_named_is_told_and_no_other(scene: Scene) -> None:
    """Complaint: "provision" reached every phone of an extension."""
    first, second = scene.devices
    with scene.socket(50) as one, scene.socket(51) as two:
        for phone, device in ((one, first), (two, second)):
            assert (await phone.login(device.id, device.sip_password.get_secret_value())).status == 200
        uri = (await scene.link.contacts())[first.id]
        await scene.link.notify(uri, CHECK_SYNC)
        text = await notify_at(one, DEADLINE_S)
        assert text is not None and f"\r\nEvent: {CHECK_SYNC}\r\n" in text
        assert text.startswith(f"NOTIFY sip:{first.id}@{one.address}:{one.port}")
        assert await notify_at(two, QUIET_S) is None


async def test_what_is_no_event_or_address_is_refused_before_it_is_sent(scene: Scene) -> None:
    with pytest.raises(UnsafeValue):
        await scene.link.notify("sip:a@127.0.0.1\r\nAction: Reload", CHECK_SYNC)
    with pytest.raises(UnsafeValue):
        await scene.link.notify("sip:a@127.0.0.1", "check-sync\r\nAction: Reload")
    with pytest.raises(Rejected):
        await scene.link.notify("", CHECK_SYNC)


async def test_nobody_may_act_as_who_sends_the_notify(scene: Scene) -> None:
    with scene.socket(52) as stranger:
        for method in ("INVITE", "REGISTER"):
            assert (await stranger.ask(method, "wc-notify", to="100")).status in (401, 403, 404)


async def test_the_endpoint_that_notifies_is_not_counted_among_the_pushed(scene: Scene) -> None:
    rows = await scene.link.read_rows("pbx/endpoint")
    assert await scene.link.count_endpoints() == len(rows)


async def test_both_passwords_register_until_the_old_one_ends_and_nobody_takes_it_for_an_attack(
    scene: Scene,
) -> None:
    device = scene.devices[0]
    old = device.sip_password.get_secret_value()
    new = secrets.token_hex(12)
    doubled = device.model_copy(
        update={"sip_password": SecretStr(new), "sip_password_previous": SecretStr(old)}
    )
    await scene.hold(doubled)
    with scene.socket(53) as phone:
        scene.events.clear()
        assert (await phone.login(device.id, old)).status == 200
        assert (await phone.login(device.id, new)).status == 200
        await scene.link.ping()
        wrong = [e.name for e in scene.events if e.name in ("InvalidPassword", "ChallengeResponseFailed")]
        assert wrong == []
        assert (await phone.login(device.id, "neither" * 4)).status == 401
        settled = doubled.model_copy(update={"sip_password_previous": SecretStr("")})
        await scene.hold(settled)
        assert (await phone.login(device.id, old)).status == 401
        assert (await phone.login(device.id, new)).status == 200
    assert f"pbx/auth/{device.id}~old" not in await scene.link.read_rows("pbx/auth")


def test_the_user_of_the_control_plane_can_notify_and_still_no_more() -> None:
    text = (Path(__file__).parents[2] / "asterisk_templates/static/manager.conf.j2").read_text()
    assert "write = system,reporting,config\n" in text
