"""One change of the model as a command makes it: saved, awaited until it is in force, and told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.output import print_json, say
from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.store import SqlStore

Change = Callable[[SqlStore, Model], Awaitable[Entity | None]]
"""Makes a change; the entity as it is then, None: it is gone."""


def as_json_of(entity: Entity, shape: type[BaseModel] | None = None) -> dict[str, Any]:
    """An entity for JSON; `shape` is what the API answers where an entity holds what nobody is shown."""
    shown = entity if shape is None else shape.model_validate(entity)
    found: dict[str, Any] = shown.model_dump(mode="json")
    return found


def apply_change(change: Change, as_json: bool, shape: type[BaseModel] | None = None) -> None:
    """Make a change, wait until it is in force, and say so."""
    wiring = wire()
    entity, version, changed = run(_changed(wiring, change))
    force = await_force(wiring, version) if changed else {"in_force": True, "took_ms": 0.0}
    if as_json:
        shown = None if entity is None else as_json_of(entity, shape)
        print_json({"entity": shown, "revision": version, **force})
    elif changed:
        say_force(version, force)
    else:
        say("Nothing changed: it is like that already.")


async def _changed(wiring: Wiring, change: Change) -> tuple[Entity | None, int, bool]:
    async with wiring.store() as store:
        before = await store.revision()
        entity = await change(store, (await store.snapshot()).model)
        after = await store.revision()
        return entity, after, after > before
