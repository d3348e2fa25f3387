"""A node in memory, a model in memory and a reconciler between them. For reconciler tests only."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from control_plane.apply.handsets import Intake
from control_plane.apply.reconciler import Reconciler
from control_plane.apply.state import Options
from control_plane.domain.entities import (
    Entity,
    NumberStatus,
    Organisation,
    PhoneNumber,
    Site,
)
from control_plane.domain.extension import Device, DeviceKind, Extension, NoAnswer, NoAnswerAction
from control_plane.domain.handsets import Handset
from control_plane.domain.model import ExtensionId, Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import InvalidField
from control_plane.plan.tasks import Progress, TaskState
from control_plane.ports import (
    NO_OUTCOMES,
    EntityChange,
    EntityKey,
    EntityKind,
    PhonePins,
    Snapshot,
)
from control_plane.render.mailboxes import MAILBOX_FILES
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.one_model import StubStore

DEADLINE_S = 5.0
NODE = "lab"


def devices_of(model: Iterable[Entity]) -> list[Device]:
    return [entity for entity in model if isinstance(entity, Device)]


def _kind_and_key(entity: Entity) -> tuple[EntityKind, EntityKey]:
    match entity:
        case Organisation():
            return EntityKind.ORGANISATION, (entity.id,)
        case Site():
            return EntityKind.SITE, (entity.id,)
        case PhoneNumber():
            return EntityKind.NUMBER, (entity.e164,)
        case Extension():
            return EntityKind.EXTENSION, (entity.org, entity.key)
        case Device():
            return EntityKind.DEVICE, (entity.id,)
        case Handset():
            return EntityKind.HANDSET, (entity.mac,)
    raise TypeError(type(entity).__name__)


class MemoryStore(StubStore):
    """The part of the store that a reconciler uses."""

    def __init__(self, entities: Iterable[Entity] = ()) -> None:
        self.entities: dict[tuple[EntityKind, EntityKey], Entity] = {}
        self.changes: list[EntityChange] = []
        self.recorded: dict[str, str] = {}
        self.outcomes: dict[int, Progress] = {}
        self.number = 0
        self.forgotten_before = 0
        self.change(*entities)

    def change(self, *entities: Entity) -> None:
        """One revision that puts these entities."""
        self.number += 1
        for entity in entities:
            kind, key = _kind_and_key(entity)
            self.changes.append(EntityChange(self.number, kind, key, self.entities.get((kind, key)), entity))
            self.entities[kind, key] = entity

    def remove(self, *entities: Entity) -> None:
        """One revision that deletes these entities."""
        self.number += 1
        for entity in entities:
            kind, key = _kind_and_key(entity)
            self.changes.append(EntityChange(self.number, kind, key, entity, None))
            del self.entities[kind, key]

    def extension(self, key: str = "100") -> Extension:
        found = self.entities[EntityKind.EXTENSION, ("acme", key)]
        assert isinstance(found, Extension)
        return found

    def edit(self, key: str, **changes: object) -> None:
        """One revision that changes fields of an extension."""
        self.change(self.extension(key).model_copy(update=changes))

    async def snapshot(self) -> Snapshot:
        held = list(self.entities.values())
        return Snapshot(
            self.number,
            Model.of(
                organisations=[e for e in held if isinstance(e, Organisation)],
                sites=[e for e in held if isinstance(e, Site)],
                numbers=[e for e in held if isinstance(e, PhoneNumber)],
                extensions=[e for e in held if isinstance(e, Extension)],
                devices=[e for e in held if isinstance(e, Device)],
                handsets=[e for e in held if isinstance(e, Handset)],
            ),
        )

    async def revision(self) -> int:
        return self.number

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        if revision < self.forgotten_before:
            return None
        return tuple(change for change in self.changes if change.revision > revision)

    async def changes_of(self, revision: int) -> tuple[EntityChange, ...]:
        return tuple(change for change in self.changes if change.revision == revision)

    async def pushed(self, node: str) -> dict[str, str]:
        return dict(self.recorded)

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        return {r: p for r, p in self.outcomes.items() if p.state is not TaskState.DONE}

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        self.outcomes.update(outcomes)
        for name, value in digests.items():
            if value is None:
                self.recorded.pop(name, None)
            else:
                self.recorded[name] = value


ORGANISATION = Organisation(id="acme", name="Acme")
SITE = Site(id="hq", name="HQ", region=RegionCode.SG, time_zone="Asia/Singapore", node=NODE)
NUMBER = PhoneNumber(e164="+6561000100", site="hq", org="acme", extension="100", status=NumberStatus.ACTIVE)
VOICEMAIL = NoAnswer(action=NoAnswerAction.VOICEMAIL)


def device(key: str, letter: str = "a", password: str = "x" * 20) -> Device:
    return Device(
        id=f"{letter}phone{key:0>6}",
        org="acme",
        extension=key,
        kind={"a": DeviceKind.IP_PHONE, "b": DeviceKind.MOBILE}[letter],
        sip_password=SecretStr(password),
    )


def extension(key: str, **values: object) -> Extension:
    return Extension.model_validate({"org": "acme", "key": key, "site": "hq", **values})


def small_model() -> list[Entity]:
    """Two extensions, three devices, one mailbox, one number."""
    return [
        ORGANISATION,
        SITE,
        NUMBER,
        extension("100", number="+6561000100", no_answer=VOICEMAIL, voicemail_pin="4711"),
        extension("101"),
        device("100"),
        device("100", "b"),
        device("101"),
    ]


@dataclass
class Phones:
    """Takes what phones changed into a MemoryStore: DND and PINs are enough."""

    store: MemoryStore
    taken: list[str] = field(default_factory=list)

    async def take_in(self, rows: Mapping[str, str]) -> list[str]:
        for name, value in rows.items():
            _, _, key, what, _ = name.split("/")
            if what == "dnd":
                self.store.edit(key, dnd=value.startswith("1"))
            self.taken.append(name)
        return list(rows)

    async def take_pin(self, ident: ExtensionId, pin: str) -> None:
        if len(pin) < 4:
            raise InvalidField("voicemail_pin", "must be 4 to 10 digits")
        found = self.store.extension(ident[1]).model_dump() | {"voicemail_pin": pin}
        self.store.change(Extension.model_validate(found))

    @property
    def intake(self) -> Intake:
        return Intake(self.take_in, self.take_pin)


class SpoolPins(PhonePins):
    """PINs chosen by phone, in memory."""

    def __init__(self) -> None:
        self.chosen: dict[str, str] = {}

    async def read_pins(self, names: Collection[str] | None = None) -> dict[str, str]:
        return {name: pin for name, pin in self.chosen.items() if names is None or name in names}

    async def remove_pins(self, names: Collection[str]) -> None:
        for name in names:
            self.chosen.pop(name, None)


FAST = Options(
    poll_s=0.02, audit_s=30.0, backoff_first_s=0.01, backoff_max_s=0.05, settle_s=0.01, devices_s=0.02
)


@dataclass
class Bench:
    """A store, a node and the reconciler between them."""

    store: MemoryStore
    node: FakeNode
    phones: Phones
    pins: SpoolPins
    reconciler: Reconciler

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Return once `condition` holds; fail after DEADLINE_S."""
        async with asyncio.timeout(DEADLINE_S):
            try:
                while not condition():  # noqa: ASYNC110  # what is awaited is a state, not one event
                    await asyncio.sleep(0.002)
            except asyncio.CancelledError:
                state = self.reconciler.state
                raise AssertionError(f"never came: {what} ({state.last_error}, {state.stage})") from None

    async def settled(self) -> None:
        await self.until(
            lambda: (
                self.reconciler.state.in_sync
                and self.reconciler.state.revision_pushed == self.store.number
                and self.node.state == "connected"
            ),
            "in sync",
        )


def bench(entities: Iterable[Entity] | None = None, options: Options = FAST) -> Bench:
    store = MemoryStore(small_model() if entities is None else entities)
    node, phones, pins = FakeNode(), Phones(store), SpoolPins()
    reconciler = Reconciler(
        NODE, node, store, phones.intake, ManualClock(), options=options, pins=pins, jitter=random.Random(1)
    )
    return Bench(store, node, phones, pins, reconciler)


@asynccontextmanager
async def running(entities: Iterable[Entity] | None = None, options: Options = FAST) -> AsyncIterator[Bench]:
    """A bench whose node is connected and whose reconciler runs."""
    made = bench(entities, options)
    await made.node.connect()
    async with following(made):
        yield made


@asynccontextmanager
async def following(made: Bench) -> AsyncIterator[None]:
    """The reconciler runs as long as the block."""
    task = asyncio.create_task(made.reconciler.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def undisturbed(entities: Iterable[Entity] | None = None) -> FakeNode:
    """A node after a push that nothing disturbed."""
    made = bench(entities)
    await made.node.connect()
    await made.reconciler.apply()
    return made.node


def mailbox_lines(node: FakeNode, context: str = "acme") -> dict[str, list[str]]:
    """Mailbox -> its lines in the files, wherever they are; unescaped, PIN included."""
    found: dict[str, list[str]] = {}
    for name in MAILBOX_FILES:
        for line in node.files.get(name, {}).get(context, []):
            found.setdefault(line.name, []).append(line.value)
    return found


def contents(node: FakeNode) -> tuple[object, object]:
    """Everything a node holds, for comparing; lines without their arrows, which cannot be read back.

    A category without lines is as good as none, and so is a file: neither can be deleted over AMI.
    """
    files = {
        name: {
            category: sorted((line.name, line.value) for line in lines)
            for category, lines in held.items()
            if lines
        }
        for name, held in node.files.items()
    }
    return node.rows, {name: held for name, held in files.items() if held}
