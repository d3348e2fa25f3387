"""Where mailboxes live: in many small files, so that a change costs the same at any number of mailboxes.

Asterisk rewrites the whole file for each UpdateConfig. With all mailboxes in one, 10 000 of them took 18 s to
write and 0.15 s for each later change; in these files 0.8 s and 4 ms (docs/decisions/voicemail.md).
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

MAILBOX_FILES = tuple(f"voicemail_{number:02}.conf" for number in range(64))
"""About 160 mailboxes a file at 10 000; voicemail.conf names each of them. Never edit this list: mailboxes
that are in a file which is on it no more are lost from sight."""

_STRAY = "="
"""Ends the proper name of a mailbox found in a wrong file; no name in a configuration file can hold it."""


class Place(NamedTuple):
    """One line of a mailbox file."""

    file: str
    context: str
    mailbox: str


def mailbox_file(name: str) -> str:
    """The file that "context/mailbox" belongs in; the same for all time."""
    return MAILBOX_FILES[hashlib.sha256(name.encode()).digest()[0] % len(MAILBOX_FILES)]


def name_in(file: str, context: str, mailbox: str) -> str:
    """The artefact name of a mailbox found in `file`: where it does not belong, it is another artefact."""
    name = f"{context}/{mailbox}"
    return name if mailbox_file(name) == file else f"{name}{_STRAY}{file}"


def place_of(name: str) -> Place:
    """Where the line of a mailbox is, or would be; the reverse of `name_in`."""
    proper, _, file = name.rpartition(_STRAY)
    if file not in MAILBOX_FILES:
        proper, file = name, mailbox_file(name)
    context, _, mailbox = proper.partition("/")
    return Place(file, context, mailbox)
