"""The nodes of who identifies himself by PIN: to listen to the own voicemail (R53, A53)."""

from __future__ import annotations

from typing import Final

from control_plane.callpath.nodes import CANCELLED, MAILBOX, PIN_LOCKED, REFUSED, Node, Target


def pin(id_: str, title: str, then: Target, *, of: str) -> Node:
    """A node that asks for the PIN of the extension `of` (a dialplan expression) and counts wrong ones."""
    return Node(
        id_,
        title,
        "R53, A53",
        ("extension.voicemail_pin", "extension.pin_failures", "extension.pin_locked"),
        {"right": then, "wrong": REFUSED, "locked": PIN_LOCKED, "cancelled": CANCELLED},
        "pin",
        {"of": of},
    )


PIN_NODES: Final[tuple[Node, ...]] = (
    Node(
        "mailbox.there",
        "Has the extension a mailbox?",
        "R114",
        ("extension.no_answer.action", "extension.dnd_action"),
        {"yes": "mailbox.pin", "no": REFUSED},
        "mailbox_there",
    ),
    pin("mailbox.pin", "The PIN of the mailbox", "mailbox.open", of="${WC_FROM}"),
    Node("mailbox.open", "Listen to the messages", "R114", (), {"opened": MAILBOX}, "mailbox_open"),
)
