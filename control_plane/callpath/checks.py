"""Rules over several extensions' call paths, checked before a change is saved or pushed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from control_plane.callpath.graph import GRAPH, MAX_HOPS, End
from control_plane.domain.extension import Extension
from control_plane.domain.model import ExtensionId, Model
from control_plane.domain.regions import REGIONS


def forward_targets(model: Model, owner: ExtensionId) -> Iterator[ExtensionId]:
    """Extensions that `owner`'s forwarding, when in force, leads to; own numbers count as their extension."""
    extension = model.extensions.get(owner)
    if extension is None or not extension.forwarding.enabled or extension.restricted:
        return
    for key in extension.forwarding.extensions:
        yield extension.org, key
    for e164 in extension.forwarding.numbers:
        number = model.numbers.get(e164)
        if number is not None and number.org and number.extension:
            yield number.org, number.extension


@dataclass(frozen=True)
class ForwardGraph:
    """Who forwards to whom, both ways; built once for many questions about one model."""

    model: Model
    sources: Mapping[ExtensionId, tuple[ExtensionId, ...]]

    @classmethod
    def of(cls, model: Model) -> ForwardGraph:
        """The graph of every forwarding in force; the cost grows with the number of extensions."""
        sources: dict[ExtensionId, list[ExtensionId]] = {}
        for owner, extension in model.extensions.items():
            if extension.forwarding.enabled:
                for target in forward_targets(model, owner):
                    sources.setdefault(target, []).append(owner)
        return cls(model, {target: tuple(found) for target, found in sources.items()})

    def problem(self, extension: Extension) -> str | None:
        """Why the forwarding of `extension` cannot stand; None when it can.

        Finds loops and chains of more than three forwardings (A91) that run through the extension.
        """
        start = (extension.org, extension.key)
        paths = tuple(self._paths((start,)))
        for path in paths:
            if path[-1] in path[:-1]:
                return f"Forwarding loop: {_shown(path)}. Take one of these out of the forwarding."
        longest = max(paths, key=len)
        hops = len(longest) - 1 + self._longest_before(start)
        if hops > MAX_HOPS:
            return (
                f"Forwarding chain too long: with {_shown(longest)} a call is forwarded {hops} times in a "
                f"row, {MAX_HOPS} are allowed."
            )
        return None

    def _paths(self, path: tuple[ExtensionId, ...]) -> Iterator[tuple[ExtensionId, ...]]:
        """Every forwarding path that begins with `path`, cut at the first repetition or one hop too many."""
        yield path
        if path[-1] in path[:-1] or len(path) > MAX_HOPS + 1:
            return
        for target in forward_targets(self.model, path[-1]):
            yield from self._paths((*path, target))

    def _longest_before(self, start: ExtensionId) -> int:
        """How many forwardings can come before `start`, at most one more than allowed."""
        level, depth = {start}, 0
        while depth <= MAX_HOPS:
            level = {source for target in level for source in self.sources.get(target, ())}
            if not level:
                break
            depth += 1
        return depth


def forwarding_problem(model: Model, extension: Extension) -> str | None:
    """Why the forwarding of `extension` cannot stand in `model`, which already holds it; None when it can."""
    return ForwardGraph.of(model).problem(extension)


def forwarding_problems(model: Model) -> tuple[str, ...]:
    """A sentence for each loop and each chain deeper than A91 among all forwardings in force.

    Saving refuses them; what people set on their phones can still make them. Linear in the number of
    extensions for the chains there are in practice.
    """
    graph = {
        owner: tuple(forward_targets(model, owner))
        for owner, extension in model.extensions.items()
        if extension.forwarding.enabled
    }
    hops, circling = _levels(graph)
    loops: dict[frozenset[ExtensionId], tuple[ExtensionId, ...]] = {}
    for node in sorted(circling):
        loop = _loop_through(circling, node)
        if loop is not None:
            loops.setdefault(frozenset(loop), loop)
    reached = {target for targets in graph.values() for target in targets}
    return (
        *(
            f"Forwarding loop: {_named(loop)}. Take one of these out of the forwarding."
            for loop in loops.values()
        ),
        *(
            f"Forwarding chain too long: a call to {_named((head,))} is forwarded {hops[head]} times "
            f"in a row, {MAX_HOPS} are allowed."
            for head in sorted(hops)
            if hops[head] > MAX_HOPS and head not in reached
        ),
    )


Graph = Mapping[ExtensionId, tuple[ExtensionId, ...]]


def _levels(graph: Graph) -> tuple[dict[ExtensionId, int], Graph]:
    """How many forwardings follow each other from each extension, and those that never end."""
    hops: dict[ExtensionId, int] = {}
    pending = dict(graph)
    while ending := [owner for owner, targets in pending.items() if not any(t in pending for t in targets)]:
        for owner in ending:
            hops[owner] = 1 + max((hops.get(target, 0) for target in graph[owner]), default=0)
        for owner in ending:
            del pending[owner]
    return hops, pending


def _loop_through(graph: Graph, start: ExtensionId) -> tuple[ExtensionId, ...] | None:
    """The shortest loop through `start`; None when it only leads into one."""
    came_from: dict[ExtensionId, ExtensionId] = {}
    level = [start]
    while level:
        following = []
        for owner in level:
            for target in graph.get(owner, ()):
                if target == start:
                    path = [start, owner]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    return tuple(reversed(path))
                if target in graph and target not in came_from:
                    came_from[target] = owner
                    following.append(target)
        level = following
    return None


def _named(path: Iterable[ExtensionId]) -> str:
    return " -> ".join("/".join(ident) for ident in path)


def _shown(path: tuple[ExtensionId, ...]) -> str:
    orgs = {org for org, _ in path}
    return " -> ".join(key if len(orgs) == 1 else f"{org}/{key}" for org, key in path)


def key_problem(key: str) -> str | None:
    """Why an extension cannot have this key (R71, A59); None when it can.

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
