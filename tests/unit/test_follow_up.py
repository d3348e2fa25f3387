"""Following up: who is told to fetch, who is not, and when an old secret ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.published import JournalFile
from control_plane.apply.handset_files import HandsetFiles
from control_plane.apply.publisher import Publisher
from control_plane.domain.handsets import Handset
from control_plane.errors import IllegalTransition, PublishingFailed
from control_plane.observe.registrations import Reach, Registration
from control_plane.plan.tasks import TaskKind, TaskState
from control_plane.ports import EntityKind
from control_plane.render.handsets.publication import settings_in
from control_plane.render.handsets.qr import Picture, qr_code
from control_plane.service import handsets
from control_plane.service.follow_up import AGAIN_S, FollowUp
from control_plane.service.handset_status import Sync
from control_plane.service.handset_view import Provisioning
from control_plane.service.handsets import Binding
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.contract.fake_published import FakePublished
from tests.unit.handset_models import MAC, OTHER, PLACE, handset, handset_model
from tests.unit.memory_store import MemoryStore, MemoryTasks

BY = By("test")
SIP = frozenset({handsets.Secrets.SIP})


class HandsetStore(MemoryStore):
    """With what a handset registers as, by its MAC."""

    def device_of(self, mac: str) -> str:
        for entity in self.entities.values():
            if isinstance(entity, Handset) and entity.mac == mac:
                return entity.device or entity.neutral_user
        raise LookupError(mac)


@dataclass
class Floor:
    """Two phones on a floor, what they fetched, and where they are registered."""

    store: HandsetStore
    node: FakeNode
    clock: ManualClock
    journal: Path
    published: FakePublished
    publisher: Publisher
    provisioning: Provisioning
    follow_up: FollowUp
    contacts: dict[str, Registration] = field(default_factory=dict)

    async def publish(self) -> None:
        await self.publisher.apply()

    def register(self, mac: str) -> None:
        device = self.store.device_of(mac)
        self.contacts[device] = Registration(
            device, f"sip:{device}@192.0.2.7:5060", Reach.REACHABLE, self.clock.now()
        )

    def renew(self, mac: str, expiration_time: int) -> None:
        """What Asterisk's registrar writes at a REGISTER."""
        device = self.store.device_of(mac)
        self.node.rows[f"registrar/contact/{device};@0a1b"] = json.dumps(
            {"expiration_time": str(expiration_time)}
        )

    async def look(self) -> None:
        """A turn a second later."""
        self.clock.forward(1)
        await self.follow_up.turn()

    def fetch(self, mac: str, *, status: int = 200, area: str = "") -> None:
        """The handset fetches its settings as they are published now; `area` "s/": by its link."""
        version, names = settings_in(self.published.texts[mac])
        with closing(sqlite3.connect(self.journal)) as db, db:
            for name in names:
                db.execute(
                    "INSERT OR REPLACE INTO fetches "
                    "(mac, name, at, status, version, scheme, address, user_agent) VALUES "
                    "(?, ?, ?, ?, ?, 'https', '192.0.2.7', 'Yealink SIP-T54W')",
                    (mac, area + name, self.clock.now().isoformat(), status, version),
                )

    @property
    def told(self) -> list[str]:
        return [subject for verb, subject in self.node.operations if verb == "notify"]

    async def sync(self, mac: str) -> Sync:
        model = (await self.store.snapshot()).model
        return (await self.provisioning.statuses(model, [mac]))[mac].sync


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    clock = ManualClock()
    store = HandsetStore(clock)
    async with store.transaction("seed") as tx:
        for entity in handset_model():
            tx.put(entity)
    node, published, path = FakeNode(), FakePublished(), tmp_path / "journal.sqlite3"
    await node.connect()
    schema = (Path(__file__).parents[2] / "provisioning_server" / "journal.sql").read_text()
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
    contacts: dict[str, Registration] = {}
    provisioning = Provisioning(store, published, JournalFile(path), clock, contacts.get, node, PLACE.url)
    publisher = Publisher(published, store, HandsetFiles(lambda: PLACE))
    follow_up = FollowUp(provisioning, publisher.text_of)
    made = Floor(store, node, clock, path, published, publisher, provisioning, follow_up, contacts)
    await made.publish()
    yield made


async def test_only_who_is_behind_and_registered_is_told_and_nobody_else(floor: Floor) -> None:
    floor.register(MAC)
    floor.register(OTHER)
    floor.fetch(OTHER)
    await floor.follow_up.turn()
    device = floor.store.device_of(MAC)
    assert floor.told == [f"sip:{device}@192.0.2.7:5060 check-sync;reboot=false"]


async def test_nobody_is_told_twice_in_a_row_and_who_does_not_follow_is_told_again_later(
    floor: Floor,
) -> None:
    floor.register(MAC)
    for _ in range(3):
        await floor.follow_up.turn()
    assert len(floor.told) == 1
    floor.clock.forward(AGAIN_S[0] + 1)
    await floor.follow_up.turn()
    assert len(floor.told) == 2
    floor.fetch(MAC)
    floor.clock.forward(AGAIN_S[1] + 1)
    await floor.follow_up.turn()
    assert len(floor.told) == 2
    assert await floor.sync(MAC) is Sync.IN_SYNC


async def test_a_refused_fetch_is_no_fetch(floor: Floor) -> None:
    floor.fetch(MAC, status=404)
    assert await floor.sync(MAC) is Sync.NEVER_FETCHED


async def test_what_was_got_by_a_link_counts_until_the_settings_change_and_a_bootstrap_does_not(
    floor: Floor,
) -> None:
    """MicroSIP and Zoiper get their settings in no other way; a link made anew brings them up to date."""
    floor.fetch(MAC, area="e/")
    assert await floor.sync(MAC) is Sync.NEVER_FETCHED
    floor.fetch(MAC, area="s/")
    assert await floor.sync(MAC) is Sync.IN_SYNC
    async with floor.store.transaction("test") as tx:
        tx.put(tx.model.extensions["acme", "100"].model_copy(update={"label": "Grace"}))
    await floor.publish()
    assert await floor.sync(MAC) is Sync.BEHIND
    floor.clock.forward(1)
    floor.fetch(MAC)  # at its own address, after the link
    assert await floor.sync(MAC) is Sync.IN_SYNC


def kept(floor: Floor) -> set[str]:
    with closing(sqlite3.connect(floor.journal)) as db:
        return {mac for (mac,) in db.execute("SELECT mac FROM fetches")}


async def test_what_a_handset_fetched_goes_with_it_and_with_all_that_are_none_at_the_start(
    floor: Floor,
) -> None:
    with closing(sqlite3.connect(floor.journal)) as db, db:
        db.execute(
            "INSERT INTO fetches (mac, name, at, status, scheme, address, user_agent) "
            "VALUES ('0004130000ff', 'a', '2026-01-01T10:00:00+00:00', 200, 'https', '192.0.2.9', 'snom')"
        )
    floor.fetch(MAC)
    floor.fetch(OTHER)
    await floor.look()
    assert kept(floor) == {MAC, OTHER}
    await handsets.delete_handset(floor.store, BY, MAC)
    await floor.look()
    assert kept(floor) == {OTHER}
    floor.fetch(MAC)  # as the server wrote it down before it knew
    await floor.look()
    assert kept(floor) == {OTHER}


async def test_a_handset_set_up_again_is_another_that_never_fetched(floor: Floor) -> None:
    await floor.look()
    floor.fetch(MAC)
    await handsets.delete_handset(floor.store, BY, MAC)
    new = {"mac": MAC, "model": "T54W", "org": "acme", "site": "hq"}
    await handsets.create_handset(floor.store, BY, new)
    await floor.publish()
    await floor.look()
    assert kept(floor) == set()
    assert await floor.sync(MAC) is Sync.NEVER_FETCHED
    floor.fetch(MAC)
    await floor.look()
    assert await floor.sync(MAC) is Sync.IN_SYNC


async def test_a_journal_that_cannot_be_written_does_not_keep_handsets_from_being_told(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(self: JournalFile, macs: object) -> None:
        raise PublishingFailed("The journal cannot be used (disk full).")

    await floor.look()
    floor.fetch(OTHER)
    await handsets.delete_handset(floor.store, BY, OTHER)
    floor.register(MAC)
    floor.follow_up.published([MAC])
    with monkeypatch.context() as broken:
        broken.setattr(JournalFile, "forget", full)
        await floor.look()
    assert len(floor.told) == 1 and kept(floor) == {OTHER}
    await floor.look()
    assert kept(floor) == set()


async def test_a_changed_setting_puts_the_handset_behind_and_a_renamed_colleague_does_not(
    floor: Floor,
) -> None:
    floor.fetch(MAC)
    floor.fetch(OTHER)
    async with floor.store.transaction("test") as tx:
        tx.put(tx.model.extensions["acme", "100"].model_copy(update={"label": "Grace"}))
    await floor.publish()
    assert await floor.sync(MAC) is Sync.BEHIND
    assert await floor.sync(OTHER) is Sync.IN_SYNC


async def test_a_new_password_ends_the_old_one_after_fetch_and_register_and_not_before(floor: Floor) -> None:
    async with floor.store.transaction("seed") as tx:
        line = {"neutral_user": "nq8w7e6r5t4z", "neutral_password": SecretStr("N" * 24)}
        tx.put(tx.model.handsets[MAC].model_copy(update=line))
    await floor.publish()
    floor.register(MAC)
    floor.fetch(MAC)
    floor.renew(MAC, 1000)
    neutral = await neutral_password(floor)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    floor.follow_up.published([MAC])
    await floor.look()
    assert len(floor.told) == 1 and await doubled(floor)
    floor.renew(MAC, 1300)  # with the old one: it did not fetch yet
    await floor.look()
    assert await doubled(floor)
    floor.fetch(MAC)
    await floor.look()
    assert await doubled(floor)  # fetched, and not yet seen to register
    # As long as it may still be on its neutral line, that stays as it is.
    assert await neutral_password(floor) == neutral
    floor.renew(MAC, 1360)
    await floor.look()
    assert not await doubled(floor)
    assert await neutral_password(floor) not in (neutral, "")
    assert await floor.sync(MAC) is Sync.IN_SYNC  # its files do not name the line


async def test_a_neutral_line_has_two_passwords_until_fetch_and_register_also_across_a_restart(
    floor: Floor,
) -> None:
    tasks = MemoryTasks(floor.clock)

    def restart() -> None:
        floor.follow_up = FollowUp(floor.provisioning, floor.publisher.text_of, tasks=tasks)

    await nobody_at_the_phone(floor)
    line = floor.store.device_of(MAC)
    old = await neutral_password(floor)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    assert await neutral_password(floor) not in (old, "") and await old_line(floor) == old
    restart()
    await floor.look()
    assert floor.told == [f"sip:{line}@192.0.2.7:5060 check-sync;reboot=false"]
    floor.renew(MAC, 1300)  # with the old one: it did not fetch yet
    await floor.look()
    assert await old_line(floor) == old and await floor.sync(MAC) is Sync.BEHIND
    floor.clock.forward(3601)
    await floor.look()
    (task,) = tasks.kept.values()
    assert task.progress.error is not None and "rotation of its SIP password" in task.progress.error
    floor.fetch(MAC)
    restart()
    await floor.look()
    assert await old_line(floor) == old  # a REGISTER before this look may have been with the old one
    floor.renew(MAC, 1360)
    await floor.look()
    await floor.look()
    assert await old_line(floor) == "" and await neutral_password(floor) != old
    (task,) = tasks.kept.values()
    assert task.progress.state is TaskState.DONE
    assert await floor.sync(MAC) is Sync.IN_SYNC  # the end of the old one is nothing to fetch


async def test_who_logs_in_meanwhile_keeps_both_passwords_of_the_line_until_it_is_seen_as_the_device(
    floor: Floor,
) -> None:
    await nobody_at_the_phone(floor)
    old = await neutral_password(floor)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    await floor.look()
    await handsets.log_in(floor.store, BY, MAC, Binding("100"))
    await floor.publish()
    await floor.look()
    assert await old_line(floor) == old
    floor.clock.forward(1)
    floor.fetch(MAC)
    await floor.look()
    assert await old_line(floor) == old
    floor.renew(MAC, 1300)
    await floor.look()
    assert await old_line(floor) == ""


async def test_a_register_before_the_new_settings_are_rendered_ends_nothing(floor: Floor) -> None:
    """What is published is still what it fetched, and says nothing of the new password."""
    await nobody_at_the_phone(floor)
    floor.clock.forward(1)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.look()
    floor.renew(MAC, 1300)
    await floor.look()
    assert await old_line(floor) != ""


async def test_what_was_seen_of_an_earlier_rotation_ends_no_later_one(floor: Floor) -> None:
    await nobody_at_the_phone(floor)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    await floor.look()
    await handsets.retire(floor.store, BY, MAC)
    floor.renew(MAC, 1300)  # of no rotation
    floor.clock.forward(1)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    floor.fetch(MAC)
    await floor.look()
    assert await old_line(floor) != ""
    floor.renew(MAC, 1360)
    await floor.look()
    assert await old_line(floor) == ""


async def nobody_at_the_phone(floor: Floor) -> None:
    """MAC is in sync and registered on its neutral line."""
    async with floor.store.transaction("seed") as tx:
        line = {"neutral_user": "nq8w7e6r5t4z", "neutral_password": SecretStr("N" * 24)}
        tx.put(tx.model.handsets[MAC].model_copy(update=line))
    await handsets.log_out(floor.store, BY, MAC)
    await floor.publish()
    floor.register(MAC)
    floor.fetch(MAC)
    floor.renew(MAC, 1000)


async def old_line(floor: Floor) -> str:
    found = (await floor.store.snapshot()).model.handsets[MAC]
    return found.neutral_password_previous.get_secret_value()


async def test_a_rotation_of_everything_ends_in_two_looks(floor: Floor) -> None:
    floor.register(MAC)
    floor.fetch(MAC)
    floor.renew(MAC, 1000)
    await handsets.rotate(floor.store, BY, floor.clock, MAC)
    await floor.publish()
    await floor.look()
    floor.clock.forward(1)
    floor.fetch(MAC)
    await floor.look()
    floor.renew(MAC, 1300)
    await floor.look()
    await floor.look()
    model = (await floor.store.snapshot()).model
    assert not await doubled(floor) and not model.handsets[MAC].is_rotating


async def neutral_password(floor: Floor) -> str:
    found = (await floor.store.snapshot()).model.handsets[MAC]
    return found.neutral_password.get_secret_value()


async def doubled(floor: Floor) -> bool:
    model = (await floor.store.snapshot()).model
    (device,) = model.devices["acme", "100"]
    return bool(device.sip_password_previous.get_secret_value())


async def test_an_old_address_ends_once_the_handset_fetched_the_new_one(floor: Floor) -> None:
    floor.fetch(MAC)
    floor.clock.forward(1)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, frozenset({handsets.Secrets.ACCESS}))
    await floor.follow_up.turn()
    assert (await floor.store.snapshot()).model.handsets[MAC].is_rotating
    await floor.publish()
    floor.clock.forward(1)
    floor.fetch(MAC)
    await floor.follow_up.turn()
    assert not (await floor.store.snapshot()).model.handsets[MAC].is_rotating


async def test_who_does_not_follow_is_named_and_keeps_both_passwords(floor: Floor) -> None:
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    assert await floor.follow_up.late() == ()
    floor.clock.forward(3601)
    await floor.follow_up.turn()
    assert await floor.follow_up.late() == (MAC,) and await doubled(floor)


async def test_who_does_not_follow_is_a_failed_task_until_it_does(floor: Floor) -> None:
    tasks = MemoryTasks(floor.clock)

    def restart() -> None:
        floor.follow_up = FollowUp(floor.provisioning, floor.publisher.text_of, tasks=tasks)

    restart()
    floor.renew(MAC, 1000)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    floor.clock.forward(3500)
    await floor.look()
    assert not tasks.kept
    floor.clock.forward(200)
    await floor.look()
    restart()
    await floor.look()
    (task,) = tasks.kept.values()
    assert (task.kind, task.actor, task.org) == (TaskKind.HANDSET, "rotation", "acme")
    assert task.subjects == (("handset", MAC),) and task.progress.state is TaskState.FAILED
    assert task.progress.error is not None and "rotation of its SIP password" in task.progress.error
    assert "rotate 805ec0123456 --end" in task.progress.error
    floor.fetch(MAC)
    await floor.look()
    floor.renew(MAC, 1300)
    await floor.look()
    await floor.look()
    (task,) = tasks.kept.values()
    assert not await doubled(floor) and task.progress.state is TaskState.DONE


async def test_a_second_rotation_that_is_late_is_a_task_of_its_own(floor: Floor) -> None:
    tasks = MemoryTasks(floor.clock)
    floor.follow_up = FollowUp(floor.provisioning, floor.publisher.text_of, tasks=tasks)
    for _ in range(2):
        await handsets.rotate(floor.store, BY, floor.clock, MAC, frozenset({handsets.Secrets.ACCESS}))
        await floor.publish()
        floor.clock.forward(3601)
        await floor.look()
    states = [task.progress.state for task in tasks.kept.values()]
    assert states == [TaskState.DONE, TaskState.FAILED]


async def test_a_rotation_goes_on_after_a_restart(floor: Floor) -> None:
    floor.renew(MAC, 1000)
    await handsets.rotate(floor.store, BY, floor.clock, MAC, SIP)
    await floor.publish()
    floor.clock.forward(5)
    floor.fetch(MAC)
    floor.follow_up = FollowUp(floor.provisioning, floor.publisher.text_of)
    await floor.look()
    assert await doubled(floor)  # a REGISTER before this look may have been with the old one
    floor.renew(MAC, 1300)
    await floor.look()
    assert not await doubled(floor)


async def test_who_was_logged_out_is_told_where_it_was_registered(floor: Floor) -> None:
    floor.register(MAC)
    floor.fetch(MAC)
    device = floor.store.device_of(MAC)
    await handsets.log_out(floor.store, BY, MAC)
    await floor.publish()
    floor.follow_up.published([MAC])
    await floor.follow_up.turn()
    assert floor.told == [f"sip:{device}@192.0.2.7:5060 check-sync;reboot=false"]


async def test_who_may_be_in_two_places_is_told_in_both(floor: Floor) -> None:
    """Who logged in and out again may be registered as either: one of the two is what it still believes."""
    floor.register(MAC)
    floor.fetch(MAC)
    device = floor.store.device_of(MAC)
    neutral = (await handsets.log_out(floor.store, BY, MAC)).entity.neutral_user
    floor.contacts[neutral] = Registration(
        neutral, f"sip:{neutral}@192.0.2.7:5062", Reach.REGISTERED, floor.clock.now()
    )
    await floor.publish()
    floor.follow_up.published([MAC])
    await floor.follow_up.turn()
    resync = "check-sync;reboot=false"
    assert floor.told == [
        f"sip:{neutral}@192.0.2.7:5062 {resync}",
        f"sip:{device}@192.0.2.7:5060 {resync}",
    ]


async def test_the_status_names_a_device_only_as_what_it_is_told_to_be(floor: Floor) -> None:
    """R77: who is logged out or in is registered as before until it fetched what it is now."""

    async def shown() -> str | None:
        model = (await floor.store.snapshot()).model
        return (await floor.provisioning.statuses(model, [MAC]))[MAC].shown_as

    floor.register(MAC)
    floor.fetch(MAC)
    assert await shown() is not None
    neutral = (await handsets.log_out(floor.store, BY, MAC)).entity.neutral_user
    assert await shown() is None
    at = f"sip:{neutral}@192.0.2.7:5062"
    floor.contacts[neutral] = Registration(neutral, at, Reach.REGISTERED, floor.clock.now())
    assert await shown() is not None
    floor.contacts.clear()
    floor.contacts[neutral] = Registration(neutral, at, Reach.REGISTERED, floor.clock.now())
    await handsets.log_in(floor.store, BY, MAC, Binding("100"))
    assert await shown() is None


async def test_a_node_that_is_away_is_no_end_of_following_up(floor: Floor) -> None:
    floor.register(MAC)
    floor.node.cut()
    await floor.follow_up.turn()
    attempt = floor.follow_up.attempt(MAC)
    assert attempt is not None and attempt.problem
    await floor.node.connect()
    floor.clock.forward(AGAIN_S[0] + 1)
    await floor.follow_up.turn()
    assert len(floor.told) == 1


async def test_the_status_names_the_device_only_once_it_registered_with_what_it_fetched(floor: Floor) -> None:
    """R77."""

    async def shown() -> str | None:
        model = (await floor.store.snapshot()).model
        return (await floor.provisioning.statuses(model, [MAC]))[MAC].shown_as

    assert await shown() is None
    floor.register(MAC)
    assert await shown() is None
    floor.fetch(MAC)
    assert await shown() == "T54W - 80:5E:C0:12:34:56"


async def test_a_softphone_is_handed_a_link_that_opens_it_and_a_picture_of_that(floor: Floor) -> None:
    softphone = handset("s0123456789a", "101", model="Linphone")
    async with floor.store.transaction("test") as tx:
        tx.delete(EntityKind.HANDSET, (OTHER,))
        tx.put(softphone)
    await floor.publish()
    made = await floor.provisioning.link_for(softphone.mac, minutes=5)
    ((token, mac, _, valid_until),) = floor.published.links
    assert made["url"] == f"{PLACE.url}s/{token}"
    assert made["link"] == f"linphone-config:{made['url']}"
    assert made["qr_svg"] == qr_code(made["link"], Picture.SVG).decode()
    assert (mac, valid_until) == (softphone.mac, made["valid_until"])


async def test_a_desk_phone_is_handed_no_link(floor: Floor) -> None:
    with pytest.raises(IllegalTransition, match="T54W is a phone: open its enrolment instead"):
        await floor.provisioning.link_for(MAC, minutes=5)
