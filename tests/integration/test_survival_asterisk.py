"""Asterisk killed, started, cut off and locked: the control plane says so, and the end is as if nothing were.

The same stack as for what phones set: real phones, real Asterisk, the control plane as a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.apply.holdings import read_holdings
from control_plane.domain.entities import Entity
from control_plane.domain.extension import Device, Extension
from control_plane.ports import EntityKind
from control_plane.render.units import DIALPLAN_FILE
from control_plane.service.bulk import NewExtension, put_extensions
from control_plane.service.demo import OCCUPIER, SITE
from tests.integration.ami_gate import LOOPBACK, AmiGate
from tests.integration.conftest import Record
from tests.integration.stack import Stack, extension_path

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

MANY = 1000
KILLS_AT_MOST = 5


def kill_asterisk(stack: Stack, pid: int) -> None:
    """SIGKILL straight away: through the engine it takes longer than AstDB's second."""
    os.kill(pid, signal.SIGKILL)
    stack.until(lambda: (stack.node_state() or {})["link"] != "connected", "the control plane notices")


def test_asterisk_comes_back_with_everything_and_what_a_kill_took_is_pushed_again(
    stack: Stack, record: Record
) -> None:
    path, row = extension_path("102"), "ext/acme/102/dnd"
    lost = f"Asterisk does not hold row {row} as it was given; "
    for attempt in range(KILLS_AT_MOST):
        pid = stack.asterisk_pid()
        # AstDB commits the first write at once and those of the next second together (Asterisk 22 main/db.c).
        stack.api.in_force("PATCH", path, {"label": f"Committed {attempt}"})
        stack.api.in_force("PATCH", path, {"dnd": attempt % 2 == 0})
        kill_asterisk(stack, pid)
        node = stack.api.node()
        assert not node["in_sync"] and "Asterisk" in node["last_error"]
        began = time.monotonic()
        stack.lab.lab.start_node()
        stack.until_in_sync()
        record("asterisk_start_to_in_sync_s", time.monotonic() - began)
        stack.wait_witness()
        assert stack.row(row) == (None if attempt % 2 else "1")
        if any(reason.startswith(lost) for reason in stack.api.node()["last_drift"]):
            break
    else:
        pytest.fail(f"no row was lost in {KILLS_AT_MOST} kills right after a push")
    stack.api.in_force("PATCH", path, {"dnd": False})
    for key, phone in stack.phones.items():
        assert phone.register() == 200, f"{key} registers again"
    stack.talk("101", "102").hangup()
    assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == []


def contents(stack: Stack) -> Mapping[str, Mapping[str, str]]:
    """Everything the node holds of ours."""
    held = stack.node.run(read_holdings(stack.node.link, [DIALPLAN_FILE]))
    return {holder.value: dict(values) for holder, values in held.by_holder.items()}


def write(stack: Stack, *, put: list[Entity] | None = None, delete: list[Entity] | None = None) -> None:
    """Write to the database as another process does; the control plane finds it when it looks."""

    async def transaction() -> None:
        async with stack.wiring.store() as store, store.transaction("test") as tx:
            for entity in put or []:
                tx.put(entity)
            for entity in reversed(delete or []):
                if isinstance(entity, Device):
                    tx.delete(EntityKind.DEVICE, (entity.id,))
                else:
                    assert isinstance(entity, Extension)
                    tx.delete(EntityKind.EXTENSION, (entity.org, entity.key))

    asyncio.run(transaction())


def many_extensions(stack: Stack) -> list[Entity]:
    """Extensions with a device each, written to the database."""
    rows = [
        NewExtension(
            {"org": OCCUPIER, "site": SITE, "key": str(key), "label": f"No. {key}"}, ({"kind": "desktop"},)
        )
        for key in range(2000, 2000 + MANY)
    ]

    async def bulk() -> list[Entity]:
        async with stack.wiring.store() as store, store.transaction("test") as tx:
            made = put_extensions(tx, rows)
            return [*made.extensions, *made.devices]

    return asyncio.run(bulk())


def test_asterisk_killed_in_the_middle_of_a_big_push_holds_everything_in_the_end(
    stack: Stack, record: Record
) -> None:
    pushed = "ext/acme/2000"
    made = many_extensions(stack)
    stack.until(lambda: stack.row(pushed) is not None and stack.in_sync(), "all are pushed", 30)
    undisturbed = contents(stack)
    assert sum(name.startswith("ext/acme/2") for name in undisturbed["row"]) == MANY
    write(stack, delete=made)
    stack.until(lambda: stack.row(pushed) is None and stack.in_sync(), "all are gone", 30)

    first = min(undisturbed["row"].keys() - contents(stack)["row"].keys())
    write(stack, put=made)
    pid = stack.asterisk_pid()
    stack.until(lambda: stack.row(first) is not None, "the push has begun", 10)
    kill_asterisk(stack, pid)
    node = stack.api.node()
    assert not node["in_sync"] and node["last_error"]
    began = time.monotonic()
    stack.lab.lab.start_node()
    stack.until_in_sync()
    record("asterisk_start_to_in_sync_in_big_push_s", time.monotonic() - began)
    stack.wait_witness()
    assert contents(stack) == undisturbed
    write(stack, delete=made)
    stack.until(lambda: stack.row(pushed) is None and stack.in_sync(), "all are gone", 30)


@contextmanager
def gated(stack: Stack) -> Iterator[AmiGate]:
    """The control plane started anew, with a door between it and AMI."""
    settings = stack.lab.settings
    gate = AmiGate(settings.ami_host, settings.ami_port)
    stack.node.run(gate.open())
    stack.process.stop()
    try:
        stack.start(ami_host=LOOPBACK, ami_port=gate.port)
        yield gate
    finally:
        stack.process.stop()
        stack.node.run(gate.shut())


def test_changes_made_while_ami_is_shut_are_taken_shown_as_pending_and_in_force_once_it_opens(
    stack: Stack, record: Record
) -> None:
    path = extension_path("102")
    with gated(stack) as gate:
        stack.node.run(gate.shut())
        stack.until(lambda: stack.api.node()["link"] != "connected", "the control plane notices")
        changed = stack.api.ask("PATCH", path, {"dnd": True})
        assert changed.status == 200
        stack.until(lambda: "cannot be reached" in (stack.api.node()["last_error"] or ""), "it says why")
        assert not stack.api.node()["in_sync"]
        assert stack.api.ask("POST", "/nodes/lab/plan").status == 503
        status = stack.cli("lab", "status", ami_host=LOOPBACK, ami_port=gate.port)
        assert "cannot be reached" in status.stdout
        assert stack.outcome("101", "102") == "answered", "calls go on with what Asterisk holds"
        assert stack.outcome("103", "*78") == "feature"
        stack.node.run(gate.open())
        record("in_sync_after_gate_s", stack.until_in_sync())
        assert stack.api.extension("103")["dnd"]
        assert stack.row("ext/acme/102/dnd") == "1"
        assert stack.outcome("101", "102") == "busy"


def test_a_wire_cut_at_a_change_leaves_what_an_undisturbed_change_leaves(stack: Stack) -> None:
    path = extension_path("102")
    with gated(stack) as gate:
        for text, change in (
            ("Action: DBPut", {"label": "Cut at a write", "no_answer": {"ring_timeout_s": 31}}),
            ("Action: UpdateConfig", {"no_answer": {"action": "voicemail"}}),
            ("Action: Reload", {"no_answer": {"action": "hangup"}}),
        ):
            cuts = gate.slammed
            stack.node.loop.call_soon_threadsafe(gate.slam_at, text)
            stack.api.ok("PATCH", path, change)
            stack.until(lambda: gate.slammed > cuts, f"the wire is cut at {text}")  # noqa: B023
            stack.until_in_sync()
            assert stack.api.ok("POST", "/nodes/lab/plan")["steps"] == [], f"cut at {text}"
        assert "31" in (stack.row("ext/acme/102") or "").split(",")
        assert stack.outcome("101", "102") == "answered"


def test_a_wrong_manager_password_is_one_sentence_with_the_remedy(stack: Stack) -> None:
    file: Path = stack.lab.settings.state_dir / "secrets.json"
    right = file.read_text()
    stack.process.stop()
    file.write_text(json.dumps(json.loads(right) | {"ami": "not-the-password"}))
    try:
        stack.process.start()
        stack.until(
            lambda: (stack.node_state() or {"link": None})["link"] == "login_refused", "it is refused", 20
        )
        error = stack.api.node()["last_error"]
        assert "refused AMI user" in error and "not-the-password" not in error
        assert "check the user, its secret and its permit list in manager.conf" in error, "the remedy"
        for command, code in ((("lab", "status"), 0), (("plan",), 1)):
            said = stack.cli(*command)
            assert "refused AMI user" in said.stdout + said.stderr
            assert "Traceback" not in said.stdout + said.stderr
            assert said.returncode == code
        assert stack.outcome("101", "102") == "answered", "calls go on"
    finally:
        stack.process.stop()
        file.write_text(right)


def test_every_application_and_function_of_the_dialplan_is_loaded(stack: Stack) -> None:
    """Asterisk takes a line with a word it does not know, and hangs up where the call reaches it."""
    text = contents(stack)["file"][DIALPLAN_FILE]
    applications = set(
        re.findall(r"^(?:exten => [^,]+,\d+|same => n)(?:\([^)]*\))?,(\w+)\(", text, re.MULTILINE)
    )
    functions = set(re.findall(r"\b([A-Z][A-Z0-9_]{1,})\(", text))
    assert {"Dial", "VoiceMail", "Set"} <= applications and {"DB", "DB_DELETE", "CHANNEL"} <= functions
    for words, question in ((applications, "applications"), (functions, "functions")):
        known = set(re.findall(r"^\s*(\w+)[:( ]", stack.asks(f"core show {question}"), re.MULTILINE))
        assert words - known == set(), question
