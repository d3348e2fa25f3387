"""The nodes of a handset's neutral line: what a phone can do at which nobody is logged in (R73, A73).

Emergency numbers come first, as for every other caller. Reception is reached inside the own organisation
only: a reception number outside would be an outside call that nobody answers for.
"""

from __future__ import annotations

from typing import Final

from control_plane.callpath.nodes import REFUSED, Node, dial

NEUTRAL_NODES: Final[tuple[Node, ...]] = (
    Node(
        "neutral.emergency",
        "Emergency number of the site's region?",
        "R59, A73",
        ("site.emergency_numbers",),
        {"yes": "neutral.emergency_trunk", "no": "neutral.reception"},
        "emergency",
    ),
    Node(
        "neutral.reception",
        "Reception number?",
        "A73",
        ("site.reception", "occupancy.reception"),
        {"yes": "neutral.internal", "no": REFUSED},
        "neutral_reception",
    ),
    Node(
        "neutral.internal",
        "Reception inside the organisation?",
        "A73",
        ("extension.key", "call group.key"),
        {"yes": "in.active", "group": "group.enter", "no": REFUSED},
        "neutral_internal",
    ),
    dial(
        "neutral.emergency_trunk",
        "Dial the emergency number through the trunk",
        "R59, A73",
        ("site.trunk",),
        None,
        before="trunk",
        target="PJSIP/${WC_DIALLED}@${WC_TRUNK}",
        timeout="",
    ),
)
