"""The clock, mail, and the hashing of passwords."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, injectable."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to send; `attachments` are (file name, MIME type, bytes).

    `message_id` is the part before the @ of the Message-ID, the same for every attempt to send one thing, so
    that a mailbox can drop a second copy. Empty: a new one each time.
    """

    to: tuple[str, ...]
    subject: str
    text: str
    attachments: tuple[tuple[str, str, bytes], ...] = ()
    message_id: str = ""


class Mailer(Protocol):
    """Sends mail; raises MailNotSent (retry) or MailRefused (never) from errors."""

    async def send(self, mail: Mail) -> None: ...


class Passwords(Protocol):
    """Hashes and checks passwords, slowly on purpose and never on the event loop.

    Raises TooMany when so many are being checked that another would wait for long.
    """

    async def hashed(self, password: str) -> str: ...

    async def matches(self, password_hash: str, password: str) -> bool:
        """Whether `password` is the one hashed; with an empty hash False, after the same work."""
        ...
