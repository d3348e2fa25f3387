"""Rows of the outbox as values, and the mail each becomes. Pure.

The dialplan writes `outbox/<uniqueid>` = `<kind>,<org>,<extension>,<caller>,<epoch>,<detail>`. The caller is
whatever a stranger's phone claims to be, so nothing of a row reaches a mail unchecked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from zoneinfo import ZoneInfo

from control_plane.domain.entities import KEY_PATTERN, SLUG_PATTERN
from control_plane.domain.extension import Extension
from control_plane.domain.model import Model
from control_plane.ports import Mail, Recording

OUTBOX = "outbox"

_CALLER = re.compile(r"\+?[0-9A-Za-z*#._-]{1,40}")
_WITHHELD = frozenset({"", "anonymous", "restricted", "unavailable", "unknown"})  # RFC 3325, and no caller ID
_REASONS = {
    "busy": "busy",
    "no_answer": "nobody answered",
    "unavailable": "no phone was connected",
    "dnd": "do not disturb was on",
}


class NoticeKind(StrEnum):
    """R113 and R114."""

    MISSED = "missed"
    VOICEMAIL = "voicemail"


class BadRow(ValueError):
    """An outbox row that says nothing that could be sent; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that happened to an extension and that somebody wants to know.

    `caller` is "" when withheld or not a number or name that can be shown. `detail` is the reason of a missed
    call, or the file stem of a message ("" when unknown).
    """

    id: str
    kind: NoticeKind
    org: str
    extension: str
    caller: str
    at: datetime
    detail: str


def parse_row(key: str, value: str) -> Notice:
    """The notice in a row.

    Raises:
        BadRow: it is not one.
    """
    # A caller may contain commas: it is what is left between the three fields before and the two after it.
    head, tail = value.split(",", 3), value.rsplit(",", 2)
    if len(head) != 4 or len(tail) != 3 or value.count(",") < 5:
        raise BadRow("it must have six fields")
    kind, org, extension, rest = head
    caller = rest.rsplit(",", 2)[0]
    if kind not in set(NoticeKind):
        raise BadRow("its kind is neither missed nor voicemail")
    if not re.fullmatch(SLUG_PATTERN, org) or not re.fullmatch(KEY_PATTERN, extension):
        raise BadRow("it names no extension")
    return Notice(
        key.removeprefix(f"{OUTBOX}/"),
        NoticeKind(kind),
        org,
        extension,
        caller if _CALLER.fullmatch(caller) and caller.lower() not in _WITHHELD else "",
        _time(tail[1]),
        tail[2],
    )


def _time(epoch: str) -> datetime:
    try:
        if not epoch.isascii():
            raise ValueError
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise BadRow("its time is no Unix time") from None


def recipients(notice: Notice, model: Model) -> tuple[str, ...]:
    """Whom the extension's settings name (R116); nobody when the extension is gone."""
    extension = model.extensions.get((notice.org, notice.extension))
    return extension.no_answer.notify if extension is not None else ()


def compose(notice: Notice, model: Model, to: str, recording: Recording | None, message_id: str) -> Mail:
    """The mail about `notice` to one of its recipients, with times in the site's zone.

    Raises:
        KeyError: the extension is not in the model.
    """
    extension = model.extensions[notice.org, notice.extension]
    caller, callee = _caller(notice, model), _name(extension)
    what = "Missed call" if notice.kind is NoticeKind.MISSED else "Voicemail"
    lines = [f"{what} from {caller}", f"for {callee}", f"on {_local(notice, model, extension)}"]
    if notice.kind is NoticeKind.MISSED:
        lines.append(f"Reason: {_reason(notice.detail)}")
    elif recording is None:
        lines.append("The recording is no longer in the mailbox, so it is not attached.")
    else:
        lines.append(f"The recording of {_length(recording.duration_s)} is attached.")
    return Mail(
        to=(to,),
        subject=f"{what} from {caller} for {callee}",
        text="\n".join(lines) + "\n",
        attachments=((_file_name(notice), "audio/wav", recording.wav),) if recording is not None else (),
        message_id=message_id,
    )


def message_id(node: str, key: str) -> str:
    """The part before the @ of the Message-ID of what an outbox row of `node` becomes, the same each time."""
    plain = re.sub(r"[^A-Za-z0-9.-]", "", key.removeprefix(f"{OUTBOX}/"))[:40]
    # The digest tells apart what the cleaning made equal.
    return f"{plain}.{sha256(f'{node}/{key}'.encode()).hexdigest()[:16]}"


def _caller(notice: Notice, model: Model) -> str:
    if not notice.caller:
        return "a withheld number"
    colleague = model.extensions.get((notice.org, notice.caller))
    return _name(colleague) if colleague is not None else notice.caller


def _name(extension: Extension) -> str:
    return f"{extension.label} ({extension.key})" if extension.label else extension.key


def _local(notice: Notice, model: Model, extension: Extension) -> str:
    site = model.sites.get(extension.site)
    zone = site.time_zone if site is not None else "UTC"
    return f"{notice.at.astimezone(ZoneInfo(zone)):%A %d %B %Y, %H:%M:%S} ({zone})"


def _reason(detail: str) -> str:
    plain = detail if re.fullmatch(r"[a-z][a-z_ -]{0,39}", detail) else "no_answer"
    return _REASONS.get(plain, plain.replace("_", " "))


def _length(seconds: int) -> str:
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _file_name(notice: Notice) -> str:
    return f"voicemail-{notice.extension}-{notice.at:%Y%m%dT%H%M%SZ}.wav"
