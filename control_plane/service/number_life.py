"""Use cases for the life of one number: activate, assign and what undoes them (R21-R33, R46-R55)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from pydantic import SecretStr

from control_plane.callpath.checks import key_problem
from control_plane.domain.entities import Leftover, NumberStatus, PhoneNumber
from control_plane.domain.entitlement import services_free
from control_plane.domain.lifecycle import Circumstances, Event
from control_plane.domain.model import Model
from control_plane.errors import Conflict, InvalidField
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.bulk import NewExtension, put_extensions
from control_plane.service.credentials import new_password, new_pin
from control_plane.service.extensions import (
    PIN_UNLOCKED,
    release_handsets,
    remove_extension,
    require_not_forwarded_to,
)
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.number_steps import is_included, moved, stepped
from control_plane.service.numbers import put_number, require_number
from control_plane.service.writing import By, Saved, require_version

KEY_LENGTHS = (4, 5, 6, 3)
"""How many of a number's last digits become its extension: the first that is free."""
KEYS_FROM, KEYS_TO = 1000, 1_000_000


async def activate_number(store: Store, by: By, policy: NumberPolicy, e164: str) -> Saved[PhoneNumber]:
    """Put a RESERVED number into service (R24); it is PENDING until Asterisk was seen to hold it.

    A number without an extension gets one with the default configuration (R55).
    Raises: UnknownEntity, IllegalTransition (not RESERVED, or no voice service is left), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        put_activated(tx, policy, [before])
        return _saved(tx, e164)


def put_activated(tx: Transaction, policy: NumberPolicy, numbers: Iterable[PhoneNumber]) -> None:
    """Activate all of `numbers` or none, inside a transaction that is under way.

    Raises: IllegalTransition.
    """
    model, now = tx.model, policy.clock.now()
    free: dict[tuple[str, str], int] = {}
    activated = []
    for number in numbers:
        where = (number.org or "", number.site)
        if where not in free:
            free[where] = services_free(model, *where)
        uses = not is_included(model, number)
        after = stepped(number, Event.ACTIVATE, Circumstances(now, free[where] if uses else None))
        free[where] -= uses
        after = after.model_copy(update={"ever_active": True})
        tx.put(after)
        activated.append(after)
    without = [n for n in activated if n.extension is None and not n.main]
    if without:
        put_extensions(tx, _extensions(tx.model, without))


def _extensions(model: Model, numbers: Iterable[PhoneNumber]) -> list[NewExtension]:
    taken = _keys(model)
    rows = []
    for number in numbers:
        org = number.org or ""
        key = _free_key(number.e164, taken[org])
        taken[org].add(key)
        values = {
            "org": org,
            "key": key,
            "site": number.site,
            "number": number.e164,
            "label": number.name,
            "voicemail_pin": number.default_pin.get_secret_value(),
        }
        rows.append(NewExtension(values))
    return rows


def _keys(model: Model) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {org: set() for org in model.organisations}
    for org, key in (*model.extensions, *model.call_groups):
        found[org].add(key)
    return found


def _free_key(e164: str, taken: set[str]) -> str:
    """The extension of a number: its last digits where nobody has them, else the lowest free one."""
    wanted = [e164[-length:] for length in KEY_LENGTHS]
    for key in chain(wanted, map(str, range(KEYS_FROM, KEYS_TO))):
        if key not in taken and key_problem(key) is None:
            return key
    raise Conflict(f"Every extension from {KEYS_FROM} to {KEYS_TO - 1} is taken.")


async def deactivate_number(store: Store, by: By, policy: NumberPolicy, e164: str) -> Saved[PhoneNumber]:
    """Take a number out of service (R26); what it was set to stays for when it is activated again (A30).

    Raises: UnknownEntity, IllegalTransition (not active, or assigned), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        after = moved(tx.model, before, Event.DEACTIVATE, policy)
        _log_out_handsets(tx, before)
        tx.put(after.model_copy(update={"softphone": False}))
        return _saved(tx, e164)


def _log_out_handsets(tx: Transaction, number: PhoneNumber) -> None:
    """A handset is logged out of a number that goes out of service, and not back in by itself (A26)."""
    ident = (number.org or "", number.extension or "")
    extension = tx.model.extensions.get(ident)
    if extension is None or extension.number != number.e164:
        return
    used = [d for d in tx.model.devices.get(ident, ()) if tx.model.handset_of(d.id) is not None]
    release_handsets(tx, used)
    for device in used:
        tx.put(device.model_copy(update={"sip_password": SecretStr(new_password())}))


async def assign_number(
    store: Store, by: By, policy: NumberPolicy, e164: str, person: str
) -> Saved[PhoneNumber]:
    """Assign an ACTIVE number to a person of its organisation, whose name it then bears (R27, R48).

    Raises: UnknownEntity, InvalidField, IllegalTransition, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        after = moved(tx.model, before, Event.ASSIGN, policy)
        owner = tx.model.people.get(person)
        if owner is None or owner.org != before.org:
            raise InvalidField("person", f"there is no person {person!r} in {before.org}: create it first")
        first, _, rest = owner.name.partition(" ")
        changes = {"person": person, "label_1": first[:30], "label_2": rest.strip()[:30].strip()}
        return put_number(tx, before, after.model_copy(update=changes))


async def unassign_number(store: Store, by: By, policy: NumberPolicy, e164: str) -> Saved[PhoneNumber]:
    """Take the number from its person; its name stays (A48), its softphone goes (R29).

    Raises: UnknownEntity, IllegalTransition, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        after = moved(tx.model, before, Event.UNASSIGN, policy)
        return put_number(tx, before, after.model_copy(update={"person": None, "softphone": False}))


async def reset_pin(store: Store, by: By, policy: NumberPolicy, e164: str) -> Saved[PhoneNumber]:
    """Set the PIN of the number's extension to the number's default PIN and unlock it (R53, A53).

    Raises: UnknownEntity, IllegalTransition (not ACTIVE), Conflict (it reaches no extension), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        after = moved(tx.model, before, Event.RESET_PIN, policy)
        if after.org is None or after.extension is None:
            raise Conflict(f"{e164} reaches no extension, so nothing has a PIN: give it an extension first.")
        pin = before.default_pin.get_secret_value() or new_pin()
        extension = tx.model.extensions[after.org, after.extension]
        tx.put(extension.model_copy(update={"voicemail_pin": SecretStr(pin), **PIN_UNLOCKED}))
        changes = {"default_pin": SecretStr(pin), "pin_reset_at": policy.clock.now()}
        tx.put(after.model_copy(update=changes))
        return _saved(tx, e164)


async def deallocate_number(store: Store, by: By, policy: NumberPolicy, e164: str) -> Saved[PhoneNumber]:
    """Take the number from its organisation, with everything it was set to (A21, A30).

    Raises: UnknownEntity, IllegalTransition (still active), Conflict (another extension forwards to the one
        that goes), StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        before = _found(tx, by, e164)
        owned = tx.model.extensions.get((before.org or "", before.extension or ""))
        if owned is not None and owned.number == e164:
            require_not_forwarded_to(tx.model, (owned.org, owned.key))
        put_released(tx, policy, before, Event.DEALLOCATE)
        return _saved(tx, e164)


def put_released(
    tx: Transaction, policy: NumberPolicy, number: PhoneNumber, event: Event = Event.DECOMMISSION
) -> PhoneNumber:
    """Take `number` from its organisation: nothing of its tenant stays. For a transaction under way.

    An extension whose own number it is goes with it, unless another number reaches the extension too: then
    that one becomes its own.
    Raises: IllegalTransition.
    """
    after = moved(tx.model, number, event, policy)
    _release_extension(tx, number)
    main = tx.model.main_number(number.e164)
    if main is not None:
        tx.delete(EntityKind.MAIN_NUMBER, (main.org, main.site))
    used = after.status is NumberStatus.COOLDOWN
    free = PhoneNumber(
        e164=number.e164,
        site=number.site,
        status=after.status,
        ever_active=number.ever_active,
        cooldown_until=policy.clock.now() + policy.cooldown if used else None,
        allocation_lock=number.allocation_lock,
    )
    tx.put(free)
    return free


def _release_extension(tx: Transaction, number: PhoneNumber) -> None:
    if number.org is None or number.extension is None:
        return
    ident = (number.org, number.extension)
    extension = tx.model.extensions[ident]
    if extension.number != number.e164:
        return
    others = [
        n.e164 for n in tx.model.numbers.values() if (n.org, n.extension) == ident and n.e164 != number.e164
    ]
    if others:
        tx.put(extension.model_copy(update={"number": min(others)}))
    else:
        remove_extension(tx, ident)


async def confirm_numbers(store: Store, policy: NumberPolicy, seen: Iterable[tuple[str, int]]) -> int:
    """Book that Asterisk was seen to follow PENDING numbers: (number, its version then); returns how many.

    A number that changed since is left for the next look.
    """
    confirmed = 0
    async with store.transaction("control plane") as tx:
        for e164, version in seen:
            number = tx.model.numbers.get(e164)
            if number is None or number.pending_to is None:
                continue
            if tx.version(EntityKind.NUMBER, (e164,)) == version:
                tx.put(moved(tx.model, number, Event.CONFIRM, policy))
                confirmed += 1
    return confirmed


async def forget_leftovers(store: Store, erased: Iterable[Leftover]) -> None:
    """Book that nothing is left of these removed extensions; one that left more since stays."""
    async with store.transaction("control plane") as tx:
        for left in erased:
            key = (left.node, left.org, left.extension)
            if tx.model.leftovers.get(key) == left:
                tx.delete(EntityKind.LEFTOVER, key)


async def end_cooldowns(store: Store, policy: NumberPolicy) -> int:
    """Offer again the numbers whose cooldown is over (A21); returns how many."""
    now = policy.clock.now()
    resting = [
        n.e164
        for n in (await store.snapshot()).model.numbers.values()
        if n.cooldown_until is not None and n.cooldown_until <= now
    ]
    if not resting:
        return 0
    ended = 0
    async with store.transaction("control plane") as tx:
        for e164 in resting:
            number = tx.model.numbers.get(e164)
            if number is None or number.cooldown_until is None or number.cooldown_until > now:
                continue
            after = moved(tx.model, number, Event.COOLDOWN_END, policy)
            tx.put(after.model_copy(update={"cooldown_until": None, "ever_active": False}))
            ended += 1
    return ended


def _found(tx: Transaction, by: By, e164: str) -> PhoneNumber:
    number = require_number(tx.model, e164)
    require_version(tx, by, EntityKind.NUMBER, (e164,))
    return number


def _saved(tx: Transaction, e164: str) -> Saved[PhoneNumber]:
    return Saved(tx.model.numbers[e164], tx.version(EntityKind.NUMBER, (e164,)))
