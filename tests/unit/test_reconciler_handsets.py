"""What people change from their phones is taken in and never reverted."""

from __future__ import annotations

from pydantic import SecretStr

from control_plane.apply.handsets import pin_changed_by_phone
from control_plane.domain.extension import NoAnswer, NoAnswerAction
from control_plane.plan.changes import Drift
from control_plane.render.packed import digest
from tests.unit.pushing import Bench, bench, following, mailbox_lines, running

DND = "ext/acme/100/dnd"
JOURNAL = "journal/acme/100/dnd/1893456000.7"


def press_dnd(made: Bench) -> None:
    """As the dialplan does it: the journal first, then the row, then the event."""
    made.node.rows[JOURNAL] = "1,1893456000,aphone000100"
    made.node.rows[DND] = "1"
    made.node.emit("UserEvent", UserEvent="HandsetChange", Row=JOURNAL)


async def test_dnd_set_on_a_phone_reaches_the_model_and_stays() -> None:
    async with running() as made:
        await made.settled()
        press_dnd(made)
        await made.until(lambda: made.store.extension().dnd)
        await made.settled()
        assert made.node.rows[DND] == "1"
        assert JOURNAL not in made.node.rows
        assert made.reconciler.state.last_drift == ()


async def test_dnd_set_while_the_control_plane_was_down_is_taken_in_at_the_next_audit() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    press_dnd(made)
    async with following(made):
        await made.settled()
        assert made.store.extension().dnd
        assert made.node.rows[DND] == "1"
        assert JOURNAL not in made.node.rows


async def test_a_change_by_phone_that_the_model_refuses_is_put_back() -> None:
    async with running() as made:
        await made.settled()
        made.node.rows["journal/acme/100/fwd/1893456000.8"] = "1,1893456000,aphone000100"
        made.node.rows["ext/acme/100/fwd"] = "1"
        made.node.emit("UserEvent", UserEvent="HandsetChange", Row="journal/acme/100/fwd/1893456000.8")
        await made.until(lambda: "ext/acme/100/fwd" not in made.node.rows)
        await made.settled()
        assert "journal/acme/100/fwd/1893456000.8" not in made.node.rows


async def test_an_event_without_a_journal_row_changes_nothing() -> None:
    async with running() as made:
        await made.settled()
        before = dict(made.node.rows)
        made.node.emit("UserEvent", UserEvent="HandsetChange")
        made.node.emit("UserEvent", UserEvent="SomethingElse")
        await made.settled()
        assert made.node.rows == before


async def test_journal_rows_stay_when_they_cannot_be_committed() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    press_dnd(made)
    made.node.rows["journal/acme/777/dnd/1893456000.9"] = "1,1893456000,x"  # edit() raises KeyError for 777
    async with following(made):
        await made.until(lambda: made.reconciler.state.counts.errors >= 2)
        assert made.node.rows[DND] == "1"
        assert JOURNAL in made.node.rows


def pin_in_force(made: Bench) -> str:
    """What app_voicemail asks for after a reload: the PIN in the spool, else the one of the line."""
    (line,) = mailbox_lines(made.node)["100"]
    return made.pins.chosen.get("acme/100", line.partition(",")[0])


def choose_pin(made: Bench, pin: str) -> None:
    """As app_voicemail does it; the event comes after."""
    made.pins.chosen["acme/100"] = pin


async def test_a_pin_chosen_by_phone_reaches_the_model_and_stays() -> None:
    async with running() as made:
        await made.settled()
        choose_pin(made, "80808")
        made.node.emit("VoicemailPasswordChange", Context="acme", Mailbox="100", NewPassword="80808")
        await made.until(lambda: made.store.extension().voicemail_pin.get_secret_value() == "80808")
        await made.settled()
        assert (await made.reconciler.plan()).is_empty
        assert pin_in_force(made) == "80808"


async def test_a_pin_chosen_while_the_control_plane_was_down_is_taken_in() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    choose_pin(made, "80808")
    async with following(made):
        await made.settled()
        assert made.store.extension().voicemail_pin.get_secret_value() == "80808"
        assert pin_in_force(made) == "80808"
        assert made.reconciler.state.last_drift == ()


async def test_a_pin_that_the_model_refuses_is_put_back() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    choose_pin(made, "1")
    async with following(made):
        await made.settled()
        assert pin_in_force(made) == "4711"


async def test_a_pin_chosen_by_phone_survives_another_change_of_the_mailbox() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    choose_pin(made, "80808")
    made.store.edit("100", label="Ann")
    async with following(made):
        await made.settled()
        assert pin_in_force(made) == "80808"
        assert "Ann" in mailbox_lines(made.node)["100"][0]


async def test_a_pin_set_in_the_model_wins_over_an_older_one_chosen_by_phone() -> None:
    async with running() as made:
        await made.settled()
        choose_pin(made, "80808")
        made.node.emit("VoicemailPasswordChange", Context="acme", Mailbox="100", NewPassword="80808")
        await made.until(lambda: made.store.extension().voicemail_pin.get_secret_value() == "80808")
        await made.settled()
        made.store.edit("100", voicemail_pin=SecretStr("1357"))
        await made.until(lambda: pin_in_force(made) == "1357")
        await made.settled()
        assert (await made.reconciler.plan()).is_empty
        assert made.pins.chosen == {}


async def test_a_pin_chosen_by_phone_goes_with_its_mailbox() -> None:
    async with running() as made:
        await made.settled()
        choose_pin(made, "80808")
        made.node.emit("VoicemailPasswordChange", Context="acme", Mailbox="100", NewPassword="80808")
        await made.until(lambda: made.store.extension().voicemail_pin.get_secret_value() == "80808")
        made.store.edit("100", no_answer=NoAnswer(action=NoAnswerAction.HANGUP))
        await made.until(lambda: made.pins.chosen == {})
        assert mailbox_lines(made.node) == {}


async def test_a_pin_left_by_a_mailbox_that_is_gone_is_found_and_removed() -> None:
    made = bench()
    await made.node.connect()
    await made.reconciler.apply()
    files = {name: dict(held) for name, held in made.node.files.items()}
    made.pins.chosen["acme/777"] = "80808"
    plan = await made.reconciler.plan()
    assert [(s.key.name, s.drift, s.after) for s in plan.steps if s.module is None] == [
        ("acme/777", Drift.FOREIGN, None)
    ]
    assert "80808" not in str(plan.as_dict())
    await made.reconciler.apply()
    assert made.pins.chosen == {}
    assert made.node.files == files


def test_a_line_edited_beyond_its_pin_is_no_change_by_phone() -> None:
    pushed = digest("4711,Ann,,,")
    assert pin_changed_by_phone("4711,Ann,,,", "80808,Ann,,,", pushed) == "80808"
    assert pin_changed_by_phone("4711,Bob,,,", "80808,Ann,,,", pushed) == "80808"
    assert pin_changed_by_phone("4711,Ann,,,", "80808,Bob,,,", pushed) is None
    assert pin_changed_by_phone("4711,Ann,,,", "4711,Ann,,,", pushed) is None
    assert pin_changed_by_phone("4711,Ann,,,", "80808,Ann,,,", None) is None
