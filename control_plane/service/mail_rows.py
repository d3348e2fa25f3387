"""The rows of one node's outbox in AstDB: mails that wait, and mails that were given up, as letters with why.

A letter is `outbox-failed/<id>` = `<row>|<tries>|<epoch>|<reason>`: the row as it was, so that it can be put
back. What only has row and reason, as earlier versions wrote it, is read too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from control_plane.errors import Conflict, RenderError
from control_plane.ports import NodeLink
from control_plane.service.notice import OUTBOX

DEAD = "outbox-failed"
MAX_DEAD = 500
ROW_BYTES = 600
REASON_BYTES = 250
"""With the row, well under the 1 000 bytes of a value in AstDB."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notice that was given up: its row, why, after how many tries, and when (None: not known)."""

    id: str
    row: str
    reason: str
    tries: int | None
    at: datetime | None


class MailRows:
    """Waiting mails and dead letters of one node. Everything raises AsteriskError."""

    def __init__(self, link: NodeLink) -> None:
        self._link = link

    async def waiting(self) -> dict[str, str]:
        """Key (`outbox/<id>`) -> row."""
        return await self._link.read_rows(OUTBOX)

    async def dead(self) -> tuple[DeadLetter, ...]:
        """What was given up, by id."""
        rows = await self._link.read_rows(DEAD)
        return tuple(_letter(key, value) for key, value in sorted(rows.items()))

    async def remove(self, key: str) -> None:
        """Remove a waiting mail."""
        await self._link.delete_rows([key])

    async def bury(self, key: str, row: str, tries: int, at: datetime, reason: str) -> None:
        """Turn a waiting mail into a dead letter: first the letter, then the row goes."""
        value = f"{_cut(row, ROW_BYTES)}|{tries}|{int(at.timestamp())}|{short_reason(reason)}"
        await self._link.put_rows([(f"{DEAD}/{key.removeprefix(f'{OUTBOX}/')}", value)])
        await self._link.delete_rows([key])

    async def put_back(self, letter: DeadLetter) -> None:
        """Let a dead letter wait again: first the row, then the letter goes.

        Raises: Conflict: AMI cannot carry its key or row, which our dialplan did not write then.
        """
        try:
            await self._link.put_rows([(f"{OUTBOX}/{letter.id}", letter.row)])
            await self._link.delete_rows([f"{DEAD}/{letter.id}"])
        except RenderError as exc:
            raise Conflict(f"Mail {letter.id!r} cannot be put back: {exc}.") from exc

    async def discard(self, id: str) -> None:
        """Remove a mail, waiting or given up. Raises: Conflict: AMI cannot carry its key."""
        try:
            await self._link.delete_rows([f"{OUTBOX}/{id}", f"{DEAD}/{id}"])
        except RenderError as exc:
            raise Conflict(f"Mail {id!r} cannot be removed: {exc}.") from exc

    async def bound(self) -> int:
        """Forget the oldest letters beyond MAX_DEAD; how many are left."""
        dead = await self._link.read_rows(DEAD)
        # Ids are Asterisk's unique ids: they sort by time.
        excess = sorted(dead)[: max(0, len(dead) - MAX_DEAD)]
        if excess:
            await self._link.delete_rows(excess)
        return len(dead) - len(excess)


def short_reason(reason: str) -> str:
    """`reason` as a letter keeps it."""
    return _cut(reason, REASON_BYTES)


def _letter(key: str, value: str) -> DeadLetter:
    id = key.removeprefix(f"{DEAD}/")
    match value.split("|"):
        case [row, tries, at, reason] if _is_count(tries) and _is_count(at):
            return DeadLetter(id, row, reason, int(tries), datetime.fromtimestamp(int(at), UTC))
        case _:
            row, _, reason = value.rpartition("|")
            return DeadLetter(id, row, reason, None, None)


def _is_count(text: str) -> bool:
    """Whether it is a number that is also a time; AstDB may hold anything."""
    return text.isascii() and text.isdecimal() and len(text) <= 11


def _cut(text: str, size_bytes: int) -> str:
    plain = "".join(c if c.isprintable() and c != "|" else " " for c in text)
    return plain.encode()[:size_bytes].decode("utf-8", "ignore").strip()
