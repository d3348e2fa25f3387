"""The control plane in a process of its own: store, link, reconciler and API, as they run in earnest.

Reads one JSON line with the settings, pushes the model, says how that went, then answers commands, one line
each: `audit`, `memory`, `end`. Calls to the link and the store are passed on through a recorder until the
push is done, which is how its time is split; afterwards nothing is recorded.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import uvicorn

from control_plane.adapters.ami import AmiAddress, AmiLink
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.api import ApiPorts, create_app
from control_plane.apply.handsets import Intake
from control_plane.apply.reconciler import Reconciler
from control_plane.service.devices import SipAddress
from control_plane.service.handset import take_in, take_in_pin
from control_plane.settings import Settings
from control_plane.store import SqlStore, open_store
from tests.bench.figures import process_rss_mib
from tests.bench.load import DATABASE, WallClock

PUSH_DEADLINE_S = 120.0
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


@dataclass
class Plane:
    """The parts of one running control plane."""

    settings: Settings
    store: SqlStore
    link: AmiLink
    reconciler: Reconciler
    journal: Journal

    async def first_push(self) -> dict[str, tuple[float, float]]:
        """Run the reconciler until Asterisk holds the model; seconds and CPU seconds of each part."""
        began = Moment.now()
        self.task = asyncio.create_task(self.reconciler.run())
        deadline = began.wall + PUSH_DEADLINE_S
        # Asking for the state earlier would make the reconciler plan only to show it.
        while not any(name == LAST for name, *_ in self.journal.calls):
            if time.perf_counter() > deadline or self.task.done():
                raise TimeoutError(f"the first push did not end: {self.reconciler.state.last_error}")
            await asyncio.sleep(0.01)
        self.journal.open = False
        state = self.reconciler.state
        if not state.in_sync:
            raise RuntimeError(f"the first push failed: {state.last_error}")
        return self._split(began)

    def _split(self, began: Moment) -> dict[str, tuple[float, float]]:
        journal = self.journal
        loading, loaded = journal.first(["snapshot"])
        planning, _ = journal.first(["pushed"])
        writing, _ = journal.first(WRITES)
        written = journal.last_end(WRITES)
        verified = max(written, journal.last_end(READS))
        checking, _ = journal.first(CHECKS)
        checked = journal.last_end(CHECKS)
        syncing, synced = journal.first([LAST])
        parts = {
            "total": (began, verified),
            "look": (began, loading),
            "load": (loading, loaded),
            "render": (loaded, planning),
            "plan": (planning, writing),
            "push": (writing, written),
            "verify": (written, verified),
            "book": (verified, checking),
            "check": (checking, checked),
            "sync": (syncing, synced),
        }
        return {name: (end.wall - begin.wall, end.cpu - begin.cpu) for name, (begin, end) in parts.items()}

    async def audit(self) -> dict[str, float]:
        """Everything read from Asterisk and compared, nothing found."""
        began = time.perf_counter()
        plan = await self.reconciler.plan()
        took = time.perf_counter() - began
        if not plan.is_empty:
            raise RuntimeError(f"the audit found {len(plan.steps)} differences: {plan.steps[0].reason}")
        return {"took": took}

    async def serve(self) -> None:
        """The API, once it takes requests."""
        s = self.settings
        secrets = load_or_make_secrets(s.state_dir)
        sip = SipAddress(s.sip_address, s.sip_port, s.sip_tls_port)
        app = create_app(ApiPorts(self.store, secrets.api_token, sip, self.reconciler.nudge))
        config = uvicorn.Config(
            app,
            host=s.api_host,
            port=s.api_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=600,
        )
        self.server = uvicorn.Server(config)
        self.serving = asyncio.create_task(self.server.serve())
        while not self.server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """End in order."""
        self.server.should_exit = True
        await self.serving
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.link.close()
        await self.store.close()


async def _assembled(settings: Settings) -> Plane:
    secrets = load_or_make_secrets(settings.state_dir)
    clock, journal = WallClock(), Journal()
    store = await open_store(settings.state_dir / DATABASE, clock)
    link = AmiLink(AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, secrets.ami))
    seen_store: Any = Recorder(store, journal)
    seen_link: Any = Recorder(link, journal)
    intake = Intake(partial(take_in, store, clock), partial(take_in_pin, store))
    return Plane(settings, store, link, Reconciler(settings.node, seen_link, seen_store, intake), journal)


async def _run() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    settings = Settings.model_validate(json.loads(await commands.readline()))
    plane = await _assembled(settings)
    await plane.link.connect()
    empty = process_rss_mib()
    pushed = await plane.first_push()
    await plane.serve()
    _tell({"push": pushed, "memory_before": empty})
    while command := (await commands.readline()).decode().strip():
        match command:
            case "audit":
                _tell(await plane.audit())
            case "memory":
                _tell({"memory": process_rss_mib()})
            case _:
                break
    await plane.close()
    _tell({})


def _tell(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_run())
