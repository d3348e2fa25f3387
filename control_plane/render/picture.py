"""The call path as a picture: Mermaid flowcharts from the graph; pure.

One for the whole graph (documentation), one for what can happen at a given extension with its settings.
"""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.callpath.graph import CONTEXTS, GRAPH, NODES, End, Node, Target
from control_plane.domain.extension import Extension, NoAnswerAction
from control_plane.domain.model import Model, chosen, ring_choice

CONTEXT_TITLES = {
    "out": "A device dials",
    "neutral": "A handset nobody is logged in at dials",
    "did": "A call comes in to a number",
    "in": "At the called extension",
    "leg": "At each forward target",
    "main": "A call to a main number",
    "group": "A call to a call group",
    "member": "At each member of the group",
    "mailbox": "The own voicemail",
}
_UNSAFE = str.maketrans({'"': "'", "<": "(", ">": ")", "#": "", "\n": " "})


def graph_mermaid() -> str:
    """The whole call path, one subgraph for each context; byte-stable."""
    lines = ["flowchart TD"]
    for context in CONTEXTS:
        lines.append(f'  subgraph {context}["{CONTEXT_TITLES[context]}"]')
        lines.extend(f"    {_shape(node)}" for node in NODES if node.context == context)
        lines.append("  end")
    ends: dict[str, End] = {}
    for node in NODES:
        for target, outcomes in _grouped(node).items():
            lines.append(f"  {_id(node)} -->|{' / '.join(outcomes)}| {target}")
        ends.update({_end_id(t): t for t in node.outcomes.values() if isinstance(t, End)})
    lines.extend(f'  {name}(["{end.name}, cause {end.cause}"])' for name, end in sorted(ends.items()))
    lines.extend(f"  {a} -.->|each target| leg_hops" for a in _LEG_OPENERS)
    lines.append("  group_ring -.->|each member| member_active")
    return "\n".join(lines) + "\n"


_LEG_OPENERS = (
    "in_forward",
    "in_no_answer_forward",
    "leg_forward",
    "main_forward",
    "main_last",
    "group_forward",
)


def extension_mermaid(model: Model, extension: Extension) -> str:
    """What a call to `extension` can meet with its present settings: only the outcomes they leave open."""
    title = f"{extension.key} {extension.label}".strip().translate(_UNSAFE)
    lines = ["flowchart TD", f'  call(["Call to {title}"]) --> in_active']
    reached: dict[str, None] = {"in.active": None}
    ends: dict[str, End] = {}
    for node in NODES:
        if node.id not in reached:
            continue
        possible = _possible(model, extension, node)
        lines.append(f"  {_shape(node, _detail(model, extension, node))}")
        for target, outcomes in _grouped(node, possible).items():
            lines.append(f"  {_id(node)} -->|{' / '.join(outcomes)}| {target}")
        for outcome in possible:
            follow = node.outcomes[outcome]
            if isinstance(follow, End):
                ends[_end_id(follow)] = follow
            else:
                reached[follow] = None
    lines.extend(f'  {name}(["{end.name}"])' for name, end in sorted(ends.items()))
    return "\n".join(lines) + "\n"


def _id(node: Node) -> str:
    return node.id.replace(".", "_")


def _end_id(end: End) -> str:
    return f"end_{end.name}"


def _target(target: Target) -> str:
    return _end_id(target) if isinstance(target, End) else _id(GRAPH[target])


def _shape(node: Node, detail: str = "") -> str:
    text = f"{node.title}<br/>{detail}" if detail else f"{node.title}<br/><small>{node.id}</small>"
    question = node.template != "dial"
    return f'{_id(node)}{{{{"{text}"}}}}' if question else f'{_id(node)}["{text}"]'


def _grouped(node: Node, possible: tuple[str, ...] | None = None) -> dict[str, list[str]]:
    """Target -> the outcomes that lead there, so that parallel arrows become one."""
    found: dict[str, list[str]] = {}
    for outcome, target in node.outcomes.items():
        if possible is None or outcome in possible:
            found.setdefault(_target(target), []).append(outcome)
    return found


def _possible(model: Model, extension: Extension, node: Node) -> tuple[str, ...]:
    devices = model.devices_of(extension)
    forwarding = extension.forwarding
    match node.id:
        case "in.active":
            return ("yes",) if model.is_active(extension) else ("no",)
        case "in.dnd":
            return (_dnd(extension),)
        case "in.forwarding":
            return ("on",) if forwarding.enabled and not extension.restricted else ("off",)
        case "in.vip":
            return ("yes", "no") if forwarding.vip else ("no",)
        case "in.devices":
            return tuple(
                _choices(extension, bool(devices), len(devices), bool(ring_choice(extension, devices)))
            )
        case "in.busy":
            return ("free",) if extension.rings_waiting_calls else ("free", "busy")
        case "in.no_answer":
            return (extension.no_answer.action.value,)
        case _:
            return tuple(node.outcomes)


def _dnd(extension: Extension) -> str:
    if not extension.dnd:
        return "off"
    return "voicemail" if extension.dnd_goes_to_voicemail else "busy"


def _choices(extension: Extension, any_device: bool, devices: int, explicit: bool) -> Iterator[str]:
    if not any_device:
        yield "none"
        return
    if extension.forwarding.enabled and extension.forwarding.vip_ring_devices:
        yield "held"
        return
    if explicit or devices == 1:
        yield "chosen"
        return
    yield "last_used"
    yield "default"


def _detail(model: Model, extension: Extension, node: Node) -> str:
    """What the node's title does not say about this extension."""
    devices = model.devices_of(extension)
    match node.id:
        case "in.vip":
            return ", ".join(extension.forwarding.vip)
        case "in.forward":
            return ", ".join(extension.forwarding.targets)
        case "in.devices":
            held = extension.forwarding.vip_ring_devices if extension.forwarding.enabled else ()
            rung = chosen(devices, held) or ring_choice(extension, devices) or devices
            return ", ".join(device.kind.value for device in rung)
        case "in.ring":
            return f"for {extension.no_answer.ring_timeout_s} s"
        case "in.no_answer_forward" if extension.no_answer.action is NoAnswerAction.FORWARD:
            return extension.no_answer.number or ""
        case _:
            return ""
