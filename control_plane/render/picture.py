"""The whole call path as a picture, for the documents: a Mermaid flowchart from the graph; pure."""

from __future__ import annotations

from collections.abc import Iterable

from control_plane.callpath.graph import CONTEXTS, GRAPH, NODES, End, Node, Target

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


def plain(text: str) -> str:
    """`text` of the model as it may stand in a label of a picture."""
    return text.translate(_UNSAFE)


def graph_mermaid() -> str:
    """The whole call path, one subgraph for each context; byte-stable."""
    lines = ["flowchart TD"]
    for context in CONTEXTS:
        lines.append(f'  subgraph {context}["{CONTEXT_TITLES[context]}"]')
        nodes = (node for node in NODES if node.context == context)
        lines.extend(f"    {shape(node, _id(node), f'<small>{node.id}</small>')}" for node in nodes)
        lines.append("  end")
    ends: dict[str, End] = {}
    for node in NODES:
        lines += arrows(_id(node), ((outcome, _target(to)) for outcome, to in node.outcomes.items()))
        ends.update({end_id(t): t for t in node.outcomes.values() if isinstance(t, End)})
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


def _id(node: Node) -> str:
    return node.id.replace(".", "_")


def _target(target: Target) -> str:
    return end_id(target) if isinstance(target, End) else _id(GRAPH[target])


def end_id(end: End) -> str:
    """What an end is called in a picture."""
    return f"end_{end.name}"


def shape(node: Node, name: str, detail: str) -> str:
    """A node of the graph under `name`, with `detail` below its title; what rings is a box."""
    text = f"{node.title}<br/>{detail}"
    return f'{name}["{text}"]' if node.template == "dial" else f'{name}{{{{"{text}"}}}}'


def arrows(name: str, targets: Iterable[tuple[str, str]]) -> list[str]:
    """Lines from `name` by (outcome, target); parallel ones become one."""
    found: dict[str, list[str]] = {}
    for outcome, target in targets:
        found.setdefault(target, []).append(outcome)
    return [f"  {name} -->|{' / '.join(outcomes)}| {target}" for target, outcomes in found.items()]
