"""Which units a node has, what each renders to, and which units a changed entity touches.

The row formats are read by the dialplan templates; docs/rows.md describes them for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

from control_plane.domain.entities import (
    Entity,
    Occupancy,
    Organisation,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, Extension, NoAnswerAction
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model, chosen, ring_choice
from control_plane.domain.pins import LOCKED
from control_plane.render.artefacts import Rendered, Unit, UnitKind
from control_plane.render.dialplan import canonical, node_dialplan
from control_plane.render.groups import group_rows
from control_plane.render.neutral import handset_rows
from control_plane.render.pjsip import (
    DEVICE,
    TRUNK,
    device_values,
    mailbox_name,
    tracks_last_used,
    trunk_values,
    waiting_calls,
)
from control_plane.render.shapes import rows as rows_of
from control_plane.render.templates import safe

DIALPLAN_FILE = "generated_dialplan.conf"
LEG_CONTEXT = "wc-target"
MESSAGE_MAX_S = 60
RECORDER_OVERRUN_S = 1
"""Asterisk 22 compares whole seconds (main/app.c): with maxsecs=59 a recording ends after 59 to 60 s."""
ACTIVE, INACTIVE, MAIN = "active", "inactive", "main"


_ROWS_OF: Mapping[UnitKind, Callable[[Model, str, Unit], Iterator[tuple[str, str]]]] = {
    UnitKind.CALL_GROUP: group_rows,
    UnitKind.MAIN_NUMBER: group_rows,
    UnitKind.HANDSET: handset_rows,
}
"""Kinds of units that are rows alone. Common files are not in Asterisk."""


def units(model: Model, node: str) -> Iterator[Unit]:
    """Every unit of `node`: the dialplan first, then what it stands on, then who is reached through it."""
    yield Unit(UnitKind.NODE, (node,))
    sites = {site.id for site in model.sites.values() if site.node == node}
    yield from (Unit(UnitKind.TRUNK, (t.id,)) for t in model.trunks.values() if t.node == node)
    yield from (Unit(UnitKind.SITE, (site,)) for site in sorted(sites))
    yield from (Unit(UnitKind.OCCUPANCY, key) for key in model.occupancies if key[1] in sites)
    yield from (Unit(UnitKind.EXTENSION, k) for k, e in model.extensions.items() if e.site in sites)
    yield from (Unit(UnitKind.CALL_GROUP, k) for k, g in model.call_groups.items() if g.site in sites)
    yield from (Unit(UnitKind.MAIN_NUMBER, k) for k in model.main_numbers if k[1] in sites)
    yield from (Unit(UnitKind.NUMBER, (n.e164,)) for n in model.numbers.values() if n.site in sites)
    yield from (Unit(UnitKind.HANDSET, (h.mac,)) for h in model.handsets.values() if h.site in sites)


def render_unit(model: Model, node: str, unit: Unit) -> Rendered:
    """The artefacts of `unit` on `node`; empty when the model has no such thing there.

    Raises:
        RenderError: the model holds a value that cannot be expressed.
    """
    match unit.kind:
        case UnitKind.NODE:
            return Rendered.of(
                files=[
                    (
                        DIALPLAN_FILE,
                        canonical(node_dialplan(model)),
                    )
                ]
            )
        case UnitKind.EXTENSION:
            extension = model.extensions.get((unit.key[0], unit.key[1]))
            if extension is None or model.node_of(extension) != node:
                return Rendered()
            return _extension(model, extension)
        case UnitKind.NUMBER:
            number = model.numbers.get(unit.key[0])
            return _number(model, number) if number and model.sites[number.site].node == node else Rendered()
        case UnitKind.SITE:
            site = model.sites.get(unit.key[0])
            return _site(model, site) if site and site.node == node else Rendered()
        case UnitKind.OCCUPANCY:
            occupancy = model.occupancies.get((unit.key[0], unit.key[1]))
            here = occupancy is not None and model.sites[occupancy.site].node == node
            return _occupancy(occupancy) if occupancy and here else Rendered()
        case UnitKind.TRUNK:
            trunk = model.trunks.get(unit.key[0])
            return _trunk(trunk) if trunk and trunk.node == node else Rendered()
        case _:
            rows = _ROWS_OF.get(unit.kind)
            return Rendered() if rows is None else Rendered.of(rows=rows(model, node, unit))


def touched(model: Model, before: Entity | None, after: Entity | None) -> frozenset[Unit]:
    """The units that show a change of one entity from `before` to `after`; `model` is the newest."""
    found: set[Unit] = set()
    if isinstance(before, PhoneNumber) and isinstance(after, PhoneNumber) and _only_confirmed(before, after):
        return frozenset()
    for entity in (before, after):
        found.update(_units_of(model, entity))
    if isinstance(before, Site) and isinstance(after, Site):
        in_endpoints = (before.node, before.media_address) != (after.node, after.media_address)
        found.update(_units_at(model, after) if in_endpoints else ())
        found.update(_main_numbers_at(model, after))
    found.update(Unit(UnitKind.SITE, (site,)) for site, _ in _phone_ids(before) ^ _phone_ids(after))
    return frozenset(found)


def _phone_ids(entity: Entity | None) -> set[tuple[str, int]]:
    """The phone ID a handset takes at its site: with the last one the site is full."""
    if not isinstance(entity, Handset) or entity.phone_id is None:
        return set()
    return {(entity.site, entity.phone_id)}


def _only_confirmed(before: PhoneNumber, after: PhoneNumber) -> bool:
    """Whether Asterisk was seen to follow, and nothing it is told changes."""
    told = after.model_copy(update={"status": before.status, "pending_to": before.pending_to})
    return told == before and before.routes is after.routes


def _units_of(model: Model, entity: Entity | None) -> Iterator[Unit]:
    match entity:
        case Extension():
            yield Unit(UnitKind.EXTENSION, (entity.org, entity.key))
        case Device():
            yield Unit(UnitKind.EXTENSION, (entity.org, entity.extension))
        case PhoneNumber():
            yield Unit(UnitKind.NUMBER, (entity.e164,))
            if entity.org and entity.extension:
                yield Unit(UnitKind.EXTENSION, (entity.org, entity.extension))
        case CallGroup() | MainNumber():
            yield from _units_of_group(entity)
        case Handset() | Site() | Occupancy() | Trunk():
            yield _unit_of(entity)
        case Organisation():
            yield from (Unit(UnitKind.NODE, (node,)) for node in {s.node for s in model.sites.values()})


def _unit_of(entity: Handset | Site | Occupancy | Trunk) -> Unit:
    match entity:
        case Handset():
            return Unit(UnitKind.HANDSET, (entity.mac,))
        case Site():
            return Unit(UnitKind.SITE, (entity.id,))
        case Occupancy():
            return Unit(UnitKind.OCCUPANCY, (entity.org, entity.site))
        case Trunk():
            return Unit(UnitKind.TRUNK, (entity.id,))


def _units_of_group(entity: CallGroup | MainNumber) -> Iterator[Unit]:
    if isinstance(entity, MainNumber):
        yield Unit(UnitKind.MAIN_NUMBER, (entity.org, entity.site))
        yield Unit(UnitKind.NUMBER, (entity.e164,))
        return
    yield Unit(UnitKind.CALL_GROUP, (entity.org, entity.key))
    # Whether an extension is a member decides whether its calls are counted.
    yield from (Unit(UnitKind.EXTENSION, (entity.org, member)) for member in entity.members)


def _units_at(model: Model, site: Site) -> Iterator[Unit]:
    yield from (Unit(UnitKind.EXTENSION, k) for k, e in model.extensions.items() if e.site == site.id)
    yield from (Unit(UnitKind.NUMBER, (n.e164,)) for n in model.numbers.values() if n.site == site.id)
    yield from (Unit(UnitKind.OCCUPANCY, key) for key in model.occupancies if key[1] == site.id)
    yield from (Unit(UnitKind.CALL_GROUP, k) for k, g in model.call_groups.items() if g.site == site.id)
    yield from (Unit(UnitKind.HANDSET, (h.mac,)) for h in model.handsets.values() if h.site == site.id)


def _main_numbers_at(model: Model, site: Site) -> Iterator[Unit]:
    yield from (Unit(UnitKind.MAIN_NUMBER, key) for key in model.main_numbers if key[1] == site.id)


def _extension(model: Model, extension: Extension) -> Rendered:
    base = f"ext/{extension.org}/{extension.key}"
    if not model.is_active(extension):
        return Rendered.of(rows=[(base, _base_row(model, extension, (), INACTIVE))])
    devices = model.devices_of(extension)
    rows = [row for device in devices for row in rows_of(DEVICE, device_values(model, extension, device))]
    rows.append((base, _base_row(model, extension, devices, ACTIVE)))
    if devices:
        rows.append((f"hint/{extension.org}/{extension.key}", dial_string(devices)))
    rows.extend(_feature_rows(extension, devices))
    mailboxes = []
    if extension.has_mailbox:
        mailboxes.append((f"{extension.org}/{extension.key}", mailbox_line(extension)))
    elif extension.voicemail_pin.get_secret_value():
        rows.append((f"pin/{extension.org}/{extension.key}", pin_digest(extension)))
    return Rendered.of(rows=rows, mailboxes=mailboxes)


def _base_row(model: Model, extension: Extension, devices: tuple[Device, ...], status: str) -> str:
    """What every call to the extension needs, in the order the dialplan's ARRAY() takes it."""
    explicit = ring_choice(extension, devices)
    no_answer = extension.no_answer
    fields = (
        status,
        extension.site,
        _ring_mode(model, extension, devices),
        dial_string(explicit or devices[:1]),
        dial_string(devices),
        waiting_calls(model, extension),
        no_answer.action.value,
        str(no_answer.ring_timeout_s),
        no_answer.number or "" if no_answer.action is NoAnswerAction.FORWARD else "",
        "voicemail" if extension.dnd_goes_to_voicemail else "busy",
        "1" if extension.restricted else "0",
        extension.number or "",
    )
    return ",".join(fields)


def _ring_mode(model: Model, extension: Extension, devices: tuple[Device, ...]) -> str:
    """`fixed` devices ring, the one used `last`, or fixed ones with the last one used `noted`."""
    if not tracks_last_used(model, extension, devices):
        return "fixed"
    return "noted" if ring_choice(extension, devices) else "last"


def _feature_rows(extension: Extension, devices: tuple[Device, ...]) -> Iterator[tuple[str, str]]:
    base = f"ext/{extension.org}/{extension.key}"
    forwarding = extension.forwarding
    if extension.dnd:
        yield f"{base}/dnd", "1"
    if extension.pin_locked or extension.pin_failures:
        yield f"{base}/pin", LOCKED if extension.pin_locked else str(extension.pin_failures)
    if forwarding.targets:
        yield f"{base}/fwdto", "&".join(f"Local/{t}@{LEG_CONTEXT}/n" for t in forwarding.targets)
    if forwarding.enabled and not extension.restricted:
        yield f"{base}/fwd", "1"
        held = chosen(devices, forwarding.vip_ring_devices)
        if held:
            yield f"{base}/vipring", dial_string(held)
    for caller in forwarding.vip:
        yield f"vip/{extension.org}/{extension.key}/{caller}", "1"


def dial_string(devices: tuple[Device, ...]) -> str:
    """What Dial() takes to ring these devices together."""
    return "&".join(f"PJSIP/{device.id}" for device in devices)


def pin_digest(extension: Extension) -> str:
    """SHA-1 of "organisation/extension/PIN", which the dialplan can check.

    It keeps a PIN from being read at a glance and no more: there are few enough of them to try them all.
    """
    text = f"{extension.org}/{extension.key}/{extension.voicemail_pin.get_secret_value()}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def mailbox_line(extension: Extension) -> str:
    """The value of a mailbox: PIN, name, no mail sent by Asterisk (the outbox does), a minute at most (R114).

    A comma shifts the columns and a semicolon starts a comment, so both are replaced in the name.
    """
    name = safe("label", extension.label).replace(",", " ").replace(";", " ").strip()
    pin = extension.voicemail_pin.get_secret_value()
    return f"{pin},{name},,,attach=no|maxsecs={MESSAGE_MAX_S - RECORDER_OVERRUN_S}"


def _number(model: Model, number: PhoneNumber) -> Rendered:
    main = model.main_number(number.e164)
    reached = number.extension if main is None else main.site
    if number.org is None or reached is None:
        return Rendered()
    active = ACTIVE if main is None else MAIN
    status = active if number.routes else INACTIVE
    return Rendered.of(rows=[(f"did/{number.e164}", f"{status},{number.org},{reached}")])


def _site(model: Model, site: Site) -> Rendered:
    trunk = f"trunk-{site.trunk}" if site.trunk else ""
    rows = [(f"site/{site.id}", f"{site.region.value},{trunk},{site.caller_id or ''}")]
    rows.extend((f"emergency/{site.id}/{digits}", "1") for digits in site.emergency_numbers)
    rows.extend((f"reception/{site.id}/{digits}", "1") for digits in site.reception)
    if site.id in model.full_sites:
        rows.append((f"site/{site.id}/full", "1"))
    return Rendered.of(rows=rows)


def _occupancy(occupancy: Occupancy) -> Rendered:
    rows = [(f"reception/{occupancy.site}/{occupancy.org}/{d}", "1") for d in occupancy.reception]
    code = occupancy.authorization_code
    if code is not None:
        rows.append((f"code/{occupancy.org}/{occupancy.site}", f"{code.id},{code.salt},{code.digest}"))
    return Rendered.of(rows=rows)


def _trunk(trunk: Trunk) -> Rendered:
    return Rendered.of(rows=rows_of(TRUNK, trunk_values(trunk)))


__all__ = ["ACTIVE", "DIALPLAN_FILE", "INACTIVE", "mailbox_name", "render_unit", "touched", "units"]
