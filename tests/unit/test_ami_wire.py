"""The pure parts of the AMI link: framing, encoding, configuration operations, the life of the link."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.adapters.ami import AmiTiming, config_text, wire
from control_plane.adapters.ami.keeper import TRANSITIONS, LinkEvent, backoff_s
from control_plane.errors import OutcomeUnknown, Rejected, Unreachable, UnsafeValue
from control_plane.ports import ConfigLine, LinkState
from tests.contract.fake_node import FakeNode

GREETING = b"Asterisk Call Manager/11.0.0\r\n"

header_text = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
header_name = st.from_regex(r"[A-Z][A-Za-z]{1,12}", fullmatch=True)


@given(st.lists(st.dictionaries(header_name, header_text, min_size=1, max_size=4), max_size=5), st.data())
def test_messages_are_the_same_wherever_the_stream_is_cut(
    messages: list[dict[str, str]], data: st.DataObject
) -> None:
    stream = GREETING + b"".join(wire.encode_action(message.items(), "x") for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = wire.Framer()
    seen = []
    for start, end in itertools.pairwise([0, *cuts, len(stream)]):
        seen += framer.feed(stream[start:end])
    assert [wire.parse_headers(message) for message in seen] == messages


def test_every_single_byte_may_be_a_segment_of_its_own() -> None:
    stream = GREETING + "Event: A\r\nName: Zoë 電\r\n\r\nEvent: B\r\n\r\n".encode()
    framer = wire.Framer()
    seen = [message for at in range(len(stream)) for message in framer.feed(stream[at : at + 1])]
    assert [wire.parse_headers(message) for message in seen] == [
        {"Event": "A", "Name": "Zoë 電"},
        {"Event": "B"},
    ]


@given(st.binary(min_size=1, max_size=400))
def test_bytes_that_are_no_ami_never_grow_the_buffer_beyond_the_greeting(noise: bytes) -> None:
    framer = wire.Framer()
    if noise.startswith(wire.GREETING):
        return
    with pytest.raises(wire.NotAmi):
        framer.feed(noise.ljust(wire.GREETING_LIMIT_BYTES, b"x"))


@given(header_name, header_text)
def test_an_encoded_header_is_one_line(name: str, value: str) -> None:
    assert wire.encode_action([(name, value)], "x").count(b"\n") == 2


def test_more_headers_than_asterisk_reads_are_refused() -> None:
    wire.encode_action([("A", "b")] * wire.HEADER_LIMIT, "x")
    with pytest.raises(UnsafeValue, match="129 AMI headers"):
        wire.encode_action([("A", "b")] * (wire.HEADER_LIMIT + 1), "x")


def test_an_unsafe_value_is_never_quoted() -> None:
    for value in ("TOPSECRET\n", "TOPSECRET" * 200, "TOPSECRET\ud800"):
        with pytest.raises(UnsafeValue) as caught:
            wire.encode_action([("Val", value)], "AstDB row 'pbx/auth/x'")
        assert "TOPSECRET" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(("state", "event"), list(itertools.product(LinkState, LinkEvent)))
def test_each_event_in_each_state_has_one_meaning_or_none(state: LinkState, event: LinkEvent) -> None:
    after = TRANSITIONS.get((state, event))
    match event:
        case LinkEvent.CLOSED:
            assert after is LinkState.DISCONNECTED
        case LinkEvent.ATTEMPT:
            waiting = state in (LinkState.DISCONNECTED, LinkState.LOGIN_REFUSED)
            assert after is (LinkState.CONNECTING if waiting else None)
        case LinkEvent.READY:
            assert after is (LinkState.CONNECTED if state is LinkState.CONNECTING else None)
        case LinkEvent.REFUSED:
            assert after is (LinkState.LOGIN_REFUSED if state is LinkState.CONNECTING else None)
        case LinkEvent.LOST:
            up = state in (LinkState.CONNECTING, LinkState.CONNECTED)
            assert after is (LinkState.DISCONNECTED if up else None)


def test_only_an_attempt_that_succeeded_leads_to_connected() -> None:
    assert [pair for pair, after in TRANSITIONS.items() if after is LinkState.CONNECTED] == [
        (LinkState.CONNECTING, LinkEvent.READY)
    ]


@given(st.integers(0, 10_000))
def test_the_wait_between_attempts_is_bounded_and_never_nothing(failures: int) -> None:
    timing = AmiTiming()
    assert timing.backoff_first_s / 2 <= backoff_s(failures, timing) <= timing.backoff_max_s


def test_the_wait_between_attempts_doubles() -> None:
    timing = replace(AmiTiming(), backoff_first_s=1, backoff_max_s=1000)
    assert all(2**n / 2 <= backoff_s(n, timing) <= 2**n for n in range(9))


names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
config_lines = st.builds(ConfigLine, names, st.from_regex(r"[a-cA-C]{0,2}", fullmatch=True), st.booleans())


@given(st.dictionaries(names, st.lists(config_lines, max_size=70), max_size=6))
def test_batches_keep_every_operation_in_order_and_are_as_few_as_can_be(
    content: dict[str, list[ConfigLine]],
) -> None:
    operations = list(config_text.content_operations(content))
    rebuilt: list[config_text.Operation] = []
    room = 0
    for headers in config_text.batches(operations):
        assert len(operations[len(rebuilt)]) > room, "it would have fitted into the batch before"
        room = wire.HEADER_LIMIT - 4 - len(headers)
        assert room >= 0
        numbered: dict[str, list[tuple[str, str]]] = {}
        for name, value in headers:
            plain, _, number = name.rpartition("-")
            numbered.setdefault(number, []).append((plain, value))
        assert list(numbered) == [f"{index:06d}" for index in range(len(numbered))]
        rebuilt += [tuple(operation) for operation in numbered.values()]
    assert rebuilt == operations


@dataclass
class Category:
    """One category the way Asterisk deletes from it (ast_variable_delete in main/config.c)."""

    held: list[ConfigLine]

    def apply(self, operation: config_text.Operation) -> None:
        headers = dict(operation)
        if "Line" in headers:
            del self.held[int(headers["Line"])]
            return
        name, value = headers["Var"].casefold(), headers["Match"].casefold()
        self.held = [
            line
            for line in self.held
            if line.name.casefold() != name or (value and line.value.casefold() != value)
        ]


@given(st.lists(config_lines, max_size=12), st.lists(config_lines, max_size=6))
def test_deleting_removes_each_unwanted_line_once_and_no_other(
    held: list[ConfigLine], unwanted: list[ConfigLine]
) -> None:
    unwanted = [*unwanted, *held[::3]]
    category = Category(list(held))
    for operation in config_text.delete_operations("c", held, unwanted):
        category.apply(operation)
    expected = list(held)
    for line in unwanted:
        if line in expected:
            expected.remove(line)
    assert category.held == expected


async def test_the_fake_breaks_after_the_operation_it_was_told_and_knows_what_was_done() -> None:
    node = FakeNode()
    await node.connect()
    node.faults.cut_after = 2
    with pytest.raises(OutcomeUnknown):
        await node.put_rows([("a/1", "x"), ("a/2", "x"), ("a/3", "x")])
    assert node.rows == {"a/1": "x", "a/2": "x"}
    with pytest.raises(Unreachable):
        await node.read_rows("a")
    await node.connect()
    assert await node.read_rows("a") == {"a/1": "x", "a/2": "x"}


async def test_the_fake_refuses_one_key_and_loses_what_was_not_committed() -> None:
    node = FakeNode()
    await node.connect()
    await node.put_rows([("a/1", "x")])
    node.commit()
    node.faults.refuse_keys.add("a/3")
    with pytest.raises(Rejected, match="a/3"):
        await node.put_rows([("a/2", "x"), ("a/3", "x")])
    node.crash()
    assert node.state is LinkState.DISCONNECTED
    await node.connect()
    assert await node.read_rows("a") == {"a/1": "x"}
