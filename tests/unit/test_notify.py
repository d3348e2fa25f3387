"""The outbox: rows become mail once, in the site's time, whatever a stranger put into them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from control_plane.domain.entities import Organisation, Site
from control_plane.domain.extension import Extension, NoAnswer, NoAnswerAction
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import Conflict, MailNotSent, MailRefused, OutcomeUnknown, UnknownEntity
from control_plane.ports import LinkState, Mail, Mailer, Recording, Recordings
from control_plane.service.mails import NOT_TAKEN, KeptMail, MailState, as_told_to_tenant
from control_plane.service.notice import BadRow, NoticeKind, compose, parse_row, recipients
from control_plane.service.notify import MAX_TRIES, Outbox
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.one_model import OneModel
from tests.waiting import until

CALLED = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
EPOCH = int(CALLED.timestamp())
MISSED = f"missed,acme,100,+6561234567,{EPOCH},busy"
DEADLINE_S = 5.0
VOICEMAIL = f"voicemail,acme,100,101,{EPOCH},"
WAV = Recording(b"RIFF....WAVE", 7)


def model(*notify: str) -> Model:
    no_answer = NoAnswer(action=NoAnswerAction.RECORD_NUMBER, notify=notify)
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[Site(id="hq", name="HQ", region=RegionCode("SG"), time_zone="Asia/Singapore")],
        extensions=[
            Extension(org="acme", key="100", site="hq", label="Zoë, front desk", no_answer=no_answer),
            Extension(org="acme", key="101", site="hq", label="Ann", voicemail_pin=SecretStr("4711")),
        ],
    )


class Letterbox(Mailer):
    """Keeps what is sent; `answers` says what goes wrong for whom, once or always."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.trouble: dict[str, Exception] = {}

    async def send(self, mail: Mail) -> None:
        (to,) = mail.to
        if to in self.trouble:
            raise self.trouble[to]
        self.mails.append(mail)


class Shelf(Recordings):
    """Holds at most one recording, whoever asks."""

    def __init__(self) -> None:
        self.held: Recording | None = None

    async def read(
        self, org: str, mailbox: str, *, stem: str, caller: str, ended: datetime
    ) -> Recording | None:
        return self.held


class Scene:
    def __init__(self, *notify: str) -> None:
        self.node = FakeNode()
        self.clock = ManualClock(CALLED + timedelta(seconds=5))
        self.store = OneModel(model(*notify))
        self.letterbox = Letterbox()
        self.shelf = Shelf()
        self.outbox = self.start()

    def start(self, *, configured: bool = True) -> Outbox:
        self.outbox = Outbox(
            self.node,
            self.store,
            self.clock,
            node="lab",
            mailer=self.letterbox if configured else None,
            recordings=self.shelf,
        )
        return self.outbox

    async def dead(self) -> list[KeptMail]:
        """What was given up."""
        return [mail for mail in await self.outbox.mails() if mail.state is MailState.GIVEN_UP]

    @property
    def left(self) -> dict[str, str]:
        return {key: value for key, value in self.node.rows.items() if key.startswith("outbox/")}


@pytest.fixture
async def scene() -> Scene:
    made = Scene("ann@acme.example")
    await made.node.connect()
    return made


def test_a_row_of_a_missed_call_is_read() -> None:
    notice = parse_row("outbox/1767574800.7", MISSED)
    assert (notice.id, notice.kind, notice.org, notice.extension) == ("1767574800.7", "missed", "acme", "100")
    assert (notice.caller, notice.at, notice.detail) == ("+6561234567", CALLED, "busy")


@pytest.mark.parametrize(
    "caller", ["", "anonymous", "Anonymous", "a b", "x\tBcc: y", "<script>", "é", "9" * 41]
)
def test_a_caller_that_is_withheld_or_unprintable_is_nobody(caller: str) -> None:
    assert parse_row("outbox/1", f"missed,acme,100,{caller},{EPOCH},busy").caller == ""


def test_commas_in_a_caller_do_not_move_the_other_fields() -> None:
    notice = parse_row("outbox/1", f"missed,acme,100,a,b,c,{EPOCH},busy")
    assert (notice.caller, notice.at, notice.detail) == ("", CALLED, "busy")


@pytest.mark.parametrize(
    "row",
    [
        "",
        "missed",
        "missed,acme,100,1,2",
        f"fax,acme,100,1,{EPOCH},busy",
        f"missed,../etc,100,1,{EPOCH},busy",
        f"missed,acme,1/../2,1,{EPOCH},busy",
        "missed,acme,100,1,soon,busy",
        "missed,acme,100,1,99999999999999999999,busy",
    ],
)
def test_a_row_that_says_nothing_is_refused(row: str) -> None:
    with pytest.raises(BadRow):
        parse_row("outbox/1", row)


@given(st.text(), st.text())
def test_no_row_whatever_raises_more_than_bad_row_or_makes_an_unsafe_mail(caller: str, detail: str) -> None:
    held = model("ann@acme.example")
    with suppress(BadRow):
        notice = parse_row("outbox/1", f"missed,acme,100,{caller},{EPOCH},{detail}")
        mail = compose(notice, held, "ann@acme.example", None, "1")
        assert mail.subject.isprintable()
        assert mail.text.count("\n") == 4
        assert all(line.isprintable() for line in mail.text.split("\n"))


@given(st.text())
def test_no_text_at_all_raises_more_than_bad_row(row: str) -> None:
    with suppress(BadRow):
        parse_row("outbox/1", row)


def test_a_missed_call_mail_names_caller_callee_local_time_and_reason() -> None:
    mail = compose(parse_row("outbox/1", MISSED), model("ann@acme.example"), "ann@acme.example", None, "1")
    assert mail.subject == "Missed call from +6561234567 for Zoë, front desk (100)"
    assert mail.text == (
        "Missed call from +6561234567\n"
        "for Zoë, front desk (100)\n"
        "on Monday 05 January 2026, 09:00:00 (Asia/Singapore)\n"
        "Reason: busy\n"
    )


def test_a_voicemail_mail_has_the_recording_and_names_a_colleague() -> None:
    mail = compose(parse_row("outbox/1", VOICEMAIL), model("ann@acme.example"), "ann@acme.example", WAV, "1")
    assert mail.subject == "Voicemail from Ann (101) for Zoë, front desk (100)"
    assert mail.attachments == (("voicemail-100-20260105T010000Z.wav", "audio/wav", WAV.wav),)
    assert "The recording of 7 seconds is attached." in mail.text


def test_an_extension_that_is_gone_has_no_recipients() -> None:
    row = parse_row("outbox/1", MISSED.replace(",100,", ",999,"))
    assert recipients(row, model("ann@acme.example")) == ()


async def test_a_row_becomes_one_mail_and_goes(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    await scene.outbox.drain()
    assert [mail.to for mail in scene.letterbox.mails] == [("ann@acme.example",)]
    assert scene.left == {}
    status = scene.outbox.status
    assert (status.waiting, status.sent, status.failed, status.problem) == (0, 1, 0, None)


async def test_every_notify_address_gets_its_own_mail_with_the_same_message_id() -> None:
    scene = Scene("ann@acme.example", "bob@acme.example")
    await scene.node.connect()
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    assert [mail.to for mail in scene.letterbox.mails] == [("ann@acme.example",), ("bob@acme.example",)]
    assert len({mail.message_id for mail in scene.letterbox.mails}) == 1


async def test_rows_that_differ_have_message_ids_that_differ(scene: Scene) -> None:
    scene.node.rows |= {"outbox/a b": MISSED, "outbox/ab": MISSED, "outbox/a<b": MISSED}
    await scene.outbox.drain()
    assert len({mail.message_id for mail in scene.letterbox.mails}) == 3


async def test_nobody_to_tell_means_the_row_goes() -> None:
    scene = Scene()
    await scene.node.connect()
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    assert (scene.letterbox.mails, scene.left) == ([], {})


async def test_without_a_mail_server_rows_wait_and_the_status_says_so(scene: Scene) -> None:
    scene.start(configured=False)
    scene.node.rows |= {"outbox/1": MISSED, "outbox/2": MISSED}
    await scene.outbox.drain()
    status = scene.outbox.status
    assert (status.configured, status.waiting, len(scene.left)) == (False, 2, 2)
    assert status.problem == "2 mails wait: no mail server is set (smtp_host)."
    scene.start()
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 2


async def test_a_week_without_a_mail_server_makes_dead_letters(scene: Scene) -> None:
    scene.start(configured=False)
    scene.node.rows["outbox/1"] = MISSED
    scene.clock.forward(days=8)
    await scene.outbox.drain()
    (letter,) = await scene.dead()
    assert (letter.id, letter.tries, letter.error) == ("1", 0, "no mail server was set for 7 days")
    assert scene.node.rows["outbox-failed/1"].startswith(MISSED)


async def test_a_server_that_is_down_is_tried_again_later_and_not_at_once(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = MISSED
    scene.letterbox.trouble["ann@acme.example"] = MailNotSent("no route")
    await scene.outbox.drain()
    assert scene.outbox.status.problem == "no route"
    scene.letterbox.trouble.clear()
    scene.clock.forward(seconds=20)
    await scene.outbox.drain()
    assert scene.letterbox.mails == []
    scene.clock.forward(seconds=20)
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 1
    assert scene.left == {}


async def test_a_mail_is_given_up_after_about_a_day_and_kept_with_the_reason(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = MISSED
    scene.letterbox.trouble["ann@acme.example"] = MailNotSent("no route")
    rounds = 0
    while scene.left:
        await scene.outbox.drain()
        scene.clock.forward(seconds=600)
        rounds += 1
    assert 23.0 < rounds / 6 < 28.0
    (letter,) = await scene.dead()
    assert letter.error == f"given up after {MAX_TRIES} tries: no route"
    assert (letter.tries, letter.given_up_at) == (MAX_TRIES, scene.clock.now() - timedelta(seconds=600))
    assert scene.outbox.status.failed == 1


async def test_a_refused_address_is_a_dead_letter_and_does_not_keep_the_others_waiting() -> None:
    scene = Scene("gone@acme.example", "ann@acme.example")
    await scene.node.connect()
    scene.letterbox.trouble["gone@acme.example"] = MailRefused("recipient refused: 550 no such user")
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    assert [mail.to for mail in scene.letterbox.mails] == [("ann@acme.example",)]
    (letter,) = await scene.dead()
    assert letter.error == "gone@acme.example: recipient refused: 550 no such user"
    assert scene.left == {}


async def test_only_those_not_yet_served_are_tried_again() -> None:
    scene = Scene("slow@acme.example", "ann@acme.example")
    await scene.node.connect()
    scene.letterbox.trouble["slow@acme.example"] = MailNotSent("greylisted")
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    scene.letterbox.trouble.clear()
    scene.clock.forward(seconds=60)
    await scene.outbox.drain()
    assert [mail.to[0] for mail in scene.letterbox.mails] == ["ann@acme.example", "slow@acme.example"]


async def test_dead_letters_can_be_tried_again(scene: Scene) -> None:
    scene.letterbox.trouble["ann@acme.example"] = MailRefused("recipient refused: 550 over quota | try later")
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    scene.letterbox.trouble.clear()
    assert await scene.outbox.retry() == 1
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 1
    assert await scene.dead() == []


async def test_one_mail_is_tried_again_and_the_others_are_left() -> None:
    scene = Scene("ann@acme.example")
    await scene.node.connect()
    scene.node.rows |= {f"outbox-failed/{id}": f"{MISSED}|20|{EPOCH}|no route" for id in (1, 2)}
    assert await scene.outbox.retry("1") == 1
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 1
    assert [letter.id for letter in await scene.dead()] == ["2"]
    with pytest.raises(UnknownEntity, match="There is no mail '1'"):
        await scene.outbox.retry("1")


async def test_a_retry_does_not_wait_for_the_next_try_and_asks_again_whom_it_refused() -> None:
    scene = Scene("slow@acme.example", "gone@acme.example")
    await scene.node.connect()
    scene.letterbox.trouble["slow@acme.example"] = MailNotSent("greylisted")
    scene.letterbox.trouble["gone@acme.example"] = MailRefused("recipient refused: 550 no such user")
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    scene.letterbox.trouble.clear()
    await scene.outbox.drain()
    assert scene.letterbox.mails == []
    assert await scene.outbox.retry() == 1
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 2
    assert (scene.left, await scene.dead()) == ({}, [])


async def test_only_an_organisation_s_own_mails_are_tried_again(scene: Scene) -> None:
    theirs = MISSED.replace("acme", "globex")
    scene.node.rows |= {"outbox-failed/1": f"{theirs}|x", "outbox-failed/2": f"{MISSED}|x"}
    scene.node.rows["outbox-failed/3"] = "acme|x"
    assert await scene.outbox.retry(org="acme") == 1
    assert [letter.id for letter in await scene.dead()] == ["1", "3"]


async def test_a_discarded_mail_is_never_sent(scene: Scene) -> None:
    scene.node.rows |= {"outbox/1": MISSED, "outbox-failed/2": f"{MISSED}|x", "outbox/3": MISSED}
    scene.letterbox.trouble["ann@acme.example"] = MailNotSent("no route")
    await scene.outbox.drain()
    for id in ("1", "2"):
        await scene.outbox.discard(id, "root")
    assert (scene.outbox.status.waiting, scene.outbox.status.failed) == (1, 0)
    scene.letterbox.trouble.clear()
    await scene.outbox.retry()
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 1
    assert await scene.outbox.mails() == []
    with pytest.raises(UnknownEntity):
        await scene.outbox.discard("1", "root")


async def test_a_mail_that_is_discarded_while_others_are_sent_is_left_out() -> None:
    scene = Scene("ann@acme.example")
    await scene.node.connect()
    asked, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Letterbox):
        async def send(self, mail: Mail) -> None:
            asked.set()
            await go_on.wait()
            await super().send(mail)

    scene.letterbox = Slow()
    scene.start()
    scene.node.rows |= {"outbox/1": MISSED, "outbox/2": MISSED}
    draining = asyncio.create_task(scene.outbox.drain())
    await asked.wait()
    discarding = asyncio.create_task(scene.outbox.discard("2", "root"))
    await asyncio.sleep(0)  # it waits for the mail under way, and for no other
    go_on.set()
    await asyncio.gather(draining, discarding)
    assert (len(scene.letterbox.mails), await scene.outbox.mails()) == (1, [])


async def test_what_waits_says_to_whom_since_when_and_why_and_nothing_of_what_it_says(scene: Scene) -> None:
    scene.letterbox.trouble["ann@acme.example"] = MailNotSent("no route")
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    (mail,) = await scene.outbox.mails()
    assert (mail.state, mail.kind, mail.org, mail.extension) == ("waiting", "missed", "acme", "100")
    assert (mail.at, mail.recipients) == (CALLED, ("ann@acme.example",))
    assert (mail.tries, mail.error) == (1, "no route")
    assert mail.next_try is not None and mail.next_try > scene.clock.now()
    assert "+6561234567" not in repr(mail)
    scene.start(configured=False)
    (mail,) = await scene.outbox.mails()
    assert mail.error == "no mail server is set (smtp_host)"


async def test_a_letter_of_an_earlier_version_and_one_that_is_no_letter_are_listed_too(scene: Scene) -> None:
    scene.node.rows |= {
        "outbox-failed/1": f"{MISSED}|the reason",
        "outbox-failed/2": "",
        "outbox-failed/3": f"{MISSED}|x|y|z",
        "outbox-failed/4": f"{MISSED}|{10**30}|{10**30}|z",
    }
    letters = {letter.id: letter for letter in await scene.dead()}
    assert (letters["1"].error, letters["1"].tries, letters["1"].given_up_at) == ("the reason", None, None)
    assert [letters[id].kind for id in "1234"] == ["missed", None, "missed", "missed"]
    assert [letters[id].tries for id in "234"] == [None, None, None]


async def test_a_letter_whose_key_ami_cannot_carry_is_left_and_the_others_are_tried(scene: Scene) -> None:
    scene.node.rows |= {"outbox-failed/1\n2": f"{MISSED}|x", "outbox-failed/3": f"{MISSED}|x"}
    assert await scene.outbox.retry() == 1
    for refused in (scene.outbox.retry("1\n2"), scene.outbox.discard("1\n2", "root")):
        with pytest.raises(Conflict, match="Mail '1"):
            await refused


def test_a_tenant_is_told_what_is_wrong_with_his_address_and_nothing_of_the_mail_server() -> None:
    mail = KeptMail("lab", "1", MailState.GIVEN_UP, None, "acme", "100", None, (), 1, None)
    for error, told in (
        (None, None),
        ("ann@acme.example: recipient refused: 550 no such user", None),
        ("given up after 20 tries: Mail server mx.internal refused the login (535)", NOT_TAKEN),
    ):
        assert as_told_to_tenant(replace(mail, error=error)).error == (told or error)


async def test_a_hostile_row_is_a_dead_letter_and_the_next_is_sent(scene: Scene) -> None:
    scene.node.rows |= {"outbox/0": "voicemail,../../etc,100,x,1,passwd", "outbox/1": MISSED}
    await scene.outbox.drain()
    assert len(scene.letterbox.mails) == 1
    (letter,) = await scene.dead()
    assert letter.error == "the row cannot be read: it names no extension"


async def test_dead_letters_are_bounded_and_the_oldest_go(scene: Scene) -> None:
    scene.node.rows |= {f"outbox-failed/{number:04d}": f"{MISSED}|x" for number in range(510)}
    await scene.outbox.drain()
    letters = await scene.dead()
    assert (len(letters), letters[-1].id) == (500, "0010")


async def test_a_voicemail_waits_for_its_recording_and_then_goes_without(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = VOICEMAIL
    await scene.outbox.drain()
    assert scene.letterbox.mails == []
    scene.clock.forward(minutes=2)
    await scene.outbox.drain()
    (mail,) = scene.letterbox.mails
    assert mail.attachments == ()
    assert "no longer in the mailbox" in mail.text


async def test_a_voicemail_is_sent_as_soon_as_its_recording_is_there(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = VOICEMAIL
    await scene.outbox.drain()
    scene.shelf.held = WAV
    scene.clock.forward(seconds=11)
    await scene.outbox.drain()
    assert scene.letterbox.mails[0].attachments[0][2] == WAV.wav


async def test_a_mail_whose_row_could_not_be_removed_is_not_sent_again_by_this_process(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = MISSED
    scene.node.faults.cut_after = 3  # two reads, then the row's removal is never answered
    with pytest.raises(OutcomeUnknown):
        await scene.outbox.drain()
    scene.node.rows["outbox/1"] = MISSED  # the removal was lost with the connection
    await scene.node.connect()
    await scene.outbox.drain()
    assert (len(scene.letterbox.mails), scene.left) == (1, {})


async def test_a_control_plane_that_died_after_sending_sends_the_same_message_id_again(scene: Scene) -> None:
    scene.node.rows["outbox/1"] = MISSED
    await scene.outbox.drain()
    scene.node.rows["outbox/1"] = MISSED
    scene.start()
    await scene.outbox.drain()
    first, second = scene.letterbox.mails
    assert first.message_id == second.message_id


async def test_a_server_that_is_down_is_not_asked_for_every_waiting_row() -> None:
    scene = Scene("ann@acme.example")
    await scene.node.connect()
    asked: list[str] = []

    class Down(Letterbox):
        async def send(self, mail: Mail) -> None:
            asked.append(mail.message_id)
            raise MailNotSent("no route")

    scene.letterbox = Down()
    scene.start()
    scene.node.rows |= {f"outbox/{number}": MISSED for number in range(20)}
    await scene.outbox.drain()
    assert len(asked) == 3


async def test_nothing_is_lost_while_the_control_plane_is_down() -> None:
    scene = Scene("ann@acme.example")
    scene.node.rows |= {f"outbox/{number}": MISSED for number in range(5)}
    running = asyncio.create_task(scene.outbox.run())
    try:
        await asyncio.sleep(0)
        await scene.node.connect()
        await until(lambda: len(scene.letterbox.mails) == 5, "5 mails", DEADLINE_S)
        scene.node.rows["outbox/6"] = MISSED
        scene.node.emit("UserEvent", UserEvent="Outbox", Row="outbox/6")
        await until(lambda: len(scene.letterbox.mails) == 6, "6 mails", DEADLINE_S)
        scene.node.cut()
        assert scene.node.state is LinkState.DISCONNECTED
        scene.node.rows["outbox/7"] = VOICEMAIL.replace("voicemail", NoticeKind.MISSED)
        await scene.node.connect()
        await until(lambda: len(scene.letterbox.mails) == 7, "7 mails", DEADLINE_S)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert scene.left == {}


async def test_a_cancellation_that_the_mail_client_swallows_still_ends_the_task_after_the_row() -> None:
    scene = Scene("ann@acme.example")
    await scene.node.connect()
    sending = asyncio.Event()

    class Swallowing(Letterbox):
        async def send(self, mail: Mail) -> None:
            sending.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self.mails.append(mail)

    scene.letterbox = Swallowing()
    scene.start()
    scene.node.rows |= {"outbox/1": MISSED, "outbox/2": MISSED}
    running = asyncio.create_task(scene.outbox.run())
    await sending.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await running
    assert list(scene.left) == ["outbox/2"]
