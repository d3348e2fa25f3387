"""Plans and the passwords of handsets' web pages on a machine whose node is away."""

from __future__ import annotations

import json
import socket

import pytest

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
