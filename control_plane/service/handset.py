"""Changes made on a phone, taken into the model from the journal the dialplan writes in AstDB.

A row is `journal/<organisation>/<extension>/<field>/<unique id>` = `<value>,<epoch>,<device>`. Rows may be
old (the control plane was down), out of order, or nonsense (AstDB can be written by others): a row that
cannot be used is skipped with a reason and given back for deletion, so that it cannot block the others.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from control_plane.callpath.passing import passing_problem
from control_plane.domain.extension import Extension
from control_plane.domain.model import ExtensionId, Model
from control_plane.domain.pins import LOCKED, PinCount
from control_plane.domain.regions import is_e164, tidy
from control_plane.errors import DomainError, InvalidField
from control_plane.ports import AuditEntry, Clock, EntityKind, Store
from control_plane.service.desk import take_desk
from control_plane.service.extensions import check_references, revise
from control_plane.service.later import ACTOR_PREFIX, changed_later
from control_plane.service.pins import put_count
from control_plane.service.rules import require_extension, require_site

logger = logging.getLogger(__name__)

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far ahead of ours the node's clock may be before a time stamp counts as nonsense."""
ROWS_AT_ONCE = 10_000
"""More than that in one go is not phones but somebody filling AstDB; the rest waits for the next time."""

_KEY = re.compile(
    r"journal/([a-z][a-z0-9-]{0,30})/([0-9]{2,6})/(dnd|fwd|fwdto|pin|desk)/([A-Za-z0-9._-]{1,64})"
)
_VALUE = re.compile(r"([0-9+*#.() -]{1,40}|locked|in|out),([0-9]{1,11})(?:\.[0-9]{1,9})?,([a-z][a-z0-9]{11})")
_COUNT_DIGITS = 3
_MOST = 10**_COUNT_DIGITS
_SWITCH = {"1": True, "0": False}

Changes = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Row:
    """One journal row that reads well."""

    key: str
    ident: ExtensionId
    field: str
    value: str
    at: datetime
    device: str


class _Skip(Exception):
    """This row changes nothing; the text says why."""


async def take_in(store: Store, clock: Clock, entries: Mapping[str, str]) -> tuple[str, ...]:
    """Bring what was set on phones into the model; the row keys that may now be deleted.

    All rows of an extension are one change: what was switched on and off again meanwhile never shows, so
    taking the same rows in twice changes nothing. The last writer of a field wins: a row is ignored when
    somebody else changed that field, by the audit log, in a later second than the phone did. (Not by the
    entity's version: that also counts other fields.)
    Never raises for what a row says. Raises StoreBusy as the store does: nothing is lost, call again.
    """
    keys = sorted(entries)[:ROWS_AT_ONCE]
    rows: list[_Row] = []
    for key in keys:
        try:
            rows.append(_parsed(key, entries[key], clock.now()))
        except _Skip as skip:
            logger.warning("A phone's change was skipped: %s", skip)
    of_extension: dict[ExtensionId, list[_Row]] = {}
    for row in sorted(rows, key=_order):
        if row.field != "desk":
            of_extension.setdefault(row.ident, []).append(row)
    for ident, its_rows in of_extension.items():
        try:
            await _take(store, ident, its_rows)
        except DomainError as why:
            _skipped(ident, why)
    # After the PINs that were given for it, and in the order in which people came and went.
    for row in sorted((row for row in rows if row.field == "desk"), key=_order):
        try:
            await take_desk(store, row.ident, row.value, row.device, row.at)
        except DomainError as why:
            _skipped(row.ident, why)
    return tuple(keys)


def _skipped(ident: ExtensionId, why: Exception) -> None:
    logger.warning("A change of extension %s by phone was skipped: %s", "/".join(ident), why)


def _parsed(key: str, value: str, now: datetime) -> _Row:
    name = _KEY.fullmatch(key)
    if name is None:
        raise _Skip("the row has no journal key")
    content = _VALUE.fullmatch(value)
    if content is None:
        raise _Skip("the row is not value,epoch,device")
    # 11 digits of seconds end in the year 5138, within what datetime takes.
    at = datetime.fromtimestamp(int(content[2]), UTC)
    if at > now + CLOCK_TOLERANCE:
        raise _Skip("its time lies in the future")
    return _Row(key, (name[1], name[2]), name[3], content[1].strip(), at, content[3])


def _order(row: _Row) -> tuple[datetime, int, str, bool]:
    """Oldest first; within a second by Asterisk's call counter; of one call the target before the switch."""
    head, _, counter = row.key.rpartition("/")[2].rpartition(".")
    if row.field == "pin":  # of calls within a second the one that counted most
        return row.at, _MOST if row.value == LOCKED else _failures(row) or 0, head, True
    return row.at, int(counter) if counter.isdecimal() else 0, head, row.field != "fwdto"


async def _take(store: Store, ident: ExtensionId, rows: Sequence[_Row]) -> None:
    # The audit is read inside the transaction: no other writer can come between reading and writing.
    async with store.transaction(ACTOR_PREFIX + rows[-1].device) as tx:
        model = tx.model
        extension = require_extension(model, ident)
        devices = {device.id for device in model.devices_of(extension)}
        dnd: Changes = {}
        forwarding: Changes = {}
        counted: PinCount | None = None
        for row in rows:
            try:
                if row.field != "pin" and row.device not in devices:
                    raise _Skip("it names a device the extension does not have")
                if await _changed_later(store, row):
                    raise _Skip("somebody changed the same thing later")
                if row.field == "pin":  # given on any phone, also to log in at it
                    counted = _pin_count(row, model.pin_failures_max)
                    continue
                changes = dnd if row.field == "dnd" else forwarding
                changes.update(_changes(model, extension, row))
            except _Skip as why:
                _skipped(ident, why)
        if counted is not None:
            put_count(tx, extension, counted)
            extension = tx.model.extensions[ident]
        # Apart, so that a forwarding that cannot be kept does not take the other change with it.
        for wanted in (dnd, {"forwarding": forwarding} if forwarding else {}):
            try:
                # Without the rule against loops: the phone's owner was told "activated", and Asterisk is
                # forwarding already, where the hop counter ends such calls.
                extension = revise(tx, extension, wanted, check_references).entity
            except DomainError as why:
                _skipped(ident, why)
        problem = passing_problem(tx.model, ident) if forwarding else None
        if problem is not None and extension.forwarding.enabled:
            logger.warning("Set by phone of extension %s: %s", "/".join(ident), problem)


def _changes(model: Model, extension: Extension, row: _Row) -> Changes:
    """The fields of the extension, or of its forwarding, that the row sets."""
    if row.field == "fwdto":
        return {**_target(model, extension, row.value), "enabled": True}
    if row.value not in _SWITCH:
        raise _Skip(f"{row.field} is neither 1 nor 0")
    return {"dnd" if row.field == "dnd" else "enabled": _SWITCH[row.value]}


def _pin_count(row: _Row, failures_max: int) -> PinCount:
    if row.value == LOCKED:
        return PinCount(failures_max, locked=True)
    failures = _failures(row)
    if failures is None:
        raise _Skip("pin is no count of wrong PINs")
    return PinCount(failures, failures >= failures_max)


def _failures(row: _Row) -> int | None:
    return int(row.value) if row.value.isdecimal() and len(row.value) <= _COUNT_DIGITS else None


def _target(model: Model, extension: Extension, dialled: str) -> Changes:
    digits = tidy(dialled)
    ident = (extension.org, digits)
    if ident in model.extensions or ident in model.call_groups:
        return {"extensions": (digits,), "numbers": ()}
    number = require_site(model, extension.site).numbering.normalise(digits)
    if not is_e164(number):
        raise _Skip("the forward target is neither an extension, a call group nor a phone number")
    return {"extensions": (), "numbers": (number,)}


_OBSERVED: Mapping[str, Callable[[Mapping[str, object]], object]] = {
    "dnd": lambda entity: entity.get("dnd"),
    "pin": lambda entity: (entity.get("pin_failures"), entity.get("pin_locked")),
    "fwd": lambda entity: _of_forwarding(entity, "enabled"),
    "fwdto": lambda entity: _of_forwarding(entity, "extensions", "numbers", "enabled"),
}
"""Journal field -> what of an audited extension it sets."""


def _of_forwarding(entity: Mapping[str, object], *names: str) -> object:
    forwarding = entity.get("forwarding")
    return [forwarding.get(name) for name in names] if isinstance(forwarding, Mapping) else None


async def _changed_later(store: Store, row: _Row) -> bool:
    return await changed_later(
        store, EntityKind.EXTENSION, row.ident, row.at, lambda entry: _changed(entry, row.field)
    )


def _changed(entry: AuditEntry, field: str) -> bool:
    if field == "pin" and "voicemail_pin" in entry.fields:
        return True  # the audit does not show PINs, so a new one looks like the old
    observe = _OBSERVED[field]
    return observe(entry.before or {}) != observe(entry.after or {})


async def take_in_pin(store: Store, ident: ExtensionId, pin: str) -> None:
    """Keep a voicemail PIN that its owner set by phone.

    Raises: UnknownEntity, InvalidField.
    """
    async with store.transaction(f"{ACTOR_PREFIX}voicemail") as tx:
        extension = require_extension(tx.model, ident)
        if not pin:
            raise InvalidField("voicemail_pin", "must be 4 to 10 digits")
        revise(tx, extension, {"voicemail_pin": pin})
