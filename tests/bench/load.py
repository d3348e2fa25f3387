"""The load: one organisation at one site with `n` extensions, one IP phone each."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from control_plane.adapters.clock import SystemClock
from control_plane.bootstrap.wiring import DATABASE_FILE
from control_plane.domain.entities import Organisation, Site, Trunk
from control_plane.domain.extension import DeviceKind, NoAnswerAction
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.artefacts import Holder
from control_plane.render.units import render_unit, units
from control_plane.service.bulk import NewExtension, put_extensions
from control_plane.settings import Settings
from control_plane.store import SqlStore, open_store

T = TypeVar("T")

ORG, SITE, TRUNK = "bench", "bench-site", "carrier"
FIRST_KEY = 200000
TENANT = 100
"""Extensions of an organisation, where there is more than one."""
HANDSETS_AT_ONCE = 1_000


class Load(StrEnum):
    """What each extension has besides its phone."""

    PLAIN = "one IP phone each"
    MAILBOX = "one IP phone and one mailbox each"
    HANDSET = "organisations of 100, one IP phone and one Yealink T54W each"


def key_of(index: int) -> str:
    return str(FIRST_KEY + index)


@dataclass(frozen=True)
class Loaded:
    """A database on disk with its model, and how long the import took."""

    n: int
    load: Load
    path: Path
    model: Model
    import_s: float

    def rows(self, node: str) -> list[tuple[str, str]]:
        """Every AstDB row of the model."""
        return [
            (key.name, value)
            for unit in units(self.model, node)
            for key, value in render_unit(self.model, node, unit).values.items()
            if key.holder is Holder.ROW
        ]

    def copy_to(self, state_dir: Path) -> None:
        """The database as it was after the import, before anything was pushed."""
        for stale in state_dir.glob(f"{DATABASE_FILE}*"):
            stale.unlink()
        shutil.copyfile(self.path, state_dir / DATABASE_FILE)


def made(n: int, load: Load, settings: Settings, directory: Path) -> Loaded:
    """A database with `n` extensions, made through the bulk import."""
    path = directory / f"{n}-{load.name.lower()}.sqlite3"
    return asyncio.run(_made(Loaded(n, load, path, Model(), 0.0), settings))


async def _made(wanted: Loaded, settings: Settings) -> Loaded:
    store = await open_store(wanted.path, SystemClock())
    try:
        async with store.transaction("bench") as tx:
            tx.put(Organisation(id=ORG, name="Bench"))
            tx.put(Trunk(id=TRUNK, node=settings.node, host=settings.carrier_address, region=RegionCode.SG))
            tx.put(
                Site(
                    id=SITE,
                    name="Bench",
                    region=RegionCode.SG,
                    time_zone="Asia/Singapore",
                    node=settings.node,
                    trunk=TRUNK,
                )
            )
            for org in sorted({_org(index, wanted.load) for index in range(wanted.n)} - {ORG}):
                tx.put(Organisation(id=org, name=org))
        started = time.perf_counter()
        async with store.transaction("bench") as tx:
            put_extensions(tx, _extensions(wanted.n, wanted.load))
        took = time.perf_counter() - started
        if wanted.load is Load.HANDSET:
            await _add_handsets(store)
        return replace(wanted, model=(await store.snapshot()).model, import_s=took)
    finally:
        await store.close()


async def _add_handsets(store: SqlStore) -> None:
    """A handset for each device."""
    model = (await store.snapshot()).model
    devices = (device for found in model.devices.values() for device in found)
    for first, batch in enumerate(batched(devices, HANDSETS_AT_ONCE)):
        async with store.transaction("bench") as tx:
            for number, device in enumerate(batch, start=first * HANDSETS_AT_ONCE):
                tx.put(handset(number, device.org, device.extension, SITE, device.id))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """As itertools.batched of Python 3.12."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def handset(number: int, org: str, key: str, site: str, device: str) -> Handset:
    """The `number`th handset, logged in at an extension."""
    return Handset(
        mac=f"805ec0{number:06x}",
        model="T54W",
        org=org,
        site=site,
        extension=key,
        device=device,
        token=SecretStr(f"{number:040x}"),
        http_user=f"user{number:08d}",
        http_password=SecretStr("h" * 24),
        admin_password=SecretStr("a" * 24),
        user_password=SecretStr("b" * 24),
    )


def _org(index: int, load: Load) -> str:
    return f"{ORG}-{index // TENANT}" if load is Load.HANDSET else ORG


def _extensions(n: int, load: Load) -> Iterator[NewExtension]:
    for index in range(n):
        values: dict[str, object] = {
            "org": _org(index, load),
            "site": SITE,
            "key": key_of(index),
            "label": f"Desk {index}",
        }
        if load is Load.MAILBOX:
            values |= {"voicemail_pin": "4711", "no_answer": {"action": NoAnswerAction.VOICEMAIL}}
        yield NewExtension(values, ({"kind": DeviceKind.IP_PHONE},))
