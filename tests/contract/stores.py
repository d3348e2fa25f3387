"""Databases for the store's tests: a fresh SQLite file, and a fresh PostgreSQL database where one is given.

WIRECHIEF_TEST_POSTGRES_DSN names a server whose user may create databases; each test gets one of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from control_plane.domain.entities import (
    Entity,
    NumberStatus,
    Organisation,
    OrganisationKind,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.regions import RegionCode
from control_plane.store import SqlStore
from tests.databases import migrated_file

POSTGRES_DSN = os.environ.get("WIRECHIEF_TEST_POSTGRES_DSN", "")
BACKENDS = ("sqlite", "postgresql") if POSTGRES_DSN else ("sqlite",)


@contextmanager
def fresh_location(backend: str, directory: Path) -> Iterator[Path | str]:
    """Where a database without rows is for the length of the block; an SQLite file has its tables."""
    with bare_location(backend, directory) as location:
        yield migrated_file(location) if isinstance(location, Path) else location


@contextmanager
def bare_location(backend: str, directory: Path) -> Iterator[Path | str]:
    """Where a database without tables is, or can be made, for the length of the block."""
    if backend == "sqlite":
        yield directory / "state" / "wirechief.db"
        return
    name = f"wirechief_test_{secrets.token_hex(6)}"
    url = make_url(POSTGRES_DSN).set(drivername="postgresql+psycopg")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            yield url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)
        finally:
            with server.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        server.dispose()


async def put(store: SqlStore, *entities: Entity, actor: str = "test") -> int:
    """Write the entities in one transaction; the revision afterwards."""
    async with store.transaction(actor) as transaction:
        for entity in entities:
            transaction.put(entity)
    return await store.revision()


def places() -> tuple[Entity, ...]:
    """An operator, an occupier, a site with a trunk, a person and a number."""
    return (
        Organisation(id="landlord", name="Landlord", kind=OrganisationKind.OPERATOR),
        Organisation(id="acme", name="Acme"),
        Trunk(
            id="carrier",
            host="127.0.0.2",
            region=RegionCode.GB,
            username="us",
            password=SecretStr("trunk-secret"),
        ),
        Site(id="london", name="London", region=RegionCode.GB, time_zone="Europe/London", trunk="carrier"),
        Person(id="ann", org="acme", name="Ann", email="ann@example.com"),
        PhoneNumber(
            e164="+442071838750", site="london", org="acme", status=NumberStatus.ACTIVE, ever_active=True
        ),
    )


def extension(key: str = "100", **fields: object) -> Extension:
    values: dict[str, object] = {"org": "acme", "key": key, "site": "london", "voicemail_pin": "482913"}
    return Extension.model_validate(values | fields)


def device(number: int, owner: str = "100", **fields: object) -> Device:
    values: dict[str, object] = {
        "id": f"d{number:011d}",
        "org": "acme",
        "extension": owner,
        "kind": DeviceKind.IP_PHONE,
        "sip_password": f"Password{number:012d}",
    }
    return Device.model_validate(values | fields)


def many(count: int) -> Iterable[Entity]:
    """`count` extensions with one device each."""
    for number in range(count):
        key = str(100_000 + number)
        yield extension(key, label=f"Desk {number}")
        yield device(number, key)
