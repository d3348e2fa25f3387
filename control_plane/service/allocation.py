"""Use cases for allocating numbers of a site's pool to an organisation (R9, R22, R69).

All or nothing: a shortfall is named and nothing is allocated. Transactions run one after another, so two
requests never get the same number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from pydantic import SecretStr

from control_plane.domain.entities import NumberStatus, PhoneNumber
from control_plane.domain.lifecycle import Event
from control_plane.domain.model import Model
from control_plane.domain.regions import tidy
from control_plane.errors import Conflict, InvalidField
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.credentials import new_pin
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.number_steps import moved
from control_plane.service.numbers import require_number
from control_plane.service.provisioning import provisioning_problem
from control_plane.service.rules import require_reference, require_site
from control_plane.service.writing import By, Saved, require_version

RANGE_MAX = 10_000


def number_range(first: str, last: str) -> tuple[str, ...]:
    """Every number from `first` to `last`, both E.164.

    Raises: InvalidField.
    """
    if len(first) != len(last) or not (first[1:].isdigit() and last[1:].isdigit()):
        raise InvalidField("last", "must be a number of the same length as first")
    low, high = int(first[1:]), int(last[1:])
    if high < low:
        raise InvalidField("last", "must not be lower than first")
    if high - low >= RANGE_MAX:
        raise InvalidField("last", f"a range has at most {RANGE_MAX} numbers; this has {high - low + 1}")
    return tuple(f"+{digits}" for digits in range(low, high + 1))


async def allocate_number(
    store: Store, by: By, policy: NumberPolicy, e164: str, org: str
) -> Saved[PhoneNumber]:
    """Allocate one number to an organisation (R22).

    Raises: UnknownEntity, InvalidField, IllegalTransition, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        number = require_number(tx.model, e164)
        require_version(tx, by, EntityKind.NUMBER, (e164,))
        require_reference(tx.model.organisations, org, "org", "organisation")
        (done,) = put_allocated(tx, policy, org, [number])
        return Saved(done, tx.version(EntityKind.NUMBER, (e164,)))


async def allocate_some(
    store: Store, by: By, policy: NumberPolicy, site: str, wanted: Mapping[str, object]
) -> tuple[PhoneNumber, ...]:
    """Allocate numbers of a site as `wanted` says: `org`, and `count` or `first` and `last` (R69).

    Raises: UnknownEntity, InvalidField, Conflict, IllegalTransition.
    """
    org, count = str(wanted["org"]), wanted.get("count")
    ends = [str(wanted[name]) for name in ("first", "last") if name in wanted]
    if (count is None) == (not ends) or len(ends) == 1:
        raise InvalidField("count", "give either count, or first and last")
    if isinstance(count, int):
        return await allocate_free(store, by, policy, (org, site), count)
    return await allocate_range(store, by, policy, (org, site), (tidy(ends[0]), tidy(ends[1])))


async def allocate_range(
    store: Store, by: By, policy: NumberPolicy, where: tuple[str, str], ends: tuple[str, str]
) -> tuple[PhoneNumber, ...]:
    """Allocate every number from the first to the last of `ends` to `where`: all of them or none (R69).

    Raises: InvalidField, IllegalTransition naming the number that cannot be had.
    """
    org, site = where
    async with store.transaction(by.actor) as tx:
        model = tx.model
        require_site(model, site)
        require_reference(model.organisations, org, "org", "organisation")
        numbers = [model.numbers.get(e164) for e164 in number_range(*ends)]
        here = [number for number in numbers if number is not None and number.site == site]
        if len(here) < len(numbers):
            raise InvalidField(
                "first",
                f"{len(numbers) - len(here)} of the {len(numbers)} numbers are not in the pool of {site}: "
                "add them first, or choose another range",
            )
        return _put(tx, await asyncio.to_thread(allocated, model, policy, org, here))


async def allocate_free(
    store: Store, by: By, policy: NumberPolicy, where: tuple[str, str], count: int
) -> tuple[PhoneNumber, ...]:
    """Allocate `count` free numbers to `where`, (organisation, site): the lowest contiguous block, else the
    lowest free ones.

    Raises: UnknownEntity, Conflict (the pool is too small).
    """
    org, site = where
    async with store.transaction(by.actor) as tx:
        require_site(tx.model, site)
        require_reference(tx.model.organisations, org, "org", "organisation")
        return await put_free(tx, policy, where, count)


async def put_free(
    tx: Transaction, policy: NumberPolicy, where: tuple[str, str], count: int
) -> tuple[PhoneNumber, ...]:
    """Allocate `count` numbers that `pick_free` offers, inside a transaction that is under way.

    Looking through 50 000 numbers takes 0.1 s and touches nothing. It is done in a thread, so
    that who asks for a list meanwhile does not wait for it.
    Raises: Conflict.
    """
    model, (org, site) = tx.model, where

    def ready() -> tuple[PhoneNumber, ...]:
        return allocated(model, policy, org, pick_free(model, site, count))

    return _put(tx, await asyncio.to_thread(ready))


def put_allocated(
    tx: Transaction, policy: NumberPolicy, org: str, numbers: Iterable[PhoneNumber]
) -> tuple[PhoneNumber, ...]:
    """Allocate `numbers` inside a transaction that is under way.

    Raises: InvalidField (a toll-free number), IllegalTransition.
    """
    return _put(tx, allocated(tx.model, policy, org, numbers))


def _put(tx: Transaction, numbers: tuple[PhoneNumber, ...]) -> tuple[PhoneNumber, ...]:
    for number in numbers:
        tx.put(number)
    return numbers


def allocated(
    model: Model, policy: NumberPolicy, org: str, numbers: Iterable[PhoneNumber]
) -> tuple[PhoneNumber, ...]:
    """`numbers` as an organisation's; each gets a default PIN of its own (A53).

    Raises: InvalidField (a toll-free number), IllegalTransition.
    """
    done = []
    mains: set[str] = set()
    for number in numbers:
        problem = provisioning_problem(number.e164, model.sites[number.site].numbering)
        if problem is not None:
            raise InvalidField("numbers", problem)
        after = moved(model, number, Event.ALLOCATE, policy, org)
        if number.main and number.site in mains:
            raise InvalidField("numbers", f"there can be one main number at {number.site} (R8): choose one")
        mains.update({number.site} if number.main else ())
        done.append(after.model_copy(update={"org": org, "default_pin": SecretStr(new_pin())}))
    return tuple(done)


def pick_free(model: Model, site: str, count: int) -> tuple[PhoneNumber, ...]:
    """The `count` numbers of the site's pool that are offered next.

    Locked ones, those in their cooldown and nominated main numbers are never among them.
    Raises: Conflict, naming the shortfall.
    """
    numbering = require_site(model, site).numbering
    offered = [n for n in model.numbers.values() if n.site == site and _is_offered(n)]
    # As integers they are in the order in which people count them, and comparing them costs least.
    by_value = sorted((int(n.e164), n.e164) for n in offered if numbering.toll_free_prefix(n.e164) is None)
    free = [model.numbers[e164] for _, e164 in by_value]
    if len(free) < count:
        raise Conflict(
            f"Site {site} has {len(free)} free numbers and {count} are needed: {count - len(free)} are "
            "missing. Add numbers to its pool first."
        )
    start = _lowest_block([value for value, _ in by_value], count)
    return tuple(free[start : start + count])


def _is_offered(number: PhoneNumber) -> bool:
    free = number.status is NumberStatus.AVAILABLE and not number.allocation_lock
    return free and not number.main


def _lowest_block(values: Sequence[int], count: int) -> int:
    """Where the first `count` numbers without a gap begin; 0 when there are none."""
    start = 0
    for position, value in enumerate(values):
        if value - values[start] != position - start:
            start = position
        if position - start + 1 == count:
            return start
    return 0
