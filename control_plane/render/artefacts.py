"""What rendering yields: AstDB rows, mailboxes and the dialplan, each under a key of its own.

A *unit* is the smallest thing rendered by itself: an extension with its devices, a number, a site, an
occupancy, a trunk. One changed entity touches few units, so that a push costs the same at any size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple


class _Fast(StrEnum):
    """An enum hashed as the text it is: Enum's own way runs Python code for each of millions of look-ups."""

    __hash__ = str.__hash__


class UnitKind(_Fast):
    """What a unit was rendered from."""

    EXTENSION = "extension"  # key: (org, extension key)
    NUMBER = "number"  # (e164,)
    SITE = "site"  # (site,)
    OCCUPANCY = "occupancy"  # (org, site)
    TRUNK = "trunk"  # (trunk,)
    CALL_GROUP = "call_group"  # (org, group key)
    MAIN_NUMBER = "main_number"  # (org, site)
    NODE = "node"  # (node,): the dialplan
    HANDSET = "handset"  # (mac,): in Asterisk its neutral line, in the published store its files
    COMMON_FILES = "common files"  # (): those that are the same for every handset of a model


class Unit(NamedTuple):
    """Names one unit; sorts by kind and key."""

    kind: UnitKind
    key: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'/'.join(self.key)}"


class Holder(_Fast):
    """Where an artefact lives: in Asterisk, or in the published store."""

    ROW = "row"  # AstDB; name is the full key, "pbx/auth/abc"
    MAILBOX = "mailbox"  # a line of a mailbox file; name is "context/mailbox", value the text after =>
    FILE = "file"  # a whole include-free configuration file; name is the file name
    PUBLISHED = "published"  # a handset's row and files; name is its MAC, or "common/" and a file's name


class ArtefactKey(NamedTuple):
    """The one name of an artefact on a node.

    A tuple, because a first push hashes and compares millions of them: five times as fast as a dataclass.
    """

    holder: Holder
    name: str

    def __str__(self) -> str:
        return f"{self.holder}:{self.name}"


def in_order(keys: Iterable[ArtefactKey]) -> list[ArtefactKey]:
    """The keys sorted; by name and then by holder takes a third of the time of comparing keys."""
    return sorted(sorted(keys, key=attrgetter("name")), key=attrgetter("holder"))


SECRET_ROWS = ("pbx/auth/", "code/", "pin/")
"""AstDB prefixes whose values are secrets: masked in diffs, kept out of logs and errors."""


def is_secret(key: ArtefactKey) -> bool:
    """Whether the value must be masked before a person or a log sees it."""
    if key.holder is Holder.PUBLISHED:
        return not key.name.startswith("common/")
    return key.holder is Holder.MAILBOX or (key.holder is Holder.ROW and key.name.startswith(SECRET_ROWS))


OWNED_ROWS = ("pbx/auth", "pbx/aor", "pbx/endpoint", "pbx/identify", "ext", "vip", "did", "site", "emergency",
              "reception", "code", "pin", "hint", "group", "main", "desk")  # fmt: skip
"""AstDB families this program owns wholly: a row it did not render there is foreign and goes.

Not owned, because Asterisk or a phone writes them: `journal`, `outbox`, `last`, `idle`, `turn`, `registrar`;
`guard` belongs to the blocking of attackers.
"""

LENT_ROWS = ("pbx/endpoint/~", "pbx/identify/~")
"""Rows within owned families that belong to the blocking of attackers."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The artefacts of one unit or of a whole node."""

    values: Mapping[ArtefactKey, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        *,
        rows: Iterable[tuple[str, str]] = (),
        mailboxes: Iterable[tuple[str, str]] = (),
        files: Iterable[tuple[str, str]] = (),
        published: Iterable[tuple[str, str]] = (),
    ) -> Rendered:
        """From (name, value) pairs."""
        return cls(
            {
                **{ArtefactKey(Holder.ROW, name): value for name, value in rows},
                **{ArtefactKey(Holder.MAILBOX, name): value for name, value in mailboxes},
                **{ArtefactKey(Holder.FILE, name): value for name, value in files},
                **{ArtefactKey(Holder.PUBLISHED, name): value for name, value in published},
            }
        )
