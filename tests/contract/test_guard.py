"""The loop that blocks attackers, against a node in memory: rows, restarts and exemptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from control_plane.apply.exempt import exempt_of
from control_plane.apply.guard import Guard
from control_plane.domain.entities import Trunk
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import InvalidField, OutcomeUnknown, UnknownEntity, Unreachable
from control_plane.observe.attacks import REFUSED_PREFIX, REFUSING_ROW, Network, Policy
from control_plane.render.artefacts import LENT_ROWS
from control_plane.settings import Settings
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.one_model import OneModel
from tests.waiting import until

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
ATTACKER = "192.0.2.66"
DEADLINE_S = 5.0


class Scene:
    """A node, a clock and guards over them."""

    def __init__(self) -> None:
        self.node = FakeNode()
        self.clock = ManualClock(START)
        self.store = OneModel(Model.of())
        self.names: dict[str, Collection[str]] = {}
        self.guard = self.start()

    def start(self, exempt: Iterable[Network] = ()) -> Guard:
        """A control plane that has just started; the one before is gone."""

        async def resolve(host: str) -> Collection[str]:
            return self.names.get(host, ())

        self.guard = Guard(
            self.node,
            self.store,
            self.clock,
            node="lab",
            policy=Policy(),
            exempt=exempt,
            resolve=resolve,
        )
        self.guard.listen()
        return self.guard

    def fail(self, address: str = ATTACKER, times: int = 5, account: str = "1000") -> None:
        for _ in range(times):
            self.node.emit(
                "ChallengeResponseFailed",
                Service="PJSIP",
                AccountID=account,
                RemoteAddress=f"IPV4/UDP/{address}/5060",
            )

    @property
    def denied(self) -> list[str]:
        rows = [value for key, value in sorted(self.node.rows.items()) if key.startswith(REFUSED_PREFIX)]
        assert (REFUSING_ROW in self.node.rows) == bool(rows)
        return [network for value in rows for network in json.loads(value)["match"].split(",")]

    @property
    def addresses(self) -> list[str]:
        return [block.address for block in self.guard.blocked()]


@pytest.fixture
async def scene() -> Scene:
    made = Scene()
    await made.node.connect()
    await made.guard.turn()
    return made


async def test_the_fifth_failure_has_the_address_refused(scene: Scene) -> None:
    scene.fail(times=4)
    await scene.guard.turn()
    assert scene.denied == []
    scene.fail(times=1)
    await scene.guard.turn()
    assert scene.denied == [f"{ATTACKER}/32"]
    assert scene.addresses == [ATTACKER]


async def test_a_block_ends_by_itself_and_the_next_one_is_twice_as_long(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    scene.clock.forward(seconds=901)
    await scene.guard.turn()
    assert (scene.denied, scene.addresses) == ([], [])
    scene.fail()
    await scene.guard.turn()
    (again,) = scene.guard.blocked()
    assert (again.times, again.until - again.since) == (2, timedelta(seconds=1800))


async def test_nothing_is_written_while_nothing_changes(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    scene.node.operations.clear()
    scene.clock.forward(seconds=30)
    await scene.guard.turn()
    assert scene.node.operations == []


async def test_a_new_control_plane_keeps_the_ends_of_the_blocks_it_finds(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    before = scene.guard.blocked()
    scene.clock.forward(seconds=600)
    scene.start()
    await scene.guard.turn()
    assert scene.guard.blocked() == before
    scene.clock.forward(seconds=301)
    await scene.guard.turn()
    assert scene.denied == []


async def test_an_asterisk_that_lost_its_rows_gets_them_again(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    scene.node.crash()
    assert scene.node.rows == {}
    await scene.node.connect()
    await scene.guard.turn()
    assert scene.denied == [f"{ATTACKER}/32"]
    assert f"guard/{ATTACKER}" in scene.node.rows


@pytest.mark.parametrize("cut_after", range(1, 8))
async def test_a_connection_cut_at_any_step_ends_in_the_same_state(scene: Scene, cut_after: int) -> None:
    scene.fail()
    scene.node.faults.cut_after = cut_after
    with suppress(OutcomeUnknown):
        await scene.guard.turn()
    scene.node.faults.cut_after = None
    await scene.node.connect()
    await scene.guard.turn()
    assert scene.denied == [f"{ATTACKER}/32"]
    assert f"guard/{ATTACKER}" in scene.node.rows


async def test_failures_seen_just_before_a_disconnect_still_block_after_it(scene: Scene) -> None:
    scene.fail()
    scene.node.cut()
    await scene.guard.turn()
    await scene.node.connect()
    await scene.guard.turn()
    assert scene.addresses == [ATTACKER]


async def test_rows_that_are_not_ours_stay_and_nonsense_among_ours_goes(scene: Scene) -> None:
    trunk = {"pbx/identify/trunk-carrier": '{"match":"10.0.0.1"}', "pbx/endpoint/trunk-carrier": "{}"}
    scene.node.rows |= trunk | {"guard/nonsense": "x", f"{REFUSED_PREFIX}07": "{}", REFUSING_ROW: "{}"}
    scene.start()
    await scene.guard.turn()
    assert scene.node.rows == trunk


async def test_rows_are_written_and_removed_so_that_none_ever_points_nowhere(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    await scene.guard.unblock_all()
    changes = [op for op in scene.node.operations if op[0] in ("put", "delete") and op[1].startswith("pbx/")]
    first = f"{REFUSED_PREFIX}00"
    assert changes == [("put", REFUSING_ROW), ("put", first), ("delete", first), ("delete", REFUSING_ROW)]


def test_the_push_leaves_the_rows_of_the_guard_alone() -> None:
    assert REFUSING_ROW.startswith(LENT_ROWS)
    assert REFUSED_PREFIX.startswith(LENT_ROWS)


async def test_a_trunk_is_never_blocked(scene: Scene) -> None:
    scene.store.model = Model.of(trunks=[Trunk(id="carrier", host=ATTACKER, region=RegionCode("SG"))])
    scene.start()
    await scene.guard.turn()
    scene.fail(times=50)
    await scene.guard.turn()
    assert scene.denied == []


async def test_a_trunk_known_by_name_is_never_blocked_even_while_its_name_does_not_resolve(
    scene: Scene,
) -> None:
    scene.store.model = Model.of(
        trunks=[Trunk(id="carrier", host="sip.carrier.example", region=RegionCode("SG"))]
    )
    scene.names["sip.carrier.example"] = {ATTACKER, "2001:db8::5"}
    scene.start()
    await scene.guard.turn()
    del scene.names["sip.carrier.example"]
    await scene.guard.refresh_exempt()
    scene.fail(times=50)
    await scene.guard.turn()
    assert scene.denied == []


async def test_an_address_that_becomes_a_trunk_is_released(scene: Scene) -> None:
    scene.fail()
    await scene.guard.turn()
    scene.store.model = Model.of(trunks=[Trunk(id="carrier", host=ATTACKER, region=RegionCode("SG"))])
    await scene.guard.refresh_exempt()
    await scene.guard.turn()
    assert scene.denied == []


async def test_an_allowed_network_is_never_blocked_and_its_neighbour_is(scene: Scene) -> None:
    scene.start([ip_network("192.0.2.64/26")])
    await scene.guard.turn()
    scene.fail(times=50)
    scene.fail("192.0.2.1")
    await scene.guard.turn()
    assert scene.denied == ["192.0.2.1/32"]


async def test_an_office_with_a_registered_phone_is_not_cut_off_by_one_wrong_password(scene: Scene) -> None:
    scene.node.contact_uris["devb"] = f"sip:devb@{ATTACKER}:5062"
    scene.clock.forward(minutes=1)
    scene.fail(times=19, account="deva")
    await scene.guard.turn()
    assert scene.denied == []
    scene.fail(times=1, account="deva")
    await scene.guard.turn()
    assert scene.denied == [f"{ATTACKER}/32"]


async def test_a_phone_that_registers_makes_its_address_familiar_at_once(scene: Scene) -> None:
    scene.node.emit(
        "ContactStatus", ContactStatus="NonQualified", AOR="devb", URI=f"sip:devb@{ATTACKER}:5062"
    )
    scene.fail(account="deva")
    await scene.guard.turn()
    assert scene.denied == []


async def test_an_address_stays_familiar_for_a_day_after_its_phones_are_gone(scene: Scene) -> None:
    scene.node.contact_uris["devb"] = f"sip:devb@{ATTACKER}:5062"
    scene.clock.forward(minutes=6)
    await scene.guard.turn()
    scene.node.contact_uris.clear()
    scene.clock.forward(hours=23)
    scene.fail(account="deva")
    await scene.guard.turn()
    assert scene.denied == []
    scene.clock.forward(hours=2)
    await scene.guard.turn()
    scene.fail(account="deva")
    await scene.guard.turn()
    assert scene.denied == [f"{ATTACKER}/32"]


async def test_unblocking_lifts_the_row_and_forgets_the_past(scene: Scene) -> None:
    scene.fail()
    scene.fail("192.0.2.1")
    await scene.guard.turn()
    await scene.guard.unblock(ATTACKER)
    assert scene.denied == ["192.0.2.1/32"]
    scene.fail()
    await scene.guard.turn()
    assert scene.guard.blocked()[0].times == 1


async def test_unblocking_all_lifts_every_row(scene: Scene) -> None:
    for last in range(1, 60):
        scene.fail(f"192.0.2.{last}")
    await scene.guard.turn()
    assert len(scene.denied) == 59
    assert await scene.guard.unblock_all() == 59
    assert scene.node.rows == {}


async def test_unblocking_says_what_is_wrong_with_the_request(scene: Scene) -> None:
    with pytest.raises(UnknownEntity):
        await scene.guard.unblock("192.0.2.9")
    with pytest.raises(InvalidField, match="IP address"):
        await scene.guard.unblock("the office")
    scene.node.cut()
    with pytest.raises(Unreachable):
        await scene.guard.unblock(ATTACKER)


async def test_the_memory_is_bounded_when_sources_are_forged(scene: Scene) -> None:
    for number in range(3000):
        scene.fail(f"10.{number // 250}.{number % 250}.9")
    await scene.guard.turn()
    assert len(scene.denied) <= 400
    assert sum(key.startswith("guard/") for key in scene.node.rows) == 2000


async def test_the_loop_blocks_and_releases_by_itself() -> None:
    scene = Scene()
    await scene.node.connect()
    running = asyncio.create_task(scene.guard.run())
    try:
        await until(lambda: ("contacts", "") in scene.node.operations, "a look at contacts", DEADLINE_S)
        scene.fail()
        await until(lambda: scene.denied == [f"{ATTACKER}/32"], "the block", DEADLINE_S)
        scene.clock.forward(seconds=901)
        scene.node.cut()
        await scene.node.connect()
        await until(lambda: scene.denied == [], "its end", DEADLINE_S)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def test_loopback_is_not_exempt_but_the_control_plane_s_own_address_is() -> None:
    assert exempt_of(Settings()) == ()
    settings = Settings.model_validate({"api_host": "192.0.2.5", "guard_allow": ("198.51.100.0/24",)})
    assert exempt_of(settings) == (ip_network("198.51.100.0/24"), ip_network("192.0.2.5/32"))
