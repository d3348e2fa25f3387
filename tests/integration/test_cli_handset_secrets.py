"""Plans, passwords of handsets' web pages and what handsets sent, on a machine whose node is away."""

from __future__ import annotations

import json
import socket
import sqlite3
from contextlib import closing
from importlib.resources import files

import pytest

from control_plane.adapters.uploads import public_key
from control_plane.bootstrap.wiring import wire
from provisioning_server.uploads import seal
from tests.integration.machine import Machine

MAC = "80:5e:c0:12:34:56"


@pytest.fixture(autouse=True)
def node_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens where the node's AMI should be."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WIRECHIEF_AMI_PORT", str(taken.getsockname()[1]))


def test_a_plan_shows_handset_files_also_while_the_node_is_away(machine: Machine) -> None:
    machine.ok("handset", "add", MAC, "T54W", "--login", "100")
    code, out = machine.run("plan", "--json")
    found = json.loads(out)
    assert code == 1
    assert "wirechief lab up" in found["unreachable"]
    assert {step["artefact"] for step in found["steps"]} >= {"published:805ec0123456"}
    assert {step["op"] for step in found["steps"]} == {"publish"}
    code, out = machine.run("plan")
    assert code == 1 and "805ec0123456" in out and "'wirechief apply' does this" in out
    assert "What the node is to get is not known:" in machine.said
    machine.refused("apply")  # publishes, and says that the node is away
    code, out = machine.run("plan")
    assert code == 1 and "Nothing to publish for handsets." in out
    code, out = machine.run("drift", "--json")
    assert (code, json.loads(out)["steps"]) == (1, [])


def test_a_dry_run_shows_what_the_plan_then_shows_of_handsets(machine: Machine) -> None:
    machine.ok("handset", "add", MAC, "T54W", "--login", "100")
    machine.ok("handset", "add", "80:5e:c0:12:34:57", "T54W", "--login", "101")
    machine.refused("apply")  # publishes, and says that the node is away
    changed = ("set", "extension", "100", "label=Front desk")
    handsets = machine.json(*changed, "--dry-run")["handsets"]
    assert handsets["told"] == ["805ec0123456"]
    assert (handsets["directories"], handsets["more"], handsets["problems"]) == (1, 0, [])
    said = machine.ok(*changed, "--dry-run")
    assert "account.1.label = Front desk" in said and "where registered: 805ec0123456." in said
    assert "The directory of 1 more handset changes." in said
    machine.ok(*changed)
    planned = json.loads(machine.run("plan", "--json")[1])["steps"]
    assert [step for step in planned if step["artefact"] == "published:805ec0123456"] == handsets["steps"]
    assert {step["artefact"] for step in planned} == {"published:805ec0123456", "published:805ec0123457"}
    site = machine.json("site", "set", "singapore", "time_zone=Asia/Tokyo", "--dry-run")["handsets"]
    assert site["told"] == ["805ec0123456", "805ec0123457"]


def test_the_passwords_of_web_pages_are_shown_by_their_own_command_and_audited(machine: Machine) -> None:
    shown = machine.json("handset", "add", MAC, "T54W", "--login", "100")
    passwords = machine.json("handset", "passwords", MAC)
    assert passwords["admin"] != passwords["user"]
    newest = machine.json("audit", "log", "--limit", "1")[0]
    assert (newest["kind"], newest["key"], newest["fields"]) == (
        "handset",
        ["805ec0123456"],
        ["passwords_shown_at"],
    )
    machine.refused("apply")
    plan = machine.run("plan", "--json")[1]
    machine.json("handset", "rotate", MAC, "--web")
    plan += machine.run("plan", "--json")[1]
    after = machine.json("handset", "passwords", MAC)
    said = f"{shown} {plan} {machine.ok('handset', 'show', MAC)} {machine.json('audit', 'log')}"
    for password in (*passwords.values(), *after.values()):
        assert password not in said
    assert not {*passwords.values()} & {*after.values()}


def test_where_nobody_is_logged_in_the_sip_password_is_rotated_and_ended_all_the_same(
    machine: Machine,
) -> None:
    machine.ok("handset", "add", MAC, "T54W", "--login", "100")
    machine.ok("handset", "logout", MAC)
    assert machine.json("handset", "rotate", MAC, "--sip")["rotating"]
    assert "rotating" in machine.ok("handset", "list")
    newest = machine.json("audit", "log", "--limit", "1")[0]
    assert newest["fields"] == ["neutral_password", "neutral_password_previous", "neutral_rotated_at"]
    assert not machine.json("handset", "rotate", MAC, "--end")["rotating"]


def test_what_a_handset_sent_is_listed_shown_masked_and_removed(machine: Machine) -> None:
    machine.ok("handset", "add", MAC, "T54W", "--login", "100")
    assert machine.json("handset", "uploads", MAC) == []
    assert "There is no upload '7'" in machine.refused("handset", "uploads", MAC, "7")
    assert "lists them" in machine.refused("handset", "uploads", MAC, "--remove")
    wiring = wire()
    journal = wiring.state_dir / "provisioning" / "journal.sqlite3"
    journal.parent.mkdir(exist_ok=True)
    known, sent = "805ec0123456", b"account.1.password = hunter2\nlang = en\n"
    sealed = seal(bytes.fromhex(public_key(wiring.secrets.upload_key)), known, "local.cfg", sent)
    with closing(sqlite3.connect(journal)) as db, db:
        db.executescript((files("provisioning_server") / "journal.sql").read_text())
        db.execute(
            "INSERT INTO uploads VALUES (7, ?, 'local.cfg', '2026-01-31T09:30:00+00:00', ?)", (known, sealed)
        )
    (listed,) = machine.json("handset", "uploads", MAC)
    assert (listed["id"], listed["name"], listed["size"]) == (7, "local.cfg", len(sent))
    assert machine.ok("handset", "uploads", MAC, "7") == "account.1.password =***\nlang = en\n"
    machine.ok("handset", "uploads", MAC, "7", "--remove")
    assert machine.json("handset", "uploads", MAC) == []
    newest = machine.json("audit", "log", "--limit", "1")[0]
    assert (newest["key"], newest["fields"]) == ([known], ["upload_removed"])
    assert newest["after"]["upload_removed"].startswith("7 at ")
    assert "There is no upload '7'" in machine.refused("handset", "uploads", MAC, "7", "--remove")
    assert machine.json("audit", "log", "--limit", "1") == [newest]
