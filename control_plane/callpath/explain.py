"""What a call will do and why, without making it: the graph walked over the model.

The same graph renders the dialplan, and real calls leave the same trace.
"""

from __future__ import annotations

from control_plane.callpath.circumstances import (
    Behaviour,
    CallerId,
    Circumstances,
    Explanation,
    HandsetCaller,
    InsideCaller,
    Leg,
    OutsideCaller,
    Step,
)
from control_plane.callpath.evaluators import EVALUATORS
from control_plane.callpath.graph import ENTRY, outcome_of
from control_plane.callpath.running import run
from control_plane.callpath.walk import Walk
from control_plane.domain.model import Model


def explain(
    model: Model, caller: CallerId, dialled: str, circumstances: Circumstances | None = None
) -> Explanation:
    """What happens when `caller` dials `dialled` (digits, `*`, `#`, `+`).

    Raises:
        UnknownEntity: the calling extension or trunk does not exist, or the handset has no neutral line.
    """
    walk = Walk(model, circumstances or Circumstances(), dialled, EVALUATORS)
    match caller:
        case InsideCaller(org, key):
            walk.from_extension(org, key)
            entry = ENTRY["out"]
        case OutsideCaller(trunk, number):
            walk.from_trunk(trunk, number)
            entry = ENTRY["did"]
        case HandsetCaller(mac):
            walk.from_handset(mac)
            entry = ENTRY["neutral"]
    run(walk, entry)
    return Explanation(
        outcome_of(tuple((step.node, step.outcome) for step in walk.trace)),
        tuple(walk.trace),
        tuple(walk.legs),
        tuple(walk.rings),
        tuple(walk.answered_by),
    )


__all__ = [
    "Behaviour",
    "CallerId",
    "Circumstances",
    "Explanation",
    "HandsetCaller",
    "InsideCaller",
    "Leg",
    "OutsideCaller",
    "Step",
    "explain",
]
