"""Rules over several extensions' call paths, checked before a change is saved or pushed."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.callpath.features import FEATURE_CODES
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


def forwarding_problem(model: Model, extension: Extension) -> str | None:
    """Why the forwarding of `extension` cannot stand in `model`, which already holds it; None when it can.

    Finds loops and chains of more than three forwardings (A91) that run through the extension.
    """
    start = (extension.org, extension.key)
    paths = tuple(_paths(model, (start,)))
    for path in paths:
        if path[-1] in path[:-1]:
            return f"Forwarding loop: {_shown(path)}. Take one of these out of the forwarding."
    longest = max(paths, key=len)
    hops = len(longest) - 1 + _longest_before(model, start)
    if hops > MAX_HOPS:
        return (
            f"Forwarding chain too long: with {_shown(longest)} a call is forwarded {hops} times in a row, "
            f"{MAX_HOPS} are allowed."
        )
    return None


def _paths(model: Model, path: tuple[ExtensionId, ...]) -> Iterator[tuple[ExtensionId, ...]]:
    """Every forwarding path that begins with `path`, cut at the first repetition or one hop too many."""
    yield path
    if path[-1] in path[:-1] or len(path) > MAX_HOPS + 1:
        return
    for target in forward_targets(model, path[-1]):
        yield from _paths(model, (*path, target))


def _longest_before(model: Model, start: ExtensionId) -> int:
    """How many forwardings can come before `start`, at most one more than allowed."""
    sources: dict[ExtensionId, list[ExtensionId]] = {}
    for owner, extension in model.extensions.items():
        if extension.forwarding.enabled:
            for target in forward_targets(model, owner):
                sources.setdefault(target, []).append(owner)
    level, depth = {start}, 0
    while depth <= MAX_HOPS:
        level = {source for target in level for source in sources.get(target, ())}
        if not level:
            break
        depth += 1
    return depth


def _shown(path: tuple[ExtensionId, ...]) -> str:
    orgs = {org for org, _ in path}
    return " -> ".join(key if len(orgs) == 1 else f"{org}/{key}" for org, key in path)


def key_problem(key: str) -> str | None:
    """Why an extension cannot have this key (R71, A59); None when it can.

    Every region's emergency numbers are kept free: a site may be opened anywhere later.
    """
    for region in REGIONS.values():
        if key in region.emergency:
            return f"{key} is an emergency number in {region.code}; choose another key"
    if any(code.code == key for code in FEATURE_CODES):
        return f"{key} is a feature code; choose another key"
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
