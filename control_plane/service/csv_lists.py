"""Lists as CSV: their lines within limits, what became of each, and how a cell may be shown."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Generic, Protocol, TypeVar

from control_plane.errors import InvalidField

IMPORT_LINES_MAX = 10_000
IMPORT_CHARACTERS_MAX = 1_500_000
_SHOWN_MAX = 40


class LineOutcome(StrEnum):
    """What becomes of one line of an import."""

    ADDED = "added"
    PRESENT = "present"  # it is there already, as the line says: nothing to do
    REFUSED = "refused"


class HasOutcome(Protocol):
    """One line of a report."""

    @property
    def outcome(self) -> LineOutcome:
        """What became of it."""
        ...


L = TypeVar("L", bound=HasOutcome, covariant=True)


@dataclass(frozen=True, slots=True)
class ImportReport(Generic[L]):
    """What an import did, or would do; `applied`: whether anything was written."""

    lines: tuple[L, ...]
    applied: bool = False

    def count(self, outcome: LineOutcome) -> int:
        """How many lines ended so."""
        return sum(line.outcome is outcome for line in self.lines)


@dataclass(frozen=True, slots=True)
class CsvList:
    """A list: its heading, if it has one, and (line, cells) of each line that has any."""

    heading: tuple[str, ...] | None
    rows: tuple[tuple[int, list[str]], ...]


def csv_list(text: str, headings: Collection[str]) -> CsvList:
    """`text` as a list; its first line is a heading when its first cell is one of `headings`.

    Raises: InvalidField (it is no CSV, or too long).
    """
    rows = tuple(_rows(text))
    heading = None
    if rows and rows[0][1][0].lower() in headings:
        heading, rows = tuple(cell.lower() for cell in rows[0][1]), rows[1:]
    if len(rows) > IMPORT_LINES_MAX:
        raise InvalidField("csv", f"must have at most {IMPORT_LINES_MAX} lines: split the list")
    return CsvList(heading, rows)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line ends may be of any system."""
    if len(text) > IMPORT_CHARACTERS_MAX:
        raise InvalidField("csv", f"must have at most {IMPORT_CHARACTERS_MAX} characters: split the list")
    if "\0" in text:
        raise InvalidField("csv", "is not text: it has NUL characters")
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(StringIO(plain), strict=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as exc:
        raise InvalidField("csv", f"line {reader.line_num} is not CSV: {exc}") from None


def shown(cell: str) -> str:
    """What stands in a cell, cut, and safe for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in cell)[:_SHOWN_MAX]
