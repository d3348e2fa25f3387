"""Each way AMI or panoramisk 1.4 can lose, repeat or garble an action, shown closed on a scripted peer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.ami import AmiAddress, AmiLink, AmiTiming
from control_plane.adapters.ami.exchange import WINDOW
from control_plane.adapters.ami.wire import LINE_LIMIT_BYTES
from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable, UnsafeValue
from control_plane.ports import AmiEvent, ConfigLine, LinkState
from tests.contract import scripted_peer
from tests.contract.scripted_peer import SECRET, Action, Connection, ScriptedPeer, Table, message, response

QUICK = AmiTiming(
    connect_s=5,
    answer_s=5,
    boot_s=5,
    reload_s=5,
    ping_every_s=0.05,
    ping_answer_s=0.5,
    backoff_first_s=0.01,
    backoff_max_s=0.05,
    refused_retry_s=0.05,
)
"""Deadlines that a busy machine keeps; everything else at once."""

CALM = dataclasses.replace(QUICK, ping_every_s=60)
"""For tests that count actions: no ping among them."""

HASTY = dataclasses.replace(CALM, answer_s=0.3, reload_s=0.3)
"""For tests in which an answer never comes."""

Open = Callable[..., AmiLink]


@pytest.fixture
async def peer() -> AsyncIterator[ScriptedPeer]:
    async with ScriptedPeer() as running:
        yield running


@pytest.fixture
async def link_to() -> AsyncIterator[Open]:
    links: list[AmiLink] = []

    def make(port: int, *, timing: AmiTiming = CALM, secret: str = SECRET) -> AmiLink:
        link = AmiLink(AmiAddress("127.0.0.1", port, "wirechief", SecretStr(secret)), timing)
        links.append(link)
        return link

    yield make
    for link in links:
        await link.close()


@pytest.fixture
async def link(peer: ScriptedPeer, link_to: Open) -> AmiLink:
    made = link_to(peer.port)
    await made.connect()
    return made


@pytest.fixture
async def hasty(peer: ScriptedPeer, link_to: Open) -> AmiLink:
    made = link_to(peer.port, timing=HASTY)
    await made.connect()
    return made


async def state_reached(link: AmiLink, wanted: LinkState) -> None:
    """Wait until the link is in this state."""
    reached = asyncio.Event()
    leave = link.on_state(lambda state: reached.set() if state is wanted else None)
    try:
        if link.state is not wanted:
            await asyncio.wait_for(reached.wait(), 5)
    finally:
        leave()


@pytest.mark.parametrize("poison", ["\r\nAction: Command", "\n", "\r", "\0"])
async def test_a_line_break_or_nul_in_a_value_is_refused_before_anything_is_sent(
    peer: ScriptedPeer, link: AmiLink, poison: str
) -> None:
    before = len(peer.actions)
    with pytest.raises(UnsafeValue):
        await link.put_rows([("pbx/auth/a", "fine"), ("pbx/auth/b", f"x{poison}")])
    with pytest.raises(UnsafeValue):
        await link.delete_rows([f"pbx/auth/a{poison}"])
    with pytest.raises(UnsafeValue):
        await link.read_rows(f"pbx{poison}")
    with pytest.raises(UnsafeValue):
        await link.reload(f"pbx_config.so{poison}")
    with pytest.raises(UnsafeValue):
        await link.write_config("a.conf", {"c": [ConfigLine("name", f"x{poison}y")]})
    await link.ping()
    assert [action["Action"] for action in peer.actions[before:]] == ["Ping"]


async def test_a_line_longer_than_ami_takes_is_refused_before_anything_is_sent(
    peer: ScriptedPeer, link: AmiLink
) -> None:
    longest = "x" * (LINE_LIMIT_BYTES - len("Val: "))
    with pytest.raises(UnsafeValue, match="1 bytes too long"):
        await link.put_rows([("pbx/auth/a", longest + "x")])
    with pytest.raises(UnsafeValue):
        await link.put_rows([("pbx/auth/a", "é" * 506)])
    assert peer.named("DBPut") == []
    peer.scripts |= Table().scripts()
    await link.put_rows([("pbx/auth/a", longest)])
    assert peer.named("DBPut")[0]["Val"] == longest


async def test_an_action_whose_reply_is_lost_is_never_sent_again(peer: ScriptedPeer, link: AmiLink) -> None:
    peer.scripts["DBPut"] = scripted_peer.cut
    with pytest.raises(OutcomeUnknown):
        await link.put_rows([("pbx/auth/a", "1")])
    await peer.until(lambda: len(peer.connections) == 2)
    await link.connect()
    await link.ping()
    assert len(peer.named("DBPut")) == 1


async def test_a_list_cut_midway_ends_as_unknown(peer: ScriptedPeer, link: AmiLink) -> None:
    async def half(connection: Connection, action: Action) -> None:
        await connection.send(
            response(action, EventList="start", Message="Result will follow")
            + message(Event="DBGetTreeResponse", Key="/a/b", Val="c", ActionID=action["ActionID"])
        )
        connection.close()

    peer.scripts["DBGetTree"] = half
    with pytest.raises(OutcomeUnknown):
        await link.read_rows("a")


async def test_a_refused_login_says_so_and_is_tried_again_slowly(peer: ScriptedPeer, link_to: Open) -> None:
    link = link_to(peer.port, secret="wrong-secret-of-the-test")
    with pytest.raises(LoginRefused, match="wirechief") as caught:
        await link.connect()
    assert link.state is LinkState.LOGIN_REFUSED
    assert "wrong-secret" not in str(caught.value)
    await peer.until(lambda: len(peer.connections) == 2)
    assert "Authentication failed" in (link.last_error or "")


async def test_characters_split_over_two_segments_survive(peer: ScriptedPeer, link: AmiLink) -> None:
    table = Table()
    table.rows["people/1/name"] = "Zoë Å 電話"

    async def split(connection: Connection, action: Action) -> None:
        whole = table.tree_bytes(action)
        inside = whole.index("ë".encode()) + 1, whole.index("話".encode()) + 2
        await connection.send_apart(whole[: inside[0]], whole[inside[0] : inside[1]], whole[inside[1] :])

    peer.scripts["DBGetTree"] = split
    assert await link.read_rows("people") == {"people/1/name": "Zoë Å 電話"}


async def test_asking_before_connecting_raises_unreachable(link_to: Open) -> None:
    link = link_to(1)
    for ask in (link.ping(), link.read_rows("a"), link.put_rows([("a/b", "c")]), link.reload("x")):
        with pytest.raises(Unreachable):
            await ask
    assert link.state is LinkState.DISCONNECTED


async def test_every_action_has_a_deadline(peer: ScriptedPeer, hasty: AmiLink) -> None:
    for name in ("DBPut", "DBDel", "DBGet", "DBGetTree", "GetConfig", "Reload", "CoreShowChannels"):
        peer.scripts[name] = scripted_peer.silent
    for ask in (
        hasty.put_rows([("a/b", "c")]),
        hasty.delete_rows(["a/b"]),
        hasty.read_row("a/b"),
        hasty.read_rows("a"),
        hasty.read_config("a.conf"),
        hasty.reload("pbx_config.so"),
        hasty.active_channels(),
    ):
        with pytest.raises(OutcomeUnknown, match="no answer within"):
            await ask


async def test_a_refused_row_is_named_without_its_value(peer: ScriptedPeer, link: AmiLink) -> None:
    async def refuse(connection: Connection, action: Action) -> None:
        ok = action["Key"] != "b"
        await connection.answer(action, ok=ok, Message="Done" if ok else "Failed to update entry")

    peer.scripts["DBPut"] = refuse
    with pytest.raises(Rejected, match=r"pbx/auth/b.*Failed to update entry") as caught:
        await link.put_rows([("pbx/auth/a", "TOPSECRET1"), ("pbx/auth/b", "TOPSECRET2")])
    assert "TOPSECRET" not in str(caught.value)


async def test_no_secret_reaches_the_log(
    peer: ScriptedPeer, link: AmiLink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    peer.scripts["DBPut"] = scripted_peer.cut
    with pytest.raises(OutcomeUnknown) as caught:
        await link.put_rows([("pbx/auth/a", "TOPSECRET")])
    await peer.until(lambda: len(peer.connections) == 2)
    await link.connect()
    assert "TOPSECRET" not in caplog.text + str(caught.value)
    assert SECRET not in caplog.text


async def test_rows_read_are_only_those_asked_for(peer: ScriptedPeer, link: AmiLink) -> None:
    async def like(connection: Connection, action: Action) -> None:
        """Asterisk matches with LIKE: another case, `_` as any character, and the bare prefix come too."""
        await connection.send(
            response(action, EventList="start")
            + b"".join(
                message(Event="DBGetTreeResponse", Key=key, Val="v", ActionID=action["ActionID"])
                for key in ("/a_b", "/a_b/1", "/A_B/2", "/axb/3")
            )
            + scripted_peer.complete(action, "DBGetTreeComplete", 4)
        )

    peer.scripts["DBGetTree"] = like
    assert await link.read_rows("a_b") == {"a_b/1": "v"}


async def test_events_reach_subscribers_until_they_leave(peer: ScriptedPeer, link: AmiLink) -> None:
    seen: list[AmiEvent] = []
    leave = link.subscribe(seen.append)
    await peer.connections[0].send(message(Event="UserEvent", Name="Zoë", Empty=""))
    await link.ping()
    assert seen == [AmiEvent("UserEvent", {"Event": "UserEvent", "Name": "Zoë", "Empty": ""})]
    leave()
    await peer.connections[0].send(message(Event="UserEvent"))
    await link.ping()
    assert len(seen) == 1


async def test_a_restarted_asterisk_is_found_again_without_being_asked(
    peer: ScriptedPeer, link: AmiLink
) -> None:
    states: list[LinkState] = []
    link.on_state(states.append)
    await peer.stop()
    await state_reached(link, LinkState.DISCONNECTED)
    with pytest.raises(Unreachable):
        await link.ping()
    await peer.listen()
    await state_reached(link, LinkState.CONNECTED)
    assert await link.ping() >= 0
    assert states[0] is LinkState.DISCONNECTED
    assert states[-2:] == [LinkState.CONNECTING, LinkState.CONNECTED]
    assert link.last_error is None


async def test_a_failed_first_attempt_raises_and_goes_on_in_the_background(
    peer: ScriptedPeer, link_to: Open
) -> None:
    link = link_to(peer.port)
    await peer.stop()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{peer.port}"):
        await link.connect()
    await peer.listen()
    await state_reached(link, LinkState.CONNECTED)


def _bytes_of_an_exchange() -> int:
    """Bytes the peer sends from its greeting to the end of the answer to one DBPut."""
    put = message(Response="Success", ActionID="x" * 20, Message="Updated database successfully")
    login = message(Response="Success", ActionID="x" * 14, Message="Authentication accepted")
    return len(scripted_peer.GREETING + login + scripted_peer.FULLY_BOOTED + put)


@pytest.mark.parametrize("offset", range(_bytes_of_an_exchange() + 1))
async def test_cut_at_any_byte_an_action_is_sent_once_at_most_and_never_reported_done_undone(
    peer: ScriptedPeer, link_to: Open, offset: int
) -> None:
    async def limited(connection: Connection) -> None:
        if connection.number == 1:
            connection.bytes_left = offset

    table = Table()
    peer.scripts |= table.scripts()
    peer.on_connection = limited
    link = link_to(peer.port)
    try:
        await link.connect()
        await link.put_rows([("pbx/auth/a", "1")])
        assert table.rows == {"pbx/auth/a": "1"}
    except (Unreachable, OutcomeUnknown):
        pass
    assert len(peer.named("DBPut")) <= 1
    peer.connections[0].cut()
    await peer.until(lambda: len(peer.connections) >= 2)
    await link.connect()
    if (await link.read_row("pbx/auth/a")) is None:
        await link.put_rows([("pbx/auth/a", "1")])
    assert await link.read_rows("pbx") == {"pbx/auth/a": "1"}
    assert len(peer.named("DBPut")) == 1


async def test_a_peer_that_stopped_answering_is_noticed_by_ping(peer: ScriptedPeer, link_to: Open) -> None:
    link = link_to(peer.port, timing=QUICK)
    await link.connect()
    peer.scripts["Ping"] = scripted_peer.silent
    await state_reached(link, LinkState.DISCONNECTED)
    assert "ping" in (link.last_error or "")
    peer.scripts["Ping"] = scripted_peer.pong
    await state_reached(link, LinkState.CONNECTED)


async def test_an_unanswered_action_makes_the_link_ping_at_once(peer: ScriptedPeer, hasty: AmiLink) -> None:
    peer.scripts |= {"DBPut": scripted_peer.silent, "Ping": scripted_peer.silent}
    with pytest.raises(OutcomeUnknown):
        await hasty.put_rows([("a/b", "c")])
    await state_reached(hasty, LinkState.DISCONNECTED)
    assert len(peer.named("Ping")) == 1


async def test_events_that_arrive_while_reconnecting_are_not_lost(peer: ScriptedPeer, link: AmiLink) -> None:
    async def busy(connection: Connection, action: Action) -> None:
        await connection.send(
            response(action, Message="Authentication accepted")
            + message(Event="UserEvent", Number="1")
            + scripted_peer.FULLY_BOOTED
            + message(Event="UserEvent", Number="2")
        )

    seen: list[str] = []
    link.subscribe(lambda event: seen.append(event.headers.get("Number", event.name)))
    peer.scripts["Login"] = busy
    peer.connections[0].cut()
    await peer.until(lambda: len(peer.named("Login")) == 2)
    await link.connect()
    await link.ping()
    assert seen == ["1", "FullyBooted", "2"]


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01" * 99, b"A" * 999])
async def test_a_peer_that_does_not_speak_ami_never_sees_the_password(
    peer: ScriptedPeer, link_to: Open, garbage: bytes
) -> None:
    peer.greeting = garbage
    with pytest.raises(Unreachable, match="does not speak AMI"):
        await link_to(peer.port).connect()
    assert peer.actions == []


async def test_a_greeting_that_never_comes_is_unreachable(peer: ScriptedPeer, link_to: Open) -> None:
    peer.greeting = b"Asterisk Call"
    with pytest.raises(Unreachable, match="sent no greeting"):
        await link_to(peer.port, timing=HASTY).connect()


async def test_without_fully_booted_the_link_does_not_count_as_connected(
    peer: ScriptedPeer, link_to: Open
) -> None:
    peer.scripts["Login"] = scripted_peer.succeed
    with pytest.raises(Unreachable, match="FullyBooted"):
        await link_to(peer.port, timing=dataclasses.replace(CALM, boot_s=0.05)).connect()


async def test_an_endless_message_ends_the_connection_and_not_the_memory(
    peer: ScriptedPeer, link: AmiLink
) -> None:
    piece = b"x" * (1 << 20)
    with contextlib.suppress(ConnectionError):
        for _ in range(64):
            await peer.connections[0].send(piece)
    await peer.until(lambda: len(peer.connections) == 2)
    await link.connect()
    await link.ping()


async def test_messages_that_make_no_sense_are_passed_over(peer: ScriptedPeer, link: AmiLink) -> None:
    await peer.connections[0].send(
        b"\xff\xfe\x00\r\n\r\n\r\n\r\nEvent\r\n\r\nResponse: \r\nActionID: nobody\r\n\r\nActionID: \r\n\r\n"
    )
    assert await link.ping() >= 0


async def test_an_answer_given_twice_counts_once(peer: ScriptedPeer, hasty: AmiLink) -> None:
    async def twice_the_first(connection: Connection, action: Action) -> None:
        if action["Key"] == "1":
            await connection.send(response(action) * 2)

    peer.scripts["DBPut"] = twice_the_first
    with pytest.raises(OutcomeUnknown):
        await hasty.put_rows([("a/1", "x"), ("a/2", "x")])


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    peer: ScriptedPeer, hasty: AmiLink
) -> None:
    late: list[Action] = []

    async def hold(connection: Connection, action: Action) -> None:
        late.append(action)

    async def both(connection: Connection, action: Action) -> None:
        await connection.answer(late[0], ok=False, Message="late")
        await Table().get(connection, action)

    peer.scripts |= {"DBPut": hold, "DBGet": both}
    with pytest.raises(OutcomeUnknown):
        await hasty.put_rows([("a/b", "c")])
    assert await hasty.read_row("a/b") is None


async def test_two_links_never_use_the_same_action_id(peer: ScriptedPeer, link_to: Open) -> None:
    peer.scripts |= Table().scripts()
    for _ in range(2):
        link = link_to(peer.port)
        await link.connect()
        await link.put_rows([("a/1", "x"), ("a/2", "x")])
        await link.put_rows([("a/1", "x")])
        await link.read_rows("a")
    idents = [action["ActionID"] for action in peer.actions]
    assert len(set(idents)) == len(idents)


async def test_a_batch_keeps_a_bounded_number_in_flight(peer: ScriptedPeer, link: AmiLink) -> None:
    held: list[Action] = []
    free = asyncio.Event()

    async def hold(connection: Connection, action: Action) -> None:
        held.append(action)
        if free.is_set():
            await connection.answer(action)

    peer.scripts["DBPut"] = hold
    putting = asyncio.create_task(link.put_rows([(f"a/{index}", "x") for index in range(1200)]))
    await peer.until(lambda: len(peer.named("DBPut")) == WINDOW)
    with pytest.raises(TimeoutError):
        await peer.until(lambda: len(peer.named("DBPut")) > WINDOW, deadline_s=0.05)
    free.set()
    for action in tuple(held):
        await peer.connections[0].answer(action)
    await putting
    assert [action["Key"] for action in held] == [str(index) for index in range(1200)]


async def test_a_refused_row_stops_the_batch(peer: ScriptedPeer, link: AmiLink) -> None:
    async def refuse(connection: Connection, action: Action) -> None:
        await connection.answer(action, ok=False, Message="Permission denied")

    peer.scripts["DBPut"] = refuse
    with pytest.raises(Rejected, match="'a/0': Permission denied"):
        await link.put_rows([(f"a/{index}", "x") for index in range(2000)])
    assert len(peer.named("DBPut")) == WINDOW


async def test_a_cut_in_the_middle_of_a_batch_is_unknown_and_repeats_nothing(
    peer: ScriptedPeer, link: AmiLink
) -> None:
    table = Table()

    async def some(connection: Connection, action: Action) -> None:
        if len(table.rows) == 700:
            connection.cut()
        else:
            await table.put(connection, action)

    peer.scripts["DBPut"] = some
    with pytest.raises(OutcomeUnknown):
        await link.put_rows([(f"a/{index}", "x") for index in range(1500)])
    await peer.until(lambda: len(peer.connections) == 2)
    await link.connect()
    keys = [action["Key"] for action in peer.named("DBPut")]
    assert len(set(keys)) == len(keys)


async def test_a_reload_under_way_is_waited_out(peer: ScriptedPeer, link: AmiLink) -> None:
    async def busy_twice(connection: Connection, action: Action) -> None:
        if len(peer.named("Reload")) <= 2:
            await connection.answer(action, ok=False, Message="A reload is in progress")
        else:
            await connection.answer(action, Message="Module Reloaded")

    peer.scripts["Reload"] = busy_twice
    await link.reload("pbx_config.so")
    assert len(peer.named("Reload")) == 3


async def test_a_reload_that_stays_under_way_is_given_up(peer: ScriptedPeer, link_to: Open) -> None:
    async def busy(connection: Connection, action: Action) -> None:
        await connection.answer(action, ok=False, Message="A reload is in progress")

    peer.scripts["Reload"] = busy
    link = link_to(peer.port, timing=dataclasses.replace(CALM, reload_s=0.05))
    await link.connect()
    with pytest.raises(Rejected, match="A reload is in progress"):
        await link.reload("pbx_config.so")


async def test_reloads_of_one_node_never_overlap(peer: ScriptedPeer, link: AmiLink) -> None:
    under_way = 0
    most = 0

    async def finish(connection: Connection, action: Action) -> None:
        nonlocal under_way
        await asyncio.sleep(0)
        under_way -= 1
        await connection.answer(action, Message="Module Reloaded")

    async def start(connection: Connection, action: Action) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        finishing.append(asyncio.create_task(finish(connection, action)))

    finishing: list[asyncio.Task[None]] = []
    peer.scripts["Reload"] = start
    await asyncio.gather(*(link.reload("pbx_config.so") for _ in range(3)))
    assert most == 1
    assert len(finishing) == 3


async def test_a_refused_login_is_not_repeated_at_the_pace_of_a_lost_connection(
    peer: ScriptedPeer, link_to: Open
) -> None:
    slow = dataclasses.replace(CALM, refused_retry_s=60)
    link = link_to(peer.port, timing=slow, secret="wrong")
    with pytest.raises(LoginRefused):
        await link.connect()
    with pytest.raises(TimeoutError):
        await peer.until(lambda: len(peer.connections) > 1, deadline_s=0.2)
    with pytest.raises(LoginRefused):
        await link.connect()
    assert len(peer.connections) == 2


async def test_a_password_that_would_break_out_of_its_line_is_refused(link_to: Open) -> None:
    with pytest.raises(UnsafeValue) as caught:
        link_to(1, secret="TOPSECRET\r\nAction: Ping")
    assert "TOPSECRET" not in str(caught.value)


async def test_a_listener_that_fails_hurts_nobody(
    peer: ScriptedPeer, link: AmiLink, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ValueError("listener")

    seen: list[AmiEvent] = []
    link.subscribe(fail)
    link.subscribe(seen.append)
    link.on_state(fail)
    await peer.connections[0].send(message(Event="UserEvent"))
    await link.ping()
    assert len(seen) == 1
    peer.connections[0].cut()
    await peer.until(lambda: len(peer.connections) == 2)
    await link.connect()
    assert "listener" in caplog.text


async def test_closing_ends_what_is_in_flight_as_unknown(peer: ScriptedPeer, link: AmiLink) -> None:
    peer.scripts["DBPut"] = scripted_peer.silent
    putting = asyncio.create_task(link.put_rows([("a/b", "c")]))
    await peer.until(lambda: len(peer.named("DBPut")) == 1)
    await link.close()
    with pytest.raises(OutcomeUnknown):
        await putting
    assert link.state is LinkState.DISCONNECTED
    with pytest.raises(Unreachable):
        await link.ping()


async def test_a_link_closed_in_the_moment_it_is_to_try_again_is_closed(
    peer: ScriptedPeer, link_to: Open
) -> None:
    link = link_to(peer.port, timing=dataclasses.replace(CALM, backoff_first_s=60, backoff_max_s=60))
    await peer.stop()
    with pytest.raises(Unreachable):
        await link.connect()
    again = asyncio.create_task(link.connect())
    await asyncio.sleep(0)  # it ends the pause, and what waits there has not run yet
    async with asyncio.timeout(5):
        await link.close()
    with pytest.raises(Unreachable, match="closed"):
        await again


async def test_a_link_closed_at_any_moment_of_connecting_is_closed_and_leaves_no_connection(
    peer: ScriptedPeer, link_to: Open
) -> None:
    for moments in range(1, 40):
        link = link_to(peer.port)
        connecting = asyncio.create_task(link.connect())
        for _ in range(moments):
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await link.close()
        await asyncio.wait([connecting])
        if not connecting.cancelled():
            connecting.exception()
        assert link.state is LinkState.DISCONNECTED
    assert peer.named("Login"), "no attempt came far enough"
    await peer.until(lambda: all(connection.ended for connection in peer.connections))


async def test_a_cancelled_question_leaves_the_link_usable(peer: ScriptedPeer, link: AmiLink) -> None:
    peer.scripts |= Table().scripts() | {"DBPut": scripted_peer.silent}
    putting = asyncio.create_task(link.put_rows([("a/b", "c")]))
    await peer.until(lambda: len(peer.named("DBPut")) == 1)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await link.read_rows("a") == {}


async def test_a_file_of_many_batches_is_written_to_its_name_once(peer: ScriptedPeer, link: AmiLink) -> None:
    async def empty(connection: Connection, action: Action) -> None:
        await connection.answer(action)

    peer.scripts |= {"GetConfig": empty, "UpdateConfig": scripted_peer.succeed}
    await link.write_config("a.conf", {"c": [ConfigLine("n", str(index)) for index in range(100)]})
    updates = [(action["SrcFilename"], action["DstFilename"]) for action in peer.named("UpdateConfig")]
    assert [target for _, target in updates].count("a.conf") == 1
    assert updates[-1] == ("wirechief_stage.conf", "a.conf")
    assert updates[0] == ("wirechief_empty.conf", "wirechief_stage.conf")
    assert all(len(action) <= 128 for action in peer.named("UpdateConfig"))


@pytest.mark.parametrize("whole", [True, False], ids=["written", "edited"])
async def test_a_file_cut_between_batches_is_left_as_it_was(
    peer: ScriptedPeer, link: AmiLink, whole: bool
) -> None:
    async def second_is_cut(connection: Connection, action: Action) -> None:
        if len(peer.named("UpdateConfig")) == 2:
            connection.cut()
        else:
            await connection.answer(action)

    peer.scripts |= {"GetConfig": scripted_peer.succeed, "UpdateConfig": second_is_cut}
    many = [ConfigLine("n", str(index)) for index in range(100)]
    with pytest.raises(OutcomeUnknown):
        if whole:
            await link.write_config("a.conf", {"c": many})
        else:
            await link.edit_config("a.conf", "c", append=many)
    assert "a.conf" not in [action["DstFilename"] for action in peer.named("UpdateConfig")]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=peer -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *make.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def test_the_link_speaks_tls_and_checks_whom_it_speaks_to(certificate: tuple[Path, Path]) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*certificate)
    async with ScriptedPeer(tls=serving) as peer:
        address = AmiAddress("127.0.0.1", peer.port, "wirechief", SecretStr(SECRET))
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        link = AmiLink(dataclasses.replace(address, tls=trusting), CALM)
        await link.connect()
        await link.ping()
        await link.close()
        doubting = AmiLink(dataclasses.replace(address, tls=ssl.create_default_context()), CALM)
        with pytest.raises(Unreachable, match="certificate"):
            await doubting.connect()
        await doubting.close()
        assert len(peer.named("Login")) == 1
