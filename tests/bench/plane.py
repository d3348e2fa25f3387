"""The control plane in a process of its own: store, link, reconciler and API, as they run in earnest.

Reads one JSON line with the settings, pushes the model, says how that went, then answers commands, one line
each: `audit`, `memory`, `publication`, `end`. Calls to the link and the store pass through a recorder
until the push is done, which is how its time is split; afterwards nothing is recorded.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import uvicorn

from control_plane.adapters.ami import AmiLink
from control_plane.apply.reconciler import Reconciler
from control_plane.asgi import COLLECT_AFTER, application
from control_plane.bootstrap.plane import ControlPlane, running
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.settings import Settings
from control_plane.store import SqlStore
from tests.bench.figures import process_rss_mib

PUSH_DEADLINE_S = 300.0
READS = frozenset({"read_rows", "read_row", "read_config"})
WRITES = frozenset(
    {
        "put_rows",
        "delete_rows",
        "write_config",
        "edit_config",
        "reload pbx_config.so",
        "reload app_voicemail.so",
    }
)
CHECKS = frozenset({"has_endpoint", "count_endpoints"})
LAST = "reload res_pjsip.so"
"""What ends a push of new devices: from here on PJSIP watches their contacts."""


class Moment(NamedTuple):
    """Seconds on the clock, and CPU seconds of this process until then."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Moment:
        return cls(time.perf_counter(), time.process_time())


@dataclass
class Journal:
    """Calls as (name, begin, end), while `open`."""

    calls: list[tuple[str, Moment, Moment]] = field(default_factory=list)
    open: bool = True

    def first(self, names: Iterable[str]) -> tuple[Moment, Moment]:
        wanted = set(names)
        return next((begin, end) for name, begin, end in self.calls if name in wanted)

    def last_end(self, names: Iterable[str]) -> Moment:
        wanted = set(names)
        return max(end for name, _, end in self.calls if name in wanted)


class Recorder:
    """Passes everything on to `inner` and notes when coroutines began and ended."""

    def __init__(self, inner: object, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not self._journal.open or not inspect.iscoroutinefunction(found):
            return found

        async def timed(*args: Any, **kwargs: Any) -> Any:
            begin = Moment.now()
            try:
                return await found(*args, **kwargs)
            finally:
                called = f"{name} {args[0]}" if name == "reload" else name
                self._journal.calls.append((called, begin, Moment.now()))

        return timed


@dataclass(frozen=True)
class RecordedWiring(Wiring):
    """The product's wiring, with a recorder around what the reconciler is given."""

    recorded: Journal = field(default_factory=Journal)

    def reconciler(self, store: SqlStore, link: AmiLink) -> Reconciler:
        seen_store: Any = Recorder(store, self.recorded)
        seen_link: Any = Recorder(link, self.recorded)
        return super().reconciler(seen_store, seen_link)


@dataclass
class Plane:
    """A running control plane and what was recorded of its first push."""

    parts: ControlPlane
    journal: Journal

    async def first_push(self) -> dict[str, tuple[float, float]]:
        """Wait until Asterisk holds the model; seconds and CPU seconds of each part."""
        deadline = time.perf_counter() + PUSH_DEADLINE_S
        reconciler = self.parts.reconciler
        # Asking for the state earlier would make the reconciler plan only to show it.
        while not any(name == LAST for name, *_ in self.journal.calls):
            if time.perf_counter() > deadline:
                raise TimeoutError(f"the first push did not end: {reconciler.state.last_error}")
            await asyncio.sleep(0.01)
        self.journal.open = False
        if not reconciler.state.in_sync:
            raise RuntimeError(f"the first push failed: {reconciler.state.last_error}")
        return self._split()

    def _split(self) -> dict[str, tuple[float, float]]:
        journal = self.journal
        began, _ = journal.first(READS)
        loading, loaded = journal.first(["snapshot"])
        planning, _ = journal.first(["pushed"])
        writing, _ = journal.first(WRITES)
        written = journal.last_end(WRITES)
        settled = next(begin for name, begin, _ in journal.calls if name == "snapshot" and begin >= written)
        verified = max(end for name, _, end in journal.calls if name in READS and end <= settled)
        checking, _ = journal.first(CHECKS)
        checked = journal.last_end(CHECKS)
        syncing, synced = journal.first([LAST])
        parts = {
            "total": (began, settled),
            "look": (began, loading),
            "load": (loading, loaded),
            "render": (loaded, planning),
            "plan": (planning, writing),
            "push": (writing, written),
            "verify": (written, verified),
            "settle": (verified, settled),
            "book": (settled, checking),
            "check": (checking, checked),
            "sync": (syncing, synced),
        }
        return {name: (end.wall - begin.wall, end.cpu - begin.cpu) for name, (begin, end) in parts.items()}

    async def audit(self) -> dict[str, float]:
        """Everything read from Asterisk and compared, nothing found."""
        began = time.perf_counter()
        plan = await self.parts.reconciler.plan()
        took = time.perf_counter() - began
        if not plan.is_empty:
            raise RuntimeError(f"the audit found {len(plan.steps)} differences: {plan.steps[0].reason}")
        return {"took": took}

    async def publication(self) -> dict[str, float]:
        """Wait until all handsets can fetch what they should; the CPU seconds of this process until then."""
        publisher = self.parts.publisher
        revision = await self.parts.store.revision()
        if not await publisher.wait_published(revision, PUSH_DEADLINE_S):
            raise TimeoutError(f"the first publication did not end: {publisher.state.last_error}")
        return {"cpu": time.process_time()}


@asynccontextmanager
async def served(parts: ControlPlane) -> AsyncIterator[None]:
    """The API, taking requests until the block ends."""
    settings = parts.wiring.settings
    config = uvicorn.Config(
        application(parts),
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=600,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _run() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    settings = Settings.model_validate(json.loads(await commands.readline()))
    plain = wire(settings)
    wiring = RecordedWiring(plain.settings, plain.secrets, plain.clock)
    empty = process_rss_mib()
    async with running(wiring) as parts:
        plane = Plane(parts, wiring.recorded)
        pushed = await plane.first_push()
        async with served(parts):
            _tell({"push": pushed, "memory_before": empty})
            await _obey(plane, commands)
    _tell({})


async def _obey(plane: Plane, commands: asyncio.StreamReader) -> None:
    """Answer commands until `end` or the end of them."""
    while command := (await commands.readline()).decode().strip():
        match command:
            case "audit":
                _tell(await plane.audit())
            case "publication":
                _tell(await plane.publication())
            case "memory":
                _tell({"memory": process_rss_mib()})
            case _:
                return


def _tell(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    gc.set_threshold(*COLLECT_AFTER)
    asyncio.run(_run())
