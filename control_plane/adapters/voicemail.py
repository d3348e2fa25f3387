"""Voicemail messages in Asterisk's spool: <root>/voicemail/<context>/<mailbox>/<folder>/msgNNNN.{txt,wav}.

Read only. The directory belongs to Asterisk, so nothing in it is trusted: names are checked, links are not
followed, sizes are bounded.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from control_plane.domain.entities import KEY_PATTERN, SLUG_PATTERN
from control_plane.ports import Recording, Recordings

FOLDERS = ("INBOX", "Urgent", "Old")
"""Where a new message is, or has gone when somebody listened before the mail was made."""
MAX_MESSAGES = 1000  # app_voicemail's own limit is 9999; maxmsg is 100
MAX_WAV_BYTES = 4_000_000  # a minute of 8 kHz, 16 bit is 960 044
MAX_TXT_BYTES = 8_192
NEAR_S = 90
"""How far the end of a message may be from the call's end: the greeting is over, only saving it remains."""

_FIELD = re.compile(r"^(origtime|duration|callerid)=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Message:
    txt: Path
    origtime: int
    duration_s: int
    callerid: str


class VoicemailSpool(Recordings):
    """The spool of one node, mounted at `root` (the directory that Asterisk calls /var/spool/asterisk)."""

    def __init__(self, root: Path) -> None:
        self._root = root / "voicemail"

    async def read(
        self, org: str, mailbox: str, *, stem: str, caller: str, ended: datetime
    ) -> Recording | None:
        """The message; see the port. Files are read in a thread."""
        if not re.fullmatch(SLUG_PATTERN, org) or not re.fullmatch(KEY_PATTERN, mailbox):
            return None
        return await asyncio.to_thread(
            self._find, self._root / org / mailbox, stem, caller, ended.timestamp()
        )

    def _find(self, box: Path, stem: str, caller: str, ended: float) -> Recording | None:
        near = [m for m in _messages(box) if abs(m.origtime + m.duration_s - ended) <= NEAR_S]
        if not near:
            return None

        def unlikeness(message: _Message) -> tuple[bool, bool, float]:
            named = message.txt.stem == stem
            called = _digits(caller) != "" and _digits(caller) in _digits(message.callerid)
            return (not named, not called, abs(message.origtime + message.duration_s - ended))

        best = min(near, key=unlikeness)
        wav = _read(best.txt.with_suffix(".wav"), MAX_WAV_BYTES)
        return Recording(wav, best.duration_s) if wav else None


def _messages(box: Path) -> Iterator[_Message]:
    for folder in FOLDERS:
        try:
            found = sorted((box / folder).glob("msg[0-9][0-9][0-9][0-9].txt"))[:MAX_MESSAGES]
        except OSError:
            continue
        for txt in found:
            message = _parse(txt)
            if message is not None:
                yield message


def _parse(txt: Path) -> _Message | None:
    text = _read(txt, MAX_TXT_BYTES)
    if text is None:
        return None
    fields = dict(_FIELD.findall(text.decode("utf-8", "replace")))
    try:
        return _Message(
            txt, int(fields["origtime"]), int(fields.get("duration") or 0), fields.get("callerid", "")
        )
    except (KeyError, ValueError):
        return None  # still being written


def _read(path: Path, limit: int) -> bytes | None:
    """The file's content; None when it is not there, not a plain file of its own, or too big."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    return content if len(content) <= limit else None


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
