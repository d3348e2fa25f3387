"""Use cases for the pool of a site: ranges of provisioned numbers, and lists from the carrier (R3, R14)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from control_plane.domain.entities import PhoneNumber, Site
from control_plane.domain.model import Model
from control_plane.domain.regions import is_e164, tidy
from control_plane.errors import InvalidField
from control_plane.ports import Store
from control_plane.service.allocation import number_range
from control_plane.service.csv_lists import ImportReport, LineOutcome, csv_list, shown
from control_plane.service.provisioning import provisioning_problem
from control_plane.service.rules import require_site
from control_plane.service.writing import By

HEADINGS = frozenset({"number", "e164"})


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One line of a list: where it is, what stands there (cut, safe to show), and what becomes of it."""

    line: int
    text: str
    outcome: LineOutcome
    number: str | None = None
    why: str | None = None


NumberReport = ImportReport[ImportLine]


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
) -> NumberReport:
    """Put the numbers of a list into the pool of a site, with a report for each line.

    `text` is CSV with the number in the first column, E.164 or as written in the site's country; a heading
    ("number") is optional. With a refused line nothing is written, unless `partial` asks for the others.
    Raises: UnknownEntity, InvalidField (the text is no such list).
    """
    rows = csv_list(text, HEADINGS).rows
    async with store.transaction(by.actor) as tx:
        report = _report(tx.model, require_site(tx.model, site_id), rows)
        if dry_run or (report.count(LineOutcome.REFUSED) and not partial):
            return report
        for line in report.lines:
            if line.outcome is LineOutcome.ADDED and line.number is not None:
                tx.put(PhoneNumber(e164=line.number, site=site_id))
    return replace(report, applied=True)


def _report(model: Model, site: Site, rows: Iterable[tuple[int, list[str]]]) -> NumberReport:
    first_on: dict[str, int] = {}
    return ImportReport(tuple(_line(model, site, line, cells, first_on) for line, cells in rows))


def _line(model: Model, site: Site, line: int, cells: list[str], first_on: dict[str, int]) -> ImportLine:
    text = shown(cells[0])
    refused = ImportLine(line, text, LineOutcome.REFUSED)
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
        return ImportLine(line, text, LineOutcome.PRESENT, e164)
    problem = _problem(model, site, e164)
    if problem is not None:
        return replace(refused, number=e164, why=problem)
    return ImportLine(line, text, LineOutcome.ADDED, e164)
