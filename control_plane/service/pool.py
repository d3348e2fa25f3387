"""Use cases for the pool of a site: ranges of provisioned numbers, and lists from the carrier (R3, R14)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from io import StringIO

from control_plane.domain.entities import PhoneNumber, Site
from control_plane.domain.model import Model
from control_plane.domain.regions import is_e164, tidy
from control_plane.errors import InvalidField
from control_plane.ports import Store
from control_plane.service.allocation import number_range
from control_plane.service.provisioning import provisioning_problem
from control_plane.service.rules import require_site
from control_plane.service.writing import By

IMPORT_LINES_MAX = 10_000
IMPORT_CHARACTERS_MAX = 1_500_000
HEADINGS = frozenset({"number", "e164"})
_SHOWN_MAX = 40


class LineOutcome(StrEnum):
    """What becomes of one line of an import."""

    ADDED = "added"
    PRESENT = "present"  # in the pool of this site already: nothing to do
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line of a list: where it is, what stands there (cut, safe to show), and what becomes of it."""

    line: int
    text: str
    outcome: LineOutcome
    number: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did, or would do; `applied`: whether anything was written."""

    lines: tuple[ImportLine, ...]
    applied: bool = False

    def count(self, outcome: LineOutcome) -> int:
        """How many lines ended so."""
        return sum(line.outcome is outcome for line in self.lines)


async def add_range(store: Store, by: By, site_id: str, first: str, last: str) -> tuple[PhoneNumber, ...]:
    """Put every number from `first` to `last` into the pool of a site, or none.

    Raises: UnknownEntity, InvalidField naming the first number that cannot be added.
    """
    for field, value in (("first", first), ("last", last)):
        if not is_e164(tidy(value)):
            raise InvalidField(field, "must be an E.164 number: +, country code and number, 7 to 15 digits")
    async with store.transaction(by.actor) as tx:
        site, model = require_site(tx.model, site_id), tx.model
        numbers = number_range(tidy(first), tidy(last))
        for e164 in numbers:
            problem = _problem(model, site, e164)
            if problem is not None:
                raise InvalidField("first", f"{problem}; nothing was added")
        made = tuple(PhoneNumber(e164=e164, site=site_id) for e164 in numbers)
        for number in made:
            tx.put(number)
    return made


def _problem(model: Model, site: Site, e164: str) -> str | None:
    if e164 in model.numbers:
        return f"{e164} is in the pool of site {model.numbers[e164].site} already"
    return provisioning_problem(e164, site.numbering)


async def import_numbers(
    store: Store, by: By, site_id: str, text: str, *, dry_run: bool, partial: bool = False
) -> ImportReport:
    """Put the numbers of a list into the pool of a site, with a report for each line.

    `text` is CSV with the number in the first column, E.164 or as written in the site's country; a heading
    ("number") is optional. With a refused line nothing is written, unless `partial` asks for the others.
    Raises: UnknownEntity, InvalidField (the text is no such list).
    """
    rows = tuple(_rows(text))
    async with store.transaction(by.actor) as tx:
        report = _report(tx.model, require_site(tx.model, site_id), rows)
        if dry_run or (report.count(LineOutcome.REFUSED) and not partial):
            return report
        for line in report.lines:
            if line.outcome is LineOutcome.ADDED and line.number is not None:
                tx.put(PhoneNumber(e164=line.number, site=site_id))
    return replace(report, applied=True)


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each line that has any; line ends may be of any system."""
    if len(text) > IMPORT_CHARACTERS_MAX:
        raise InvalidField("csv", f"must have at most {IMPORT_CHARACTERS_MAX} characters: split the list")
    if "\0" in text:
        raise InvalidField("csv", "is not text: it has NUL characters")
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    reader = csv.reader(StringIO(plain), strict=True)
    seen = 0
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if not any(stripped) or (seen == 0 and stripped[0].lower() in HEADINGS):
                continue
            seen += 1
            if seen > IMPORT_LINES_MAX:
                raise InvalidField("csv", f"must have at most {IMPORT_LINES_MAX} lines: split the list")
            yield reader.line_num, stripped
    except csv.Error as exc:
        raise InvalidField("csv", f"line {reader.line_num} is not CSV: {exc}") from None


def _report(model: Model, site: Site, rows: Iterable[tuple[int, list[str]]]) -> ImportReport:
    first_on: dict[str, int] = {}
    return ImportReport(tuple(_line(model, site, line, cells, first_on) for line, cells in rows))


def _line(model: Model, site: Site, line: int, cells: list[str], first_on: dict[str, int]) -> ImportLine:
    shown = "".join(c if c.isprintable() else "?" for c in cells[0])[:_SHOWN_MAX]
    refused = ImportLine(line, shown, LineOutcome.REFUSED)
    if any(cells[1:]):
        return replace(refused, why="has more than one column: only numbers are read")
    e164 = site.numbering.normalise(tidy(cells[0]))
    if not is_e164(e164):
        return replace(refused, why="is no telephone number: write +, country code and number")
    if e164 in first_on:
        return replace(refused, number=e164, why=f"stands on line {first_on[e164]} already")
    first_on[e164] = line
    held = model.numbers.get(e164)
    if held is not None and held.site == site.id:
        return ImportLine(line, shown, LineOutcome.PRESENT, e164)
    problem = _problem(model, site, e164)
    if problem is not None:
        return replace(refused, number=e164, why=problem)
    return ImportLine(line, shown, LineOutcome.ADDED, e164)
