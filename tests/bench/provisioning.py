"""The provisioning server under load: files of 10 000 devices, against a file that needs no looking up."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Figure, Report, percentile, process_cpu_s, process_rss_mib, say
from tests.provisioning import free_address
from tests.published import REALM, Entry, File, Publisher, md5, sha256

DEVICES = 10_000
CONNECTIONS = 50
ROUND_S = 1.5
MOST_REQUESTS = 600
"""A connection asks at most this often in a round, for these are put together before its clock starts."""
ROUNDS = 5
GOAL = 0.7
START_S = 30.0
PORT = 8443
CONFIG_BYTES = 8_192
COMMON = "y000000000096.cfg"
STATIC = "static.cfg"


@dataclass(frozen=True)
class Target:
    """A running server and how to reach it."""

    host: str
    pid: int
    trust: ssl.SSLContext


class Connection:
    """One keep-alive connection over TLS; as little Python as can be, because it runs on the same machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, target: Target) -> Connection:
        return cls(*await asyncio.open_connection(target.host, PORT, ssl=target.trust))

    async def ask(self, path: str, header: str = "") -> tuple[int, bytes]:
        """Status and header of the answer; its body is read and counted."""
        return await self.send(written(path, header))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """The same for a request as it is sent."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status != 304:
            at = head.index(b"content-length: ") + 16
            await self._reader.readexactly(int(head[at : head.index(b"\r", at)]))
        return status, head

    def close(self) -> None:
        self._writer.transport.abort()


def written(path: str, header: str) -> bytes:
    """A request as it is sent."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n".encode()


def entry(number: int) -> Entry:
    """One of the devices: a file as long as a real one, with a line of its own."""
    mac = f"805ec0{number:06x}"
    body = (f"#!version:1.0.0.1\naccount.1.password = {md5(mac)}\n" + "key = value\n" * 800)[:CONFIG_BYTES]
    return Entry(mac, {f"{mac}.cfg": File(body.encode(), secret=True)})


def basic(device: Entry) -> str:
    """The device's login, as Basic."""
    login = base64.b64encode(":".join(device.login).encode()).decode()
    return f"Authorization: Basic {login}\r\n"


def digest(device: Entry, nonce: str, count: int, path: str) -> str:
    """The device's login for one request, as Digest."""
    user, password = device.login
    return digest_of(user, md5(f"{user}:{REALM}:{password}"), nonce, count, path)


def digest_of(user: str, ha1: str, nonce: str, count: int, path: str) -> str:
    """The same with the first hash made before, as a handset may keep it."""
    ha2 = md5(f"GET:{path}")
    response = md5(f"{ha1}:{nonce}:{count:08x}:c:auth:{ha2}")
    return (
        f'Authorization: Digest username="{user}", realm="{REALM}", nonce="{nonce}", uri="{path}",'
        f' qop=auth, nc={count:08x}, cnonce="c", response="{response}"\r\n'
    )


@contextmanager
def running() -> Iterator[Target]:
    """A server process of its own with every device published."""
    with tempfile.TemporaryDirectory(prefix="wirechief-bench-") as directory:
        state, host = Path(directory), free_address()
        publisher = Publisher(state / "published" / "store.sqlite3")
        static = File(b"x" * CONFIG_BYTES)
        publisher.publish(
            *map(entry, range(DEVICES)), common={STATIC: static, COMMON: File(b"#!version:1.0.0.1\n")}
        )
        publisher.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "provisioning_server"],
            env=os.environ | _environment(state, host),
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(state / "provisioning" / "provisioning.pid")
            ca = state / "provisioning" / "tls" / "ca.crt"
            yield Target(host, process.pid, ssl.create_default_context(cafile=str(ca)))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_S)


def _environment(state: Path, host: str) -> dict[str, str]:
    prefix = "WIRECHIEF_PROVISIONING_"
    return {f"{prefix}STATE_DIR": str(state), f"{prefix}HOST": host, f"{prefix}HTTP_PORT": "0"}


def _wait_for(pid_file: Path) -> None:
    deadline = time.monotonic() + START_S
    while not (pid_file.exists() and "https://" in pid_file.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError("the provisioning server does not answer")
        time.sleep(0.02)


@dataclass
class Round:
    """What one kind of request came to in one round."""

    requests: int
    seconds: float
    cpu_s: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Question:
    """One request, as far as it can be put together before the clock starts."""

    path: str
    header: str
    user: str = ""
    ha1: str = ""


def questions(kind: str, devices: Sequence[Entry]) -> list[Question]:
    """What is asked for in rounds of one kind: the clients' work must not count against a login."""
    if kind == "static":
        return [Question(f"/c/{STATIC}", "")]
    return [_question(kind, device, f"{device.mac}.cfg") for device in devices]


def _question(kind: str, device: Entry, name: str) -> Question:
    path = device.path(name)
    if kind == "digest":
        user, password = device.login
        return Question(path, "", user, md5(f"{user}:{REALM}:{password}"))
    header = basic(device)
    if kind == "304":
        header += f'If-None-Match: "{sha256(device.files[name].content)}"\r\n'
    return Question(path, header)


async def one_round(target: Target, kind: str, asked: Sequence[Question]) -> Round:
    """CONNECTIONS clients, each asking again as soon as it is answered, for ROUND_S.

    Every request is put together before: a handset has a processor of its own for that, and here a client
    that hashes between two requests would leave the server waiting for it.
    """
    connections = [await Connection.to(target) for _ in range(CONNECTIONS)]
    latencies: list[float] = []
    expected = 304 if kind == "304" else 200
    nonces = [""] * CONNECTIONS
    if kind == "digest":
        nonces = [_nonce(await connection.ask(asked[0].path)) for connection in connections]
    prepared = [list(_requests(random.Random(number), asked, nonce)) for number, nonce in enumerate(nonces)]

    async def client(number: int) -> None:
        connection = connections[number]
        for request in prepared[number]:
            began = time.perf_counter()
            if began >= end:
                break
            status, _ = await connection.send(request)
            latencies.append(time.perf_counter() - began)
            if status != expected:
                raise RuntimeError(f"{kind}: status {status}")

    cpu, began = process_cpu_s(target.pid), time.perf_counter()
    end = began + ROUND_S
    await asyncio.gather(*map(client, range(CONNECTIONS)))
    took, used = time.perf_counter() - began, process_cpu_s(target.pid) - cpu
    for connection in connections:
        connection.close()
    return Round(len(latencies), took, used, latencies)


def _requests(dice: random.Random, asked: Sequence[Question], nonce: str) -> Iterator[bytes]:
    """What one connection sends, one after the other."""
    for count in range(1, MOST_REQUESTS + 1):
        question = dice.choice(asked)
        header = question.header
        if nonce:
            header = digest_of(question.user, question.ha1, nonce, count, question.path)
        yield written(question.path, header)


def _nonce(answer: tuple[int, bytes]) -> str:
    return answer[1].split(b'nonce="')[1].split(b'"')[0].decode()


async def storm(target: Target, devices: Sequence[Entry]) -> tuple[list[float], int]:
    """Every device boots: connects, logs in by digest and asks for each name of its sequence.

    Returns how long each took, and how many requests there were. Raises RuntimeError for a wrong answer.
    """
    waiting = list(devices)
    times: list[float] = []
    requests = 0

    async def booting() -> None:
        nonlocal requests
        while waiting:
            device = waiting.pop()
            began = time.perf_counter()
            connection = await Connection.to(target)
            names = (
                (f"{device.mac}.boot", 404),
                ("y000000000000.boot", 404),
                (COMMON, 200),
                (f"{device.mac}.cfg", 200),
            )
            nonce = _nonce(await connection.ask(device.path(names[0][0])))
            for count, (name, expected) in enumerate(names, 1):
                path = device.path(name)
                status, _ = await connection.ask(path, digest(device, nonce, count, path))
                if status != expected:
                    raise RuntimeError(f"{name}: {status} instead of {expected}")
            requests += 1 + len(names)
            connection.close()
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(booting() for _ in range(4 * CONNECTIONS)))
    return times, requests


async def _measured(report: Report, target: Target) -> None:
    devices = [entry(number) for number in range(DEVICES)]
    before = process_rss_mib(target.pid)
    say("provisioning: a boot storm")
    cpu, began = process_cpu_s(target.pid), time.perf_counter()
    times, requests = await storm(target, devices)
    took, used = time.perf_counter() - began, process_cpu_s(target.pid) - cpu
    notes: dict[str, object] = {
        "load": f"{DEVICES} devices, TLS handshake, 401, four names each, {4 * CONNECTIONS} at a time",
        "failures": 0,
        "devices_per_s": round(len(times) / took),
        "server_cpu_ms_per_device": round(used / len(times) * 1000, 2),
        "requests": requests,
    }
    report.add(
        Figure("provisioning_storm", DEVICES, tuple(times), "s", goal="no failure", met=True, notes=notes)
    )
    kinds = ("static", "basic", "digest", "304")
    rounds: dict[str, list[Round]] = {kind: [] for kind in kinds}
    asked = {kind: questions(kind, devices) for kind in kinds}
    for number in range(ROUNDS):
        say(f"provisioning: requests, round {number + 1} of {ROUNDS}")
        for kind in kinds:
            rounds[kind].append(await one_round(target, kind, asked[kind]))
    for kind in kinds:
        _report(report, kind, rounds)
    peak = process_rss_mib(target.pid)
    report.add(
        Figure(
            "provisioning_memory",
            DEVICES,
            (peak,),
            "MiB",
            baseline=before,
            notes={"baseline": "just started"},
        )
    )


def _report(report: Report, kind: str, rounds: dict[str, list[Round]]) -> None:
    """Requests per second and time of an answer, each to a static file's in the same rounds."""
    mine, static = rounds[kind], rounds["static"]
    goal = None if kind == "static" else f"at least {GOAL} of a static file"
    notes: dict[str, object] = {"connections": CONNECTIONS, "bytes": 0 if kind == "304" else CONFIG_BYTES}
    base = percentile([one.rate for one in static], 0.5)
    # Round by round: other work on this machine comes and goes.
    share = percentile([one.rate / other.rate for one, other in zip(mine, static, strict=True)], 0.5)
    processor: dict[str, object] = {
        "server_cpu_us": round(_cpu_us(mine)),
        "cpu_ratio": round(_cpu_us(static) / _cpu_us(mine), 2),
    }
    met = None if goal is None else share >= GOAL
    rates = tuple(one.rate for one in mine)
    report.add(
        Figure(f"provisioning_{kind}", DEVICES, rates, "1/s", base, goal, met, notes | processor, share)
    )
    shares = [_p95(other) / _p95(one) for one, other in zip(mine, static, strict=True)]
    quick = percentile(shares, 0.5)
    latencies = tuple(one for each in mine for one in each.latencies)
    still = percentile([one for each in static for one in each.latencies], 0.95)
    met = None if goal is None else quick >= GOAL
    notes |= {"baseline_is": "p95 of a static file", "ratio_is": "static p95 to this p95"}
    report.add(
        Figure(f"provisioning_{kind}.latency", DEVICES, latencies, "s", still, goal, met, notes, quick)
    )


def _p95(one: Round) -> float:
    return percentile(one.latencies, 0.95)


def _cpu_us(rounds: Sequence[Round]) -> float:
    return sum(each.cpu_s for each in rounds) / sum(each.requests for each in rounds) * 1e6


def provisioning(report: Report) -> None:
    """Every figure of the provisioning server."""
    say(f"provisioning: {DEVICES} devices")
    with running() as target:
        asyncio.run(_measured(report, target))
