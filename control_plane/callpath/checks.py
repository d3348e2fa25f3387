"""Rules of the call path that need no call: keys nobody may have, and a graph without dead ends."""

from __future__ import annotations

from control_plane.callpath.graph import GRAPH, End
from control_plane.domain.regions import REGIONS


def key_problem(key: str) -> str | None:
    """Why no extension and no call group can have this key (R71, A59); None when it can.

    Every region's emergency numbers are kept free: a site may be opened anywhere later. Feature codes begin
    with a star, so no key can be one.
    """
    for region in REGIONS.values():
        if key in region.emergency:
            return f"{key} is an emergency number in {region.code}; choose another key"
    return None


def dead_ends() -> tuple[str, ...]:
    """Nodes from which no end can be reached, or that nothing leads to (entries aside); empty when sound."""
    ends: set[str] = set()
    while True:
        more = {
            node.id
            for node in GRAPH.values()
            if node.id not in ends and any(isinstance(t, End) or t in ends for t in node.outcomes.values())
        }
        if not more:
            break
        ends |= more
    return tuple(sorted(set(GRAPH) - ends))
