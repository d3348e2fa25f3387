"""The whole control plane beside a node under test: store, reconciler, outbox and mail, as it is wired."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from control_plane.adapters.phones import Engine
from control_plane.bootstrap.plane import ControlPlane, running
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.entities import Entity
from control_plane.domain.extension import Extension
from control_plane.domain.model import Model
from control_plane.ports import EntityKind, Store
from tests.calls.node import NodeUnderTest

T = TypeVar("T")


class Plane:
    """A control plane that can be stopped and started again, and what a test wants to know of it."""

    def __init__(self, node: NodeUnderTest, engine: Engine, wiring: Wiring) -> None:
        self.node, self._engine, self._wiring = node, engine, wiring
        self._running: Any = None
        self.parts: ControlPlane | None = None

    def start(self) -> None:
        """Start it and wait until the node is as its model says."""
        self._running = running(self._wiring)
        self.parts = self.node.run(self._running.__aenter__())
        self.settled()

    def stop(self) -> None:
        held, self._running, self.parts = self._running, None, None
        if held is not None:
            self.node.run(held.__aexit__(None, None, None))

    @property
    def store(self) -> Store:
        assert self.parts is not None
        return self.parts.store

    def put(self, *entities: Entity) -> None:
        """One transaction, by a person."""

        async def put() -> None:
            async with self.store.transaction("test") as tx:
                for entity in entities:
                    tx.put(entity)

        self.node.run(put())
        self.settled()

    def only(self, model: Model) -> None:
        """Make the model this one, and wait until the node is so."""

        async def replace() -> None:
            async with self.store.transaction("test") as tx:
                for (org, key), devices in tx.model.devices.items():
                    for device in devices:
                        tx.delete(EntityKind.DEVICE, (device.id,))
                    tx.delete(EntityKind.EXTENSION, (org, key))
                for entity in entities_of(model):
                    tx.put(entity)

        self.node.run(replace())
        self.settled()

    def extension(self, org: str, key: str) -> Extension:
        return self.node.run(self.store.snapshot()).model.extensions[org, key]

    def until(self, condition: Callable[[], bool], what: str, deadline_s: float = 15.0) -> None:
        self._engine.poll_until(condition, deadline_s, what)

    def settled(self) -> None:
        assert self.parts is not None
        reconciler = self.parts.reconciler
        revision = self.node.run(self.store.revision())
        self.until(
            lambda: reconciler.state.in_sync and reconciler.state.revision_pushed >= revision,
            "the node is as the model says",
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.node.run(work)


def entities_of(model: Model) -> list[Entity]:
    """Everything in it, what is referred to first."""
    return [
        *model.organisations.values(),
        *model.trunks.values(),
        *model.sites.values(),
        *model.occupancies.values(),
        *model.extensions.values(),
        *(device for devices in model.devices.values() for device in devices),
        *model.numbers.values(),
    ]
