"""What a node behind `NodeLink` does, on the in-memory fake and on a real Asterisk alike."""

from __future__ import annotations

import asyncio
import json
import random
import string
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from control_plane.adapters.ami import AmiAddress, AmiLink, AmiTiming
from control_plane.adapters.ami.wire import LINE_LIMIT_BYTES
from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable, UnsafeValue
from control_plane.ports import AmiEvent, ConfigFile, ConfigLine, LinkState, NodeLink
from tests.contract.fake_node import FakeNode
from tests.lab import RunningLab, running_lab_in

FILE = "contract_test.conf"
SEED = 20221
NASTY = string.ascii_letters + string.digits + " \t;\\\"'=>[](){}<>,.:$#%&+-*/|~^`!?@_éÅ電\u00a0\x01\x7f"


def link_to(lab: RunningLab, *, secret: str | None = None) -> AmiLink:
    """A link of the test's own to the lab's node."""
    settings = lab.settings
    known = lab.secrets.ami if secret is None else type(lab.secrets.ami)(secret)
    address = AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, known)
    return AmiLink(address, AmiTiming(backoff_first_s=0.05, backoff_max_s=0.2))


@asynccontextmanager
async def connected(lab: RunningLab) -> AsyncIterator[AmiLink]:
    """A connected link to a real Asterisk; rows of the test are deleted afterwards."""
    link = link_to(lab)
    await link.connect()
    try:
        yield link
        await link.connect()
        for prefix in ("contract", "pbx/endpoint"):
            await link.delete_rows(await link.read_rows(prefix))
    finally:
        await link.close()


@pytest.fixture
async def real(running_lab: RunningLab) -> AsyncIterator[AmiLink]:
    async with connected(running_lab) as link:
        yield link


@pytest.fixture(params=["fake", pytest.param("asterisk", marks=pytest.mark.asterisk)])
def lab_or_fake(request: pytest.FixtureRequest) -> RunningLab | None:
    """The lab for a real Asterisk, or None. Not asynchronous: starting a lab runs a loop of its own."""
    if request.param == "fake":
        return None
    lab: RunningLab = request.getfixturevalue("running_lab")
    return lab


@pytest.fixture
async def node(lab_or_fake: RunningLab | None) -> AsyncIterator[NodeLink]:
    if lab_or_fake is not None:
        async with connected(lab_or_fake) as link:
            yield link
        return
    fake = FakeNode()
    await fake.connect()
    yield fake


async def test_rows_are_read_back_as_they_were_put(node: NodeLink) -> None:
    rows = {
        "contract/json/1": json.dumps({"context": "internal", "callerid": '"Zoë" <100>'}, ensure_ascii=False),
        "contract/empty": "",
        "contract/blank end": "x ",
        "contract/colon": "Val: x: y",
        "contract/longest": "x" * (LINE_LIMIT_BYTES - len("Val: ")),
    }
    await node.put_rows(rows.items())
    assert await node.read_rows("contract") == rows
    for key, value in rows.items():
        assert await node.read_row(key) == value
    await node.put_rows([("contract/empty", "now something")])
    assert await node.read_row("contract/empty") == "now something"


async def test_any_row_that_is_accepted_is_kept_exactly(node: NodeLink) -> None:
    dice = random.Random(SEED)
    rows = {}
    for number in range(400):
        value = "".join(dice.choices(NASTY, k=dice.randrange(60)))
        rows[f"contract/nasty/{number}"] = value.lstrip(" \t\x01")
    await node.put_rows(rows.items())
    assert await node.read_rows("contract/nasty") == rows


async def test_a_prefix_means_a_family_and_nothing_that_looks_like_it(node: NodeLink) -> None:
    await node.put_rows([(f"contract/{name}/1", "v") for name in ("a_b", "A_B", "axb", "a_bc")])
    await node.put_rows([("contract/a_b", "the family's own name")])
    assert await node.read_rows("contract/a_b") == {"contract/a_b/1": "v"}
    assert await node.read_rows("contract/nothing") == {}


async def test_deleting_a_row_that_is_gone_is_no_error(node: NodeLink) -> None:
    await node.put_rows([("contract/a", "1"), ("contract/b", "2")])
    await node.delete_rows(["contract/a", "contract/never", "contract/a"])
    assert await node.read_rows("contract") == {"contract/b": "2"}
    assert await node.read_row("contract/a") is None


async def test_nothing_to_do_is_done(node: NodeLink) -> None:
    await node.put_rows([])
    await node.delete_rows([])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contract/a", "x\r\nAction: Ping"),
        ("contract/a", "x\0"),
        ("contract/a", " leading blank is lost in AMI"),
        ("contract/a", "x" * (LINE_LIMIT_BYTES - len("Val: ") + 1)),
        ("contract/a", "\ud800"),
        ("nofamily", "x"),
        ("/contract/a", "x"),
        ("contract//a", "x"),
        ("contract/", "x"),
        ("contract/ a", "x"),
        ("contract/a\n", "x"),
        ("contract/" + "k" * 250, "x"),
    ],
)
async def test_a_row_that_would_not_arrive_as_given_is_refused_and_nothing_is_written(
    node: NodeLink, key: str, value: str
) -> None:
    with pytest.raises(UnsafeValue) as caught:
        await node.put_rows([("contract/first", "1"), (key, value)])
    assert value not in str(caught.value) or len(value) < 3
    assert await node.read_rows("contract") == {}


async def test_a_file_that_does_not_exist_is_none(node: NodeLink) -> None:
    assert await node.read_config("contract_never.conf") is None


def lines(*texts: str) -> list[ConfigLine]:
    """`name=value` texts as lines."""
    return [ConfigLine(name, value) for name, value in (text.split("=", 1) for text in texts)]


DIALPLAN: ConfigFile = {
    "acme-internal": lines(
        "exten=_1XX,1(start),NoOp(${EXTEN};kept)",
        'same=n,GotoIf($["${DB(ext/acme/100/dnd)}" = "1"]?busy)',
        "same=n,Set(X=${IF($[${A} & ${B}]?\"a,b\":'c')})",
        r"same=n,Set(Y=a\,b\;c\\)",
        "include=acme-emergency",
    ),
    "acme-emergency": lines("exten=112,1,Dial(PJSIP/112@carrier)"),
    "acme-empty": [],
}


async def test_a_written_file_is_read_back_equal_and_in_order(node: NodeLink) -> None:
    await node.write_config(FILE, DIALPLAN)
    read = await node.read_config(FILE)
    assert read == DIALPLAN
    assert read is not None
    assert list(read) == list(DIALPLAN)


async def test_writing_a_file_replaces_all_of_it(node: NodeLink) -> None:
    await node.write_config(FILE, {f"c{index}": lines("a=1") for index in range(60)})
    await node.write_config(FILE, DIALPLAN)
    assert await node.read_config(FILE) == DIALPLAN
    await node.write_config(FILE, {})
    assert await node.read_config(FILE) == {}


@pytest.mark.parametrize("count", [29, 30, 31, 32, 60, 61, 62, 300])
async def test_a_file_of_any_number_of_lines_is_written_whole(node: NodeLink, count: int) -> None:
    content = {"a": lines(*(f"{index}=v{index}" for index in range(count))), "b": lines("last=1")}
    await node.write_config(FILE, content)
    assert await node.read_config(FILE) == content


async def test_any_line_that_is_accepted_is_kept_exactly(node: NodeLink) -> None:
    dice = random.Random(SEED)
    held = [ConfigLine("longest", "x" * (LINE_LIMIT_BYTES - len("Value-000000: >")))]
    for number in range(300):
        value = "".join(dice.choices(NASTY, k=dice.randrange(60))).strip(" \t\x01")
        held.append(ConfigLine(f"n{number}", value, arrow=dice.random() < 0.5 or value.startswith(">")))
    await node.write_config(FILE, {"nasty": held})
    assert await node.read_config(FILE) == {"nasty": held}


@pytest.mark.parametrize(
    ("category", "line"),
    [
        ("c", ConfigLine("#include", "/etc/passwd")),
        ("c", ConfigLine("#exec", "/bin/true")),
        ("c", ConfigLine("[other]", "x")),
        ("c", ConfigLine("a;b", "x")),
        ("c", ConfigLine("a=b", "x")),
        ("c", ConfigLine("", "x")),
        ("c", ConfigLine("a", " leading")),
        ("c", ConfigLine("a", "trailing ")),
        ("c", ConfigLine("a", ">x", arrow=False)),
        ("c", ConfigLine("a", "x\r\n[evil]")),
        ("c", ConfigLine("a", "x" * 1002)),
        ("c]", ConfigLine("a", "x")),
        ("a;b", ConfigLine("a", "x")),
        ("", ConfigLine("a", "x")),
    ],
)
async def test_a_line_that_the_file_could_not_hold_is_refused_and_the_file_stays(
    node: NodeLink, category: str, line: ConfigLine
) -> None:
    await node.write_config(FILE, DIALPLAN)
    with pytest.raises(UnsafeValue):
        await node.write_config(FILE, {category: [line]})
    with pytest.raises(UnsafeValue):
        await node.edit_config(FILE, category, append=[line])
    assert await node.read_config(FILE) == DIALPLAN


@pytest.mark.parametrize(
    "filename", ["../passwd", "/etc/passwd", "a/b.conf", "", "noextension", "a.conf\r\nX: y"]
)
async def test_only_plain_file_names_are_taken(node: NodeLink, filename: str) -> None:
    with pytest.raises(UnsafeValue):
        await node.read_config(filename)
    with pytest.raises(UnsafeValue):
        await node.write_config(filename, {})
    with pytest.raises(UnsafeValue):
        await node.edit_config(filename, "c")


async def test_categories_asterisk_cannot_tell_apart_are_refused(node: NodeLink) -> None:
    with pytest.raises(UnsafeValue, match="same to Asterisk"):
        await node.write_config(FILE, {"acme": [], "ACME": []})


async def test_editing_touches_only_the_named_lines(node: NodeLink) -> None:
    others = lines("100=1111,Ann", "101=2222,Bob,bob@example.org", "102=3333,Zoë;x")
    await node.write_config(FILE, {"general": lines("format=wav"), "default": others})
    await node.edit_config(
        FILE,
        "default",
        delete=lines("101=2222,Bob,bob@example.org", "100=0000,not there"),
        append=lines("103=4444,Eve"),
    )
    assert await node.read_config(FILE) == {
        "general": lines("format=wav"),
        "default": [others[0], others[2], *lines("103=4444,Eve")],
    }


async def test_editing_makes_file_and_category_when_missing(node: NodeLink) -> None:
    filename = f"contract_new_{random.SystemRandom().randrange(10**9)}.conf"
    await node.edit_config(filename, "default", append=lines("100=1"), delete=lines("100=0"))
    await node.edit_config(filename, "second", append=lines("200=2"))
    await node.edit_config(filename, "default", append=lines("101=3"))
    assert await node.read_config(filename) == {"default": lines("100=1", "101=3"), "second": lines("200=2")}


async def test_deleting_tells_twins_letter_case_and_empty_values_apart(node: NodeLink) -> None:
    held = lines("a=x", "a=X", "A=x", "b=", "b=1", "c=twin", "c=twin", "d=only")
    await node.write_config(FILE, {"c": held})
    await node.edit_config(FILE, "c", delete=lines("a=X", "b=", "c=twin", "d=ONLY"))
    assert await node.read_config(FILE) == {"c": lines("a=x", "A=x", "b=1", "c=twin", "d=only")}


async def test_many_edits_at_once_are_all_made(node: NodeLink) -> None:
    await node.write_config(FILE, {"c": lines(*(f"{index}=old" for index in range(100)))})
    await node.edit_config(
        FILE,
        "c",
        delete=lines(*(f"{index}=old" for index in range(0, 100, 2))),
        append=lines(*(f"{index}=new" for index in range(0, 100, 2))),
    )
    kept = [f"{index}=old" for index in range(1, 100, 2)]
    assert await node.read_config(FILE) == {
        "c": lines(*kept, *(f"{index}=new" for index in range(0, 100, 2)))
    }


async def test_many_lines_are_appended_to_a_file_that_does_not_exist(node: NodeLink) -> None:
    filename = f"contract_new_{random.SystemRandom().randrange(10**9)}.conf"
    many = lines(*(f"{index}=x" for index in range(100)))
    await node.edit_config(filename, "c", append=many)
    assert await node.read_config(filename) == {"c": many}


async def test_changes_of_files_from_several_tasks_do_not_mix(node: NodeLink) -> None:
    contents = {
        f"contract_many_{number}.conf": {"c": lines(*(f"{index}={number}" for index in range(80)))}
        for number in range(4)
    }
    await asyncio.gather(*(node.write_config(name, content) for name, content in contents.items()))
    for name, content in contents.items():
        assert await node.read_config(name) == content


async def test_a_reload_is_acknowledged_and_announced(node: NodeLink) -> None:
    seen = asyncio.Event()

    def listen(event: AmiEvent) -> None:
        if event.name == "Reload" and "pbx_config" in event.headers["Module"]:
            seen.set()

    leave = node.subscribe(listen)
    await node.reload("pbx_config.so")
    await asyncio.wait_for(seen.wait(), 5)
    leave()


async def test_a_module_that_does_not_exist_is_rejected(node: NodeLink) -> None:
    if isinstance(node, FakeNode):
        node.faults.refuse_keys.add("nosuch.so")
    with pytest.raises(Rejected, match=r"nosuch\.so"):
        await node.reload("nosuch.so")


async def test_pushed_endpoints_are_counted(node: NodeLink) -> None:
    before = await node.count_endpoints()
    endpoint = json.dumps({"context": "default", "allow": "ulaw"})
    await node.put_rows([(f"pbx/endpoint/contract{index}", endpoint) for index in range(3)])
    assert await node.count_endpoints() == before + 3


async def test_an_idle_node_has_no_channels_and_answers_pings(node: NodeLink) -> None:
    assert await node.active_channels() == 0
    assert await node.ping() < 1
    assert node.state is LinkState.CONNECTED
    assert node.last_error is None


async def test_after_closing_nothing_is_sent(node: NodeLink) -> None:
    await node.close()
    assert node.state is LinkState.DISCONNECTED
    with pytest.raises(Unreachable):
        await node.put_rows([("contract/a", "1")])
    await node.connect()
    assert await node.read_row("contract/a") is None


@pytest.mark.asterisk
async def test_an_endpoint_is_there_once_its_row_is(node: NodeLink) -> None:
    assert not await node.has_endpoint("contract1")
    await node.put_rows([("pbx/endpoint/contract1", json.dumps({"context": "default"}))])
    assert await node.has_endpoint("contract1")


async def test_a_malformed_row_hides_endpoints_and_the_count_shows_it(real: AmiLink) -> None:
    before = await real.count_endpoints()
    await real.put_rows([("pbx/endpoint/contract1", '{"context":"default"}'), ("pbx/endpoint/0", "{bad")])
    assert await real.count_endpoints() < before + 2
    await real.delete_rows(["pbx/endpoint/0"])
    assert await real.count_endpoints() == before + 1


@pytest.mark.asterisk
async def test_asterisk_takes_the_longest_line_we_send_and_not_much_more(
    real: AmiLink, running_lab: RunningLab
) -> None:
    """The limit keeps clear of Asterisk's own: its buffer of 1025 bytes."""
    fits, exceeds = (str(size - len("Val: ")) for size in (LINE_LIMIT_BYTES, 1030))
    assert await witnessed(running_lab, "put", "contract", "limit", fits) == "Success"
    assert await witnessed(running_lab, "put", "contract", "limit", exceeds) == "Error"


@pytest.mark.asterisk
async def test_a_wrong_password_is_refused_in_words(running_lab: RunningLab) -> None:
    link = link_to(running_lab, secret="wrong-password-of-the-test")
    with pytest.raises(LoginRefused, match="Authentication failed") as caught:
        await link.connect()
    assert link.state is LinkState.LOGIN_REFUSED
    assert "wrong-password" not in f"{caught.value} {link.last_error}"
    await link.close()


async def witnessed(lab: RunningLab, *question: str) -> str:
    """What the second, independent AMI client reports; in a process of its own, as it must not share ours."""
    settings = lab.settings
    asking = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("pyst2_witness.py")),
        settings.ami_host,
        str(settings.ami_port),
        settings.ami_user,
        *question,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    secret = lab.secrets.ami.get_secret_value().encode()
    answer, complaint = await asyncio.wait_for(asking.communicate(secret), 20)
    assert asking.returncode == 0, complaint.decode()
    return answer.decode()


@pytest.mark.asterisk
async def test_a_second_witness_reads_the_row_we_put(real: AmiLink, running_lab: RunningLab) -> None:
    value = json.dumps({"context": "internal", "callerid": "Zoe <100>", "note": "a: b; c, d = e"})
    await real.put_rows([("contract/witness", value)])
    assert await witnessed(running_lab, "read", "contract", "witness") == value


@pytest.fixture
def own_lab(asterisk_image: str, tmp_path: Path) -> Iterator[RunningLab]:
    """A lab for one test, which may kill it."""
    with running_lab_in(tmp_path, asterisk_image=asterisk_image) as lab:
        yield lab


@pytest.mark.asterisk
async def test_a_killed_asterisk_is_found_again_and_nothing_is_sent_twice(own_lab: RunningLab) -> None:
    link = link_to(own_lab)
    await link.connect()
    states: list[LinkState] = []
    again = asyncio.Event()
    link.on_state(states.append)
    link.on_state(lambda state: again.set() if state is LinkState.CONNECTED else None)
    rows = [(f"contract/{index}", str(index)) for index in range(200_000)]
    putting = asyncio.create_task(link.put_rows(rows))
    async with asyncio.timeout(30), connected(own_lab) as observer:
        while await observer.read_row("contract/1000") is None:
            assert not putting.done()
        await asyncio.to_thread(own_lab.lab.kill_node)
        with pytest.raises(OutcomeUnknown):
            await putting
        await asyncio.to_thread(own_lab.lab.start_node)
    await asyncio.wait_for(again.wait(), 30)
    assert states[0] is LinkState.DISCONNECTED
    await link.put_rows(rows[:10])
    assert await link.read_row("contract/3") == "3"
    await link.close()
