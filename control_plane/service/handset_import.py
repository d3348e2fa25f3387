"""Handsets from a list: one a line, with MAC, model, site, label and the extension that is logged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from control_plane.domain.entities import Site
from control_plane.domain.extension import Device, DeviceKind, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import Conflict, DomainError, InvalidField
from control_plane.ports import Store
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.family import CatalogueModel
from control_plane.service.csv_lists import ImportReport, LineOutcome, csv_list, shown
from control_plane.service.handset_making import free_phone_ids, known_model, new_handset, next_phone_id
from control_plane.service.handsets import Binding, device_for, require_can_log_in
from control_plane.service.neutral import first_neutral_line
from control_plane.service.rules import require_tenant
from control_plane.service.writing import By

COLUMNS = ("mac", "model", "site", "label", "extension")
"""The order of a list without a heading; a heading may put them in any order and leave the last two out."""
_NEEDED = frozenset(COLUMNS[:3])
_MOBILE = frozenset({"acrobits"})
"""Softphones for a mobile; the others are for a desktop (R76)."""


@dataclass(frozen=True, slots=True)
class HandsetLine:
    """One line of a list: what stands there (cut, safe to show), and what becomes of it.

    `mac` is that of the handset, where the line names one or one was made.
    """

    line: int
    text: str
    outcome: LineOutcome
    mac: str | None = None
    extension: str | None = None
    why: str | None = None


HandsetReport = ImportReport[HandsetLine]


def everywhere(_: Site) -> bool:
    """Of who sees every site."""
    return True


async def import_handsets(
    store: Store,
    by: By,
    org: str,
    text: str,
    *,
    dry_run: bool,
    partial: bool = False,
    sees: Callable[[Site], bool] = everywhere,
) -> HandsetReport:
    """Set up the handsets of a list for an organisation, with a report for each line.

    `text` is CSV with COLUMNS; a softphone has no MAC and must have its extension. A line never logs another
    handset out; a site that who asks does not see is none. With a refused line nothing is written, unless
    `partial` asks for the others.
    Raises: UnknownEntity, IllegalTransition, InvalidField (the text is no such list).
    """
    rows = tuple(_rows(text))
    async with store.transaction(by.actor) as tx:
        require_tenant(tx.model, org)
        listed = _Listed(tx.model, org, sees)
        report = ImportReport(tuple(listed.line(line, row) for line, row in rows))
        if dry_run or (report.count(LineOutcome.REFUSED) and not partial):
            return report
        for handset, device in listed.made:
            if device is not None:
                tx.put(device)
            tx.put(handset)
    return replace(report, applied=True)


_Row = dict[str, str]


def _rows(text: str) -> Iterator[tuple[int, _Row | None]]:
    """Each line by column; None for a line with more cells than there are columns."""
    found = csv_list(text, COLUMNS)
    columns: Sequence[str] = found.heading or COLUMNS
    if found.heading is not None:
        unknown = [name for name in columns if name not in COLUMNS]
        missing = _NEEDED - set(columns)
        if unknown or missing or len(set(columns)) != len(columns):
            raise InvalidField("csv", f"the heading must have the columns {', '.join(COLUMNS)}, each once")
    for line, cells in found.rows:
        if any(cells[len(columns) :]):
            yield line, None
        else:
            padded = [*cells, *[""] * len(columns)]
            yield line, dict.fromkeys(COLUMNS, "") | dict(zip(columns, padded, strict=False))


class _Listed:
    """The lines of one list so far, against the model as it was before: what each would make.

    `made` are the handsets of the good lines, with the devices they log in as.
    """

    def __init__(self, model: Model, org: str, sees: Callable[[Site], bool]) -> None:
        self._model, self._org, self._sees = model, org, sees
        self.made: list[tuple[Handset, Device | None]] = []
        self._first_on: dict[object, int] = {}
        own = [handset for handset in model.handsets.values() if handset.org == org]
        self._softphones = {(h.site, h.model, h.extension) for h in own if h.is_softphone}
        self._holders = {h.device: h for h in own if h.device is not None}
        self._phone_ids: dict[str, Iterator[int]] = {}

    def line(self, line: int, row: _Row | None) -> HandsetLine:
        """What becomes of a line."""
        if row is None:
            return HandsetLine(line, "", LineOutcome.REFUSED, why=f"has more than {len(COLUMNS)} columns")
        text = shown(row["mac"] or row["model"])
        try:
            return self._read(HandsetLine(line, text, LineOutcome.ADDED), row)
        except DomainError as exc:
            return HandsetLine(line, text, LineOutcome.REFUSED, why=str(exc))

    def _read(self, found: HandsetLine, row: _Row) -> HandsetLine:
        model = known_model(row["model"])
        family = CATALOGUE.family(model)
        softphone = family.softphone
        if softphone and (row["mac"] or not row["extension"]):
            raise InvalidField("mac", f"{model.name} is a softphone: leave its MAC empty, name its extension")
        given = {"mac": row["mac"], "model": row["model"], "site": row["site"]}
        handset = new_handset({**given, "org": self._org, "name": row["label"]})
        site = self._model.sites.get(handset.site)
        if site is None or not self._sees(site):
            raise InvalidField("site", f"there is no site {handset.site}")
        handset = first_neutral_line(handset, site)
        found = replace(found, mac=None if softphone else handset.mac, extension=row["extension"] or None)
        kind = _kind(model)
        self._once("mac", None if softphone else handset.mac, found.line)
        self._once("extension", (row["extension"], kind) if row["extension"] else None, found.line)
        if self._is_there(handset, found.extension):
            return replace(found, outcome=LineOutcome.PRESENT)
        device = None
        if found.extension is not None:
            transport = None if "tls" in family.supports else Transport.UDP
            handset, device = self._logged_in(handset, Binding(found.extension, kind, transport))
        self.made.append((handset, device))
        return found

    def _once(self, column: str, value: object, line: int) -> None:
        """Raises: Conflict, when an earlier line has the same."""
        first = self._first_on.setdefault((column, value), line) if value is not None else line
        if first != line:
            raise Conflict(f"{column}: stands on line {first} already")

    def _is_there(self, handset: Handset, extension: str | None) -> bool:
        """Whether there is such a handset already. Raises: Conflict, when it is another."""
        if handset.is_softphone:
            return (handset.site, handset.model, extension) in self._softphones
        held = self._model.handsets.get(handset.mac)
        if held is None:
            return False
        same = (held.model, held.site, held.name, held.extension)
        if held.org != self._org or same != (handset.model, handset.site, handset.name, extension):
            # Whose it is stays untold: the MAC of a stranger's phone would name the stranger.
            raise Conflict(f"mac: a handset with {handset.mac} is set up already, and not as here.")
        return True

    def _logged_in(self, handset: Handset, binding: Binding) -> tuple[Handset, Device]:
        ident = require_can_log_in(self._model, handset, binding)
        device = device_for(self._model, ident, binding)
        holder = self._holders.get(device.id)
        if holder is not None:
            raise Conflict(
                f"extension: {ident[1]} is logged in at handset {holder.mac}: log that one out first."
            )
        site = handset.site
        phone_ids = self._phone_ids.setdefault(site, free_phone_ids(self._model, site))
        phone_id = next_phone_id(self._model, site, phone_ids)
        login = {"extension": ident[1], "device": device.id, "phone_id": phone_id}
        return handset.model_copy(update=login), device


def _kind(model: CatalogueModel) -> DeviceKind:
    if not CATALOGUE.family(model).softphone:
        return DeviceKind.IP_PHONE
    return DeviceKind.MOBILE if model.family in _MOBILE else DeviceKind.DESKTOP
