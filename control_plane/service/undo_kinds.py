"""Undoing one change of what has a life of its own, by the actions of that life; no secret comes back.

Each handler leads one thing back from what a change (before, after) made of it, or refuses with what to do
instead. Numbers have a module of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from control_plane.domain.accounts import Account
from control_plane.domain.entities import Entity, Occupancy
from control_plane.domain.extension import DeviceKind
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.voice import ServiceChange, VoiceService
from control_plane.errors import Conflict, Forbidden
from control_plane.ports import EntityKind, Store
from control_plane.service import accounts, groups, handsets, main_numbers, tenants, tokens, voice_services
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rights import Caller
from control_plane.service.undo_numbers import undo_number
from control_plane.service.undo_parts import changed_names, require_same
from control_plane.service.writing import By

Key = tuple[str, str]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Undoing:
    """One change to be undone: how the thing was, how the change left it, how it is; None: not there."""

    store: Store
    by: By
    caller: Caller
    policy: NumberPolicy
    what: str
    before: Any
    after: Any
    now: Any

    @property
    def names(self) -> frozenset[str]:
        """The fields that changed, where it was there before and after."""
        return changed_names(self.before, self.after)

    def require_same(self, names: frozenset[str] | None = None) -> None:
        """Raises: Conflict when it was changed since in one of the fields (None: any)."""
        require_same(self.now, self.after, self.what, names or frozenset(type(self.now).model_fields))

    def require_operator(self) -> None:
        """Raises: Forbidden."""
        if not self.caller.is_operator:
            raise Forbidden(f"This change of the {self.what} is the operator's to undo: ask there.")

    def old(self, names: frozenset[str]) -> Values:
        """What these fields were, as a patch takes it."""
        return {name: _plain(getattr(self.before, name)) for name in names}


Handler = Callable[[Undoing], Awaitable[None]]


def _plain(value: object) -> object:
    return value.model_dump() if isinstance(value, Entity) else value


def _everything(entity: Entity) -> Values:
    return {name: _plain(getattr(entity, name)) for name in type(entity).model_fields}


async def _number(u: Undoing) -> None:
    await undo_number(u.store, u.by, u.caller, u.policy, (u.before, u.after), u.now)


async def _service(u: Undoing) -> None:
    u.require_operator()
    service: VoiceService = u.before or u.after
    where = (service.org, service.site)
    if u.after is None:
        await voice_services.restore_service(u.store, u.by, u.before)
    elif u.before is None:
        u.require_same(frozenset({"quantity"}))
        await voice_services.remove_service(u.store, u.by, where)
    else:
        u.require_same(u.names)
        await voice_services.change_service(u.store, u.by, where, u.before.quantity)


async def _service_change(u: Undoing) -> None:
    u.require_operator()
    change: ServiceChange = u.before or u.after
    where = (change.org, change.site)
    if u.after is None and change.on <= voice_services.today_at(await _model(u), change.site, u.policy):
        raise Conflict(
            f"The change of {'/'.join(where)} on {change.on} was carried out, or its day is over: change the "
            "quantity itself."
        )
    if u.before is None:
        u.require_same()
        await voice_services.unschedule_change(u.store, u.by, where, change.on)
        return
    if u.after is not None:
        u.require_same(u.names)
    await voice_services.schedule_change(u.store, u.by, u.policy, where, change.on, u.before.quantity)


async def _model(u: Undoing) -> Model:
    return (await u.store.snapshot()).model


_LOGIN: Final = frozenset({"extension", "device", "phone_id", "last_device"})


async def _handset(u: Undoing) -> None:
    handset: Handset = u.before or u.after
    if u.after is None:
        await _set_up_again(u, handset)
    elif u.before is None:
        u.require_same(frozenset(Handset.model_fields) - set(handsets.FIXED))
        await handsets.delete_handset(u.store, u.by, handset.mac)
    elif u.before.device != u.after.device:
        u.require_same(frozenset({"extension", "device"}))
        await _log_back(u)
    elif "upload_removed" in u.names:
        raise Conflict(f"What handset {handset.mac} sent does not come back once it is removed.")
    elif u.names & (set(handsets.FIXED) - _LOGIN | {"admin_password"}):
        raise Conflict(
            f"Passwords and addresses of handset {handset.mac} do not come back: rotate them again, or open "
            "an enrolment window."
        )
    else:
        u.require_same(u.names)
        await handsets.patch_handset(u.store, u.by, handset.mac, u.old(u.names))


async def _set_up_again(u: Undoing, handset: Handset) -> None:
    """With new secrets and nobody logged in: it has to enrol again."""
    if handset.is_softphone:
        raise Conflict("A softphone that was removed does not come back: set a new one up.")
    settings = {n: v for n, v in _everything(handset).items() if n not in handsets.FIXED}
    kept = {"mac": handset.mac, "org": handset.org} | settings
    kept.pop("admin_password", None)
    await handsets.create_handset(u.store, u.by, kept)


async def _log_back(u: Undoing) -> None:
    if u.before.device is None:
        await handsets.log_out(u.store, u.by, u.now.mac)
        return
    device = (await _model(u)).device(u.before.device)
    kind = device.kind if device is not None else DeviceKind.IP_PHONE
    await handsets.log_in(u.store, u.by, u.now.mac, handsets.Binding(u.before.extension, kind))


async def _account(u: Undoing) -> None:
    account: Account = u.before or u.after
    if u.after is None:
        await accounts.restore_account(u.store, u.by, u.caller, account)
    elif u.before is None:
        u.require_same(frozenset(Account.model_fields) - {"password_hash"})
        await accounts.delete_account(u.store, u.by, u.caller, account.email)
    elif "password_hash" in u.names:
        raise Conflict(f"A password of {account.email} does not come back: set a new one.")
    else:
        u.require_same(u.names)
        await accounts.patch_account(u.store, u.by, u.caller, account.email, u.old(u.names))


async def _token(u: Undoing) -> None:
    if u.after is None:
        raise Conflict(f"A revoked token of {u.before.account} does not come back: make a new one.")
    await tokens.revoke_token(u.store, u.by, u.caller, u.after.account, u.after.id)


async def _undo_plainly(
    u: Undoing,
    key: Key,
    *,
    create: Callable[[Store, By, Values], Awaitable[object]],
    patch: Callable[[Store, By, Key, Values], Awaitable[object]],
    delete: Callable[[Store, By, Key], Awaitable[None]],
) -> None:
    """By the three use cases of what has no secret and no state of its own."""
    if u.after is None:
        await create(u.store, u.by, _everything(u.before))
    elif u.before is None:
        u.require_same()
        await delete(u.store, u.by, key)
    else:
        u.require_same(u.names)
        await patch(u.store, u.by, key, u.old(u.names))


async def _occupancy(u: Undoing) -> None:
    occupancy: Occupancy = u.before or u.after
    key = (occupancy.org, occupancy.site)
    if u.before is not None and u.after is not None and "authorization_code" in u.names:
        await _clear_code(u, key)
        return
    u.require_operator()
    await _undo_plainly(
        u,
        key,
        create=tenants.create_occupancy,
        patch=tenants.patch_occupancy,
        delete=tenants.delete_occupancy,
    )


async def _clear_code(u: Undoing, key: Key) -> None:
    u.require_same(frozenset({"authorization_code"}))
    if u.before.authorization_code is not None:
        raise Conflict("An authorization code does not come back: set a new one.")
    await tenants.clear_authorization_code(u.store, u.by, key)


async def _call_group(u: Undoing) -> None:
    group: CallGroup = u.before or u.after
    await _undo_plainly(
        u,
        (group.org, group.key),
        create=groups.create_group,
        patch=groups.patch_group,
        delete=groups.delete_group,
    )


async def _main_number(u: Undoing) -> None:
    main: MainNumber = u.before or u.after
    await _undo_plainly(
        u,
        (main.org, main.site),
        create=main_numbers.create_main_number,
        patch=main_numbers.patch_main_number,
        delete=main_numbers.delete_main_number,
    )


HANDLERS: Final[Mapping[EntityKind, Handler]] = {
    EntityKind.NUMBER: _number,
    EntityKind.SERVICE: _service,
    EntityKind.SERVICE_CHANGE: _service_change,
    EntityKind.HANDSET: _handset,
    EntityKind.ACCOUNT: _account,
    EntityKind.TOKEN: _token,
    EntityKind.OCCUPANCY: _occupancy,
    EntityKind.CALL_GROUP: _call_group,
    EntityKind.MAIN_NUMBER: _main_number,
}
