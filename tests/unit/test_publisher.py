"""The publisher: follows the model, repairs drift, survives a store that fails, tells who has news."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher, PublisherOptions
from control_plane.errors import StalePlan
from control_plane.plan.changes import Drift
from control_plane.plan.plan import step_as_dict
from control_plane.render.handsets.assemble import Place
from control_plane.render.handsets.publication import publication_of
from control_plane.render.packed import pack, unpack
from tests.contract.fake_published import FakePublished
from tests.unit.handset_models import MAC, NEXT_YEAR, OTHER, PLACE, handset, handset_model
from tests.unit.pushing import DEADLINE_S, MemoryStore, extension

FAST = PublisherOptions(poll_s=0.02, audit_s=30.0, settle_s=0.05, backoff_first_s=0.01, backoff_max_s=0.05)


@dataclass
class Desk:
    store: MemoryStore
    published: FakePublished
    publisher: Publisher
    told: list[str] = field(default_factory=list)
    place: Place = PLACE

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        async with asyncio.timeout(DEADLINE_S):
            try:
                while not condition():  # noqa: ASYNC110  # what is awaited is a state, not one event
                    await asyncio.sleep(0.002)
            except asyncio.CancelledError:
                raise AssertionError(f"never came: {what} ({self.publisher.state.last_error})") from None

    async def settled(self) -> None:
        await self.until(
            lambda: (
                self.publisher.state.in_sync and self.publisher.state.revision_published == self.store.number
            ),
            "in sync",
        )

    def sequence(self, mac: str) -> object:
        return publication_of(self.published.texts[mac]).device["sequence"]


def desk(options: PublisherOptions = FAST, before: Desk | None = None) -> Desk:
    """A publisher over fresh stores, or over those of another: as after a restart."""
    store = before.store if before else MemoryStore(handset_model())
    published = before.published if before else FakePublished()
    made: list[Desk] = []

    def tell(macs: Collection[str]) -> None:
        made[0].told.extend(macs)

    publisher = Publisher(
        published,
        store,
        HandsetFiles(lambda: made[0].place if made else PLACE),
        options=options,
        on_published=tell,
        jitter=random.Random(1),
    )
    made.append(Desk(store, published, publisher))
    return made[0]


@asynccontextmanager
async def running(made: Desk) -> AsyncIterator[Desk]:
    task = asyncio.create_task(made.publisher.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


def edited(published: str, old: str, new: str) -> str:
    """As somebody with an editor would leave a publication."""
    text = unpack(published)
    assert old in text
    return pack(text.replace(old, new))


async def test_a_first_apply_publishes_everything_and_a_second_nothing() -> None:
    made = desk()
    plan = await made.publisher.plan()
    assert {step.op.value for step in plan.steps} == {"publish"} and not plan.touches_calls
    applied = await made.publisher.apply(plan)
    assert applied is not None and applied.ok
    assert {MAC, OTHER} <= made.published.texts.keys()
    assert await made.publisher.apply() is None


async def test_a_new_label_shows_in_the_plan_without_secrets_and_reaches_one_handset_first() -> None:
    made = desk()
    await made.publisher.apply()
    made.store.change(extension("100", label="Grace"))
    plan = await made.publisher.plan()
    mine = next(step for step in plan.steps if step.key.name == MAC)
    shown = step_as_dict(mine)
    assert shown["reason"] == f"handset {MAC} changed: {MAC}.cfg, directory.xml"
    assert isinstance(shown["diff"], list) and any("Grace" in line for line in shown["diff"])
    assert "x" * 16 not in str(shown) and shown["secret"]


async def test_one_changed_handset_is_written_alone_and_the_directory_follows_later() -> None:
    async with running(desk()) as made:
        await made.settled()
        made.published.writes.clear()
        made.told.clear()
        made.store.change(extension("100", label="Grace"))
        made.publisher.nudge()
        await made.settled()
        assert made.published.writes == [{MAC}, {OTHER}]
        assert made.told == [MAC, OTHER]
        assert b"Grace" in b"".join(f.content for f in publication_of(made.published.texts[OTHER]).files)


async def test_what_no_handset_shows_publishes_nothing() -> None:
    async with running(desk()) as made:
        await made.settled()
        made.published.writes.clear()
        made.store.edit("100", dnd=True)
        made.publisher.nudge()
        await made.settled()
        assert made.published.writes == []


async def test_each_publication_has_a_higher_number_also_after_a_restart() -> None:
    made = desk()
    await made.publisher.apply()
    assert made.sequence(MAC) == 1
    made.store.change(extension("100", label="Grace"))
    await made.publisher.apply()
    assert made.sequence(MAC) == 2
    again = desk(before=made)
    assert (await again.publisher.plan()).is_empty
    again.store.change(extension("100", label="Ada"))
    await again.publisher.apply()
    assert made.sequence(MAC) == 3


async def test_an_edited_and_a_lost_handset_are_found_and_put_back() -> None:
    made = desk()
    await made.publisher.apply()
    good = dict(made.published.texts)
    made.published.texts[MAC] = edited(good[MAC], "Ada", "Eve")
    del made.published.texts[OTHER]
    plan = await made.publisher.plan()
    assert {step.key.name: step.drift for step in plan.steps} == {MAC: Drift.EDITED, OTHER: Drift.LOST}
    assert "edited in the published store" in plan.steps[0].reason
    await made.publisher.apply()
    assert made.published.texts == good


async def test_a_removed_handset_is_withdrawn_and_a_foreign_one_too() -> None:
    made = desk()
    await made.publisher.apply()
    made.published.texts["aa11bb22cc33"] = edited(made.published.texts[OTHER], "cd" * 20, "ef" * 20)
    made.store.remove(handset())
    plan = await made.publisher.plan()
    assert {(step.op.value, step.key.name) for step in plan.steps} == {
        ("withdraw", MAC),
        ("withdraw", "aa11bb22cc33"),
    }
    await made.publisher.apply()
    assert MAC not in made.published.texts and OTHER in made.published.texts


async def test_a_plan_that_is_no_longer_true_is_refused() -> None:
    made = desk()
    plan = await made.publisher.plan()
    made.store.change(extension("100", label="Grace"))
    with pytest.raises(StalePlan):
        await made.publisher.apply(plan)


async def test_a_store_that_cannot_be_written_is_tried_until_it_can() -> None:
    async with running(desk()) as made:
        await made.settled()
        made.published.broken = "no room"
        made.store.change(extension("100", label="Grace"))
        made.publisher.nudge()
        await made.until(lambda: made.publisher.state.last_error == "no room")
        assert not made.publisher.state.in_sync
        made.published.broken = None
        await made.settled()
        assert made.publisher.state.last_error is None
        assert b"Grace" in b"".join(f.content for f in publication_of(made.published.texts[MAC]).files)


@pytest.mark.parametrize("cut", range(3))
async def test_publishing_that_was_cut_anywhere_ends_in_the_same_state(cut: int) -> None:
    whole = desk()
    await whole.publisher.apply()
    made = desk()
    made.published.cut_before_write = cut
    await made.publisher.apply()
    made.published.cut_before_write = None
    again = desk(before=made)
    await again.publisher.apply()
    assert again.published.texts == whole.published.texts


async def test_changes_wait_where_nothing_is_pushed_unasked() -> None:
    options = PublisherOptions(poll_s=0.02, auto_apply=False)
    async with running(desk(options)) as made:
        await made.until(lambda: made.publisher.state.pending is not None)
        assert made.published.texts == {}
        await made.publisher.apply()
        assert MAC in made.published.texts


async def test_a_model_that_knows_nothing_withdraws_nothing_unasked() -> None:
    made = desk()
    await made.publisher.apply()
    sample = made.published.texts[MAC]
    for number in range(60):
        made.published.texts[f"aa{number:010x}"] = edited(sample, MAC, f"aa{number:010x}")
    empty = desk(before=made)
    empty.store.remove(handset(), handset(OTHER, "101"))
    async with running(empty):
        await empty.until(lambda: bool(empty.publisher.state.faults))
        assert len(made.published.texts) == 60
    await empty.publisher.apply()
    assert made.published.texts == {}


async def test_a_new_year_is_told_to_every_handset() -> None:
    made = desk()
    await made.publisher.apply()
    made.place = NEXT_YEAR
    before = dict(made.published.texts)
    applied = await made.publisher.apply()
    # Singapore keeps one time all year round, so nothing differs; what is rendered anew is the proof.
    assert applied is None and made.published.texts == before


async def test_a_handset_that_cannot_be_expressed_is_told_and_stops_no_other() -> None:
    async with running(desk()) as made:
        await made.settled()
        made.store.change(handset(model="No such model"), extension("101", label="Bob"))
        made.publisher.nudge()
        await made.until(lambda: bool(made.publisher.state.faults))
        assert "no handset model" in made.publisher.state.faults[0].lower()
        await made.until(
            lambda: b"Bob" in b"".join(f.content for f in publication_of(made.published.texts[OTHER]).files)
        )
        assert MAC in made.published.texts
