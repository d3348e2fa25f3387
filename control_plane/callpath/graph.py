"""The call path as one declarative graph; the only place that says what comes before what.

Precedence (REQUIREMENTS): incoming: number ACTIVE > DND > VIP > forwarding > device set > busy > ring >
no-answer action; outgoing: emergency > feature code > reception > internal > authorization code > trunk.
From a handset nobody is logged in at: emergency > log-in > reception inside, and nothing else.

From these nodes come the dialplan (each node renders through its template), `explain` (one evaluator per
node), the picture and the checks. A real call leaves `node:outcome` for each node it passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from control_plane.callpath.group_nodes import GROUP_NODES
from control_plane.callpath.neutral import NEUTRAL_NODES
from control_plane.callpath.nodes import (
    ANSWERED,
    BUSY,
    CANCELLED,
    FEATURE,
    HUNG_UP,
    INACTIVE,
    LAST_RING_S,
    MAILBOX,
    MAX_GROUPS,
    MAX_HOPS,
    NO_ANSWER,
    PIN_LOCKED,
    RECORDED,
    REFUSED,
    UNAVAILABLE,
    UNKNOWN_NUMBER,
    VOICEMAIL,
    End,
    Node,
    Target,
    dial,
)
from control_plane.callpath.pin_nodes import PIN_NODES


def _callee(part: str) -> tuple[Node, ...]:
    """Forwarding, VIP, devices, busy and ring: alike for a called extension and for a forwarded leg.

    They differ in what follows a failed attempt: the callee's own no-answer action, or (A91) nothing, since
    a leg that is not taken just drops out.
    """
    failed: Target | None = f"{part}.no_answer" if part == "in" else None
    timeout = "${WC_RING_S}" if part == "in" else ""
    return (
        Node(
            f"{part}.forwarding",
            "Is forwarding on?",
            "R91, R93",
            ("extension.forwarding.enabled", "extension.restricted"),
            {"off": f"{part}.devices", "on": f"{part}.vip"},
            "forwarding",
        ),
        Node(
            f"{part}.vip",
            "Is the caller on the VIP list?",
            "R94, R95",
            ("extension.forwarding.vip", "caller"),
            {"yes": f"{part}.devices", "no": f"{part}.forward"},
            "vip",
        ),
        dial(
            f"{part}.forward",
            "Ring number and extensions together",
            "R91, A91",
            ("extension.forwarding.numbers", "extension.forwarding.extensions"),
            failed,
            before="forward",
            target="${WC_TARGETS}",
            timeout=timeout,
        ),
        Node(
            f"{part}.devices",
            "Which devices ring?",
            "R83-R89",
            ("extension.ring_devices", "extension.primary_device", "devices", "last used device"),
            {
                "held": f"{part}.busy",
                "chosen": f"{part}.busy",
                "last_used": f"{part}.busy",
                "default": f"{part}.busy",
                "none": failed or UNAVAILABLE,
            },
            "devices",
        ),
        Node(
            f"{part}.busy",
            "In a call, and call waiting off?",
            "R100",
            ("extension.call_waiting", "calls in progress"),
            {"free": f"{part}.ring", "busy": failed or BUSY},
            "busy",
        ),
        dial(
            f"{part}.ring",
            "Ring the devices",
            "R115",
            ("registrations", "extension.no_answer.ring_timeout_s"),
            failed,
            target="${WC_RING}",
            timeout=timeout,
        ),
    )


EXTENSION_NODES: Final[tuple[Node, ...]] = (
    Node(
        "out.emergency",
        "Emergency number of the site's region?",
        "R59",
        ("site.emergency_numbers",),
        {"yes": "out.emergency_trunk", "no": "out.feature"},
        "emergency",
    ),
    Node(
        "out.feature",
        "Feature code?",
        "R12",
        ("feature codes", "extension.restricted", "extension.forwarding"),
        {
            "none": "out.reception",
            "unknown": UNKNOWN_NUMBER,
            "dnd_on": FEATURE,
            "dnd_off": FEATURE,
            "forward_on": FEATURE,
            "forward_set": FEATURE,
            "forward_off": FEATURE,
            "forward_refused": FEATURE,
            "hot_desk": FEATURE,
            "voicemail": "mailbox.there",
        },
        "feature",
    ),
    Node(
        "out.reception",
        "Reception number?",
        "R59",
        ("site.reception", "occupancy.reception"),
        {"yes": "out.internal", "no": "out.internal"},
        "reception",
    ),
    Node(
        "out.internal",
        "Extension or call group of the same organisation?",
        "R71, R97, A58",
        ("extension.key", "call group.key"),
        {"yes": "in.active", "group": "group.enter", "no": "out.authorization"},
        "internal",
    ),
    Node(
        "out.authorization",
        "Restricted handset: authorization code?",
        "R56-R61",
        ("extension.restricted", "occupancy.authorization_code"),
        {
            "unrestricted": "out.destination",
            "exempt": "out.destination",
            "right": "out.destination",
            "wrong": REFUSED,
            "no_code": REFUSED,
            "cancelled": CANCELLED,
        },
        "authorization",
    ),
    Node(
        "out.destination",
        "A number of ours, or outside?",
        "R5",
        ("site.region", "numbers"),
        {"own_number": "did.active", "outside": "out.trunk", "unknown": UNKNOWN_NUMBER},
        "destination",
    ),
    dial(
        "out.trunk",
        "Dial through the trunk",
        "R59",
        ("site.trunk", "site.caller_id", "extension.number"),
        None,
        before="trunk",
        target="PJSIP/${WC_NUMBER}@${WC_TRUNK}",
        timeout="",
    ),
    dial(
        "out.emergency_trunk",
        "Dial the emergency number through the trunk",
        "R59",
        ("site.trunk",),
        None,
        before="trunk",
        target="PJSIP/${WC_DIALLED}@${WC_TRUNK}",
        timeout="",
    ),
    Node(
        "did.known",
        "Is the called number one of ours?",
        "R5",
        ("numbers",),
        {"yes": "did.active", "no": UNKNOWN_NUMBER},
        "did_known",
    ),
    Node(
        "did.active",
        "Is the number ACTIVE?",
        "R23",
        ("number.status",),
        {"yes": "in.active", "main": "main.hours", "no": INACTIVE},
        "did_active",
    ),
    Node(
        "in.active",
        "Is the extension's number ACTIVE?",
        "R23",
        ("number.status",),
        {"yes": "in.dnd", "no": INACTIVE},
        "active",
    ),
    Node(
        "in.dnd",
        "Do not disturb?",
        "R99",
        ("extension.dnd", "extension.dnd_action", "extension.no_answer.action"),
        {"off": "in.forwarding", "busy": BUSY, "voicemail": VOICEMAIL},
        "dnd",
    ),
    *_callee("in"),
    Node(
        "in.no_answer",
        "Nobody took it: no-answer action",
        "R109-R116",
        ("extension.no_answer",),
        {
            "forward": "in.no_answer_forward",
            "hangup": HUNG_UP,
            "record_number": RECORDED,
            "voicemail": VOICEMAIL,
        },
        "no_answer",
    ),
    dial(
        "in.no_answer_forward",
        "Forward to the no-answer number",
        "R111",
        ("extension.no_answer.number",),
        None,
        before="no_answer_forward",
        target="${WC_TARGETS}",
        timeout=str(LAST_RING_S),
    ),
    Node(
        "leg.hops",
        "Forwarded too often?",
        "A91",
        ("hop counter",),
        {"ok": "leg.target", "exceeded": UNAVAILABLE},
        "hops",
    ),
    Node(
        "leg.target",
        "What is the forward target?",
        "R91",
        ("extension.key", "call group.key", "numbers"),
        {
            "extension": "leg.active",
            "group": "group.enter",
            "main": "main.hours",
            "own_number": "leg.active",
            "inactive_number": UNAVAILABLE,
            "outside": "leg.trunk",
            "unknown": UNAVAILABLE,
        },
        "leg_target",
    ),
    Node(
        "leg.active",
        "Is the target's number ACTIVE?",
        "R23",
        ("number.status",),
        {"yes": "leg.dnd", "no": UNAVAILABLE},
        "active",
    ),
    Node(
        "leg.dnd",
        "Does the target want quiet?",
        "R99, A91",
        ("extension.dnd",),
        {"off": "leg.forwarding", "busy": BUSY},
        "dnd",
    ),
    *_callee("leg"),
    dial(
        "leg.trunk",
        "Dial the number through the forwarder's trunk",
        "R91",
        ("site.trunk", "extension.number"),
        None,
        before="leg_trunk",
        target="PJSIP/${WC_NUMBER}@${WC_TRUNK}",
        timeout="",
    ),
)
NODES: Final[tuple[Node, ...]] = (*EXTENSION_NODES, *GROUP_NODES, *NEUTRAL_NODES, *PIN_NODES)

GRAPH: Final[Mapping[str, Node]] = {node.id: node for node in NODES}
CONTEXTS: Final = ("out", "neutral", "did", "in", "leg", "main", "group", "member", "mailbox")
ENTRY: Final[Mapping[str, str]] = {
    context: next(n.id for n in NODES if n.context == context) for context in CONTEXTS
}


def end_of(trace: tuple[tuple[str, str], ...]) -> End | None:
    """The end a trace of (node id, outcome) pairs leads to; None when it stops short of one."""
    if not trace:
        return None
    node_id, outcome = trace[-1]
    node = GRAPH.get(node_id)
    target = node.outcomes.get(outcome) if node else None
    return target if isinstance(target, End) else None


def parse_trace(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs in a channel's trace, "in.dnd:off in.forwarding:on"; a malformed word has outcome ""."""
    pairs = (word.partition(":") for word in text.split())
    return tuple((node, outcome) for node, _, outcome in pairs)


def outcome_of(trace: tuple[tuple[str, str], ...]) -> str:
    """The name of the end a trace leads to; "unfinished" when it stops short of one.

    A call that the no-answer action hangs up ended as the attempt before it did: busy, unanswered or
    unavailable.
    """
    end = end_of(trace)
    if end is None:
        return "unfinished"
    if end is not HUNG_UP or len(trace) < 2:
        return end.name
    before = trace[-2][1]
    return before if before in (BUSY.name, NO_ANSWER.name) else UNAVAILABLE.name


__all__ = [
    "ANSWERED",
    "BUSY",
    "CANCELLED",
    "CONTEXTS",
    "ENTRY",
    "FEATURE",
    "GRAPH",
    "HUNG_UP",
    "INACTIVE",
    "LAST_RING_S",
    "MAILBOX",
    "MAX_GROUPS",
    "MAX_HOPS",
    "NODES",
    "NO_ANSWER",
    "PIN_LOCKED",
    "RECORDED",
    "REFUSED",
    "UNAVAILABLE",
    "UNKNOWN_NUMBER",
    "VOICEMAIL",
    "End",
    "Node",
    "Target",
    "end_of",
    "outcome_of",
    "parse_trace",
]
