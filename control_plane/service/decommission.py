"""An occupier leaves: everything it has is taken back, step by step (R34-R37).

Each step takes some things away in a transaction of its own and does nothing when they are gone, so the whole
is resumed by doing it again. Numbers go to their cooldown and not straight back to the pool (A21).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from control_plane.domain.entities import Decommission, Organisation
from control_plane.domain.model import Model
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.extensions import remove_extension
from control_plane.service.number_life import put_released
from control_plane.service.number_policy import NumberPolicy

AT_ONCE = 10
"""Numbers or extensions taken back in one transaction: the way to them is a pass over all numbers."""

_WORDS = {
    "main_numbers": "main number settings",
    "call_groups": "groups",
    "service_changes": "service changes",
}
_ONE = {
    "people": "person",
    "occupancies": "occupancy",
}
_NOT_LEFT = frozenset({"organisations", "leftovers", "feature_codes", "pin_failures_max"})
"""Leftovers are the node's: the decommission waits until they are erased there, not until the model forgets
them, which is after they were erased a second time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it takes away, why, and doing some of it; returns how many things went, 0 at the end."""

    name: str
    reason: str
    take: Callable[[Transaction, NumberPolicy, str], int]


def left_of(model: Model, org: str) -> dict[str, int]:
    """What the organisation still has: "numbers" -> how many; without what it has none of."""
    found: dict[str, int] = {}
    for each in fields(Model):
        if each.name in _NOT_LEFT:
            continue
        values: Iterable[object] = getattr(model, each.name).values()
        flat = (one for value in values for one in (value if isinstance(value, tuple) else (value,)))
        count = sum(getattr(one, "org", None) == org for one in flat)
        if count:
            found[_WORDS.get(each.name, each.name)] = count
    return found


def in_words(left: dict[str, int]) -> str:
    """ "3 numbers, 1 person"; "nothing" of nothing."""
    return ", ".join(f"{count} {_counted(what, count)}" for what, count in left.items()) or "nothing"


def _counted(what: str, count: int) -> str:
    return what if count != 1 else _ONE.get(what, what.removesuffix("s"))


def mark(tx: Transaction, organisation: Organisation, to: Decommission) -> Organisation:
    """The organisation with its decommission status changed."""
    after = organisation.model_copy(update={"decommission": to})
    tx.put(after)
    return after


async def take_back(store: Store, policy: NumberPolicy, actor: str, org: str, step: Step) -> int:
    """Do some of one step; how many things went, 0: nothing is left of it.

    Raises: StoreError, DomainError.
    """
    async with store.transaction(actor) as tx:
        return step.take(tx, policy, org)


def _groups(tx: Transaction, _: NumberPolicy, org: str) -> int:
    gone = _delete(tx, EntityKind.MAIN_NUMBER, [k for k in tx.model.main_numbers if k[0] == org])
    return gone + _delete(tx, EntityKind.CALL_GROUP, [k for k in tx.model.call_groups if k[0] == org])


def _handsets(tx: Transaction, _: NumberPolicy, org: str) -> int:
    mine = [(mac,) for mac, handset in tx.model.handsets.items() if handset.org == org]
    return _delete(tx, EntityKind.HANDSET, mine)


def _accounts(tx: Transaction, _: NumberPolicy, org: str) -> int:
    model = tx.model
    mine = {email for email, account in model.accounts.items() if account.org == org}
    tokens = [(key,) for key, token in model.tokens.items() if token.account in mine]
    return _delete(tx, EntityKind.TOKEN, tokens) + _delete(tx, EntityKind.ACCOUNT, [(e,) for e in mine])


def _numbers(tx: Transaction, policy: NumberPolicy, org: str) -> int:
    """Unassign, deactivate and deallocate; the extension a number is the own one of goes with its devices."""
    mine = sorted(n.e164 for n in tx.model.numbers.values() if n.org == org)[:AT_ONCE]
    for e164 in mine:
        number = tx.model.numbers[e164]
        put_released(tx, policy, number)
    return len(mine)


def _extensions(tx: Transaction, _: NumberPolicy, org: str) -> int:
    mine = sorted(ident for ident in tx.model.extensions if ident[0] == org)[:AT_ONCE]
    for ident in mine:
        remove_extension(tx, ident)
    return len(mine)


def _services(tx: Transaction, _: NumberPolicy, org: str) -> int:
    changes = [k for k, change in tx.model.service_changes.items() if change.org == org]
    gone = _delete(tx, EntityKind.SERVICE_CHANGE, changes)
    return gone + _delete(tx, EntityKind.SERVICE, [k for k in tx.model.services if k[0] == org])


def _people(tx: Transaction, _: NumberPolicy, org: str) -> int:
    return _delete(
        tx, EntityKind.PERSON, [(k,) for k, person in tx.model.people.items() if person.org == org]
    )


def _occupancies(tx: Transaction, _: NumberPolicy, org: str) -> int:
    return _delete(tx, EntityKind.OCCUPANCY, [k for k in tx.model.occupancies if k[0] == org])


def _delete(tx: Transaction, kind: EntityKind, keys: Iterable[tuple[str, ...]]) -> int:
    found = list(keys)
    for key in found:
        tx.delete(kind, key)
    return len(found)


STEPS = (
    Step("groups", "main numbers lead nowhere any more; call groups go before their members", _groups),
    Step("handsets", "handsets are logged out, and their phone IDs are free again", _handsets),
    Step(
        "numbers",
        "devices are logged out; numbers are unassigned, deactivated and go to their cooldown (R36)",
        _numbers,
    ),
    Step("extensions", "extensions without a number of their own go with their devices", _extensions),
    Step("services", "voice services end", _services),
    Step("accounts", "nobody of it may log in any more", _accounts),
    Step("people", "nobody of the organisation is left to assign anything to", _people),
    Step("occupancies", "authorization codes end with the occupancy of each site", _occupancies),
)
