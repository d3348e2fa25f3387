"""What one Asterisk holds of what this program owns: read from it, kept as a mirror, compared.

Rows are kept by their AstDB name and not by artefact key: at 10 000 extensions an audit compares 60 000 of
them, and comparing two dictionaries of plain strings takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from control_plane.apply.mailboxes import NO_PINS, read_mailboxes
from control_plane.ports import ConfigLine, NodeLink, PhonePins
from control_plane.render.artefacts import LENT_ROWS, OWNED_ROWS, ArtefactKey, Holder

ConfigContent = dict[str, list[ConfigLine]]


@dataclass(slots=True)
class Holdings:
    """Values by artefact, grouped by where they live. Mutable: it follows one node."""

    by_holder: dict[Holder, dict[str, str]] = field(default_factory=lambda: {holder: {} for holder in Holder})

    @property
    def rows(self) -> dict[str, str]:
        return self.by_holder[Holder.ROW]

    @property
    def mailboxes(self) -> dict[str, str]:
        return self.by_holder[Holder.MAILBOX]

    @property
    def files(self) -> dict[str, str]:
        return self.by_holder[Holder.FILE]

    def get(self, key: ArtefactKey) -> str | None:
        return self.by_holder[key.holder].get(key.name)

    def set(self, key: ArtefactKey, value: str | None) -> None:
        """Hold `value`; None holds nothing."""
        if value is None:
            self.by_holder[key.holder].pop(key.name, None)
        else:
            self.by_holder[key.holder][key.name] = value

    def adopt(self, other: Holdings) -> Holdings:
        """A copy of `other` that shares its texts with this one, as far as they are equal."""
        return Holdings({h: _shared(values, other.by_holder[h]) for h, values in self.by_holder.items()})

    def keys(self) -> Iterator[ArtefactKey]:
        for holder, values in self.by_holder.items():
            for name in values:
                yield ArtefactKey(holder, name)

    def differing(self, other: Holdings) -> Iterator[ArtefactKey]:
        """The keys whose values are not the same in both."""
        for holder, values in self.by_holder.items():
            others = other.by_holder[holder]
            if values == others:
                continue
            if not others:  # an empty node
                yield from [ArtefactKey(holder, name) for name in values]
                continue
            for name in values.keys() | others.keys():
                if values.get(name) != others.get(name):
                    yield ArtefactKey(holder, name)


def _shared(texts: dict[str, str], values: dict[str, str]) -> dict[str, str]:
    if texts == values:
        return dict(texts)
    return {
        name: text if (text := texts.get(name)) is not None and text == value else value
        for name, value in values.items()
    }


async def read_holdings(link: NodeLink, files: Iterable[str], pins: PhonePins = NO_PINS) -> Holdings:
    """Everything owned that Asterisk holds now.

    Raises:
        AsteriskError
    """
    held = Holdings()
    for family in OWNED_ROWS:
        rows = await link.read_rows(family)
        if any(lent.startswith(f"{family}/") for lent in LENT_ROWS):
            rows = {name: value for name, value in rows.items() if not name.startswith(LENT_ROWS)}
        held.rows.update(rows)
    held.mailboxes.update((await read_mailboxes(link, pins)).values())
    for name in sorted(files):
        content = await link.read_config(name)
        if content:  # a file cannot be deleted over AMI: an empty one counts as none
            held.files[name] = text_of(content)
    return held


def text_of(content: Mapping[str, Iterable[ConfigLine]]) -> str:
    """Canonical text of a configuration file: equal for files that mean the same."""
    parts = []
    for category, lines in content.items():
        parts.append(f"[{category}]\n")
        parts.extend(f"{line.name} => {line.value}\n" for line in lines)
    return "".join(parts)


def content_of(text: str) -> ConfigContent:
    """The categories and lines of an include-free file.

    Raises:
        ValueError: a line belongs to no category or is no `name => value`.
    """
    content: ConfigContent = {}
    lines: list[ConfigLine] | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(";"):
            continue
        if line.startswith("[") and line.endswith("]"):
            lines = content.setdefault(line[1:-1], [])
            continue
        name, equals, value = line.partition("=")
        if lines is None or not equals:
            raise ValueError(f"line {number} is neither a category nor `name => value`")
        lines.append(ConfigLine(name.strip(), value.removeprefix(">").strip()))
    return content
