"""Use cases for voice services: add, change, schedule, remove (R62-R68, A24, A63, A64, A67)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from control_plane.domain.entities import PhoneNumber, Site
from control_plane.domain.entitlement import numbers_of, using_services
from control_plane.domain.model import Model
from control_plane.domain.voice import ServiceChange, VoiceService, first_numbers
from control_plane.errors import Conflict, DomainError, InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.allocation import put_free
from control_plane.service.messages import build
from control_plane.service.number_life import put_activated
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rules import require_new, require_site, require_tenant
from control_plane.service.writing import By, Saved, require_version

logger = logging.getLogger(__name__)

Where = tuple[str, str]
"""(organisation, site)."""

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Added:
    """A first voice service and the numbers that came with it."""

    saved: Saved[VoiceService]
    numbers: tuple[PhoneNumber, ...]


def require_service(model: Model, where: Where) -> VoiceService:
    """Raises: UnknownEntity."""
    found = model.services.get(where)
    if found is None:
        raise UnknownEntity("voice service", "/".join(where))
    return found


async def add_service(
    store: Store, by: By, policy: NumberPolicy, where: Where, quantity: int, *, main: bool | None = None
) -> Added:
    """Give an organisation its first voice services at a site, and the numbers that come with them (R62-R68).

    `main`: whether one of them is nominated as the main number; None: as the site says (R65).
    Raises: UnknownEntity, InvalidField, Conflict (there are services already, or the pool is too small).
    """
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_tenant(model, where[0])
        site = require_site(model, where[1])
        require_new(model.services, where, "site", f"the voice service of {where[0]} at {where[1]}")
        service = build(VoiceService, {"org": where[0], "site": where[1], "quantity": quantity})
        tx.put(service)
        wants_main = site.nominate_main if main is None else main
        numbers = await _put_first_numbers(tx, policy, service, wants_main)
        return Added(_saved(tx, where), numbers)


async def _put_first_numbers(
    tx: Transaction, policy: NumberPolicy, service: VoiceService, wants_main: bool
) -> tuple[PhoneNumber, ...]:
    model, where = tx.model, (service.org, service.site)
    held = numbers_of(model, *where)
    has_main = any(number.main for number in held)
    first = first_numbers(
        model.sites[service.site].numbering,
        service.quantity,
        manual=sum(not number.main for number in held),
        main=wants_main and not has_main,
    )
    if not first.allocate:
        return ()
    allocated = await put_free(tx, policy, where, first.allocate)
    if first.main:
        main = allocated[0].model_copy(update={"main": True})
        tx.put(main)
        tx.put(service.model_copy(update={"main_included": True}))
        allocated = (main, *allocated[1:])
    put_activated(tx, policy, allocated[: first.activate + first.main])
    now = tx.model.numbers
    return tuple(now[number.e164] for number in allocated)


async def restore_service(store: Store, by: By, service: VoiceService) -> None:
    """Make a removed voice service again as it was; no numbers come with it, as it is not the first.

    Raises: UnknownEntity, Conflict.
    """
    where = (service.org, service.site)
    async with store.transaction(by.actor) as tx:
        require_tenant(tx.model, service.org)
        require_site(tx.model, service.site)
        require_new(tx.model.services, where, "site", f"the voice service of {where[0]} at {where[1]}")
        has_main = any(number.main for number in numbers_of(tx.model, *where))
        after = service.model_copy(update={"main_included": service.main_included and has_main})
        _require_enough(tx.model, after)
        tx.put(after)


async def change_service(store: Store, by: By, where: Where, quantity: int) -> Saved[VoiceService]:
    """Set how many services there are; more of them bring no numbers along (R63).

    Raises: UnknownEntity, InvalidField, Conflict (more are in use), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_service(tx.model, where)
        require_version(tx, by, EntityKind.SERVICE, where)
        _put_quantity(tx, before, quantity)
        return _saved(tx, where)


def _put_quantity(tx: Transaction, before: VoiceService, quantity: int) -> None:
    after = build(VoiceService, {**dict(before), "quantity": quantity})
    _require_enough(tx.model, after)
    tx.put(after)


def _require_enough(model: Model, service: VoiceService) -> None:
    used = using_services(model, service.org, service.site)
    excess = len(used) - service.quantity
    if excess <= 0:
        return
    shown = ", ".join(number.e164 for number in used[:_NAMED_AT_MOST])
    more = f" and {len(used) - _NAMED_AT_MOST} more" if len(used) > _NAMED_AT_MOST else ""
    raise Conflict(
        f"{service.org} uses {len(used)} voice services at {service.site}, and {service.quantity} would be "
        f"left: deactivate {excess} of {shown}{more} first."
    )


async def remove_service(store: Store, by: By, where: Where) -> None:
    """Take all voice services of an organisation at a site away, with what is scheduled.

    Raises: UnknownEntity, Conflict (numbers still use them), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = require_service(tx.model, where)
        require_version(tx, by, EntityKind.SERVICE, where)
        # Without the service nothing includes the main number any more.
        active = [n.e164 for n in numbers_of(tx.model, *where) if n.routes and n.main]
        if active and before.main_included:
            raise Conflict(f"Main number {active[0]} is active with the voice service: deactivate it first.")
        _require_enough(tx.model, before.model_copy(update={"quantity": 0}))
        for change in scheduled(tx.model, where):
            tx.delete(EntityKind.SERVICE_CHANGE, _key(change))
        tx.delete(EntityKind.SERVICE, where)


def scheduled(model: Model, where: Where) -> tuple[ServiceChange, ...]:
    """What is to change, earliest first."""
    found = (c for c in model.service_changes.values() if (c.org, c.site) == where)
    return tuple(sorted(found, key=lambda change: change.on))


async def schedule_change(
    store: Store, by: By, policy: NumberPolicy, where: Where, on: date, quantity: int
) -> ServiceChange:
    """Set the quantity from the beginning of a day at the site on (R63); the last one set for a day counts.

    Raises: UnknownEntity, InvalidField (the day is not in the future).
    """
    async with store.transaction(by.actor) as tx:
        require_service(tx.model, where)
        change = build(ServiceChange, {"org": where[0], "site": where[1], "on": on, "quantity": quantity})
        if on <= _today(tx.model.sites[where[1]], policy.clock.now()):
            raise InvalidField("on", "must be a day in the future; change the quantity itself for today")
        tx.put(change)
        return change


async def unschedule_change(store: Store, by: By, where: Where, on: date) -> None:
    """Raises: UnknownEntity."""
    async with store.transaction(by.actor) as tx:
        require_service(tx.model, where)
        key = (*where, on.isoformat())
        if key not in tx.model.service_changes:
            raise UnknownEntity("scheduled change", on.isoformat())
        tx.delete(EntityKind.SERVICE_CHANGE, key)


async def apply_due_changes(store: Store, policy: NumberPolicy) -> int:
    """Carry out the scheduled changes whose day has come; returns how many.

    One that cannot be (more numbers are active than would be allowed) stays, and is tried again.
    """
    now = policy.clock.now()
    model = (await store.snapshot()).model
    due = [c for c in model.service_changes.values() if c.on <= _today(model.sites[c.site], now)]
    done = 0
    for change in sorted(due, key=lambda c: (c.on, c.org, c.site)):
        try:
            done += await _carry_out(store, change)
        except DomainError as exc:
            logger.warning("The change of %s/%s on %s waits: %s", change.org, change.site, change.on, exc)
    return done


async def _carry_out(store: Store, change: ServiceChange) -> bool:
    async with store.transaction("control plane") as tx:
        service = tx.model.services.get((change.org, change.site))
        if service is None or tx.model.service_changes.get(_key(change)) != change:
            return False
        _put_quantity(tx, service, change.quantity)
        tx.delete(EntityKind.SERVICE_CHANGE, _key(change))
    return True


def _today(site: Site, now: datetime) -> date:
    return now.astimezone(ZoneInfo(site.time_zone)).date()


def today_at(model: Model, site: str, policy: NumberPolicy) -> date:
    """The day it is at a site. Raises: UnknownEntity."""
    return _today(require_site(model, site), policy.clock.now())


def _key(change: ServiceChange) -> tuple[str, str, str]:
    return change.org, change.site, change.on.isoformat()


def _saved(tx: Transaction, where: Where) -> Saved[VoiceService]:
    return Saved(tx.model.services[where], tx.version(EntityKind.SERVICE, where))
