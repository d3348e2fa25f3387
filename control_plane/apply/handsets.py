"""What people changed from their phones: read from Asterisk, handed on, cleared away.

The dialplan writes a journal row, then the row that calls read; the control plane is told by an event, and
by the journal when it was not running.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from control_plane.domain.entities import Leftover
from control_plane.domain.model import ExtensionId
from control_plane.ports import NodeLink
from control_plane.render.packed import digest

JOURNAL = "journal"
"""Rows `journal/<org>/<extension>/<field>/<uniqueid>`."""

TakeIn = Callable[[Mapping[str, str]], Awaitable[Collection[str]]]
"""Commits what journal rows say into the model; returns the keys of rows that may be deleted."""

TakePin = Callable[[tuple[str, str], str], Awaitable[None]]
"""Commits a voicemail PIN changed by phone: (organisation, extension) of the mailbox, PIN."""

Confirm = Callable[[Sequence[tuple[str, int]]], Awaitable[object]]
"""Commits that Asterisk was seen to follow PENDING numbers: (E.164, the version that was seen)."""


async def confirm_nothing(seen: Sequence[tuple[str, int]]) -> None:
    """For a node whose numbers nobody waits for."""


Forget = Callable[[Sequence[Leftover]], Awaitable[object]]
"""Commits that what these extensions left on their node is erased."""


async def forget_nothing(left: Sequence[Leftover]) -> None:
    """For a node where nothing is left."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What takes phones' changes into the model, and what the node was seen to hold."""

    take_in: TakeIn
    take_pin: TakePin
    confirm: Confirm = confirm_nothing
    forget: Forget = forget_nothing


def extensions_in(journal: Iterable[str]) -> frozenset[ExtensionId]:
    """(org, extension) of each journal key that names one."""
    parts = (key.split("/") for key in journal)
    return frozenset((found[1], found[2]) for found in parts if len(found) >= 4)


def rows_of(journal: Mapping[str, str], extensions: Collection[ExtensionId]) -> dict[str, str]:
    """The journal rows of these extensions."""
    return {key: value for key, value in journal.items() if extensions_in([key]) <= frozenset(extensions)}


async def read_extension(link: NodeLink, extension: ExtensionId) -> dict[str, str]:
    """The rows of an extension that a phone can change, as Asterisk holds them.

    Raises:
        AsteriskError
    """
    name = "/".join(extension)
    held = await link.read_rows(f"ext/{name}") | await link.read_rows(f"vip/{name}")
    base = await link.read_row(f"ext/{name}")
    return held if base is None else held | {f"ext/{name}": base}


def is_row_of(key: str, extension: ExtensionId) -> bool:
    """Whether a phone of `extension` can change the row `key`."""
    name = "/".join(extension)
    return key == f"ext/{name}" or key.startswith((f"ext/{name}/", f"vip/{name}/"))


def pin_changed_by_phone(desired: str, observed: str, pushed: str | None) -> str | None:
    """The PIN in `observed` when that is all that differs from the line last pushed; else None.

    `pushed` is a digest. The rest of the line is taken from what Asterisk holds and the PIN from the model:
    if that is the line that was pushed, then nobody but the phone's owner touched it, also when the model
    changed another field since.
    """
    old, _, _ = desired.partition(",")
    new, comma, rest = observed.partition(",")
    if new == old or "\n" in observed or pushed is None:
        return None
    return new if digest(f"{old}{comma}{rest}") == pushed else None


def with_pin(line: str, pin: str) -> str:
    """The value of a mailbox with another PIN."""
    _, comma, rest = line.partition(",")
    return f"{pin}{comma}{rest}"
