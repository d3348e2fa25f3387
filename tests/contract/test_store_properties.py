"""Random transactions of two processes on one database, against plain dictionaries.

Whatever is written, by whom and in whichever order: both processes see the same model, versions, audit and
changes as the dictionaries say, and a refused transaction leaves no trace.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.domain.entities import (
    Entity,
    Occupancy,
    Organisation,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.groups import CallGroup, Destination, DestinationKind, MainNumber
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import DomainError
from control_plane.ports import EntityChange, EntityKey, EntityKind
from control_plane.store import SqlStore, open_store
from tests.clocks import SteppingClock
from tests.contract.stores import BACKENDS, device, extension, fresh_location
from tests.unit.memory_store import ident_of

Key = tuple[EntityKind, EntityKey]
Contents = dict[Key, Entity]

ORGS, SITES, TRUNKS, PEOPLE = ("acme", "beta"), ("london", "paris"), ("carrier",), ("ann", "bob")
NUMBERS, KEYS, DEVICES = ("+442071838750", "+442071838751"), ("100", "101"), (1, 2, 3, 4)


DESTINATION = Destination(kind=DestinationKind.EXTENSION, target="100")


def maybe(values: Sequence[str]) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(values)


labels = st.sampled_from(("", "a", "b"))
orgs, sites, keys = st.sampled_from(ORGS), st.sampled_from(SITES), st.sampled_from(KEYS)
entities: st.SearchStrategy[Entity] = st.one_of(
    st.builds(Organisation, id=orgs, name=labels),
    st.builds(Trunk, id=st.sampled_from(TRUNKS), host=st.just("192.0.2.1"), region=st.just("GB")),
    st.builds(
        Site,
        id=sites,
        name=labels,
        region=st.just("GB"),
        time_zone=st.just("UTC"),
        node=st.just("lab"),
        trunk=maybe(TRUNKS),
        caller_id=st.none(),
        reception=st.just(()),
    ),
    st.builds(
        Occupancy,
        org=orgs,
        site=sites,
        authorization_code=st.none(),
        reception=st.sampled_from([(), ("100",)]),
    ),
    st.builds(Person, id=st.sampled_from(PEOPLE), org=orgs, name=labels, email=st.none()),
    st.builds(
        PhoneNumber,
        e164=st.sampled_from(NUMBERS),
        site=sites,
        org=maybe(ORGS),
        extension=maybe(KEYS),
        label_1=labels,
    ),
    st.builds(
        lambda **fields: extension(**fields),
        org=orgs,
        key=keys,
        site=sites,
        label=labels,
        person=maybe(PEOPLE),
        number=maybe(NUMBERS),
        dnd=st.booleans(),
    ),
    st.builds(
        lambda number, **fields: device(number, **fields),
        st.sampled_from(DEVICES),
        org=orgs,
        owner=keys,
        kind=st.sampled_from(DeviceKind),
    ),
    st.builds(
        CallGroup,
        org=orgs,
        key=st.sampled_from(("300", "301")),
        site=sites,
        members=st.sampled_from([(), ("100",)]),
        otherwise=st.sampled_from([None, DESTINATION]),
    ),
    st.builds(
        MainNumber,
        org=orgs,
        site=sites,
        e164=st.sampled_from(NUMBERS),
        in_hours=st.just(DESTINATION),
        out_of_hours=st.just(DESTINATION),
        if_not_answered=st.sampled_from([None, DESTINATION]),
    ),
)


def targets(entity: Entity) -> set[Key]:
    """What must exist for this entity to exist."""
    names = {"org": EntityKind.ORGANISATION, "site": EntityKind.SITE, "trunk": EntityKind.TRUNK}
    names |= {"person": EntityKind.PERSON, "number": EntityKind.NUMBER}
    names |= {"e164": EntityKind.NUMBER} if isinstance(entity, MainNumber) else {}
    found = {
        (kind, (value,)) for name, kind in names.items() if (value := getattr(entity, name, None)) is not None
    }
    org, key = getattr(entity, "org", None), getattr(entity, "extension", None)
    return found | ({(EntityKind.EXTENSION, (org, key))} if org and key else set())


def is_allowed(contents: Contents) -> bool:
    places = [(e.org, e.extension, e.kind) for e in contents.values() if isinstance(e, Device)]
    return len(places) == len(set(places)) and all(targets(e) <= contents.keys() for e in contents.values())


@dataclass(frozen=True)
class Write:
    """One transaction: whose process, puts (entities), deletes (keys), and whether it is given up."""

    process: int
    steps: list[Entity | Key]
    given_up: bool


universe: st.SearchStrategy[Key] = entities.map(ident_of)
writes = st.builds(
    Write,
    process=st.integers(0, 1),
    steps=st.lists(entities | universe, min_size=1, max_size=8),
    given_up=st.integers(0, 7).map(lambda number: number == 0),
)

# What most entities need, so that random ones often fit.
GROUND: tuple[Entity, ...] = (
    *(Organisation(id=org, name="") for org in ORGS),
    Trunk(id="carrier", host="192.0.2.1", region=RegionCode.GB),
    *(Site(id=site, name="", region=RegionCode.GB, time_zone="UTC") for site in SITES),
    *(Person(id=person, org="acme", name="") for person in PEOPLE),
    *(PhoneNumber(e164=number, site="london") for number in NUMBERS),
    *(extension(key, org=org) for key in KEYS for org in ORGS),
)


@dataclass
class Oracle:
    """What the store should hold, in plain dictionaries."""

    contents: Contents = field(default_factory=dict)
    versions: dict[Key, int] = field(default_factory=dict)
    history: list[tuple[int, Key, Entity | None, Entity | None]] = field(default_factory=list)
    revision: int = 0

    def commit(self, after: Contents) -> None:
        changed = [k for k in {**self.contents, **after} if self.contents.get(k) != after.get(k)]
        self.revision += bool(changed)
        for key in changed:
            self.history.append((self.revision, key, self.contents.get(key), after.get(key)))
            self.versions[key] = self.revision
        self.contents = dict(after)


class GivenUp(Exception):
    """The block of a transaction changes its mind."""


async def carry_out(store: SqlStore, oracle: Oracle, write: Write) -> None:
    """One transaction on both; a step that deletes what is not there is left out."""
    after = dict(oracle.contents)
    refused: Exception | None = None
    try:
        async with store.transaction("property") as transaction:
            for step in write.steps:
                if isinstance(step, Entity):
                    transaction.put(step)
                    after[ident_of(step)] = step
                elif step in after:
                    transaction.delete(*step)
                    del after[step]
            assert transaction.model == model_of(after)
            if write.given_up:
                raise GivenUp
    except (DomainError, GivenUp) as error:
        refused = error
    if write.given_up:
        assert isinstance(refused, GivenUp)
        return
    assert (refused is None) == is_allowed(after), refused
    assert "not checked before" not in str(refused)
    if refused is None:
        oracle.commit(after)


E = TypeVar("E", bound=Entity)


def model_of(contents: Contents) -> Model:
    def those(kind: type[E]) -> list[E]:
        return [entity for entity in contents.values() if isinstance(entity, kind)]

    return Model.of(
        organisations=those(Organisation),
        sites=those(Site),
        occupancies=those(Occupancy),
        people=those(Person),
        numbers=those(PhoneNumber),
        extensions=those(Extension),
        devices=those(Device),
        trunks=those(Trunk),
        call_groups=those(CallGroup),
        main_numbers=those(MainNumber),
    )


async def check_everything(store: SqlStore, oracle: Oracle) -> None:
    snapshot = await store.snapshot()
    assert snapshot.revision == oracle.revision
    assert snapshot.model == model_of(oracle.contents)
    for kind in EntityKind:
        expected = {key: oracle.versions[k, key] for k, key in oracle.contents if k is kind}
        assert await store.versions(kind) == expected
    for since in (0, oracle.revision // 2):
        changes = await store.changes_since(since)
        assert changes is not None
        told = [(c.revision, (c.kind, c.key), c.before, c.after) for c in changes]
        assert sorted(told, key=in_order) == sorted(
            (entry for entry in oracle.history if entry[0] > since), key=in_order
        )
    assert replayed(await store.changes_since(0)) == oracle.contents
    entries = await store.audit(limit=1_000)
    assert sorted((e.revision, (e.kind, e.key)) for e in entries) == sorted(
        (revision, key) for revision, key, _, _ in oracle.history
    )


def in_order(entry: tuple[int, Key, Entity | None, Entity | None]) -> tuple[int, Key]:
    return entry[:2]


def replayed(changes: tuple[EntityChange, ...] | None) -> Contents:
    contents: Contents = {}
    for change in changes or ():
        assert contents.get((change.kind, change.key)) == change.before
        if change.after is None:
            del contents[change.kind, change.key]
        else:
            contents[change.kind, change.key] = change.after
    return contents


async def run(backend: str, history: list[Write]) -> None:
    with tempfile.TemporaryDirectory() as directory, fresh_location(backend, Path(directory)) as location:
        stores = [await open_store(location, SteppingClock()) for _ in range(2)]
        oracle = Oracle()
        await carry_out(stores[0], oracle, Write(0, list(GROUND), given_up=False))
        for write in history:
            await carry_out(stores[write.process], oracle, write)
        stores.append(await open_store(location, SteppingClock()))
        for store in stores:
            await check_everything(store, oracle)
            await store.close()


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(writes, min_size=1, max_size=12))
def test_any_transactions_of_two_processes_leave_what_dictionaries_would(
    backend: str, history: list[Write]
) -> None:
    asyncio.run(run(backend, history))
