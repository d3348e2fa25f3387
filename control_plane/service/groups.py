"""Use cases for call groups (R84, R96-R98), and where they and main numbers send calls on to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control_plane.callpath.checks import key_problem
from control_plane.callpath.passing import groups_in_a_row
from control_plane.domain.groups import CallGroup, Destination, DestinationKind
from control_plane.domain.model import ExtensionId, Model
from control_plane.errors import Conflict, InvalidField, UnknownEntity
from control_plane.ports import EntityKind, Store, Transaction
from control_plane.service.forwarding import as_e164, require_group_limits, require_sound_passing
from control_plane.service.messages import build
from control_plane.service.rules import (
    require_new,
    require_no_emergency_number,
    require_reference,
    require_tenant,
    require_unused,
)
from control_plane.service.uses import users_of
from control_plane.service.writing import By, Saved, patched, require_version

Changes = Mapping[str, object]


def require_group(model: Model, ident: ExtensionId) -> CallGroup:
    """Raises: UnknownEntity."""
    found = model.call_groups.get(ident)
    if found is None:
        raise UnknownEntity("call group", "/".join(ident))
    return found


async def create_group(store: Store, by: By, values: Changes) -> Saved[CallGroup]:
    """Raises: UnknownEntity (the organisation), InvalidField, Conflict."""
    async with store.transaction(by.actor) as tx:
        group = build(CallGroup, as_dialled(tx.model, values, values.get("site"), ("otherwise",)))
        ident = (group.org, group.key)
        require_tenant(tx.model, group.org)
        problem = key_problem(group.key)
        if problem is not None:
            raise InvalidField("key", problem)
        require_new(tx.model.extensions, ident, "key", f"extension {group.key} of {group.org}")
        require_new(tx.model.call_groups, ident, "key", f"call group {group.key} of {group.org}")
        return _put(tx, group)


async def patch_group(store: Store, by: By, ident: ExtensionId, changes: Changes) -> Saved[CallGroup]:
    """Change only what is given, within `otherwise` too.

    Raises: UnknownEntity, InvalidField, Conflict, StaleVersion.
    """
    async with store.transaction(by.actor) as tx:
        return revise_group(tx, by, ident, changes)


def revise_group(tx: Transaction, by: By, ident: ExtensionId, changes: Changes) -> Saved[CallGroup]:
    """Patch a call group inside a transaction that is under way. Raises: as patch_group."""
    before = require_group(tx.model, ident)
    require_version(tx, by, EntityKind.CALL_GROUP, ident)
    site = changes.get("site", before.site)
    return _put(tx, patched(before, as_dialled(tx.model, changes, site, ("otherwise",)), ("org", "key")))


async def delete_group(store: Store, by: By, ident: ExtensionId) -> None:
    """Raises: UnknownEntity, Conflict (calls are sent to it), StaleVersion."""
    async with store.transaction(by.actor) as tx:
        group = require_group(tx.model, ident)
        require_version(tx, by, EntityKind.CALL_GROUP, ident)
        require_unused(f"Call group {group.key}", users_of(tx.model, ident))
        tx.delete(EntityKind.CALL_GROUP, ident)


def _put(tx: Transaction, group: CallGroup) -> Saved[CallGroup]:
    ident = (group.org, group.key)
    require_reference(tx.model.sites, group.site, "site", "site")
    _require_members(tx.model, group)
    _require_subsets(tx.model, group)
    tx.put(group)
    after = tx.model
    # The limits on forward targets depend on who is a member now.
    for key in group.members:
        _require_may_join(after, ident, key)
    require_destinations(after, group.org, {"otherwise": group.otherwise})
    require_sound_passing(after, ident)
    require_short_ways(after, group.org)
    return Saved(group, tx.version(EntityKind.CALL_GROUP, ident))


def _require_members(model: Model, group: CallGroup) -> None:
    node = model.sites[group.site].node
    for key in group.members:
        extension = model.extensions.get((group.org, key))
        if extension is None:
            raise InvalidField(
                "members", f"there is no extension {key} in {group.org}: create it first or choose another"
            )
        if model.node_of(extension) != node:
            raise InvalidField(
                "members", f"extension {key} is at site {extension.site}, whose phones are on another node"
            )


def _require_may_join(model: Model, ident: ExtensionId, key: str) -> None:
    """R96: whoever is in a group has one forward target."""
    try:
        require_group_limits(model, model.extensions[ident[0], key])
    except InvalidField:
        raise Conflict(
            f"members: extension {key} has several forward targets, and a member of a call group may have "
            "one (R96): reduce its forwarding first."
        ) from None


def _require_subsets(model: Model, group: CallGroup) -> None:
    """Whoever names some of the members names only those there are."""
    for main in model.main_numbers.values():
        for name, destination in main.destinations:
            reaches = destination.kind is DestinationKind.GROUP and destination.target == group.key
            gone = [key for key in destination.members if key not in group.members]
            if main.org == group.org and reaches and gone:
                raise Conflict(
                    f"members: {', '.join(gone)} is named by {name} of the main number at {main.site}: "
                    "change that first."
                )


def as_dialled(model: Model, values: Changes, site: object, names: Iterable[str]) -> dict[str, object]:
    """`values` with the numbers of these destinations as E.164, as dialled from the site."""
    result = dict(values)
    place = model.sites.get(str(site))
    for name in names:
        nested = result.get(name)
        target = nested.get("target") if isinstance(nested, Mapping) else None
        if isinstance(nested, Mapping) and isinstance(target, str) and place is not None:
            result[name] = {**nested, "target": as_e164(target, place)}
    return result


def require_destinations(model: Model, org: str, destinations: Mapping[str, Destination | None]) -> None:
    """Every destination exists in the organisation and can take a call.

    Raises: InvalidField, naming the field.
    """
    for name, destination in destinations.items():
        if destination is not None:
            _require_destination(model, org, name, destination)


def _require_destination(model: Model, org: str, name: str, destination: Destination) -> None:
    target, field = destination.target, f"{name}.target"
    match destination.kind:
        case DestinationKind.GROUP:
            group = model.call_groups.get((org, target))
            require_reference({target} if group else (), target, field, "call group")
            strangers = [key for key in destination.members if group and key not in group.members]
            if strangers:
                raise InvalidField(
                    f"{name}.members", f"{', '.join(strangers)} is not a member of call group {target}"
                )
        case DestinationKind.EXTENSION:
            require_reference({key for o, key in model.extensions if o == org}, target, field, "extension")
        case DestinationKind.VOICEMAIL:
            extension = model.extensions.get((org, target))
            require_reference({target} if extension else (), target, field, "extension")
            if extension is not None and not extension.has_mailbox:
                raise InvalidField(
                    field,
                    f"extension {target} has no voicemail: set its no_answer.action to voicemail first",
                )
        case DestinationKind.NUMBER:
            require_no_emergency_number(model, (target,), field, "a destination")


def require_short_ways(model: Model, org: str) -> None:
    """No call is sent through more groups in a row than a call path allows.

    Raises: Conflict, naming them.
    """
    problem = groups_in_a_row(model, org)
    if problem is not None:
        raise Conflict(problem)
