"""Mails that wait or were given up, as people are told of them: to whom and why not, never what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from control_plane.domain.model import Model
from control_plane.service.mail_rows import DeadLetter
from control_plane.service.notice import OUTBOX, BadRow, Notice, NoticeKind, parse_row, recipients

NOT_TAKEN: Final = "The mail was not taken; ask the operator if it stays like this."
_OWN_TROUBLE: Final = ": recipient refused: "
"""In a reason: what a server says of an address, and nothing about the server."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class MailState(StrEnum):
    """Whether a mail is still tried."""

    WAITING = "waiting"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """How mail about calls stands; `problem` is one sentence when something waits that should not."""

    configured: bool
    waiting: int
    sent: int
    failed: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class KeptMail:
    """A mail that is not sent.

    `kind`, `org`, `extension` and `at`, when what it is about happened, are None where its row cannot be
    read. `recipients` are those the model names now, whom another try goes to. `tries` counts those of this
    process while it waits. `error` is why the last try failed.
    """

    node: str
    id: str
    state: MailState
    kind: NoticeKind | None
    org: str | None
    extension: str | None
    at: datetime | None
    recipients: tuple[str, ...]
    tries: int | None
    error: str | None
    given_up_at: datetime | None = None
    next_try: datetime | None = None

    @property
    def order(self) -> tuple[bool, datetime, str]:
        """What is given up is greater than what waits, and in each what is newer."""
        return self.state is MailState.GIVEN_UP, self.given_up_at or self.at or _LONG_AGO, self.id


def waiting(
    node: str, key: str, row: str, model: Model, tries: int, error: str | None, next_try: datetime | None
) -> KeptMail:
    """A mail of the outbox; `key` is that of its row."""
    mail = _mail(node, key.removeprefix(f"{OUTBOX}/"), MailState.WAITING, row, model)
    return replace(mail, tries=tries, error=error, next_try=next_try)


def given_up(node: str, letter: DeadLetter, model: Model) -> KeptMail:
    """A mail that is not tried any more."""
    mail = _mail(node, letter.id, MailState.GIVEN_UP, letter.row, model)
    return replace(mail, tries=letter.tries, error=letter.reason or None, given_up_at=letter.at)


def _mail(node: str, id: str, state: MailState, row: str, model: Model) -> KeptMail:
    notice = _notice(row)
    if notice is None:
        return KeptMail(node, id, state, None, None, None, None, (), None, None)
    to = recipients(notice, model)
    return KeptMail(node, id, state, notice.kind, notice.org, notice.extension, notice.at, to, None, None)


def _notice(row: str) -> Notice | None:
    try:
        return parse_row("", row)
    except BadRow:
        return None


def is_of(org: str, row: str) -> bool:
    """Whether a row is about an extension of `org`."""
    notice = _notice(row)
    return notice is not None and notice.org == org


def as_told_to_tenant(mail: KeptMail) -> KeptMail:
    """Without what an error says of the operator's mail server."""
    if mail.error is None or _OWN_TROUBLE in mail.error:
        return mail
    return replace(mail, error=NOT_TAKEN)


def mail_as_dict(mail: KeptMail) -> dict[str, Any]:
    """A mail for JSON; times are ISO 8601 in UTC."""
    return {
        "node": mail.node,
        "id": mail.id,
        "state": mail.state.value,
        "kind": mail.kind.value if mail.kind is not None else None,
        "organisation": mail.org,
        "extension": mail.extension,
        "at": _time(mail.at),
        "recipients": list(mail.recipients),
        "tries": mail.tries,
        "error": mail.error,
        "given_up_at": _time(mail.given_up_at),
        "next_try": _time(mail.next_try),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
