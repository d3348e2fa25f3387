"""Mails that wait or were given up, over the API and at the command line: a real mail server takes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from control_plane.adapters.clock import SystemClock
from control_plane.adapters.mail import Security, SmtpMailer
from control_plane.cli.app import execute
from tests.contract.fake_node import FakeNode
from tests.integration.api_client import TOKEN, Api, demo_api
from tests.integration.smtp_server import Inbox, mail_server
from tests.waiting import until

MAILS = "/nodes/lab/mails"
MISSED = "missed,acme,100,+6561234567,1767574800,busy"
REFUSED = "550 unknown"
PROTOCOL_S = 10


@dataclass
class Office:
    """The API, the node behind it, and the mail server that its outbox sends to."""

    api: Api
    node: FakeNode
    inbox: Inbox

    async def drain(self) -> None:
        await self.api.app.state.nodes["lab"].outbox.drain()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    node = FakeNode()
    await node.connect()
    async with mail_server() as inbox:
        mailer = SmtpMailer(
            "127.0.0.1", inbox.port, SystemClock(), sender="pbx@acme.example", security=Security.NONE
        )
        async with demo_api(tmp_path, node, mailer) as api:
            wanted = {"no_answer": {"action": "record_number", "notify": ["ann@acme.example"]}}
            await api.ok("PATCH", "/organisations/acme/extensions/100", json=wanted)
            inbox.recipient_answers["ann@acme.example"] = REFUSED
            node.rows["outbox/1767574800.1"] = MISSED
            made = Office(api, node, inbox)
            await made.drain()
            yield made


async def test_a_mail_that_was_given_up_is_listed_and_sent_once_its_address_is_there(office: Office) -> None:
    [mail] = (await office.api.ok("GET", MAILS)).json()
    assert (mail["id"], mail["state"], mail["recipients"]) == (
        "1767574800.1",
        "given_up",
        ["ann@acme.example"],
    )
    assert (mail["tries"], mail["error"]) == (1, f"ann@acme.example: recipient refused: {REFUSED}")
    assert (mail["kind"], mail["organisation"], mail["extension"]) == ("missed", "acme", "100")
    assert mail["given_up_at"] and mail["at"] == "2026-01-05T01:00:00Z"
    assert "+6561234567" not in json.dumps(mail), "what the mail says is not told"
    assert (await office.api.ok("GET", "/nodes/lab")).json()["mail"]["failed"] == 1
    office.inbox.recipient_answers.clear()
    assert (await office.api.ok("POST", f"{MAILS}/1767574800.1/retry")).json() == {"retried": 1}
    await office.drain()
    assert [sent["To"] for sent in office.inbox.mails] == ["ann@acme.example"]
    assert (await office.api.ok("GET", MAILS)).json() == []
    await office.api.problem("POST", f"{MAILS}/1767574800.1/retry", 404)


async def test_a_mail_is_discarded(office: Office) -> None:
    await office.api.ok("DELETE", f"{MAILS}/1767574800.1", 204)
    assert (await office.api.ok("POST", f"{MAILS}/retry")).json() == {"retried": 0}
    await office.drain()
    assert (await office.api.ok("GET", MAILS)).json() == office.inbox.mails == []
    await office.api.problem("DELETE", f"{MAILS}/1767574800.1", 404)


async def test_an_organisation_has_its_own_mails_and_no_others(office: Office) -> None:
    office.node.rows["outbox-failed/2"] = f"{MISSED.replace('acme', 'globex')}|1|1|why"
    own = "/organisations/acme/mails"
    assert [mail["id"] for mail in (await office.api.ok("GET", own)).json()] == ["1767574800.1"]
    assert len((await office.api.ok("GET", MAILS)).json()) == 2
    assert len((await office.api.ok("GET", f"{MAILS}?limit=1")).json()) == 1
    assert (await office.api.ok("POST", f"{own}/retry")).json() == {"retried": 1}
    assert "outbox/2" not in office.node.rows
    await office.api.problem("GET", "/organisations/nobody/mails", 404)


async def test_a_node_that_is_away_is_said_so(office: Office) -> None:
    office.node.faults.cut_after = 0
    told = await office.api.problem("GET", "/organisations/acme/mails", 503)
    assert told["detail"] == "The telephone system cannot be asked for its mails now; try again later."
    await office.api.problem("GET", MAILS, 503)


@pytest.fixture
async def served(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """The same on a port that commands ask."""
    config = uvicorn.Config(office.api.app, port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started, "the API is served", PROTOCOL_S)
    port = server.servers[0].sockets[0].getsockname()[1]
    state = tmp_path / "state"
    state.mkdir()
    (state / "secrets.json").write_text(json.dumps({"api_token": TOKEN}))
    monkeypatch.setenv("WIRECHIEF_STATE_DIR", str(state))
    monkeypatch.setenv("WIRECHIEF_API_PORT", str(port))
    yield office
    server.should_exit = True
    await running


async def typed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    code = await asyncio.to_thread(execute, list(arguments))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


async def test_the_commands_list_retry_and_discard(
    served: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    served.node.rows["outbox-failed/2"] = "nothing that can be read|1|1767574800|the row cannot be read"
    code, said = await typed(capsys, "mail", "list")
    assert code == 0
    for part in ("given up", "acme/100", "ann@acme.example", REFUSED, "unreadable", "2026-01-05 01:00:00"):
        assert part in said
    code, said = await typed(capsys, "mail", "list", "--json")
    listed: list[dict[str, Any]] = json.loads(said)
    assert [mail["id"] for mail in listed] == ["1767574800.1", "2"]
    assert (await typed(capsys, "mail", "discard", "2"))[1] == "Mail 2 is discarded.\n"
    code, said = await typed(capsys, "mail", "discard", "2")
    assert (code, said) == (1, "error: There is no mail '2'.\n")
    code, said = await typed(capsys, "mail", "retry")
    assert (code, "name one mail" in said) == (1, True)
    served.inbox.recipient_answers.clear()
    assert (await typed(capsys, "mail", "retry", "--all"))[1].startswith("Tried again: 1.")
    await served.drain()
    assert len(served.inbox.mails) == 1
    assert (await typed(capsys, "mail", "list"))[1] == "No mail waits, and none was given up.\n"
