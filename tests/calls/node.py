"""A node under test, with an event loop of its own beside the phones' polling."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from control_plane.adapters.ami import AmiAddress, AmiLink
from control_plane.domain.model import Model
from control_plane.errors import Rejected
from control_plane.ports import AmiEvent
from control_plane.render.units import DIALPLAN_FILE, render_unit, units
from tests.calls.pushing import push
from tests.lab import RunningLab

T = TypeVar("T")

CHEAP_MODULE = "extconfig"
"""Its reload reads one file that is not there, and is told like any other."""


class NodeUnderTest:
    """Pushes models and gathers what Asterisk tells of calls."""

    def __init__(self, lab: RunningLab, loop: asyncio.AbstractEventLoop, link: AmiLink) -> None:
        self.lab = lab
        self.loop = loop
        self.link = link
        self.call_events: list[AmiEvent] = []
        self.events: list[AmiEvent] = []
        link.subscribe(self._take)

    def _take(self, event: AmiEvent) -> None:
        self.events.append(event)
        if event.name == "UserEvent" and event.headers.get("UserEvent") == "CallPath":
            self.call_events.append(event)

    def run(self, work: Coroutine[Any, Any, T], deadline_s: float = 30.0) -> T:
        """Run a coroutine on the node's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(deadline_s)

    def start(self, work: Coroutine[Any, Any, T]) -> Any:
        """Start a coroutine on the node's loop; a concurrent future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def hold(self, model: Model) -> None:
        """Make the node hold exactly `model`, by plan and apply."""
        desired = {
            key: value
            for unit in units(model, "lab")
            for key, value in render_unit(model, "lab", unit).values.items()
        }
        self.run(push(self.link, desired, [DIALPLAN_FILE]))

    def set_clock(self, at: datetime) -> None:
        """Let the node's call path think that it is `at`, as the lab's own extensions.conf allows."""
        path = self.lab.lab.node_dir / "etc" / "lab_clock.conf"
        if not path.exists():
            path.write_text("[globals]\nWC_LAB = 1\n")
            path.chmod(0o644)
            self.run(self.link.reload("pbx_config.so"))
        self.run(self.link.put_rows([("lab/clock", str(int(at.timestamp())))]))

    def wait_quiet(self, poll: Callable[[], None], deadline_s: float = 10.0) -> None:
        """Wait until no channel is up and every event of the calls has arrived."""
        deadline = time.monotonic() + deadline_s
        while self.run(self.link.active_channels()) > 0:
            poll()
            if time.monotonic() > deadline:
                raise AssertionError(f"channels still up after {deadline_s} s")
        # Channels are gone before the manager has worked off what was told of them, which a busy machine
        # shows; it works in order, so one more event of its own comes last.
        before = self._reloads()
        try:
            self.run(self.link.reload(CHEAP_MODULE))
        except Rejected:  # this user may only look, as that of an export
            self.run(self.link.ping())
            return
        while self._reloads() == before:
            poll()
            if time.monotonic() > deadline:
                raise AssertionError(f"no event of a reload within {deadline_s} s")

    def _reloads(self) -> int:
        return sum(event.name == "Reload" for event in self.events)


@contextmanager
def node_under_test(lab: RunningLab) -> Iterator[NodeUnderTest]:
    """The lab's node, connected; the connection and its thread end with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="ami", daemon=True)
    thread.start()
    settings, secrets = lab.settings, lab.secrets
    link = AmiLink(AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, secrets.ami))
    try:
        asyncio.run_coroutine_threadsafe(link.connect(), loop).result(30)
        yield NodeUnderTest(lab, loop, link)
    finally:
        asyncio.run_coroutine_threadsafe(link.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def written_by_asterisk(node: NodeUnderTest) -> Iterator[str]:
    """Its log files and what its container printed."""
    for file in Path(node.lab.lab.node_dir / "log").rglob("*"):
        if file.is_file():
            yield file.read_text(errors="replace")
    done = subprocess.run(
        ["docker", "logs", node.lab.lab.node_name], capture_output=True, text=True, check=True, timeout=20
    )
    yield done.stdout + done.stderr
