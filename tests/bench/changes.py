"""One setting changed over the API until Asterisk has it."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence

from control_plane.domain.extension import Device
from tests.bench.child import Plane
from tests.bench.figures import Figure, Report, percentile, process_cpu_s, say
from tests.bench.load import ORG, Loaded, key_of
from tests.bench.raw_ami import RawAmi
from tests.bench.sip import Registrar

CHANGES = 220
WITHIN_S = 5.0
POLL_S = 0.0005
"""Pause between two looks at the row: the resolution of the figure, and what the look costs Asterisk."""
GOAL_MS, GOAL_SIZE, SMALL_SIZE, GROWTH = 20.0, 10_000, 100, 1.5
REGISTERING = 10
"""Devices whose passwords change: the first REGISTER of a device has a cost of its own, shown apart."""
BARE_EVERY = 4


def bare_puts_ms(ami: RawAmi) -> float:
    """Milliseconds of three DBPut, one after the other."""
    began = time.perf_counter()
    for index in range(3):
        ami.put([(f"bench/bare/{index}", "1")])
    return (time.perf_counter() - began) * 1000


def _goal(report: Report, name: str, n: int, samples: Sequence[float]) -> tuple[str | None, bool | None]:
    if n != GOAL_SIZE:
        return None, None
    p95, small = percentile(samples, 0.95), report.p95_at(name, SMALL_SIZE)
    grown = small is None or p95 <= GROWTH * small
    return f"p95 at most {GOAL_MS:g} ms and {GROWTH:g} times that at {SMALL_SIZE}", p95 <= GOAL_MS and grown


def _add(
    report: Report, name: str, loaded: Loaded, samples: list[float], bare: list[float], **notes: object
) -> None:
    small = report.p95_at(name, SMALL_SIZE)
    if small is not None:
        notes["p95_to_p95_at_100"] = round(percentile(samples, 0.95) / small, 2)
    notes = {"load": loaded.load.value, **notes, "baseline_is": "three DBPut"}
    goal, met = _goal(report, name, loaded.n, samples)
    report.add(Figure(name, loaded.n, tuple(samples), "ms", percentile(bare, 0.5), goal, met, notes))


class CpuUse:
    """CPU of the control plane and of Asterisk over a number of changes."""

    def __init__(self, plane: Plane, asterisk_pid: int) -> None:
        self._pids = {"control_plane_cpu_ms": plane.pid, "asterisk_cpu_ms": asterisk_pid}
        self._before = {name: process_cpu_s(pid) for name, pid in self._pids.items()}

    def per_change(self, changes: int) -> dict[str, float]:
        """Milliseconds of CPU per change, of either process."""
        return {
            name: round((process_cpu_s(pid) - self._before[name]) * 1000 / changes, 2)
            for name, pid in self._pids.items()
        }


def dnd(report: Report, plane: Plane, ami: RawAmi, loaded: Loaded, asterisk_pid: int) -> None:
    """PATCH of DND sent, until the row the next call reads is there (or gone)."""
    say(f"DND over the API, {loaded.n} extensions")
    dice = random.Random(loaded.n)
    keys = [key_of(dice.randrange(loaded.n)) for _ in range(CHANGES // 2)]
    samples, answers, bare = [], [], []
    cpu = CpuUse(plane, asterisk_pid)
    state: dict[str, bool] = {}
    for count, key in enumerate(keys + keys):
        wanted = state[key] = not state.get(key, False)
        began = time.perf_counter()
        plane.send("PATCH", f"/organisations/{ORG}/extensions/{key}", {"dnd": wanted})
        seen = ami.wait_for(f"ext/{ORG}/{key}/dnd", "1" if wanted else None, WITHIN_S, POLL_S)
        plane.answer()
        answers.append((time.perf_counter() - began) * 1000)
        samples.append((seen - began) * 1000)
        if count % BARE_EVERY == 0:
            bare.append(bare_puts_ms(ami))
    _add(
        report,
        "dnd_change",
        loaded,
        samples,
        bare,
        answered_ms=round(percentile(answers, 0.5), 2),
        resolution_ms=POLL_S * 1000,
        **cpu.per_change(len(samples)),
    )


def password(report: Report, plane: Plane, ami: RawAmi, loaded: Loaded, registrar: Registrar) -> None:
    """PATCH of a device's password sent, until a REGISTER with it succeeds."""
    say(f"device password over the API, {loaded.n} extensions")
    devices = [found[0] for found in list(loaded.model.devices.values())[:REGISTERING]]
    for device in devices:
        _register(registrar, device.id, device.sip_password.get_secret_value())
    samples, bare, alone = [], [], []
    tries = 0
    for count in range(CHANGES):
        device = devices[count % len(devices)]
        new = secrets.token_hex(12)
        challenge = registrar.challenge(device.id)
        began = time.perf_counter()
        plane.send("PATCH", _address(device), {"sip_password": new})
        seen, attempts = registrar.wait_registered(device.id, new, challenge, WITHIN_S)
        plane.answer()
        samples.append((seen - began) * 1000)
        tries += attempts
        if count % BARE_EVERY == 0:
            bare.append(bare_puts_ms(ami))
            alone.append(_register(registrar, device.id, new))
    _add(
        report,
        "password_change",
        loaded,
        samples,
        bare,
        devices=len(devices),
        registers_per_change=round(tries / CHANGES, 1),
        register_alone_ms=round(percentile(alone, 0.5), 2),
    )


def _address(device: Device) -> str:
    return f"/organisations/{device.org}/extensions/{device.extension}/devices/{device.id}"


def _register(registrar: Registrar, user: str, password: str) -> float:
    """Milliseconds of one REGISTER with a known password and challenge."""
    challenge = registrar.challenge(user)
    began = time.perf_counter()
    registrar.wait_registered(user, password, challenge, WITHIN_S)
    return (time.perf_counter() - began) * 1000


def first_register(report: Report, loaded: Loaded, registrar: Registrar, asterisk_pid: int) -> None:
    """CPU Asterisk spends on the first REGISTER of a device after a push, until it is idle again."""
    say(f"first REGISTER, {loaded.n} extensions")
    devices = [found[0] for found in list(loaded.model.devices.values())[-3:]]
    samples = []
    for device in devices:
        before = process_cpu_s(asterisk_pid)
        _register(registrar, device.id, device.sip_password.get_secret_value())
        samples.append((_idle_cpu_s(asterisk_pid) - before) * 1000)
    notes: dict[str, object] = {"load": loaded.load.value, "cpu_of": "Asterisk, whole process"}
    report.add(Figure("first_register_cpu", loaded.n, tuple(samples), "ms", notes=notes))


def _idle_cpu_s(pid: int) -> float:
    """The CPU seconds of a process once it rests, waited for at most WITHIN_S."""
    deadline = time.perf_counter() + WITHIN_S
    seen = process_cpu_s(pid)
    while time.perf_counter() < deadline:
        time.sleep(0.1)
        now = process_cpu_s(pid)
        if now - seen <= 0.011:  # one clock tick: its timers
            return now
        seen = now
    return seen
