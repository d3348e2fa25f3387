"""The nodes of a handset's neutral line: what a phone can do at which nobody is logged in (R73, A73).

Emergency numbers come first, as for every other caller. Reception is reached inside the own organisation
only: a reception number outside would be an outside call that nobody answers for.
"""

from __future__ import annotations

from typing import Final

from control_plane.callpath.nodes import CANCELLED, FEATURE, REFUSED, Node, dial
from control_plane.callpath.pin_nodes import pin

NEUTRAL_NODES: Final[tuple[Node, ...]] = (
    Node(
        "neutral.emergency",
        "Emergency number of the site's region?",
        "R59, A73",
        ("site.emergency_numbers",),
        {"yes": "neutral.emergency_trunk", "no": "neutral.code"},
        "emergency",
    ),
    Node(
        "neutral.code",
        "The code to log in?",
        "R73, A73",
        ("feature codes",),
        {"yes": "neutral.who", "no": "neutral.reception"},
        "log_in_code",
    ),
    Node(
        "neutral.who",
        "Who logs in?",
        "R73, A49",
        ("extension.key", "number.status", "extension.site"),
        {"known": "neutral.pin", "unknown": REFUSED, "cancelled": CANCELLED},
        "log_in_as",
    ),
    pin("neutral.pin", "The PIN of who logs in", "neutral.free", of="${WC_TO}"),
    Node(
        "neutral.free",
        "Is a phone ID of the site free?",
        "R52, A73",
        ("site.provisioning", "handset.phone_id"),
        {"yes": "neutral.log_in", "no": REFUSED},
        "phone_id_free",
    ),
    Node("neutral.log_in", "Log in at this handset", "R49, A73", (), {"announced": FEATURE}, "log_in"),
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
