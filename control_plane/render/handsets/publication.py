"""What the published store holds of one handset, or of all: as one text that can be compared and told.

The text is JSON with sorted names, packed, so equal meaning is equal text; the adapter makes rows of it and
reads them back into the same text.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from control_plane.domain.handsets import SECRET_MIN
from control_plane.render.handsets.setup import HandsetFile
from control_plane.render.packed import pack, unpack

COMMON = "common/"
"""Before the name of a file that is the same for every handset; a handset's own is called by its MAC."""
FIRST = 1
"""The sequence number of a handset's first publication."""
MASK = "***"
SECRET_COLUMNS = frozenset(
    {"token", "token_previous", "ha1", "ha1_previous", "ha1_sha256", "ha1_sha256_previous", "window_id"}
)
_SECRET_RUN = re.compile(rf"[A-Za-z0-9]{{{SECRET_MIN},}}")
"""Every secret of a handset has at least this length (domain/handsets.py)."""
_PIN = re.compile(r"""(BS_CUSTOM\.aucKdsPin\[0\]" [^<>]*?value=")[^"]*""")
"""But for one, that a Gigaset N510 takes four digits of; told by its name."""

_BOOTSTRAP = "bootstrap "

Value = str | int | None


@dataclass(frozen=True, slots=True)
class Publication:
    """One device's row without its MAC, and its files; `device` is empty for a common file."""

    device: Mapping[str, Value] = field(repr=False)
    files: tuple[HandsetFile, ...] = field(repr=False)

    def text(self) -> str:
        """The one text of this publication."""
        files = {slot(file): _file_as_json(file) for file in self.files}
        whole = {"device": dict(self.device), "files": files}
        return pack(json.dumps(whole, sort_keys=True, ensure_ascii=False))


def slot(file: HandsetFile) -> str:
    """What names a file among those of one handset: its bootstrap may be called as its configuration is."""
    return f"{_BOOTSTRAP if file.bootstrap else ''}{file.name.lower()}"


def publication_of(text: str) -> Publication:
    """The inverse of `Publication.text`.

    Raises:
        ValueError: it is no such text.
    """
    parsed = json.loads(unpack(text))
    return Publication(
        parsed["device"], tuple(_file_of(name, found) for name, found in parsed["files"].items())
    )


def sequence_in(text: str) -> int:
    """The number of a published text among those of its handset; that of the first where it has none."""
    try:
        return int(publication_of(text).device.get("sequence") or FIRST)
    except (ValueError, KeyError, TypeError, AttributeError):
        return FIRST


def _file_as_json(file: HandsetFile) -> dict[str, object]:
    found: dict[str, object] = {"type": file.content_type, "secret": file.secret}
    try:
        return found | {"text": file.content.decode()}
    except UnicodeDecodeError:
        return found | {"base64": base64.b64encode(file.content).decode()}


def _file_of(name: str, found: Mapping[str, str | bool]) -> HandsetFile:
    text = found.get("text")
    content = base64.b64decode(str(found["base64"])) if text is None else str(text).encode()
    return HandsetFile(
        name.removeprefix(_BOOTSTRAP),
        content,
        str(found["type"]),
        secret=bool(found["secret"]),
        bootstrap=name.startswith(_BOOTSTRAP),
    )


def etag(content: bytes) -> str:
    """The digest that names a file's content."""
    return hashlib.sha256(content).hexdigest()[:32]


def version_of(files: Iterable[HandsetFile]) -> str:
    """The digest over a device's settings: another one means that the handset should fetch now.

    Settings are the files with credentials. Directories are fetched when somebody opens them, so a renamed
    colleague makes no handset of the organisation fetch.
    """
    running = hashlib.sha256()
    for name, content in sorted((slot(file), file.content) for file in files if file.secret):
        running.update(f"{name}\0{etag(content)}\n".encode())
    return running.hexdigest()[:32]


def masked(text: str) -> str:
    """`text` of a handset's file for a person: whatever could be a secret is gone."""
    return _SECRET_RUN.sub(MASK, _PIN.sub(rf"\g<1>{MASK}", text))


def shown(file: HandsetFile) -> str:
    """The content of a file for a person, secrets masked."""
    text = file.content.decode(errors="replace")
    return masked(text) if file.secret or file.bootstrap else text


def difference(before: str | None, after: str | None) -> Iterator[str]:
    """How two publications differ, line by line, for a person."""
    old, new = _parsed(before), _parsed(after)
    for name in sorted(old.device.keys() | new.device.keys()):
        if old.device.get(name) != new.device.get(name):
            yield f"{name}: {_column(name, old)} -> {_column(name, new)}"
    texts = [{slot(file): file for file in side.files} for side in (old, new)]
    for name in sorted(texts[0].keys() | texts[1].keys()):
        one, other = texts[0].get(name), texts[1].get(name)
        if one != other:
            yield from _file_difference(name, one, other)


def _parsed(text: str | None) -> Publication:
    try:
        return Publication({}, ()) if text is None else publication_of(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Publication({}, ())  # somebody wrote what no program of ours does; it is shown as absent


def _column(name: str, side: Publication) -> str:
    value = side.device.get(name)
    if value is None:
        return "(none)"
    return MASK if name in SECRET_COLUMNS else str(value)


def _file_difference(name: str, before: HandsetFile | None, after: HandsetFile | None) -> Iterator[str]:
    old, new = (_lines(file) for file in (before, after))
    hidden = any(file is not None and (file.secret or file.bootstrap) for file in (before, after))
    lines = list(difflib.unified_diff(old, new, f"{name} (published)", f"{name} (model)", lineterm="", n=1))
    for line in lines or [f"{name}: how it is served changes"]:
        yield masked(line) if hidden else line


def _lines(file: HandsetFile | None) -> list[str]:
    return [] if file is None else file.content.decode(errors="replace").splitlines()


def settings_in(text: str) -> tuple[str, frozenset[str]]:
    """Version of a published handset, and the names of the files that hold its settings."""
    found = publication_of(text)
    return str(found.device["version"]), frozenset(f.name.lower() for f in found.files if f.secret)


def files_changed(before: str | None, after: str | None) -> tuple[str, ...]:
    """The names of files that are not the same in both."""
    sides = [{slot(file): file.content for file in _parsed(side).files} for side in (before, after)]
    return tuple(
        name for name in sorted(sides[0].keys() | sides[1].keys()) if sides[0].get(name) != sides[1].get(name)
    )
