"""Each way AMI or panoramisk 1.4 can lose, repeat or garble an action, shown closed on a scripted peer."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import SecretStr

from control_plane.adapters.ami import AmiAddress, AmiLink, AmiTiming
from control_plane.adapters.ami.wire import LINE_LIMIT_BYTES
from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable, UnsafeValue
from control_plane.ports import AmiEvent, ConfigLine, LinkState
from tests.contract import scripted_peer
from tests.contract.scripted_peer import SECRET, Action, Connection, ScriptedPeer, Table, message, response

QUICK = AmiTiming(
    connect_s=1,
    answer_s=0.3,
    boot_s=1,
    reload_s=1,
    ping_every_s=0.05,
    ping_answer_s=0.1,
    backoff_first_s=0.01,
    backoff_max_s=0.05,
    refused_retry_s=0.05,
)
"""Every wait short, and no test waits for a fixed time."""

CALM = dataclasses.replace(QUICK, ping_every_s=60)
"""For tests that count actions: no ping among them."""

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


async def test_every_action_has_a_deadline(peer: ScriptedPeer, link: AmiLink) -> None:
    for name in ("DBPut", "DBDel", "DBGet", "DBGetTree", "GetConfig", "Reload", "CoreShowChannels"):
        peer.scripts[name] = scripted_peer.silent
    for ask in (
        link.put_rows([("a/b", "c")]),
        link.delete_rows(["a/b"]),
        link.read_row("a/b"),
        link.read_rows("a"),
        link.read_config("a.conf"),
        link.reload("pbx_config.so"),
        link.active_channels(),
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
