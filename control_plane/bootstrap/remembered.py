"""What a node remembers of calls, and later calls depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from control_plane.domain.model import Model
from control_plane.ports import NodeLink


@dataclass(frozen=True, slots=True)
class Remembered:
    """As Circumstances has it: by "org/key", or "org/group key"; the end of a call in Unix time."""

    last_used: Mapping[str, str] = field(default_factory=dict)
    began_with: Mapping[str, str] = field(default_factory=dict)
    last_call_ended: Mapping[str, int] = field(default_factory=dict)


def matters(model: Model) -> bool:
    """Whether any call can depend on it: some extension has several devices, or there is a call group."""
    return bool(model.call_groups) or any(len(devices) > 1 for devices in model.devices.values())


async def read_remembered(link: NodeLink) -> Remembered:
    """What the node knows now. Raises as the link does."""
    rows = {family: await link.read_rows(family) for family in ("last", "turn", "idle")}
    last, turn, idle = (
        {key.removeprefix(f"{family}/"): value for key, value in found.items()}
        for family, found in rows.items()
    )
    return Remembered(last, turn, {key: int(at) for key, at in idle.items() if at.isdecimal()})
