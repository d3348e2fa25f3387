"""The whole product as a person runs it: node, carrier, and the control plane as a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_plane.adapters.engine import docker
from control_plane.adapters.phones import Answer, Engine, Phone, PhoneCall, SipAccount
from control_plane.bootstrap.process import environment
from control_plane.bootstrap.wiring import Wiring
from control_plane.callpath.graph import outcome_of, parse_trace
from control_plane.domain.extension import Device
from control_plane.domain.model import Model
from control_plane.service.demo import KEYS, OCCUPIER, DemoPlace, did, load_demo
from control_plane.settings import Settings
from tests.calls.node import NodeUnderTest, node_under_test
from tests.integration.talk import CALLEE_HZ, CALLER_HZ, Talk
from tests.lab import RunningLab, running_lab_in

START_S = 60.0
SYNC_S = 60.0
_LOOK_AGAIN_S = 0.01
CLI = "from control_plane.cli import main; main()"

Json = dict[str, Any]


@dataclass(frozen=True)
class ApiAnswer:
    """What the API said."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """The REST API over the network, one connection per request."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def ask(self, method: str, path: str, body: object = None) -> ApiAnswer:
        """The answer, whatever its status. Raises: OSError when nobody answers."""
        settings = self._wiring.settings
        token = self._wiring.secrets.api_token.get_secret_value()
        connection = http.client.HTTPConnection(settings.api_host, settings.api_port, timeout=70)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return ApiAnswer(answer.status, json.loads(text) if text else None, dict(answer.getheaders()))

    def ok(self, method: str, path: str, body: object = None) -> Any:
        """The body of an answer that must be a success."""
        answer = self.ask(method, path, body)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    def in_force(self, method: str, path: str, body: object = None) -> Any:
        """The same, returned when Asterisk was seen to hold it."""
        answer = self.ask(method, path, body)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body}"
        revision = answer.headers.get("X-Revision") or answer.headers["x-revision"]
        node = self.ok("POST", f"/nodes/lab/follow?revision={revision}&within_s=20")
        assert node["in_sync"], f"{method} {path} is not in force: {node}"
        return answer.body

    def extension(self, key: str) -> Json:
        found: Json = self.ok("GET", extension_path(key))
        return found

    def node(self) -> Json:
        found: Json = self.ok("GET", "/nodes/lab")
        return found


def extension_path(key: str) -> str:
    """Where an extension of the demo is."""
    return f"/organisations/{OCCUPIER}/extensions/{key}"


class ControlPlaneProcess:
    """`wirechief serve`, started and ended from outside."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.log_file = settings.state_dir / "control-plane.log"

    def environment(self, **changed: object) -> dict[str, str]:
        """The environment a person would set: every setting given, none of this machine's own."""
        base = {k: v for k, v in environment().items() if not k.startswith("WIRECHIEF_")}
        values = {name: getattr(self._settings, name) for name in self._settings.model_fields_set} | changed
        return base | {f"WIRECHIEF_{name.upper()}": str(value) for name, value in values.items()}

    def start(self, **changed: object) -> None:
        """Start it; `changed` settings are for this process alone."""
        assert not self.alive, "it runs already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", CLI, "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(**changed),
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as the kernel would when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def stop(self) -> None:
        """SIGTERM, as a service manager would."""
        if self._process is not None and self.alive:
            self._process.terminate()
            self._process.wait(20)

    def log_since(self, mark: int) -> str:
        """What it logged after the log had `mark` bytes."""
        return self.log_file.read_bytes()[mark:].decode(errors="replace")

    @property
    def log_mark(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0


@dataclass
class Stack:
    """Everything running, and the phones of the demo's extensions (the first device of each)."""

    lab: RunningLab
    wiring: Wiring
    node: NodeUnderTest
    engine: Engine
    process: ControlPlaneProcess
    api: Api
    phones: dict[str, Phone] = field(default_factory=dict)

    # -- waiting

    def until(self, condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> float:
        """Return once `condition` holds, with the seconds it took; phones go on meanwhile."""
        started = time.monotonic()
        while not condition():
            self.engine.poll(_LOOK_AGAIN_S)
            if time.monotonic() - started > deadline_s:
                raise AssertionError(f"not within {deadline_s:g} s: {what}")
        return time.monotonic() - started

    def start(self, **changed: object) -> float:
        """Start the control plane; the seconds until everything is in sync."""
        self.process.start(**changed)
        return self.until_in_sync(START_S)

    def until_in_sync(self, deadline_s: float = SYNC_S) -> float:
        return self.until(self.in_sync, "the node is in sync", deadline_s)

    def in_sync(self) -> bool:
        node = self.node_state()
        return node is not None and node["in_sync"] and node["revision_pushed"] == node["revision"]

    def node_state(self) -> Json | None:
        """How the node stands; None while the control plane does not answer."""
        assert self.process.alive, f"the control plane ended: {self.process.log_since(0)[-2000:]}"
        try:
            return self.api.node()
        except OSError:
            return None

    # -- phones and calls

    def close_phones(self) -> None:
        """Hang all of them up and end them."""
        for phone in self.phones.values():
            phone.close()

    def account(self, device: Device) -> SipAccount:
        """The device's account; each phone has an address of its own, as in an office."""
        settings = self.lab.settings
        network = settings.sip_address.rpartition(".")[0]
        return SipAccount(
            sip_user=device.id,
            sip_password=device.sip_password.get_secret_value(),
            host=settings.sip_address,
            port=settings.sip_port,
            local_address=f"{network}.{int(device.extension)}",
            display_name=device.extension,
        )

    def model(self) -> Model:
        """The model as it is committed, read as another process would."""

        async def read() -> Model:
            async with self.wiring.store() as store:
                return (await store.snapshot()).model

        return asyncio.run(read())

    def device(self, key: str) -> Device:
        return self.model().devices[OCCUPIER, key][0]

    def new_phone(self, key: str) -> Phone:
        """The phone of an extension, with the password the model has now, registered."""
        if key in self.phones:
            self.phones.pop(key).close()
        phone = Phone(self.engine, self.account(self.device(key)))
        phone.behaviour = Answer(after_s=0.05)
        self.phones[key] = phone
        assert phone.register() == 200, f"{key}: {phone.registration_reason}"
        return phone

    def talk(self, caller: str, dialled: str) -> Talk:
        """A call that is up, with a tone each way."""
        mark = len(self.node.call_events)
        before = {key: len(phone.incoming) for key, phone in self.phones.items()}
        call = self.phones[caller].call(dialled)
        call.wait_confirmed()
        call.play_tone(CALLER_HZ)

        def taken() -> list[PhoneCall]:
            calls = (c for key, phone in self.phones.items() for c in phone.incoming[before[key] :])
            return [c for c in calls if c.answered_at is not None]

        # Each phone is a process: the caller may report the answer before the callee does.
        self.until(lambda: bool(taken()), "a phone answers")
        answered = taken()[0]
        answered.wait_confirmed()
        answered.play_tone(CALLEE_HZ)
        talk = Talk(call, answered, lambda: self.told(mark, caller, dialled))
        assert talk.is_heard()
        return talk

    def outcome(self, caller: str, dialled: str) -> str:
        """How a whole call ends, by what Asterisk tells of it."""
        return outcome_of(parse_trace(self.called(caller, dialled)["Trace"]))

    def called(self, caller: str, dialled: str) -> Mapping[str, str]:
        """Call, hang up as soon as it is answered, and return what Asterisk told of the caller's channel.

        A feature code is carried out before it is answered, so the announcement need not be heard out.
        """
        before = len(self.node.call_events)
        call = self.phones[caller].call(dialled)
        self.until(lambda: call.answered_at is not None or call.ended, "the call is answered or ends", 30)
        call.hangup()
        return self.told(before, caller, dialled)

    def told(self, before: int, caller: str, dialled: str) -> Mapping[str, str]:
        """The CallPath event of the call `caller` made, among those after the first `before`."""

        # A code that sets a target leaves what was dialled behind it.
        as_told = dialled.removeprefix("*72") if dialled[3:] else dialled

        def found() -> list[Mapping[str, str]]:
            events = [event.headers for event in self.node.call_events[before:]]
            return [e for e in events if (e["From"], e["Dialled"], e["Path"]) == (caller, as_told, "")]

        self.until(lambda: bool(found()), f"Asterisk tells of the call from {caller} to {dialled}")
        return found()[-1]

    def rows(self, prefix: str) -> dict[str, str]:
        """AstDB rows, read over a connection of the tests' own."""
        return self.node.run(self.node.link.read_rows(prefix))

    def row(self, key: str) -> str | None:
        return self.node.run(self.node.link.read_row(key))

    def wait_witness(self) -> None:
        """Wait until the tests' own connection is back after a restart of Asterisk."""
        self.node.run(self.node.link.connect())

    # -- rougher things

    def cli(self, *arguments: str, **changed: object) -> subprocess.CompletedProcess[str]:
        """A command as a person types it."""
        return subprocess.run(
            [sys.executable, "-c", CLI, *arguments],
            env=self.process.environment(**changed),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def asterisk_pid(self) -> int:
        """The node's process as this machine sees it."""
        return int(docker("inspect", "--format", "{{.State.Pid}}", self.lab.lab.node_name))

    def asks(self, question: str) -> str:
        """What Asterisk itself says on its console."""
        return docker("exec", self.lab.lab.node_name, "asterisk", "-rx", question)


@contextmanager
def running_stack(state_dir: Path, image: str, engine: Engine) -> Iterator[Stack]:
    """A lab with the demo, its control plane in sync, its phones registered."""
    with (
        running_lab_in(state_dir, asterisk_image=image) as lab,
        node_under_test(lab) as node,
        ExitStack() as s,
    ):
        wiring = Wiring(lab.settings, lab.secrets)
        asyncio.run(_load(wiring))
        process = ControlPlaneProcess(lab.settings)
        s.callback(process.kill)
        stack = Stack(lab, wiring, node, engine, process, Api(wiring))
        s.callback(stack.close_phones)
        stack.start()
        for key in KEYS:
            stack.new_phone(key)
        yield stack


async def _load(wiring: Wiring) -> None:
    s = wiring.settings
    place = DemoPlace(s.node, s.carrier_address, s.carrier_sip_port, s.sip_address)
    async with wiring.store() as store:
        await load_demo(store, place)


def _activate_numbers(stack: Stack) -> None:
    for key in KEYS:
        if stack.api.ok("GET", f"/numbers/{did(key)}")["status"] != "active":
            stack.api.ok("POST", f"/numbers/{did(key)}/activate")


def restore(stack: Stack) -> None:
    """Bring the stack back to where every test begins, whatever the last one left."""
    if not stack.process.alive:
        stack.process.start()
    if not Path(f"/proc/{stack.asterisk_pid()}").exists() or stack.asterisk_pid() == 0:
        stack.lab.lab.start_node()
    stack.wait_witness()
    stack.until_in_sync()
    _activate_numbers(stack)
    for key in KEYS[1:]:
        stack.api.in_force("PATCH", extension_path(key), DEFAULTS | {"label": f"Ext {key}"})
    for key in KEYS:
        phone = stack.phones.get(key)
        if phone is None:
            stack.new_phone(key)
            continue
        for call in phone.calls:
            call.hangup()
        phone.behaviour = Answer(after_s=0.05)
    held = stack.api.ok("GET", "/nodes/lab/contacts")
    for key, phone in list(stack.phones.items()):  # a new phone takes the place of one that is not there
        if phone.account.sip_user not in held or not phone.registered:
            stack.new_phone(key)
    stack.node.wait_quiet(lambda: stack.engine.poll(0.02))


DEFAULTS: Json = {
    "dnd": False,
    "forwarding": None,
    "no_answer": {"action": "hangup", "ring_timeout_s": 5},
    "restricted": False,
    "call_waiting": True,
}

__all__ = ["Api", "ApiAnswer", "ControlPlaneProcess", "Stack", "extension_path", "restore", "running_stack"]
