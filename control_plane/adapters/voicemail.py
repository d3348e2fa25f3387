"""Voicemail in Asterisk's spool: <root>/voicemail/<context>/<mailbox>, one directory a mailbox.

Messages are <folder>/msgNNNN.{txt,wav}, a PIN chosen by phone is secret.conf. Nothing is written; what is
removed goes for good. The directory belongs to Asterisk, so nothing in it is trusted: names are checked,
links are not followed, sizes are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from control_plane.domain.entities import KEY_PATTERN, SLUG_PATTERN
from control_plane.ports import PhonePins, Recording, Recordings, VoicemailBoxes

logger = logging.getLogger(__name__)

FOLDERS = ("INBOX", "Urgent", "Old")
"""Where a new message is, or has gone when somebody listened before the mail was made."""
MAX_MESSAGES = 1000  # app_voicemail's own limit is 9999; maxmsg is 100
MAX_WAV_BYTES = 4_000_000  # a minute of 8 kHz, 16 bit is 960 044
MAX_TXT_BYTES = 8_192
NEAR_S = 90
"""How far the end of a message may be from the call's end: the greeting is over, only saving it remains."""

PIN_FILE = "secret.conf"
MAX_PIN_FILE_BYTES = 4_096

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PIN = re.compile(r"^\s*password\s*=>?\s*(.*?)\s*$", re.MULTILINE)
_DIGITS = re.compile(r"[0-9]{0,32}")
_FIELD = re.compile(r"^(origtime|duration|callerid)=(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Message:
    txt: Path
    origtime: int
    duration_s: int
    callerid: str


class VoicemailSpool(Recordings, PhonePins, VoicemailBoxes):
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

    async def read_pins(self, names: Collection[str] | None = None) -> dict[str, str]:
        """The PINs; see the port. One that is not digits is there as "", so that it is seen and replaced."""
        return await asyncio.to_thread(self._read_pins, names)

    async def remove_pins(self, names: Collection[str]) -> None:
        """Delete the PINs; see the port."""
        if names:
            await asyncio.to_thread(self._remove_pins, names)

    async def erase(self, name: str) -> bool:
        """Remove a mailbox with all it holds; see the port."""
        return await asyncio.to_thread(self._erase, name)

    def _erase(self, name: str) -> bool:
        context, _, mailbox = name.partition("/")
        if not re.fullmatch(SLUG_PATTERN, context) or not re.fullmatch(KEY_PATTERN, mailbox):
            return False
        try:
            outer = os.open(self._root / context, _DIRECTORY)
        except FileNotFoundError:
            return True  # nobody of this organisation ever left a message
        except OSError as exc:
            logger.warning("The mailboxes of %s cannot be opened: %s", context, exc.strerror)
            return False
        try:
            return _removed(mailbox, outer)
        finally:
            os.close(outer)

    def _read_pins(self, names: Collection[str] | None) -> dict[str, str]:
        if names is None:
            return dict(self._all_pins())
        found: dict[str, str] = {}
        for name in names:
            with suppress(OSError), self._box(name) as box:
                pin = _pin_in(PIN_FILE, box)
                if pin is not None:
                    found[name] = pin
        return found

    def _all_pins(self) -> Iterator[tuple[str, str]]:
        """One attempt to open for each mailbox that has a directory: 10 000 of them in 0.1 s."""
        for context in _directories(self._root, SLUG_PATTERN):
            outer = os.open(self._root / context, _DIRECTORY)
            try:
                for mailbox in _directories(self._root / context, KEY_PATTERN):
                    pin = _pin_in(f"{mailbox}/{PIN_FILE}", outer)
                    if pin is not None:
                        yield f"{context}/{mailbox}", pin
            finally:
                os.close(outer)

    def _remove_pins(self, names: Collection[str]) -> None:
        for name in names:
            try:
                with self._box(name) as box:
                    os.unlink(PIN_FILE, dir_fd=box)
            except FileNotFoundError:
                continue
            except OSError as exc:
                logger.warning(
                    "The PIN chosen by phone of mailbox %s cannot be removed: %s", name, exc.strerror
                )

    @contextmanager
    def _box(self, name: str) -> Iterator[int]:
        """The directory of a mailbox, opened without following a link below the root."""
        context, _, mailbox = name.partition("/")
        if not re.fullmatch(SLUG_PATTERN, context) or not re.fullmatch(KEY_PATTERN, mailbox):
            raise FileNotFoundError
        outer = os.open(self._root / context, _DIRECTORY)
        try:
            inner = os.open(mailbox, _DIRECTORY, dir_fd=outer)
        finally:
            os.close(outer)
        try:
            yield inner
        finally:
            os.close(inner)

    def _find(self, box: Path, stem: str, caller: str, ended: float) -> Recording | None:
        near = [m for m in _messages(box) if abs(m.origtime + m.duration_s - ended) <= NEAR_S]
        if not near:
            return None

        def unlikeness(message: _Message) -> tuple[bool, bool, float]:
            named = message.txt.stem == stem
            called = _digits(caller) != "" and _digits(caller) in _digits(message.callerid)
            # The caller comes first: he stays who he was, while messages are renumbered when others go.
            return (not called, not named, abs(message.origtime + message.duration_s - ended))

        best = min(near, key=unlikeness)
        wav = _read(best.txt.with_suffix(".wav"), MAX_WAV_BYTES)
        return Recording(wav, best.duration_s) if wav else None


def _removed(name: str, directory: int) -> bool:
    """Remove `name` below an open directory, whatever it is, without following a link; whether it is gone."""
    try:
        # Python walks by descriptors here, so that a directory swapped for a link is not walked into.
        shutil.rmtree(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError:
        try:
            os.unlink(name, dir_fd=directory)  # a link, or a file where a directory should be
        except OSError as exc:
            logger.warning("Mailbox %s cannot be erased: %s", name, exc.strerror)
            return False
    return True


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


def _directories(path: Path, pattern: str) -> list[str]:
    """Names of the directories in `path` that match, links left out; none when it cannot be read."""
    named = re.compile(pattern)
    try:
        with os.scandir(path) as entries:
            return [e.name for e in entries if named.fullmatch(e.name) and e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []  # nobody has left a message or a PIN yet
    except OSError as exc:
        logger.warning("%s cannot be read: %s", path, exc.strerror)
        return []


def _pin_in(path: str, directory: int) -> str | None:
    text = _read(path, MAX_PIN_FILE_BYTES, directory=directory)
    found = _PIN.search(text.decode("utf-8", "replace")) if text is not None else None
    if found is None:
        return None
    return found[1] if _DIGITS.fullmatch(found[1]) else ""


def _read(path: Path | str, limit: int, *, directory: int | None = None) -> bytes | None:
    """The file's content; None when it is not there, not a plain file of its own, or too big."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    return content if len(content) <= limit else None


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
