"""Who logged in and out at a handset, as the dialplan noted it: taken once, in order, if it still holds."""

from __future__ import annotations

import pytest

from control_plane.domain.entities import Organisation
from control_plane.domain.extension import Extension, Transport
from control_plane.domain.features import FEATURE_CODES, Feature, find, log_in_codes, with_codes
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.units import render_unit
from control_plane.service import handsets
from control_plane.service.demo import SITE, DemoPlace, load_demo
from control_plane.service.handset import take_in
from control_plane.service.handsets import Binding
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

PLACE = DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060)
MAC, OTHER = "805ec0123456", "805ec0123457"
BY = By("ada")


class Lobby:
    """The demo with a handset nobody is logged in at, an hour after that was set up."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.calls = 0

    async def model(self) -> Model:
        return (await self.store.snapshot()).model

    async def handset(self, mac: str = MAC) -> Handset:
        return (await self.model()).handsets[mac]

    async def add(self, mac: str = MAC) -> Handset:
        values = {"mac": mac, "model": "T54W", "org": "acme", "site": SITE}
        made = (await handsets.create_handset(self.store, BY, values)).entity
        self.clock.forward(3600)
        return made

    def row(self, what: str, user: str, key: str = "101", org: str = "acme") -> dict[str, str]:
        self.calls += 1
        epoch = int(self.clock.now().timestamp())
        return {f"journal/{org}/{key}/desk/{epoch}.{self.calls}": f"{what},{epoch},{user}"}

    async def take(self, *rows: dict[str, str]) -> None:
        entries = {key: value for row in rows for key, value in row.items()}
        assert set(await take_in(self.store, self.clock, entries)) == set(entries)

    async def revision(self) -> int:
        return (await self.store.snapshot()).revision


@pytest.fixture
async def lobby() -> Lobby:
    made = Lobby()
    await load_demo(made.store, PLACE)
    await made.add()
    return made


async def test_a_log_in_on_the_phone_is_one_by_api_with_the_phone_as_actor(lobby: Lobby) -> None:
    user = (await lobby.handset()).neutral_user
    password = (await lobby.model()).devices["acme", "101"][0].sip_password
    await lobby.take(lobby.row("in", user))
    handset, model = await lobby.handset(), await lobby.model()
    [device] = [d for d in model.devices["acme", "101"] if d.id == handset.device]
    assert (handset.extension, handset.phone_id, handset.neutral_user) == ("101", 1, user)
    assert device.transport is handset.neutral_transport and device.sip_password != password
    assert lobby.store.entries[-1].actor == f"handset {user}"


async def test_a_log_out_on_the_phone_leaves_its_neutral_line(lobby: Lobby) -> None:
    user = (await lobby.handset()).neutral_user
    await handsets.log_in(lobby.store, BY, MAC, Binding("101", transport=Transport.UDP))
    device = (await lobby.handset()).device
    assert device is not None
    lobby.clock.forward(60)
    await lobby.take(lobby.row("out", device))
    handset = await lobby.handset()
    assert (handset.extension, handset.phone_id, handset.last_device) == (None, None, device)
    assert (handset.neutral_user, handset.neutral_transport) == (user, Transport.UDP)


async def test_rows_that_are_taken_twice_change_nothing_the_second_time(lobby: Lobby) -> None:
    row = lobby.row("in", (await lobby.handset()).neutral_user)
    await lobby.take(row)
    revision = await lobby.revision()
    await lobby.take(row)
    assert await lobby.revision() == revision
    out = lobby.row("out", str((await lobby.handset()).device))
    await lobby.take(out)
    revision = await lobby.revision()
    await lobby.take(out)
    assert await lobby.revision() == revision


async def test_who_came_and_went_while_nobody_was_there_to_see_is_taken_in_order(lobby: Lobby) -> None:
    other = await lobby.add(OTHER)
    first = lobby.row("in", (await lobby.handset()).neutral_user)
    lobby.clock.forward(30)
    second = lobby.row("in", other.neutral_user)
    await lobby.take(second, first)
    assert (await lobby.handset()).extension is None
    assert (await lobby.handset(OTHER)).extension == "101"


async def test_a_log_in_by_other_means_made_later_wins(lobby: Lobby) -> None:
    late = lobby.row("in", (await lobby.handset()).neutral_user)
    lobby.clock.forward(5)
    await handsets.log_in(lobby.store, BY, MAC, Binding("102"))
    await lobby.take(late)
    assert (await lobby.handset()).extension == "102"


async def test_another_change_of_the_handset_stands_in_nobodys_way(lobby: Lobby) -> None:
    row = lobby.row("in", (await lobby.handset()).neutral_user)
    lobby.clock.forward(5)
    await handsets.patch_handset(lobby.store, BY, MAC, {"name": "Lobby"})
    await lobby.take(row)
    assert (await lobby.handset()).extension == "101"


@pytest.mark.parametrize(
    ("what", "key", "org"),
    [("in", "199", "acme"), ("in", "200", "globex"), ("out", "101", "acme"), ("1", "101", "acme")],
    ids=["no such extension", "another tenant's", "nobody there", "neither in nor out"],
)
async def test_what_does_not_hold_is_skipped(lobby: Lobby, what: str, key: str, org: str) -> None:
    async with lobby.store.transaction("seed") as tx:
        tx.put(Organisation(id="globex", name="Globex"))
        tx.put(Extension(org="globex", key="200", site=SITE))
    user, revision = (await lobby.handset()).neutral_user, await lobby.revision()
    await lobby.take(lobby.row(what, user, key, org), lobby.row("in", "x" * 12))
    assert await lobby.revision() == revision


async def test_a_site_without_a_free_phone_id_leaves_the_handset_as_it_is(lobby: Lobby) -> None:
    site = (await lobby.model()).sites[SITE]
    async with lobby.store.transaction("seed") as tx:
        tx.put(
            site.model_copy(update={"provisioning": site.provisioning.model_copy(update={"phone_ids": 1})})
        )
    await lobby.add(OTHER)
    await handsets.log_in(lobby.store, BY, OTHER, Binding("102"))
    await lobby.take(lobby.row("in", (await lobby.handset()).neutral_user))
    assert (await lobby.handset()).extension is None


async def test_only_a_handset_that_is_logged_in_can_be_logged_out_by_code(lobby: Lobby) -> None:
    async def rows() -> dict[str, str]:
        found = render_unit(await lobby.model(), "lab", Unit(UnitKind.HANDSET, (MAC,))).values
        return {key.name: value for key, value in found.items() if key.name.startswith("desk/")}

    assert await rows() == {}
    await handsets.log_in(lobby.store, BY, MAC, Binding("101"))
    assert await rows() == {f"desk/{(await lobby.handset()).device}": MAC}


def test_the_code_is_a_setting_and_the_requirements_code_works_beside_it() -> None:
    assert log_in_codes(FEATURE_CODES) == ("*11", "00#", "00")
    changed = with_codes({"hot_desk": "*55"})
    assert log_in_codes(changed)[0] == "*55"
    for dialled in ("*55", "00#"):
        found = find(changed, dialled)
        assert found is not None and found[0].feature is Feature.HOT_DESK
    assert find(changed, "00") is None, "on a line it may be an extension, or the way abroad"
    assert find(changed, "") is None
