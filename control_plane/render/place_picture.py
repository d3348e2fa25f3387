"""What a call to an extension, a call group or a main number can meet, as a Mermaid flowchart; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from control_plane.callpath.graph import GRAPH, NODES, End
from control_plane.domain.extension import Extension, NoAnswerAction
from control_plane.domain.groups import CallGroup, Destination, MainNumber, Strategy
from control_plane.domain.model import Model, chosen, ring_choice
from control_plane.render.picture import arrows, end_id, plain, shape
from control_plane.render.way import At, destination_of, group_of, main_of, members_of, reachable, ways

_ORDER = {node.id: place for place, node in enumerate(NODES)}


def extension_mermaid(model: Model, extension: Extension) -> str:
    """What a call to `extension` can meet with its present settings: only the outcomes they leave open."""
    return _mermaid(model, At("in.active", extension.org, called=extension.key), _called(extension))


def group_mermaid(model: Model, group: CallGroup) -> str:
    """What a call to a call group can meet: who rings, and where the call goes that no member takes."""
    return _mermaid(model, At("group.enter", group.org, called=group.key), f"group {_called(group)}")


def main_number_mermaid(model: Model, main: MainNumber) -> str:
    """What a call to a main number can meet, at any time."""
    return _mermaid(model, At("did.active", main.org, main.site), main.e164)


def _called(place: Extension | CallGroup) -> str:
    return f"{place.key} {place.label}".strip()


def _mermaid(model: Model, start: At, title: str) -> str:
    found = sorted(reachable(model, start), key=lambda at: _ORDER[at.node])
    names = _names(found)
    lines = ["flowchart TD", f'  call(["Call to {plain(title)}"]) --> {names[start]}']
    places: dict[str, list[str]] = {}
    for at in found:
        drawn = [shape(GRAPH[at.node], names[at], plain(_detail(model, at)) or f"<small>{at.node}</small>")]
        if at.node == "group.ring":
            drawn += _member_boxes(model, at, names[at])
        places.setdefault(_place(model, at), []).extend(drawn)
    lines += _drawn(places)
    ends: dict[str, End] = {}
    for at in found:
        follows = tuple(ways(model, at))
        ends |= {end_id(to): to for _, to in follows if isinstance(to, End)}
        named = ((outcome, end_id(to) if isinstance(to, End) else names[to]) for outcome, to in follows)
        lines += arrows(names[at], named)
        if at.node == "group.ring":
            lines += _member_arrows(model, at, names[at])
    lines.extend(f'  {name}(["{end.name}"])' for name, end in sorted(ends.items()))
    return "\n".join(lines) + "\n"


def _names(found: list[At]) -> Mapping[At, str]:
    """What each node is called in the picture: by its id, numbered where it stands for several."""
    names: dict[At, str] = {}
    seen: dict[str, int] = {}
    for at in found:
        seen[at.node] = seen.get(at.node, 0) + 1
        number = f"_{seen[at.node]}" if seen[at.node] > 1 else ""
        names[at] = at.node.replace(".", "_") + number
    return names


def _drawn(places: Mapping[str, list[str]]) -> Iterator[str]:
    """The shapes; in a frame for each place where there are several."""
    for number, (title, shapes) in enumerate(places.items()):
        if len(places) == 1:
            yield from (f"  {line}" for line in shapes)
            continue
        yield f'  subgraph place{number}["{plain(title)}"]'
        yield from (f"    {line}" for line in shapes)
        yield "  end"


def _place(model: Model, at: At) -> str:
    context = at.node.split(".")[0]
    if context == "in":
        extension = model.extensions.get(at.ident)
        return f"Extension {at.called if extension is None else _called(extension)}"
    if context == "group":
        some = f" (only {', '.join(at.only)})" if at.only else ""
        return f"Call group {_called(group_of(model, at))}{some}"
    return f"Main number {main_of(model, at).e164}"


def _member_boxes(model: Model, at: At, name: str) -> list[str]:
    found = ((key, model.extensions.get((at.org, key))) for key in members_of(model, at))
    return [f'{name}_{key}["{plain(_member(model, extension, key))}"]' for key, extension in found]


def _member_arrows(model: Model, at: At, name: str) -> Iterator[str]:
    in_turn = group_of(model, at).strategy is Strategy.SEQUENTIAL
    for turn, key in enumerate(members_of(model, at), 1):
        yield f"  {name} -.->|{turn}| {name}_{key}" if in_turn else f"  {name} -.-> {name}_{key}"


def _member(model: Model, extension: Extension | None, key: str) -> str:
    """A member and which of its devices rings, or why none does."""
    if extension is None:
        return f"{key}: is not there"
    devices = model.devices_of(extension)
    rung = ring_choice(extension, devices) or devices
    if not model.is_active(extension):
        how = "not in service"
    elif extension.dnd:
        how = "does not want to be disturbed"
    elif not rung:
        how = "has no device"
    else:
        kinds = ", ".join(device.kind.value for device in rung)
        how = kinds if len(rung) == 1 else f"the one used last of {kinds}"
    return f"{_called(extension)}: {how}"


def _detail(model: Model, at: At) -> str:
    """What the node's title does not say of this place."""
    context = at.node.split(".")[0]
    if context == "in":
        extension = model.extensions.get(at.ident)
        return "" if extension is None else _of_extension(model, extension, at.node)
    return _of_group(model, at) if context == "group" else _of_main(model, at)


def _of_main(model: Model, at: At) -> str:
    main = main_of(model, at)
    named = _named(destination_of(model, at))
    match at.node:
        case "did.active":
            number = model.numbers.get(main.e164)
            return number.status.value.upper() if number is not None else ""
        case "main.hours":
            return f"{', '.join(main.hours) or 'never'} ({model.sites[main.site].time_zone})"
        case "main.forward":
            return f"{named} for {main.ring_timeout_s} s"
        case _:
            return named


def _of_group(model: Model, at: At) -> str:
    group = group_of(model, at)
    match at.node:
        case "group.enter":
            return _called(group)
        case "group.order":
            return ", ".join(members_of(model, at)) or "nobody"
        case "group.turn":
            together = group.strategy is Strategy.RING_ALL
            turns = f"{group.ring_timeout_s} s"
            return f"all for {turns}" if together else f"{turns} each, {group.total_ring_s} s at most"
        case "group.otherwise" if at.fallback:
            return "as the main number says"
        case "group.otherwise" | "group.forward":
            return _named(destination_of(model, at))
        case _:
            return ""


def _named(destination: Destination | None) -> str:
    if destination is None:
        return "nowhere"
    some = f" (only {', '.join(destination.members)})" if destination.members else ""
    return f"{destination.kind.value} {destination.target}{some}"


def _of_extension(model: Model, extension: Extension, node: str) -> str:
    devices = model.devices_of(extension)
    match node:
        case "in.vip":
            return ", ".join(extension.forwarding.vip)
        case "in.forward":
            return ", ".join(extension.forwarding.targets)
        case "in.devices":
            forwards = extension.forwarding.enabled and not extension.restricted
            held = extension.forwarding.vip_ring_devices if forwards else ()
            rung = chosen(devices, held) or ring_choice(extension, devices) or devices
            return ", ".join(device.kind.value for device in rung)
        case "in.ring":
            return f"for {extension.no_answer.ring_timeout_s} s"
        case "in.no_answer_forward" if extension.no_answer.action is NoAnswerAction.FORWARD:
            return extension.no_answer.number or ""
        case _:
            return ""
