"""What else leads to an extension, a call group, a mailbox or a number, and keeps it from being removed."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.domain.groups import Destination, DestinationKind
from control_plane.domain.model import ExtensionId, Model
from control_plane.ports import EntityKind, Transaction


def _destinations(model: Model, org: str) -> Iterator[tuple[str, Destination]]:
    """(whose, destination) of every group and main number of an organisation."""
    for group in model.call_groups.values():
        if group.org == org and group.otherwise is not None:
            yield f"call group {group.key}", group.otherwise
    for main in model.main_numbers.values():
        if main.org == org:
            yield from ((f"the main number at {main.site}", found) for _, found in main.destinations)


def users_of(model: Model, ident: ExtensionId) -> list[str]:
    """What calls reach this extension or call group by."""
    org, key = ident
    inside = {DestinationKind.GROUP, DestinationKind.EXTENSION, DestinationKind.VOICEMAIL}
    found = [
        f"the forwarding of extension {e.key}"
        for e in model.extensions.values()
        if e.org == org and key in e.forwarding.extensions
    ]
    found += [f"call group {group}" for group in model.memberships.get(ident, ())]
    for whose, destination in _destinations(model, org):
        if destination.kind in inside and key in (destination.target, *destination.members):
            found.append(whose)
    return list(dict.fromkeys(found))


def mailbox_users(model: Model, ident: ExtensionId) -> list[str]:
    """What sends calls to this extension's mailbox, apart from the extension itself."""
    return [
        whose
        for whose, destination in _destinations(model, ident[0])
        if destination.kind is DestinationKind.VOICEMAIL and destination.target == ident[1]
    ]


def features_of(model: Model, e164: str) -> list[str]:
    """The group features of a main number."""
    return [f"its group features at {main.site}" for main in model.main_numbers.values() if main.e164 == e164]


def leave_groups(tx: Transaction, ident: ExtensionId) -> None:
    """Let nothing lead to an extension that goes with its tenant: who is asked first has `users_of`."""
    org, key = ident
    model = tx.model
    for group in model.call_groups.values():
        onward = group.otherwise
        leads_here = onward is not None and onward.kind is not DestinationKind.GROUP and onward.target == key
        if group.org == org and (leads_here or key in group.members):
            members = tuple(member for member in group.members if member != key)
            changes = {"members": members, "otherwise": None if leads_here else onward}
            tx.put(group.model_copy(update=changes))
    for main in model.main_numbers.values():
        if main.org == org and any(key in (d.target, *d.members) for _, d in main.destinations):
            tx.delete(EntityKind.MAIN_NUMBER, (main.org, main.site))
