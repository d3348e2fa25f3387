"""Who passes calls on to whom, over extensions, call groups and main numbers; loops and chains in it. Pure.

One graph answers both "may this change stand?" and "what is wrong in the whole model?".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from control_plane.callpath.graph import MAX_GROUPS, MAX_HOPS
from control_plane.domain.groups import Destination, DestinationKind
from control_plane.domain.model import Model

Place = tuple[str, str]
"""(organisation, and an extension, a Group Key, or the site of a main number): no two of them look alike."""

Passing = tuple[Place, int]
"""Where a call is passed on to, and how many forwardings that is: 0 when it is handed over as it is."""

Edges = Mapping[Place, tuple[Passing, ...]]


def passes_on(model: Model, place: Place) -> Iterator[Passing]:
    """Where calls to `place` may be passed on to: by forwarding in force, or by where a group sends them."""
    org = place[0]
    extension = model.extensions.get(place)
    group = model.call_groups.get(place)
    main = model.main_numbers.get(place)
    if extension is not None and extension.forwarding.enabled and not extension.restricted:
        yield from (((org, key), 1) for key in extension.forwarding.extensions)
        for e164 in extension.forwarding.numbers:
            yield from _through_number(model, e164)
    if group is not None and group.otherwise is not None:
        yield from _destination(model, org, group.otherwise)
    if main is not None:
        for _, destination in main.destinations:
            yield from _destination(model, org, destination)


def _destination(model: Model, org: str, destination: Destination) -> Iterator[Passing]:
    match destination.kind:
        case DestinationKind.GROUP | DestinationKind.EXTENSION:
            yield (org, destination.target), 0
        case DestinationKind.NUMBER:
            yield from _through_number(model, destination.target)
        case DestinationKind.VOICEMAIL:
            return


def _through_number(model: Model, e164: str) -> Iterator[Passing]:
    """One of our own numbers counts as what it reaches."""
    number = model.numbers.get(e164)
    main = model.main_number(e164)
    if main is not None:
        yield (main.org, main.site), 1
    elif number is not None and number.org and number.extension:
        yield (number.org, number.extension), 1


@dataclass(frozen=True)
class PassingGraph:
    """The whole of it, both ways; built once for many questions about one model."""

    edges: Edges
    sources: Edges
    circling: frozenset[Place]
    """Those that are in a loop or lead into one."""

    @classmethod
    def of(cls, model: Model) -> PassingGraph:
        """The graph of `model`; the cost grows with the number of extensions."""
        places = (*model.extensions, *model.call_groups, *model.main_numbers)
        edges = {place: found for place in places if (found := tuple(passes_on(model, place)))}
        sources: dict[Place, list[Passing]] = {}
        for place, found in edges.items():
            for target, hops in found:
                sources.setdefault(target, []).append((place, hops))
        backwards = {target: tuple(found) for target, found in sources.items()}
        return cls(edges, backwards, _circling(edges))

    def problem(self, place: Place) -> str | None:
        """Why what `place` does with calls cannot stand; None when it can.

        Finds loops it is in or leads into, and chains of more than three forwardings (A91) through it.
        """
        loop = self._loop_from(place) if place in self.circling else None
        if loop is not None:
            return _loop_text(loop)
        before, hops_before = _farthest(self.sources, place)
        after, hops_after = _farthest(self.edges, place)
        if hops_before + hops_after > MAX_HOPS:
            return _chain_text((*reversed(before), *after[1:]), hops_before + hops_after)
        return None

    def problems(self) -> Iterator[str]:
        """A sentence for each loop, then one for each chain that is too long."""
        told: set[frozenset[Place]] = set()
        for place in sorted(self.circling):
            loop = self._loop_through(place)
            if loop is not None and frozenset(loop) not in told:
                told.add(frozenset(loop))
                yield _loop_text(loop)
        for head in sorted(self.edges):
            if head not in self.sources and head not in self.circling:
                path, hops = _farthest(self.edges, head)
                if hops > MAX_HOPS:
                    yield _chain_text(path, hops)

    def _loop_from(self, start: Place) -> tuple[Place, ...] | None:
        """The way from `start` to the nearest loop and around it."""
        ways: dict[Place, tuple[Place, ...]] = {start: (start,)}
        for place in _growing(ways):
            loop = self._loop_through(place)
            if loop is not None:
                return (*ways[place], *loop[1:])
            for target, _ in self.edges.get(place, ()):
                if target in self.circling and target not in ways:
                    ways[target] = (*ways[place], target)
        return None

    def _loop_through(self, start: Place) -> tuple[Place, ...] | None:
        """The shortest loop through `start`; None when it only leads into one."""
        came_from: dict[Place, Place] = {}
        for place in _growing(came_from, start):
            for target, _ in self.edges.get(place, ()):
                if target == start:
                    path = [start, place]
                    while path[-1] != start:
                        path.append(came_from[path[-1]])
                    return tuple(reversed(path))
                if target in self.circling and target not in came_from:
                    came_from[target] = place
        return None


def _growing(found: Mapping[Place, object], start: Place | None = None) -> Iterator[Place]:
    """`start` and the keys of `found`, including those that are added meanwhile, in that order."""
    if start is not None:
        yield start
    seen = 0
    while seen < len(found):
        fresh = list(found)[seen:]
        seen += len(fresh)
        yield from fresh


def _circling(edges: Edges) -> frozenset[Place]:
    pending = dict(edges)
    while ending := [p for p, targets in pending.items() if not any(t in pending for t, _ in targets)]:
        for place in ending:
            del pending[place]
    return frozenset(pending)


def _farthest(edges: Edges, start: Place) -> tuple[tuple[Place, ...], int]:
    """A way from `start` with the most forwardings, and their number; at most one more than allowed."""
    best: dict[Place, tuple[int, tuple[Place, ...]]] = {start: (0, (start,))}
    level = [start]
    while level:
        following = []
        for place in level:
            hops, path = best[place]
            for target, more in edges.get(place, ()):
                known = best.get(target, (-1, ()))[0]
                if known < hops + more <= MAX_HOPS + 1:
                    best[target] = (hops + more, (*path, target))
                    following.append(target)
        level = following
    hops, path = max(best.values(), key=lambda found: found[0])
    return path, hops


def groups_in_a_row(model: Model, org: str) -> str | None:
    """Why the groups of an organisation are sent on too often; None when they are not."""
    for owner, key in sorted(model.call_groups):
        chain = _chain_of(model, (owner, key)) if owner == org else ()
        if len(chain) > MAX_GROUPS:
            return (
                f"Call groups are sent on too often: {_named(chain)} are {len(chain)} in a row, {MAX_GROUPS} "
                "are allowed."
            )
    return None


def _chain_of(model: Model, start: Place) -> tuple[Place, ...]:
    chain = [start]
    while len(chain) <= MAX_GROUPS:
        group = model.call_groups.get(chain[-1])
        onward = group.otherwise if group is not None else None
        if onward is None or onward.kind is not DestinationKind.GROUP:
            break
        chain.append((start[0], onward.target))
    return tuple(chain)


def _loop_text(path: Iterable[Place]) -> str:
    return f"Forwarding loop: {_named(path)}. Take one of these out of the forwarding."


def _chain_text(path: Iterable[Place], hops: int) -> str:
    return (
        f"Forwarding chain too long: along {_named(path)} a call is forwarded {hops} times in a row, "
        f"{MAX_HOPS} are allowed."
    )


def _named(path: Iterable[Place]) -> str:
    """ "100 -> 101 of acme", or with the organisation each where there are several."""
    places = tuple(path)
    orgs = {org for org, _ in places}
    if len(orgs) > 1:
        return " -> ".join(f"{org}/{_called(name)}" for org, name in places)
    return f"{' -> '.join(_called(name) for _, name in places)} of {places[0][0]}"


def _called(name: str) -> str:
    return name if name.isdigit() else f"main number at {name}"


def passing_problem(model: Model, place: Place) -> str | None:
    """Why what `place` of `model` does with calls cannot stand; None when it can."""
    return PassingGraph.of(model).problem(place)


def passing_problems(model: Model) -> tuple[str, ...]:
    """Everything of that kind that is wrong in `model`.

    Saving refuses it; what people set on their phones can still make it.
    """
    return tuple(PassingGraph.of(model).problems())
