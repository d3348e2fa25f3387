"""The model in memory, with the look-ups a transaction needs, and a working copy of it. Pure.

A published state is never changed: a working copy collects changes, and lays them over what it was made
from when it hands out a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from control_plane.domain.entities import Entity
from control_plane.domain.extension import Device
from control_plane.domain.model import Model, by_priority
from control_plane.ports import EntityChange, EntityKey, EntityKind, Snapshot
from control_plane.store.codec import KINDS
from control_plane.store.layered import layered

_DEVICE_BY_ID: Final = "device_by_id"


@dataclass(frozen=True, slots=True)
class State:
    """The model as of `revision`, devices by id, and the revision that last changed each entity."""

    revision: int = 0
    model: Model = field(default_factory=Model)
    device_by_id: Mapping[str, Device] = field(default_factory=dict)
    versions: Mapping[EntityKind, Mapping[EntityKey, int]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(self.revision, self.model)

    def find(self, kind: EntityKind, key: EntityKey) -> Entity | None:
        mapping = self.device_by_id if kind is EntityKind.DEVICE else getattr(self.model, KINDS[kind].table)
        found: Entity | None = mapping.get(model_key(key))
        return found

    def each(self, kind: EntityKind) -> Iterator[Entity]:
        """Every entity of a kind."""
        mapping = self.device_by_id if kind is EntityKind.DEVICE else getattr(self.model, KINDS[kind].table)
        return iter(mapping.values())


def model_key(key: EntityKey) -> Any:
    """`key` as Model spells it: a key of one part without the tuple."""
    return key[0] if len(key) == 1 else key


def loaded(
    revision: int,
    rows: Mapping[EntityKind, Iterable[tuple[Entity, int]]],
    settled: Model,
) -> State:
    """The state of these entities with their versions; `settled` has what settings decide, in no table."""
    entities: dict[EntityKind, list[Any]] = {}
    versions: dict[EntityKind, dict[EntityKey, int]] = {kind: {} for kind in KINDS}
    for kind, found in rows.items():
        key = KINDS[kind].key
        pairs = list(found)
        entities[kind] = [entity for entity, _ in pairs]
        versions[kind] = {key(entity): version for entity, version in pairs}
    model = Model.of(
        **{KINDS[kind].table: values for kind, values in entities.items()},
        feature_codes=settled.feature_codes,
        pin_failures_max=settled.pin_failures_max,
    )
    devices = {device.id: device for device in entities.get(EntityKind.DEVICE, ())}
    return State(revision, model, devices, versions)


def advanced(state: State, revision: int, changes: Iterable[EntityChange]) -> State:
    """`state` with committed changes, oldest first, applied."""
    draft = Draft(state)
    for change in changes:
        draft.set(change.kind, change.key, change.after)
        draft.set_version(change.kind, change.key, None if change.after is None else change.revision)
    return draft.finished(revision)


class Draft:
    """A working copy of one state."""

    def __init__(self, base: State) -> None:
        # By table name the mappings of the model, by kind the versions.
        self._maps: dict[str, Mapping[Any, Any]] = {
            **{kind.table: getattr(base.model, kind.table) for kind in KINDS.values()},
            **{kind.value: mapping for kind, mapping in base.versions.items()},
            _DEVICE_BY_ID: base.device_by_id,
        }
        self._changes: dict[str, dict[Any, Any]] = {}
        self._base = base.model
        self._model: Model | None = base.model

    @property
    def model(self) -> Model:
        """The model with everything set so far; later changes do not show in it."""
        if self._model is None:
            for name, changes in self._changes.items():
                self._maps[name] = layered(self._maps[name], changes)
            self._changes.clear()
            maps: dict[str, Any] = {kind.table: self._maps[kind.table] for kind in KINDS.values()}
            self._model = replace(self._base, **maps)
        return self._model

    def find(self, kind: EntityKind, key: EntityKey) -> Entity | None:
        name = _DEVICE_BY_ID if kind is EntityKind.DEVICE else KINDS[kind].table
        found: Entity | None = self._get(name, model_key(key))
        return found

    def set(self, kind: EntityKind, key: EntityKey, entity: Entity | None) -> None:
        """Create, replace or (None) remove."""
        if kind is not EntityKind.DEVICE:
            self._assign(KINDS[kind].table, model_key(key), entity)
        elif entity is None or isinstance(entity, Device):
            self._set_device(key[0], entity)

    def set_version(self, kind: EntityKind, key: EntityKey, version: int | None) -> None:
        self._assign(kind.value, key, version)

    def finished(self, revision: int) -> State:
        """The state this working copy has become."""
        model = self.model
        return State(
            revision, model, self._maps[_DEVICE_BY_ID], {kind: self._maps[kind.value] for kind in KINDS}
        )

    def _set_device(self, device_id: str, device: Device | None) -> None:
        old: Device | None = self._get(_DEVICE_BY_ID, device_id)
        self._assign(_DEVICE_BY_ID, device_id, device)
        table = KINDS[EntityKind.DEVICE].table
        owners = {(d.org, d.extension) for d in (old, device) if d is not None}
        for owner in owners:
            kept = [d for d in self._get(table, owner) or () if d.id != device_id]
            if device is not None and (device.org, device.extension) == owner:
                kept.append(device)
            self._assign(table, owner, by_priority(kept) or None)

    def _get(self, name: str, key: Any) -> Any:
        """One entry of one mapping as it is now; None when there is none."""
        changes = self._changes.get(name)
        if changes is not None and key in changes:
            return changes[key]
        return self._maps[name].get(key)

    def _assign(self, name: str, key: Any, value: Any) -> None:
        """Set one entry of one mapping; None removes it."""
        self._model = None
        self._changes.setdefault(name, {})[key] = value
