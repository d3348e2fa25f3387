"""What a person at the command line reads when something is wrong: one sentence, with what to do."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.bootstrap.callvalues import untold
from control_plane.bootstrap.client import Client, RequestRefused
from control_plane.bootstrap.installation import Installation
from control_plane.bootstrap.lab import LabView
from control_plane.cli.app import execute
from control_plane.cli.lab import _status_facts
from control_plane.settings import Settings


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the test's own output."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that knows no token."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_control_plane_with_other_secrets_is_told_apart_from_a_request_without_a_token(
    port: int, tmp_path: Path
) -> None:
    settings = Settings(state_dir=tmp_path, api_port=port)
    client = Client(Installation(settings, load_or_make_secrets(tmp_path)))
    with pytest.raises(
        RequestRefused, match=r"does not know the token in .*: set WIRECHIEF_STATE_DIR"
    ) as caught:
        client.node()
    assert "Authorization" not in str(caught.value)


def test_a_value_that_is_not_offered_is_named_beside_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute(["audit", "log", "--kind", "nothing"]) == 1
    said = capsys.readouterr().err
    assert "'--kind': 'nothing' is not one of" in said.replace("\n", " ")
    assert "Value error" not in said


def test_every_fault_of_a_node_is_shown(tmp_path: Path) -> None:
    node = {
        "in_sync": False, "revision": 1, "revision_pushed": 1, "rows": 1, "mailboxes": 0, "last_error": None,
        "faults": ["one", "two"], "warnings": [], "blocked": 0, "mail": {"problem": "no route", "failed": 2},
    }  # fmt: skip
    view = LabView(None, None, 4711, None, "", node, {}, "why")
    found = _status_facts(view, Installation(Settings(), load_or_make_secrets(tmp_path)))
    assert (found["fault"], found["problem"]) == ("one\ntwo", "why")
    assert found["mail"] == "no route\n2 given up: 'wirechief mail list' says which and why"


@pytest.mark.parametrize(
    "command",
    [
        ("task", "show"),
        ("task", "retry"),
        ("task", "watch"),
        ("audit", "undo"),
        ("audit", "log", "--before"),
        ("handset", "uploads", "805ec0000001"),
    ],
)
def test_an_id_that_no_database_takes_is_refused(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([*command, "9" * 20]) == 1
    assert "less than or equal to 9007199254740991" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("status", "sip_log", "what", "messages"),
    [
        (488, None, "The call was refused with SIP status 488 before", "--sip-log DIR writes the SIP"),
        (404, Path("logs"), "The call was refused with SIP status 404 before", "logs has the SIP messages"),
        (200, None, "Asterisk did not tell what the call did:", "--sip-log DIR writes the SIP"),
        (None, None, "Asterisk did not tell what the call did:", "--sip-log DIR writes the SIP"),
    ],
)
def test_a_call_without_a_trace_says_where_to_look(
    status: int | None, sip_log: Path | None, what: str, messages: str
) -> None:
    said = untold(status, "wirechief-lab-node", sip_log)
    assert said.startswith(what) and messages in said
    assert "'docker logs wirechief-lab-node' has why" in said
    assert said.count(".") == 1, "one sentence"
