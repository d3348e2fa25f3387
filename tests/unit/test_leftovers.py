"""Erasing what removed extensions left: when, what, and that a new owner of the place loses nothing."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from control_plane.apply.leftovers import Erasure
from control_plane.apply.triggers import Triggers
from control_plane.ports import VoicemailBoxes
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.devices import create_device
from control_plane.service.extensions import create_extension, delete_extension
from control_plane.service.groups import create_group, delete_group
from control_plane.service.number_life import forget_leftovers
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.unit.memory_store import MemoryStore

BY = By("test")
ACME_103 = ("acme", "103")
NEW = {"org": "acme", "site": "singapore", "key": "103"}


class Boxes(VoicemailBoxes):
    """Remembers what was erased; does it only while `works`."""

    def __init__(self) -> None:
        self.erased: list[str] = []
        self.works = True

    async def erase(self, name: str) -> bool:
        self.erased.append(name)
        return self.works


class World:
    """The demo, whose extension 103 others no longer forward to, and a node with rows of its own."""

    def __init__(self, again_s: float) -> None:
        self.store = MemoryStore(ManualClock())
        self.node = FakeNode()
        self.boxes = Boxes()
        self.again_s = again_s
        self.restart()

    def restart(self) -> None:
        forget = partial(forget_leftovers, self.store)
        self.erasure = Erasure("lab", self.node, self.store, forget, self.boxes, self.again_s)

    async def open(self) -> None:
        await self.node.connect()
        await load_demo(self.store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
        async with self.store.transaction("test") as tx:
            first = tx.model.extensions["acme", "100"]
            tx.put(first.model_copy(update={"forwarding": type(first.forwarding)()}))

    async def look(self) -> None:
        await self.erasure.look(await self.store.revision())

    async def left(self) -> int:
        return len((await self.store.snapshot()).model.leftovers)

    async def device(self, key: str) -> str:
        return (await self.store.snapshot()).model.devices["acme", key][0].id


@pytest.fixture
async def world() -> World:
    made = World(again_s=60.0)
    await made.open()
    return made


async def test_rows_and_mailbox_of_a_removed_extension_are_erased_and_no_others(world: World) -> None:
    gone, kept = await world.device("103"), await world.device("102")
    rows = {
        f"registrar/contact/{gone};@1": "x",
        f"registrar/contact/{kept};@2": "x",
        "last/acme/103": gone,
        "idle/acme/103": "1893456000",
        "last/acme/102": kept,
        "journal/acme/103/dnd/1": f"1,1,{gone}",
        "outbox/1": "missed,acme,103,+6531234567,1,noanswer",
        "outbox/2": "missed,acme,102,+6531234567,1,noanswer",
        "outbox-failed/3": "voicemail,acme,103,a,b,1,busy",
    }
    await world.node.put_rows(rows.items())
    await world.look()
    assert world.boxes.erased == []
    await delete_extension(world.store, BY, ACME_103)
    await world.look()
    held = {
        k
        for f in ("registrar", "last", "idle", "journal", "outbox", "outbox-failed")
        for k in await rows_of(world, f)
    }
    assert held == {f"registrar/contact/{kept};@2", "last/acme/102", "outbox/2"}
    assert world.boxes.erased == ["acme/103"]
    await world.look()
    assert world.boxes.erased == ["acme/103"], "the second time is later"


async def rows_of(world: World, family: str) -> dict[str, str]:
    return await world.node.read_rows(family)


async def test_it_is_erased_once_more_and_then_forgotten() -> None:
    world = World(again_s=0.02)
    await world.open()
    await delete_extension(world.store, BY, ACME_103)
    async with asyncio.timeout(5):
        while await world.left():
            await world.look()
            await asyncio.sleep(0.005)
    assert world.boxes.erased == ["acme/103", "acme/103"]


async def test_what_a_call_leaves_after_the_removal_goes_when_the_call_ends(world: World) -> None:
    triggers = Triggers(world.erasure.is_due)
    with triggers.listening(world.node):
        triggers.take_lost_sight()

        def ended(key: str) -> frozenset[tuple[str, str]]:
            world.node.emit("UserEvent", UserEvent="CallPath", Org="acme", To=key)
            return triggers.take_ended()

        assert ended("103") == frozenset(), "nothing of it is gone"
        await delete_extension(world.store, BY, ACME_103)
        await world.look()
        assert ended("102") == frozenset() and not triggers.woken
        revision = await world.store.revision()
        await world.erasure.look(revision, ended("103"))
        assert triggers.woken
    assert world.boxes.erased == ["acme/103", "acme/103"]
    await world.look()
    assert world.boxes.erased == ["acme/103", "acme/103"], "the last time is later, however many calls end"
    assert await world.left() == 1


async def test_a_restart_forgets_nothing(world: World) -> None:
    await delete_extension(world.store, BY, ACME_103)
    world.restart()
    await world.look()
    assert world.boxes.erased == ["acme/103"]
    assert await world.left() == 1


async def test_a_new_extension_in_its_place_loses_nothing(world: World) -> None:
    await delete_extension(world.store, BY, ACME_103)
    await world.look()
    await create_extension(world.store, BY, NEW)
    await world.look()
    assert world.boxes.erased == ["acme/103"], "what is there now is the new owner's"
    assert await world.left() == 0


async def test_a_new_extension_finds_nothing_of_the_one_before(world: World) -> None:
    await delete_extension(world.store, BY, ACME_103)
    await create_extension(world.store, BY, NEW)
    await world.look()
    assert world.boxes.erased == ["acme/103"]
    assert await world.left() == 0


async def test_what_cannot_be_erased_is_not_forgotten(world: World) -> None:
    world.boxes.works = False
    await delete_extension(world.store, BY, ACME_103)
    await world.look()
    await create_extension(world.store, BY, NEW)
    await world.look()
    assert await world.left() == 1


async def test_something_waits_until_it_was_erased(world: World) -> None:
    await delete_extension(world.store, BY, ACME_103)
    assert await world.erasure.waiting("acme") == "What extension acme/103 left is not erased yet."
    assert await world.erasure.waiting("hq") is None
    world.boxes.works = False
    await world.look()
    why = await world.erasure.waiting("acme")
    assert why is not None and "acme/103 cannot be erased: look at its directory" in why
    world.boxes.works = True
    world.restart()
    await world.look()
    assert await world.erasure.waiting("acme") is None
    assert await world.left() == 1, "it is erased once more, and no reason to wait"


async def test_an_extension_that_was_there_for_a_moment_is_erased_at_once(world: World) -> None:
    """Removed, made again and removed within one look: what the second left waits for no second time."""
    await delete_extension(world.store, BY, ACME_103)
    await world.look()
    await create_extension(world.store, BY, NEW)
    await create_device(world.store, BY, ACME_103, {"kind": "desktop"})
    await delete_extension(world.store, BY, ACME_103)
    assert await world.erasure.waiting("acme") is not None
    await world.look()
    assert world.boxes.erased == ["acme/103", "acme/103"]
    assert await world.erasure.waiting("acme") is None


async def test_the_turn_of_a_group_goes_with_the_group_and_no_other(world: World) -> None:
    for key in ("900", "901"):
        group = {"org": "acme", "key": key, "site": "singapore", "members": ["101", "102"]}
        await create_group(world.store, BY, group)
    await world.look()
    await world.node.put_rows([("turn/acme/900", "101"), ("turn/acme/901", "102")])
    await world.look()
    await delete_group(world.store, BY, ("acme", "900"))
    await world.look()
    assert await rows_of(world, "turn") == {"turn/acme/901": "102"}


async def test_turns_of_groups_that_went_while_nobody_looked_are_found(world: World) -> None:
    await world.node.put_rows([("turn/acme/900", "101")])
    await world.look()
    assert await rows_of(world, "turn") == {}
    await world.node.put_rows([("turn/acme/900", "101")])
    await create_group(world.store, BY, {"org": "acme", "key": "901", "site": "singapore"})
    await world.look()
    assert await rows_of(world, "turn") == {"turn/acme/900": "101"}, "rows are read only when a group went"
