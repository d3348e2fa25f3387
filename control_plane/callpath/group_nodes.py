"""The nodes of call groups and of main numbers (R8, R84, R96, R97).

What rings here rings on legs: a member's phone on a member leg, everything else on a leg like that of a
forwarding. On such a leg itself (somebody forwards to a group or to a main number) what would follow when
nobody answers does not apply: the leg drops out, as A91 has it.
"""

from __future__ import annotations

from typing import Final

from control_plane.callpath.nodes import (
    BUSY,
    LAST_RING_S,
    NO_ANSWER,
    UNAVAILABLE,
    VOICEMAIL,
    Node,
    Target,
    dial,
)

_AS_IT_WAS: Final[dict[str, Target]] = {"busy": BUSY, "no_answer": NO_ANSWER, "unavailable": UNAVAILABLE}
"""No destination is left, or none applies on a leg: the call ends as the last attempt did."""

GROUP_NODES: Final[tuple[Node, ...]] = (
    Node(
        "main.hours",
        "Business hours, and no holiday?",
        "R8",
        ("main number.hours", "main number.holidays", "site.time_zone", "the time of the call"),
        {"open": "main.destination", "closed": "main.destination", "holiday": "main.destination"},
        "main_hours",
    ),
    Node(
        "main.destination",
        "Where do calls go at this time?",
        "R8",
        ("main number.in_hours", "main number.out_of_hours"),
        {
            "group": "group.enter",
            "handed": "in.active",
            "rung": "main.forward",
            "number": "main.forward",
            "voicemail": VOICEMAIL,
            "unavailable": UNAVAILABLE,
        },
        "main_destination",
    ),
    dial(
        "main.forward",
        "Ring reception or the number",
        "R8",
        ("main number.ring_timeout_s",),
        "main.otherwise",
        before="onward",
        origin="${WC_NUMBER}",
        target="${WC_TARGETS}",
        timeout="${WC_RING_S}",
    ),
    Node(
        "main.otherwise",
        "Nobody took it: the main number's rule?",
        "R8",
        ("main number.if_not_answered",),
        {
            "group": "group.enter",
            "extension": "in.active",
            "number": "main.last",
            "voicemail": VOICEMAIL,
            **_AS_IT_WAS,
        },
        "main_otherwise",
    ),
    dial(
        "main.last",
        "Forward to the main number's last number",
        "R8",
        ("main number.if_not_answered",),
        None,
        before="onward",
        origin="${WC_NUMBER}",
        target="${WC_TARGETS}",
        timeout=str(LAST_RING_S),
    ),
    Node(
        "group.enter",
        "Sent through too many groups?",
        "R97",
        ("groups so far",),
        {"ok": "group.order", "exceeded": UNAVAILABLE},
        "group_enter",
    ),
    Node(
        "group.order",
        "Who rings, in which order?",
        "R84, R96",
        ("call group.members", "call group.strategy", "member called last", "last call of each member"),
        {
            "ring_all": "group.turn",
            "sequential": "group.turn",
            "round_robin": "group.turn",
            "longest_idle": "group.turn",
            "empty": "group.otherwise",
        },
        "group_order",
    ),
    Node(
        "group.turn",
        "Whose turn is it?",
        "R84",
        ("call group.ring_timeout_s", "call group.total_ring_s"),
        {"all": "group.ring", "next": "group.ring", "over": "group.otherwise"},
        "group_turn",
    ),
    dial(
        "group.ring",
        "Ring the member, or all members",
        "R84",
        ("call group.ring_timeout_s",),
        "group.turn",
        before="group",
        target="${WC_TARGETS}",
        timeout="${WC_TURN_S}",
    ),
    Node(
        "group.otherwise",
        "No member took it: where to?",
        "R84",
        ("call group.otherwise", "main number.if_not_answered"),
        {
            "main": "main.otherwise",
            "group": "group.enter",
            "extension": "in.active",
            "number": "group.forward",
            "voicemail": VOICEMAIL,
            **_AS_IT_WAS,
        },
        "group_otherwise",
    ),
    dial(
        "group.forward",
        "Forward to the group's number",
        "R84",
        ("call group.otherwise",),
        None,
        before="onward",
        origin="${WC_TO}",
        target="${WC_TARGETS}",
        timeout=str(LAST_RING_S),
    ),
    Node(
        "member.active",
        "Is the member's number ACTIVE?",
        "R23",
        ("number.status",),
        {"yes": "member.dnd", "no": UNAVAILABLE},
        "active",
    ),
    Node(
        "member.dnd",
        "Does the member want quiet?",
        "R99",
        ("extension.dnd",),
        {"off": "member.busy", "busy": BUSY},
        "dnd",
    ),
    Node(
        "member.busy",
        "Is the member in a call?",
        "R84",
        ("calls in progress",),
        {"free": "member.devices", "busy": BUSY},
        "member_busy",
    ),
    Node(
        "member.devices",
        "Which one device rings?",
        "R84, A85",
        ("extension.ring_devices", "extension.primary_device", "devices", "last used device"),
        {
            "chosen": "member.ring",
            "last_used": "member.ring",
            "default": "member.ring",
            "none": UNAVAILABLE,
        },
        "member_devices",
    ),
    dial("member.ring", "Ring the device", "R84", ("registrations",), None, target="${WC_RING}", timeout=""),
)
