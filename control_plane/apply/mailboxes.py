"""Mailboxes as Asterisk holds them, read and edited: lines of the mailbox files, and PINs chosen by phone.

With `passwordlocation = spooldir` app_voicemail keeps a PIN chosen by phone in the mailbox's directory, where
it wins over the line. So the value of a mailbox is its line with that PIN in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from control_plane.apply.handsets import with_pin
from control_plane.ports import ConfigFile, ConfigLine, NodeLink, PhonePins
from control_plane.render.mailboxes import MAILBOX_FILES, name_in, place_of

SETTINGS_CATEGORIES = frozenset({"general", "zonemessages"})
"""Categories that hold settings wherever they stand; every other one is a context of mailboxes."""


class NoPins(PhonePins):
    """For a node whose spool is out of reach: PINs chosen by phone are learnt from events alone."""

    async def read_pins(self, names: Collection[str] | None = None) -> dict[str, str]:
        return {}

    async def remove_pins(self, names: Collection[str]) -> None:
        return


NO_PINS = NoPins()


@dataclass(frozen=True, slots=True)
class HeldMailboxes:
    """The files as read, name -> the text after `=>`, and name -> PIN in the spool. Secrets.

    A mailbox written twice has its values on lines of their own, which equals nothing that is ever rendered,
    so it is found and both lines are replaced. A PIN without a mailbox stands alone, and goes too.
    """

    files: Mapping[str, ConfigFile] = field(repr=False)
    lines: Mapping[str, str] = field(repr=False)
    pins: Mapping[str, str] = field(repr=False)

    def values(self) -> dict[str, str]:
        """What is in force, or would be after a reload."""
        found = dict(self.lines)
        for name, pin in self.pins.items():
            line = self.lines.get(name)
            found[name] = pin if line is None else with_pin(line, pin)
        return found


async def read_mailboxes(
    link: NodeLink, pins: PhonePins, names: Collection[str] | None = None
) -> HeldMailboxes:
    """All mailboxes, or those named and what else is in their files.

    Raises:
        AsteriskError
    """
    files = MAILBOX_FILES if names is None else sorted({place_of(name).file for name in names})
    chosen, contents = await asyncio.gather(
        pins.read_pins(names), asyncio.gather(*(link.read_config(file) for file in files))
    )
    found: dict[str, ConfigFile] = {
        file: content or {} for file, content in zip(files, contents, strict=True)
    }
    return HeldMailboxes(found, _lines(found), chosen)


def _lines(files: Mapping[str, ConfigFile]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file, content in files.items():
        for category, lines in content.items():
            if category in SETTINGS_CATEGORIES:
                continue
            for line in lines:
                name = name_in(file, category, line.name)
                found[name] = f"{found[name]}\n{line.value}" if name in found else line.value
    return found


async def edit_file(link: NodeLink, held: HeldMailboxes, wanted: Mapping[str, str | None]) -> None:
    """Replace mailboxes of one file, all or none; `held` was read just now, and nobody else writes the file.

    Raises:
        AsteriskError
    """
    edits = _edits(held, wanted)
    if not edits:
        return  # only a PIN was left of them
    file = place_of(next(iter(wanted))).file
    if len(edits) == 1:
        ((category, (delete, append)),) = edits.items()
        await link.edit_config(file, category, delete=delete, append=append)
        return
    # Each edit writes the whole file, so many of them are more work than one whole writing.
    content = {category: list(lines) for category, lines in held.files.get(file, {}).items()}
    for category, (delete, append) in edits.items():
        unwanted = set(delete)
        kept = [line for line in content.get(category, []) if line not in unwanted]
        content[category] = kept + append
    await link.write_config(file, content)


def _edits(
    held: HeldMailboxes, wanted: Mapping[str, str | None]
) -> dict[str, tuple[list[ConfigLine], list[ConfigLine]]]:
    """Category -> lines to delete, and lines to append."""
    found: dict[str, tuple[list[ConfigLine], list[ConfigLine]]] = {}
    for name, after in wanted.items():
        before = held.lines.get(name)
        if before is None and after is None:
            continue
        place = place_of(name)
        delete, append = found.setdefault(place.context, ([], []))
        if before is not None:
            delete.extend(ConfigLine(place.mailbox, line) for line in before.split("\n"))
        if after is not None:
            append.append(ConfigLine(place.mailbox, after))
    return found
