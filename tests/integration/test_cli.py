"""The command line on a lab that is really up: what people type, what they read, what is in Asterisk then."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.adapters.engine import docker
from control_plane.adapters.phones import Engine, Phone, SipAccount
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.bootstrap.locks import PidFile
from control_plane.bootstrap.wiring import Wiring
from tests.session import Said, Terminal, lab_session
from tests.waiting import wait_until

pytestmark = pytest.mark.asterisk

CHANGES = 2
NOT_RUNNING = 3
WITHIN_S = 60.0
CREDENTIAL_FIELDS = ["extension", "kind", "sip_user", "sip_password", "host", "port", "transport"]


@pytest.fixture(scope="module")
def terminal(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A lab that is up; tests leave it up and in sync."""
    with lab_session(tmp_path_factory.mktemp("cli"), asterisk_image=asterisk_image) as terminal:
        terminal.ok("lab", "up")
        yield terminal


@pytest.fixture
def fresh(asterisk_image: str, tmp_path: Path) -> Iterator[Terminal]:
    """A lab that was never up, for tests that break it."""
    with lab_session(tmp_path, asterisk_image=asterisk_image) as terminal:
        yield terminal


def node_of(terminal: Terminal) -> str:
    return f"wirechief-{terminal.settings.instance}-node"


def database(terminal: Terminal, command: str) -> str:
    """Ask Asterisk's own command line about AstDB."""
    return docker("exec", node_of(terminal), "asterisk", "-rx", f"database {command}")


def held(terminal: Terminal, row: str) -> bool:
    family, _, key = row.rpartition("/")
    return "Value:" in database(terminal, f"get {family} {key}")


def control_plane(terminal: Terminal) -> int:
    pid: int = terminal.ok("lab", "status", "--json").json["control_plane"]["pid"]
    return pid


def is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: is_gone(pid), f"the end of process {pid}", WITHIN_S)


def is_one_sentence(said: Said) -> bool:
    """One line on stderr, no traceback, nothing on stdout, exit 1."""
    lines = said.err.strip().splitlines()
    return said.code == 1 and said.out == "" and len(lines) == 1 and lines[0].startswith("error: ")


def test_a_second_up_says_so_and_leaves_everything_alone(terminal: Terminal) -> None:
    pid, started = control_plane(terminal), docker("inspect", "-f", "{{.State.StartedAt}}", node_of(terminal))
    assert "The lab is up already." in terminal.ok("lab", "up").out
    assert control_plane(terminal) == pid
    assert docker("inspect", "-f", "{{.State.StartedAt}}", node_of(terminal)) == started


def test_up_says_where_everything_is_and_what_to_try(terminal: Terminal) -> None:
    said = terminal.ok("lab", "up").out
    settings = terminal.settings
    for wanted in (
        f"http://{settings.api_host}:{settings.api_port}/api/v1",
        f"{settings.state_dir}/secrets.json",
        f"{settings.sip_address} port {settings.sip_port}",
    ):
        assert wanted in said
    assert len(re.findall(r"^  wirechief ", said, re.MULTILINE)) == 3


def test_credentials_are_a_list_with_what_a_softphone_asks_for(terminal: Terminal) -> None:
    found = terminal.ok("lab", "credentials", "--json").json
    assert [entry["extension"] for entry in found] == ["100", "100", "101", "102", "103"]
    assert all(list(entry) == CREDENTIAL_FIELDS for entry in found)
    assert {(e["host"], e["port"]) for e in found} == {
        (terminal.settings.sip_address, terminal.settings.sip_port)
    }


def test_status_tells_containers_control_plane_and_sync(terminal: Terminal) -> None:
    found = terminal.ok("lab", "status", "--json").json
    assert (found["node"], found["carrier"]) == ("running", "running")
    assert found["control_plane"]["running"] is True
    assert found["provisioning"]["running"] is True
    assert found["sync"]["in_sync"] is True
    assert found["sync"]["revision"] == found["sync"]["revision_pushed"]
    assert (found["registered"], found["devices"]) == ([], 5)


def test_one_authority_vouches_for_sip_and_for_what_handsets_fetch(terminal: Terminal) -> None:
    settings = terminal.settings
    told = settings.state_dir / "provisioning" / "tls" / "ca.crt"
    context = ssl.create_default_context(cafile=str(told))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((settings.sip_address, settings.sip_tls_port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        assert secured.version() == "TLSv1.2"


def test_a_change_is_in_asterisk_when_the_command_returns(terminal: Terminal) -> None:
    found = terminal.ok("set", "extension", "103", "dnd=true", "--json").json
    assert held(terminal, "ext/acme/103/dnd")
    assert found["in_force"] is True
    assert found["extension"]["dnd"] is True
    terminal.ok("set", "extension", "acme/103", "dnd=false")
    assert not held(terminal, "ext/acme/103/dnd")
    assert "Nothing changed" in terminal.ok("set", "extension", "103", "dnd=false").out


def test_the_api_sees_what_a_command_changed(terminal: Terminal) -> None:
    terminal.ok("set", "extension", "102", "label=Benjamin")
    settings = terminal.settings
    token = json.loads((settings.state_dir / "secrets.json").read_text())["api_token"]
    request = urllib.request.Request(
        f"http://{settings.api_host}:{settings.api_port}/api/v1/organisations/acme/extensions/102",
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http, written above
        assert json.load(answer)["label"] == "Benjamin"
    terminal.ok("set", "extension", "102", "label=Ben")


def test_a_dry_run_shows_the_plan_and_saves_nothing(terminal: Terminal) -> None:
    before = terminal.ok("audit", "log", "--limit", "1", "--json").json
    plan = terminal.ok("set", "extension", "101", "forwarding.extensions=102", "--dry-run", "--json").json
    assert [(s["op"], s["artefact"]) for s in plan["steps"]] == [("put", "row:ext/acme/101/fwdto")]
    assert terminal.ok("audit", "log", "--limit", "1", "--json").json == before
    assert terminal.run("plan").code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["set", "extension", "101", "no_answer.ring_timeout_s=4"],
            "no_answer.ring_timeout_s: must be between 5 and 60",
        ),
        (
            ["set", "extension", "101", "forwarding.numbers=+6591234567,+6591234568"],
            "Maximum 1 Phone Number.",
        ),
        (["set", "extension", "999", "dnd=true"], "There is no extension '999'."),
        (["set", "extension", "101", "colour=red"], "colour: is no field that can be set"),
        (["explain", "--from", "101"], "Missing option '--to'"),
        (["explain", "--from", "101", "--to", "102", "--at", "noon"], "--at: must be a time such as"),
        (["device", "add", "101", "desktop"], "extension 101 has a desktop device already"),
        (["carrier", "set", "hello", "busy"], "number: must be 2 to 20 digits"),
        (["call", "--from", "101", "--to", "102", "--code", "x"], "--code: must be digits"),
        (["security", "unblock", "nonsense"], "must be an IP address"),
        (["security", "unblock"], "name one address, or say --all"),
        (["set", "code", "12"], "code: must be 4 to 8 digits"),
        (
            ["set", "code", "--org", "nobody"],
            "must name one organisation at one site; there are: acme/singapore",
        ),
        (["nonsense"], "No such command 'nonsense'"),
        (["export", "/proc/nowhere"], "name a directory you may write"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_1(
    terminal: Terminal, arguments: list[str], sentence: str
) -> None:
    said = terminal.run(*arguments)
    assert is_one_sentence(said), said
    assert sentence in said.err


def test_drift_is_named_by_kind_and_apply_ends_it(terminal: Terminal) -> None:
    database(terminal, "put ext/acme/103 odd 1")
    database(terminal, "del did +6561000101")
    found = terminal.run("drift", "--json")
    assert found.code == CHANGES
    assert {s["artefact"]: s["drift"] for s in found.json["steps"]} == {
        "row:ext/acme/103/odd": "foreign",
        "row:did/+6561000101": "lost",
    }
    assert terminal.run("plan").code == CHANGES
    assert terminal.ok("apply", "--json").json["ok"] is True
    assert (terminal.run("plan").code, terminal.run("drift").code) == (0, 0)
    assert not held(terminal, "ext/acme/103/odd")
    assert held(terminal, "did/+6561000101")


def test_devices_come_and_go_with_credentials_of_their_own(terminal: Terminal) -> None:
    made = terminal.ok("device", "add", "103", "mobile", "--transport", "tls", "--json").json
    assert (made["transport"], made["port"], made["in_force"]) == (
        "tls",
        terminal.settings.sip_tls_port,
        True,
    )
    again = terminal.ok("device", "rotate", "103", "mobile", "--json").json
    assert again["sip_user"] == made["sip_user"]
    assert again["sip_password"] != made["sip_password"]
    assert held(terminal, f"pbx/endpoint/{made['sip_user']}")
    terminal.ok("device", "remove", "103", made["sip_user"])
    assert not held(terminal, f"pbx/endpoint/{made['sip_user']}")


def test_an_extension_is_added_with_its_device_and_removed(terminal: Terminal) -> None:
    made = terminal.ok("extension", "add", "104", "--label", "Dee", "--device", "desktop", "--json").json
    assert [entry["extension"] for entry in made["devices"]] == ["104"]
    assert terminal.ok("explain", "--from", "101", "--to", "104", "--json").json["outcome"] == "answered"
    terminal.ok("extension", "remove", "104")
    assert (
        terminal.ok("explain", "--from", "101", "--to", "104", "--json").json["outcome"] == "unknown_number"
    )


def test_no_command_but_those_for_credentials_shows_a_secret(terminal: Terminal) -> None:
    passwords = [entry["sip_password"] for entry in terminal.ok("lab", "credentials", "--json").json]
    terminal.ok("device", "rotate", "101", "desktop")
    passwords += [entry["sip_password"] for entry in terminal.ok("lab", "credentials", "--json").json]
    shown = "".join(
        terminal.run(*arguments).out
        for arguments in (
            ["audit", "log", "--limit", "100", "--json"],
            ["show", "extension", "101", "--json"],
            ["show", "extensions", "--json"],
            ["plan", "--json"],
            ["lab", "status", "--json"],
        )
    )
    shown += (terminal.settings.state_dir / "control-plane.log").read_text()
    assert shown
    assert not [password for password in passwords if password in shown]


def test_feature_codes_picture_and_completion_are_there(terminal: Terminal) -> None:
    assert {"*78", "*79"} <= {code["code"] for code in terminal.ok("feature-codes", "--json").json}
    assert terminal.ok("show", "picture", "100").out.startswith("flowchart TD\n")
    # The shell is looked for among the parents; `true` keeps bash from putting the program in its own place.
    assert "_WIRECHIEF_COMPLETE" in terminal.type("wirechief --show-completion; true").out
    assert terminal.ok("--version").out.startswith("wirechief ")


def test_a_mail_that_was_given_up_is_shown_and_discarded(terminal: Terminal) -> None:
    row = "missed,acme,100,+6531234567,1767574800,busy|20|1767574860|no-route"
    database(terminal, f"put outbox-failed 1767574800.1 {row}")
    [mail] = terminal.ok("mail", "list", "--json").json
    assert (mail["state"], mail["extension"], mail["tries"], mail["error"]) == (
        "given_up",
        "100",
        20,
        "no-route",
    )
    assert "2026-01-05 01:01:00" in terminal.ok("mail", "list").out
    terminal.ok("mail", "discard", mail["id"])
    assert not held(terminal, "outbox-failed/1767574800.1")
    assert terminal.ok("mail", "list").out == "No mail waits, and none was given up.\n"
    said = terminal.run("mail", "retry", mail["id"])
    assert is_one_sentence(said), said
    assert terminal.ok("lab", "status", "--json").json["sync"]["mail"]["failed"] == 0


@pytest.fixture
def with_phones() -> None:
    pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")


@pytest.mark.usefixtures("with_phones")
def test_a_real_call_equals_its_explanation_and_leaves_nobody_registered(terminal: Terminal) -> None:
    found = terminal.ok(
        "call", "--from", "102", "--to", "101", "--refuse", "101", "--seconds", "1", "--json"
    ).json
    assert found["equal"] is True
    assert (found["real"]["outcome"], found["explained"]["outcome"]) == ("voicemail", "voicemail")
    assert found["real"]["rang"] == ["acme/101"]
    assert terminal.ok("lab", "status", "--json").json["registered"] == []


@pytest.mark.usefixtures("with_phones")
def test_a_restricted_phone_calls_out_with_the_code_of_its_organisation(terminal: Terminal) -> None:
    code = terminal.ok("set", "code", "--json").json["code"]
    terminal.ok("set", "extension", "102", "restricted=true")
    arguments = ["call", "--from", "102", "--to", "+6591113333", "--seconds", "1", "--json"]
    try:
        right = terminal.ok(*arguments, "--code", code).json
        wrong = terminal.ok(*arguments, "--code", "00000000", "--code", "11111111").json
    finally:
        terminal.ok("set", "extension", "102", "restricted=false")
    assert [found["real"]["outcome"] for found in (right, wrong)] == ["answered", "refused"]
    assert code not in json.dumps([right, wrong])
    assert code not in (terminal.settings.state_dir / "control-plane.log").read_text()


@pytest.mark.usefixtures("with_phones")
def test_a_number_outside_does_as_told_for_one_call_only(terminal: Terminal) -> None:
    number = "+6591112222"
    busy = terminal.ok("call", "--from", "101", "--to", number, "--busy", number, "--json").json
    free = terminal.ok("call", "--from", "101", "--to", number, "--seconds", "1", "--json").json
    assert [found["real"]["outcome"] for found in (busy, free)] == ["busy", "answered"]


@pytest.mark.usefixtures("with_phones")
def test_a_device_in_use_elsewhere_is_not_taken_unless_told(terminal: Terminal) -> None:
    entry = next(e for e in terminal.ok("lab", "credentials", "--json").json if e["extension"] == "102")
    account = SipAccount(
        sip_user=entry["sip_user"],
        sip_password=entry["sip_password"],
        host=entry["host"],
        local_address="127.0.0.1",
    )
    with Engine() as engine, Phone(engine, account) as phone:
        assert phone.register() == 200
        said = terminal.run("call", "--from", "101", "--to", "102")
        assert is_one_sentence(said), said
        assert "Registered from elsewhere: 102 (desktop)" in said.err
        taken = terminal.ok(
            "call", "--from", "101", "--to", "102", "--take-over", "--seconds", "1", "--json"
        ).json
        assert taken["real"]["answered_by"] == ["acme/102"]


async def rewrite(terminal: Terminal, row: str, **changes: str) -> None:
    """Change fields of a PJSIP object behind the control plane's back."""
    secrets = load_or_make_secrets(terminal.settings.state_dir)
    async with Wiring(terminal.settings, secrets).connected() as link:
        before = await link.read_row(row)
        assert before is not None
        await link.put_rows([(row, json.dumps(json.loads(before) | changes))])


@pytest.mark.usefixtures("with_phones")
def test_a_call_that_asterisk_itself_refuses_says_its_status_and_where_to_look(
    terminal: Terminal, tmp_path: Path
) -> None:
    device = next(e for e in terminal.ok("lab", "credentials", "--json").json if e["extension"] == "102")
    row = f"pbx/endpoint/{device['sip_user']}"
    logs = tmp_path / "new" / "sip"
    arguments = ("call", "--from", "102", "--to", "101", "--seconds", "1")
    asyncio.run(rewrite(terminal, row, media_encryption="sdes"))  # the phone offers plain RTP
    try:
        said = terminal.run(*arguments)
        logged = terminal.run(*arguments, "--sip-log", str(logs))
    finally:
        terminal.ok("apply")
    refused = "The call was refused with SIP status 488 before Asterisk's dialplan was reached: "
    where = f"'docker logs {node_of(terminal)}' has why"
    assert said.code == logged.code == 1
    [error] = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {refused}{where}"), error
    assert "--sip-log DIR writes the SIP messages" in error
    assert f"{logs} has the SIP messages" in logged.err
    path = next(log for log in logs.iterdir() if log.name.startswith(device["sip_user"]))
    assert f"SIP log of 102 (desktop): {path}" in logged.err
    assert (stat.S_IMODE(logs.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o700, 0o600)
    text = path.read_text()
    assert "INVITE sip:101@" in text and "SIP/2.0 488" in text
    assert device["sip_password"] not in text


@pytest.mark.usefixtures("with_phones")
def test_a_directory_that_takes_no_sip_log_is_named(terminal: Terminal) -> None:
    for place in ("/proc/nothing", "/dev/null"):
        said = terminal.run("call", "--from", "102", "--to", "101", "--sip-log", place)
        assert is_one_sentence(said), said
        assert place in said.err


def test_a_killed_control_plane_is_no_obstacle(fresh: Terminal) -> None:
    fresh.ok("lab", "up")
    pid = control_plane(fresh)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert (fresh.settings.state_dir / "control-plane.pid").read_text().split()[0] == str(pid)
    # Commands push by themselves where no control plane runs.
    assert fresh.run("plan").code == 0
    assert fresh.ok("set", "extension", "101", "dnd=true", "--json").json["in_force"] is True
    assert held(fresh, "ext/acme/101/dnd")
    database(fresh, "deltree ext/acme/102")
    assert fresh.run("plan").code == CHANGES
    assert fresh.ok("apply", "--json").json["ok"] is True
    said = fresh.run("security", "blocked")
    assert is_one_sentence(said), said
    assert "wirechief lab up" in said.err
    assert "The lab is up (" in fresh.ok("lab", "up").out
    assert control_plane(fresh) != pid


def test_without_auto_apply_changes_wait_for_an_apply(fresh: Terminal) -> None:
    waiting = Terminal(
        fresh.settings, fresh.directory, {**fresh.environment, "WIRECHIEF_AUTO_APPLY": "false"}
    )
    waiting.ok("lab", "up")
    assert waiting.run("plan").code == CHANGES
    assert waiting.ok("apply", "--json").json["ok"] is True
    saved = waiting.ok("set", "extension", "101", "dnd=true", "--json").json
    assert saved["in_force"] is False
    assert not held(waiting, "ext/acme/101/dnd")
    assert waiting.run("plan").code == CHANGES
    waiting.ok("apply")
    assert held(waiting, "ext/acme/101/dnd")


def test_serve_runs_in_the_foreground_and_ends_in_order(fresh: Terminal) -> None:
    fresh.ok("lab", "up")
    pid = control_plane(fresh)
    os.kill(pid, signal.SIGTERM)
    wait_until_gone(pid)
    with subprocess.Popen(
        ["wirechief", "serve"], env=dict(fresh.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as served:
        try:
            pid_file = PidFile(fresh.settings.state_dir)
            wait_until(lambda: pid_file.running() == served.pid, "the control plane runs", WITHIN_S)
            assert "The lab is up" in fresh.ok("lab", "up").out
            assert control_plane(fresh) == served.pid
            said = fresh.run("serve")
            assert is_one_sentence(said), said
            assert f"runs already (process {served.pid})" in said.err
            served.send_signal(signal.SIGTERM)
            assert served.wait(60) == 0
        finally:
            served.kill()
    status = fresh.run("lab", "status", "--json")
    assert (status.code, status.json["control_plane"]["running"]) == (NOT_RUNNING, False)


def test_a_taken_api_port_is_named_with_its_setting(fresh: Terminal) -> None:
    settings = fresh.settings
    with socket.create_server((settings.api_host, settings.api_port)):
        said = fresh.run("lab", "up")
    assert said.code == 1
    assert re.search(r"error: .* port 8080 \(TCP\) is taken.*WIRECHIEF_API_PORT", said.err)
    assert "Traceback" not in said.err


def test_a_wrong_setting_is_named(fresh: Terminal) -> None:
    said = fresh.type("WIRECHIEF_SIP_PORT=many wirechief lab status")
    assert is_one_sentence(said), said
    assert "WIRECHIEF_SIP_PORT: " in said.err


def test_commands_about_a_lab_that_is_down_say_what_to_do(fresh: Terminal) -> None:
    said = fresh.run("plan")
    assert said.out == "Nothing to publish for handsets.\n", "what does not need Asterisk is planned"
    assert is_one_sentence(replace(said, out="")), said
    for arguments in (
        ["security", "blocked"],
        ["mail", "list"],
        ["carrier", "call", "--from", "anonymous", "--to", "+6561000100"],
    ):
        said = fresh.run(*arguments)
        assert is_one_sentence(said), (arguments, said)
    assert fresh.ok("lab", "credentials", "--json").json == []
    assert "The lab was down already." in fresh.ok("lab", "down").out
    said = fresh.run("lab", "status")
    assert (said.code, said.err) == (NOT_RUNNING, "")
    assert "not running" in said.out
