"""Sending one notice to those who want it, each on their own: what was tried, who has it, who never will."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from control_plane.errors import MailNotSent, MailRefused
from control_plane.ports import Mail, Mailer


@dataclass(slots=True)
class Delivery:
    """What was tried for one row since this process started; `problem` is why the last try failed."""

    tries: int = 0
    due: datetime | None = None
    problem: str | None = None
    served: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    async def attempt(self, mailer: Mailer, mails: Iterable[Mail]) -> str | None:
        """Send each mail to its one recipient, where that is not settled; None when all are now.

        Else why it must be tried again.
        """
        self.tries += 1
        self.problem = None
        for mail in mails:
            (to,) = mail.to
            if to in self.served or to in self.refused:
                continue
            try:
                await mailer.send(mail)
            except MailRefused as exc:
                self.refused[to] = f"{to}: {exc}"
            except MailNotSent as exc:
                self.problem = str(exc)
            else:
                self.served.add(to)
        return self.problem
