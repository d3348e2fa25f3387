"""What app_voicemail keeps on the disk of a node."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Recording:
    """A voicemail message: a whole WAV file, and how long it lasts in seconds."""

    wav: bytes
    duration_s: int


class Recordings(Protocol):
    """Reads voicemail messages from where Asterisk keeps them."""

    async def read(
        self, org: str, mailbox: str, *, stem: str, caller: str, ended: datetime
    ) -> Recording | None:
        """The message a caller left in a mailbox, or None when it is not (or not yet, or no longer) there.

        Args:
            stem: its file name without suffix ("msg0003"); empty when unknown. Messages are renumbered when
                one is deleted, so a stem alone is a hint.
            caller: number or extension of the caller; prefers a message over others of the same time.
            ended: when the recording ended.
        """
        ...


class PhonePins(Protocol):
    """Voicemail PINs that their owners chose by phone, where Asterisk keeps them; secrets.

    They win over the PIN in the mailbox's line, so one that the model replaces has to go.
    """

    async def read_pins(self, names: Collection[str] | None = None) -> dict[str, str]:
        """ "context/mailbox" -> PIN, of all mailboxes or of those named; without those that have none."""
        ...

    async def remove_pins(self, names: Collection[str]) -> None:
        """Forget the PINs of these mailboxes; those that have none are no error. Read back to be sure."""
        ...


class VoicemailBoxes(Protocol):
    """Mailboxes as directories of the spool: messages, greetings, names, PINs; whoever may read them reads
    all of it."""

    async def erase(self, name: str) -> bool:
        """Remove everything of the mailbox "context/mailbox" for good; whether nothing of it is left.

        Idempotent: True when there was nothing. Nothing outside the mailbox's own directory is touched,
        whatever the name or a link in the spool says.
        """
        ...
