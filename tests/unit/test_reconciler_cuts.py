"""A connection that is cut at every single point of a push must cost time and nothing else."""

from __future__ import annotations

from tests.unit.pushing import (
    VOICEMAIL,
    Bench,
    bench,
    contents,
    device,
    extension,
    following,
    small_model,
    undisturbed,
)


async def first_push_cut_after(operations: int) -> Bench:
    made = bench()
    made.node.faults.cut_after = operations
    await made.node.connect()
    async with following(made):
        await made.until(lambda: made.node.faults.cut_after is None, f"the cut after {operations}")
        await made.node.connect()
        await made.settled()
    return made


def count_operations(made: Bench) -> int:
    return len(made.node.operations)


async def test_a_first_push_cut_anywhere_ends_as_an_undisturbed_one() -> None:
    undisturbed_node = await undisturbed()
    expected = contents(undisturbed_node)
    assert len(undisturbed_node.operations) > 40
    for cut in range(1, len(undisturbed_node.operations)):
        made = await first_push_cut_after(cut)
        assert contents(made.node) == expected, f"cut after {cut}"
        done = [operation for operation in made.node.operations if operation[0] != "read_config"]
        assert ("reload", "pbx_config.so") in done[-60:], f"cut after {cut}"


def change_much(made: Bench) -> None:
    store = made.store
    store.change(
        extension("102", no_answer=VOICEMAIL, voicemail_pin="9999"),
        device("102"),
        device("101", password="y" * 20),
    )
    store.edit("100", dnd=True, label="Ann")
    store.remove(device("100", "b"))


async def changed_cut_after(operations: int) -> Bench:
    made = bench()
    await made.node.connect()
    async with following(made):
        await made.settled()
        made.node.operations.clear()
        made.node.faults.cut_after = operations
        change_much(made)
        made.reconciler.nudge()
        await made.until(lambda: made.node.faults.cut_after is None, f"the cut after {operations}")
        await made.node.connect()
        await made.settled()
        await made.until(lambda: not made.store.recorded.get("reload:app_voicemail.so"))
    return made


async def test_a_change_cut_anywhere_ends_as_an_undisturbed_one_and_loads_the_mailboxes() -> None:
    smooth = bench()
    await smooth.node.connect()
    async with following(smooth):
        await smooth.settled()
        smooth.node.operations.clear()
        change_much(smooth)
        smooth.reconciler.nudge()
        await smooth.until(lambda: ("reload", "app_voicemail.so") in smooth.node.operations)
        await smooth.settled()
    writes = [i for i, (verb, _) in enumerate(smooth.node.operations) if not verb.startswith("read")]
    for cut in range(1, writes[-1] + 1):
        made = await changed_cut_after(cut)
        assert contents(made.node) == contents(smooth.node), f"cut after {cut}"
        edited = [i for i, op in enumerate(made.node.operations) if op[0] == "edit_config"]
        reloaded = [i for i, op in enumerate(made.node.operations) if op == ("reload", "app_voicemail.so")]
        assert reloaded and reloaded[-1] > edited[-1], f"cut after {cut}"


async def first_push_crashed_after(operations: int) -> Bench:
    made = bench()
    made.node.faults.cut_after = operations
    await made.node.connect()
    async with following(made):
        await made.until(lambda: made.node.faults.cut_after is None, f"the crash after {operations}")
        made.node.crash()
        await made.node.connect()
        await made.settled()
    return made


async def test_a_crash_after_every_row_of_a_push_loses_nothing_for_good() -> None:
    expected = contents(await undisturbed())
    for crash in range(1, 30):
        made = await first_push_crashed_after(crash)
        assert contents(made.node) == expected, f"crash after {crash}"


def test_the_model_of_these_tests_has_something_of_everything() -> None:
    kinds = {type(entity).__name__ for entity in small_model()}
    assert kinds == {"Organisation", "Site", "PhoneNumber", "Extension", "Device"}
