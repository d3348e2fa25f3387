"""What a call through the full call path costs Asterisk, against a bare Dial() beside it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from control_plane.adapters.ami import AmiAddress, AmiLink
from control_plane.domain.extension import Device
from control_plane.ports import ConfigLine
from control_plane.render.units import DIALPLAN_FILE
from tests.bench.dialogs import Callee, Caller, bound
from tests.bench.figures import Figure, Report, percentile, process_cpu_s, say
from tests.bench.load import Loaded
from tests.lab import RunningLab

PHONES = 20
"""Callers and as many callees, so that no single endpoint is waited for."""
UNTOUCHED = 20
IN_FLIGHT = 8
BLOCKS, BLOCK_CALLS = 10, 60
WARM_UP = 40
GOAL = 1.25
BARE = "bench-bare"
REST_S = 0.15


@dataclass
class Side:
    """What was measured of one way to dial."""

    cpu_ms: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    setup_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Phone:
    """Who calls whom with which credential."""

    user: str
    password: str
    dialled: str


def calls(report: Report, loaded: Loaded, lab: RunningLab, asterisk_pid: int) -> None:
    """Extension calls extension, answered and hung up; blocks of either kind take turns."""
    say(f"calls, {loaded.n} extensions")
    full, bare, events = asyncio.run(_calls(loaded, lab, asterisk_pid))
    notes: dict[str, object] = {
        "load": loaded.load.value,
        "calls_of_each": BLOCKS * BLOCK_CALLS,
        "in_flight": IN_FLIGHT,
        "baseline_is": "Dial() in a context of one line, same callees",
    }
    # Of the totals: one block is too short for the clock the kernel accounts with (10 ms).
    ratio = sum(full.cpu_ms) / sum(bare.cpu_ms)
    report.add(
        Figure(
            "call_cpu",
            loaded.n,
            tuple(full.cpu_ms),
            "ms",
            percentile(bare.cpu_ms, 0.5),
            f"at most {GOAL:g} times the bare Dial",
            ratio <= GOAL,
            {**notes, "cpu_of": "Asterisk, whole process", "traces_received": events},
            ratio,
        )
    )
    for name, samples, base, unit in (
        ("call_rate", full.rate, bare.rate, "1/s"),
        ("call_setup", full.setup_ms, bare.setup_ms, "ms"),
    ):
        report.add(Figure(name, loaded.n, tuple(samples), unit, percentile(base, 0.5), notes=notes))


async def _calls(loaded: Loaded, lab: RunningLab, asterisk_pid: int) -> tuple[Side, Side, int]:
    settings = lab.settings
    network = settings.sip_address.rpartition(".")[0]
    caller = await bound(lambda: Caller((settings.sip_address, settings.sip_port)), f"{network}.11")
    callee = await bound(Callee, f"{network}.12")
    if not isinstance(caller, Caller) or not isinstance(callee, Callee):
        raise TypeError("sockets of the wrong kind")
    # Neither those whose passwords were changed nor those that have registered.
    devices = [found[0] for found in list(loaded.model.devices.values())[UNTOUCHED : UNTOUCHED + 2 * PHONES]]
    callers, callees = devices[:PHONES], devices[PHONES:]
    sides = {"full": Side(), "bare": Side()}
    async with _dialplan(lab, callers, callees, callee.here) as (phones, traces):
        for kind in sides:
            await _block(caller, phones[kind], WARM_UP)
        for kind in _turns():
            await _measure(sides[kind], caller, callee, phones[kind], asterisk_pid)
        caller.transport.close()
        callee.transport.close()
        return sides["full"], sides["bare"], len(traces)


def _turns() -> Iterator[str]:
    """full bare bare full, so that a drift of the machine falls on both."""
    for index in range(BLOCKS):
        yield from ("full", "bare") if index % 2 == 0 else ("bare", "full")


async def _measure(side: Side, caller: Caller, callee: Callee, phones: list[Phone], pid: int) -> None:
    ended, cpu, began = callee.ended, process_cpu_s(pid), time.perf_counter()
    side.setup_ms.extend(await _block(caller, phones, BLOCK_CALLS))
    side.rate.append(BLOCK_CALLS / (time.perf_counter() - began))
    await callee.wait_ended(ended + BLOCK_CALLS)
    await asyncio.sleep(REST_S)  # what a channel does after its BYE was answered belongs to the call
    side.cpu_ms.append((process_cpu_s(pid) - cpu) * 1000 / BLOCK_CALLS)


async def _block(caller: Caller, phones: list[Phone], count: int) -> list[float]:
    """Milliseconds of set-up of each call, IN_FLIGHT at a time."""
    numbers = iter(range(count))
    setups: list[float] = []

    async def work() -> None:
        for number in numbers:
            phone = phones[number % len(phones)]
            setups.append(await caller.call(phone.user, phone.password, phone.dialled) * 1000)

    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return setups


@asynccontextmanager
async def _dialplan(
    lab: RunningLab, callers: list[Device], callees: list[Device], contact: str
) -> AsyncIterator[tuple[dict[str, list[Phone]], list[str]]]:
    """Both kinds of callers, callees with a fixed contact, and the bare context beside the call path.

    A fixed contact and no REGISTER: the first REGISTER of a device has a cost of its own (measured apart).
    """
    s = lab.settings
    link = AmiLink(AmiAddress(s.ami_host, s.ami_port, s.ami_user, lab.secrets.ami))
    await link.connect()
    traces: list[str] = []
    link.subscribe(lambda event: traces.append(event.name) if event.name == "UserEvent" else None)
    held = await link.read_config(DIALPLAN_FILE) or {}
    lines = [ConfigLine("exten", f"{d.extension},1,Dial(PJSIP/{d.id})") for d in callees]
    await link.put_rows([(f"pbx/aor/{d.id}", _aor(contact, d)) for d in callees])
    await link.put_rows([row for number in range(len(callers)) for row in _bare_rows(number)])
    await link.write_config(DIALPLAN_FILE, {**held, BARE: lines})
    await link.reload("pbx_config.so")
    try:
        yield (
            {
                "full": [
                    Phone(d.id, d.sip_password.get_secret_value(), to.extension)
                    for d, to in zip(callers, callees, strict=True)
                ],
                "bare": [
                    Phone(f"{BARE}-{number}", _PASSWORD, to.extension) for number, to in enumerate(callees)
                ],
            },
            traces,
        )
    finally:
        await link.write_config(DIALPLAN_FILE, held)
        await link.reload("pbx_config.so")
        await link.close()


_PASSWORD = secrets.token_hex(12)


def _aor(contact: str, device: Device) -> str:
    return json.dumps({"max_contacts": "1", "contact": f"sip:{device.id}@{contact}"})


def _bare_rows(number: int) -> list[tuple[str, str]]:
    """A caller like any other device, in the bare context and without the call path's variables."""
    name = f"{BARE}-{number}"
    endpoint = {
        "context": BARE,
        "identify_by": "username",
        "auth": name,
        "aors": name,
        "callerid": f'"Bare {number}" <{900 + number}>',
        "allow": "!all,ulaw,alaw,g722",
        "dtmf_mode": "rfc4733",
        "direct_media": "no",
        "rtp_symmetric": "yes",
        "force_rport": "yes",
        "rewrite_contact": "yes",
    }
    auth = {"auth_type": "digest", "username": name, "password": _PASSWORD}
    return [
        (f"pbx/auth/{name}", json.dumps(auth)),
        (f"pbx/aor/{name}", json.dumps({"max_contacts": "1"})),
        (f"pbx/endpoint/{name}", json.dumps(endpoint)),
    ]
