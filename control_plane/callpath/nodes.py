"""What a call path is made of: nodes, and the ends they lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_HOPS: Final = 3
"""A91: a forwarded call may be forwarded on, three forwardings in all."""

MAX_GROUPS: Final = 3
"""Call groups that one call is sent through one after the other."""

LAST_RING_S: Final = 60
"""How long a number outside rings when no extension's own time applies."""


@dataclass(frozen=True, slots=True)
class End:
    """Where a call path stops; `cause` is the Q.850 cause the caller's leg is released with."""

    name: str
    cause: int


ANSWERED = End("answered", 16)
BUSY = End("busy", 17)
NO_ANSWER = End("no_answer", 19)
UNAVAILABLE = End("unavailable", 20)
REFUSED = End("refused", 21)
UNKNOWN_NUMBER = End("unknown_number", 1)
INACTIVE = End("inactive", 1)
CANCELLED = End("cancelled", 16)
VOICEMAIL = End("voicemail", 16)
RECORDED = End("recorded", 19)
HUNG_UP = End("hung_up", 19)
FEATURE = End("feature", 16)
MAILBOX = End("mailbox", 16)
PIN_LOCKED = End("pin_locked", 21)

Target = str | End
"""A node id or an end."""


@dataclass(frozen=True, slots=True)
class Node:
    """One decision or action of the path.

    `reads` names the facts it looks at, `outcomes` where each result leads, `template` the dialplan template
    that carries it out with `params`, `row` the requirement it stands for.
    """

    id: str
    title: str
    row: str
    reads: tuple[str, ...]
    outcomes: Mapping[str, Target]
    template: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def context(self) -> str:
        """The part of the graph it belongs to, one of CONTEXTS."""
        return self.id.split(".")[0]

    @property
    def label(self) -> str:
        return self.id.split(".")[1]


def dial(id_: str, title: str, row: str, reads: tuple[str, ...], then: Target | None, **params: str) -> Node:
    """A node that rings: what is not answered leads to `then`, or ends as it is."""
    return Node(
        id_,
        title,
        row,
        reads,
        {
            "answered": ANSWERED,
            "busy": then or BUSY,
            "no_answer": then or NO_ANSWER,
            "unavailable": then or UNAVAILABLE,
            "cancelled": CANCELLED,
        },
        "dial",
        params,
    )
