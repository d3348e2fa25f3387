"""Numbers at scale: lists, the export, and allocation by many at once, all over the API."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import SecretStr

from control_plane.adapters.clock import SystemClock
from control_plane.bootstrap.wiring import DATABASE_FILE
from control_plane.domain.entities import (
    Entity,
    NumberStatus,
    Organisation,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Extension
from control_plane.domain.regions import RegionCode
from control_plane.settings import Settings
from control_plane.store import open_store
from tests.bench.child import Plane
from tests.bench.figures import Figure, Report, percentile, process_cpu_s, process_rss_mib, say
from tests.bench.load import TRUNK
from tests.lab import RunningLab

NUMBERS, EXTENSIONS, OCCUPIERS, SITES = 50_000, 10_000, 200, 4
FIRST = 442070000000
ROUNDS = 15
LIST_GOAL_MS = 50.0
BLOCK, CLIENTS, BLOCKS_EACH = 100, 4, 5

QUERIES: dict[str, dict[str, object]] = {
    "first page": {},
    "status": {"status": "active"},
    "status and assignment": {"status": "active", "assignment": "assigned"},
    "one occupier": {"org": "occupier-7"},
    "search, one hit": {"search": "020 7004 9999"},
    "search, many hits": {"search": "0700"},
    "search and filters": {"search": "+44 20 70", "status": "reserved", "site": "site-1"},
    "by name, last first": {"order": "name", "descending": "true"},
}


def _entities(settings: Settings) -> Iterator[Entity]:
    yield Trunk(id=TRUNK, node=settings.node, host=settings.carrier_address, region=RegionCode.GB)
    for site in range(SITES):
        yield Site(
            id=f"site-{site}",
            name=f"Site {site}",
            region=RegionCode.GB,
            time_zone="Europe/London",
            node=settings.node,
            trunk=TRUNK,
        )
    for occupier in range(OCCUPIERS):
        yield Organisation(id=f"occupier-{occupier}", name=f"Occupier {occupier}")
        yield Person(id=f"person-{occupier}", org=f"occupier-{occupier}", name=f"Person {occupier}")
    for index in range(NUMBERS):
        yield from _number(index)


def _number(index: int) -> Iterator[Entity]:
    """A fifth active with an extension each, a fifth reserved, the others free."""
    e164, site = f"+{FIRST + index}", f"site-{index % SITES}"
    occupier = index % OCCUPIERS
    org, kind = f"occupier-{occupier}", index // (NUMBERS // 5)
    if kind == 0:
        key = str(100000 + index)
        yield Extension(org=org, key=key, site=site, number=e164)
        yield PhoneNumber(
            e164=e164,
            site=site,
            org=org,
            extension=key,
            status=NumberStatus.ACTIVE,
            person=f"person-{occupier}" if index % 3 else None,
            label_1=f"Desk {index}",
            ever_active=True,
            default_pin=SecretStr("4711"),
        )
    elif kind == 1:
        yield PhoneNumber(e164=e164, site=site, org=org, status=NumberStatus.RESERVED)
    else:
        yield PhoneNumber(e164=e164, site=site)


def load(settings: Settings, state_dir: Path) -> None:
    """The database of the lab, filled."""
    asyncio.run(_load(settings, state_dir / DATABASE_FILE))


async def _load(settings: Settings, path: Path) -> None:
    store = await open_store(path, SystemClock())
    try:
        async with store.transaction("bench") as tx:
            for entity in _entities(settings):
                tx.put(entity)
    finally:
        await store.close()


class _Client:
    """One connection to the API, kept."""

    def __init__(self, lab: RunningLab) -> None:
        settings = lab.settings
        self._http = http.client.HTTPConnection(settings.api_host, settings.api_port, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {lab.secrets.api_token.get_secret_value()}",
            "Content-Type": "application/json",
        }

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        self._http.request(method, f"/api/v1{path}", data, self._headers)
        answer = self._http.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()}")
        return text


def measure(report: Report, lab: RunningLab, plane: Plane) -> None:
    """Every figure about numbers on a control plane that has pushed."""
    client = _Client(lab)
    for query in QUERIES.values():
        client.ask("GET", f"/numbers?{urlencode(query)}")  # the index is there, the push is over
    lists(report, client, plane, busy=False)
    export(report, client, plane)
    allocation(report, lab, client, plane)


def lists(report: Report, client: _Client, plane: Plane, *, busy: bool) -> None:
    """A page of 100 rows for each kind of question, JSON included."""
    name = "number_list_while_allocating" if busy else "number_list"
    say(f"{name}, {NUMBERS} numbers")
    every: list[float] = []
    each: dict[str, float] = {}
    cpu = process_cpu_s(plane.pid)
    for what, query in QUERIES.items():
        samples = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            client.ask("GET", f"/numbers?{urlencode(query)}")
            samples.append((time.perf_counter() - began) * 1000)
        each[what] = round(percentile(samples, 0.95), 1)
        every += samples
    met = percentile(every, 0.95) <= LIST_GOAL_MS
    cpu_ms = round((process_cpu_s(plane.pid) - cpu) * 1000 / len(every), 1)
    report.add(
        Figure(
            name,
            NUMBERS,
            tuple(every),
            "ms",
            goal=None if busy else f"p95 at most {LIST_GOAL_MS:g} ms",
            met=None if busy else met,
            notes={
                "extensions": EXTENSIONS,
                "occupiers": OCCUPIERS,
                "p95_of_each": each,
                "control_plane_cpu_ms": cpu_ms,
            },
        )
    )


def export(report: Report, client: _Client, plane: Plane) -> None:
    """All numbers as CSV."""
    say(f"export of {NUMBERS} numbers")
    rates = []
    before = process_rss_mib(plane.pid)
    rows = 0
    for _ in range(5):
        began = time.perf_counter()
        rows = client.ask("GET", "/numbers/export.csv").count(b"\r\n") - 1
        rates.append(rows / (time.perf_counter() - began))
    if rows != NUMBERS:
        raise RuntimeError(f"the export has {rows} rows")
    grown = round(process_rss_mib(plane.pid) - before, 1)
    notes: dict[str, object] = {"memory_grown_mib": grown, "extensions": EXTENSIONS}
    report.add(Figure("number_export", NUMBERS, tuple(rates), "rows/s", notes=notes))


def allocation(report: Report, lab: RunningLab, client: _Client, plane: Plane) -> None:
    """Clients that each take blocks of the same pool, while lists are asked for."""
    say(f"allocation of {CLIENTS * BLOCKS_EACH} x {BLOCK} numbers by {CLIENTS} clients")
    taken: list[tuple[float, list[str]]] = []
    kept = threading.Lock()

    def take(of: int) -> None:
        own = _Client(lab)
        for _ in range(BLOCKS_EACH):
            body = {"org": f"occupier-{of}", "count": BLOCK}
            began = time.perf_counter()
            answer: Any = json.loads(own.ask("POST", "/sites/site-0/numbers/allocate", body))
            took = (time.perf_counter() - began) * 1000
            with kept:
                taken.append((took, [item["e164"] for item in answer["items"]]))

    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(take, of) for of in range(CLIENTS)]
        lists(report, client, plane, busy=True)
        for each in running:
            each.result()
    numbers = [e164 for _, found in taken for e164 in found]
    if len(numbers) != len(set(numbers)) or len(numbers) != CLIENTS * BLOCKS_EACH * BLOCK:
        raise RuntimeError("a number was allocated twice, or one is missing")
    notes: dict[str, object] = {
        "block": BLOCK,
        "clients": CLIENTS,
        "allocated": len(numbers),
        "twice": 0,
    }
    report.add(Figure("allocation_of_100", NUMBERS, tuple(took for took, _ in taken), "ms", notes=notes))
