"""What Asterisk holds of a handset: its neutral line, and that it can be logged out from (R73)."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.domain.model import Model
from control_plane.render.artefacts import Unit
from control_plane.render.pjsip import NEUTRAL, neutral_values
from control_plane.render.shapes import rows


def handset_rows(model: Model, node: str, unit: Unit) -> Iterator[tuple[str, str]]:
    """The rows of a handset; none when `node` has no such handset, or it has no neutral line."""
    handset = model.handsets.get(unit.key[0])
    if handset is None or not handset.has_neutral_line or model.sites[handset.site].node != node:
        return
    yield from rows(NEUTRAL, neutral_values(model, handset))
    if handset.device is not None:
        yield f"desk/{handset.device}", handset.mac
