"""Walking the graph from node to node, and dialling legs that walk it themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control_plane.callpath.circumstances import Leg, Step
from control_plane.callpath.graph import (
    ANSWERED,
    BUSY,
    CANCELLED,
    ENTRY,
    GRAPH,
    NO_ANSWER,
    UNAVAILABLE,
    End,
)
from control_plane.callpath.walk import Attempt, Walk, together
from control_plane.domain.extension import Extension
from control_plane.domain.model import ExtensionId

Verdict = tuple[str, str]
"""(outcome, why)."""

_AS_ATTEMPT: Mapping[str, Attempt] = {
    ANSWERED.name: Attempt.ANSWERED,
    CANCELLED.name: Attempt.RINGING,
    NO_ANSWER.name: Attempt.NO_ANSWER,
    BUSY.name: Attempt.BUSY,
    UNAVAILABLE.name: Attempt.UNAVAILABLE,
}


def run(walk: Walk, node_id: str) -> End:
    """Walk from `node_id` to an end, leaving a step for every node passed."""
    while True:
        outcome, why = walk.rules[node_id](walk)
        walk.trace.append(Step(node_id, outcome, why))
        target = GRAPH[node_id].outcomes[outcome]
        if isinstance(target, End):
            return target
        node_id = target


def dialled(w: Walk, attempt: Attempt, ring_s: int | None) -> str:
    """The outcome of a dial node that rings for at most `ring_s` seconds (None: as long as it takes).

    On a leg, whoever dials it may lose patience first, and does when both times are up together.
    """
    if attempt is not Attempt.RINGING:
        return attempt.value
    if ring_s is None or (w.limit_s is not None and w.elapsed_s + ring_s >= w.limit_s):
        return "cancelled"
    w.elapsed_s += ring_s
    return "no_answer"


def dial_legs(
    w: Walk,
    targets: Iterable[str],
    origin: ExtensionId,
    ring_s: int | None,
    *,
    caller: Extension | None = None,
    site: str,
    entry: str = "leg",
    hops: int = 1,
) -> Attempt:
    """Ring every target on a leg of its own; what the dialling side sees of them together.

    `origin` is (organisation, what the path begins with where this is no leg itself); the legs are given up
    after `ring_s` seconds, or when this one is.
    """
    left = None if w.limit_s is None else w.limit_s - w.elapsed_s
    limits = [limit for limit in (left, ring_s) if limit is not None]
    attempts = []
    for target in targets:
        leg = Walk(
            w.model,
            w.now,
            target,
            w.rules,
            origin=w.origin,
            caller=caller,
            site=w.model.sites[site],
            org=origin[0],
            caller_key=w.caller_key,
            caller_number=w.caller_number,
            hops=w.hops + hops,
            path=f"{w.path or origin[1]}>{target}",
            limit_s=min(limits, default=None),
        )
        end = run(leg, ENTRY[entry])
        w.legs.append(Leg(leg.path, end.name, tuple(leg.trace)))
        w.legs.extend(leg.legs)
        w.rings.extend(leg.rings)
        w.answered_by.extend(leg.answered_by)
        attempts.append(_AS_ATTEMPT[end.name])
    return together(attempts)
