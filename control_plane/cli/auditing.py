"""`wirechief audit ...`: who changed what, and undoing one change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.errors import InvalidField
from control_plane.ports import ID_MAX, AuditEntry, AuditFilter, EntityKind
from control_plane.service.rights import root
from control_plane.service.undo import Undone, undo

audit_app = group("audit")


@audit_app.command("log")
def audit_log(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many entries.")] = 20,
    kind: Annotated[EntityKind | None, typer.Option("--kind", help="Only this kind of thing.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Only this one, such as acme/100; needs --kind.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only what this one did.")] = None,
    org: Annotated[str | None, typer.Option("--org", help="Only of this organisation.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="From then on: 2025-01-31, or with T09:30.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before then.")] = None,
    field: Annotated[
        str | None, typer.Option("--field", help="Only changes of this field, such as forwarding.")
    ] = None,
    before: Annotated[
        int, typer.Option("--before", min=0, max=ID_MAX, help="Only entries older than this id.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show who changed what, newest first; secrets are masked."""
    if key is not None and kind is None:
        raise InvalidField("--key", "needs --kind: say what kind of thing it names")
    wanted = AuditFilter(
        actor=actor,
        org=org,
        since=_moment("--since", since),
        until=_moment("--until", until),
        field=field,
        kind=kind,
        key=tuple(key.split("/")) if key else None,
    )
    entries = run(_audit(wanted, limit, before))
    if as_json:
        print_json([_entry_as_dict(entry) for entry in entries])
    elif not entries:
        say("No entry.")
    else:
        columns = ("id", "revision", "at (UTC)", "actor", "what", "change")
        table("", columns, (_entry_row(entry) for entry in entries))


def _moment(option: str, text: str | None) -> datetime | None:
    """A moment as people write it; without a time zone it is UTC, as the entries are shown."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidField(option, "must be a day or a time such as 2025-01-31 or 2025-01-31T09:30") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


async def _audit(wanted: AuditFilter, limit: int, before: int) -> tuple[AuditEntry, ...]:
    async with wire().store() as store:
        return await store.audit(wanted, limit=limit, before_id=before)


def _entry_as_dict(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "revision": entry.revision,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "kind": entry.kind.value,
        "key": list(entry.key),
        "org": entry.org,
        "fields": list(entry.fields),
        "before": entry.before,
        "after": entry.after,
    }


def _entry_row(entry: AuditEntry) -> tuple[str, ...]:
    what = f"{entry.kind.value} {'/'.join(entry.key)}"
    at = f"{entry.at:%Y-%m-%d %H:%M:%S}"
    return str(entry.id), str(entry.revision), at, entry.actor, what, _difference(entry)


def _difference(entry: AuditEntry) -> str:
    if entry.before is None:
        return "created"
    if entry.after is None:
        return "removed"
    old, new = _flat(entry.before), _flat(entry.after)
    names = sorted({*entry.fields} or {n for n in old.keys() | new.keys() if old.get(n) != new.get(n)})
    return "; ".join(f"{name}: {old.get(name)} -> {new.get(name)}" for name in names)


def _flat(values: Any, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = value
    return found


@audit_app.command("undo")
def audit_undo(
    entry: Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="As audit log shows it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Undo one change as a new one, by the rules of any other; refused when it was changed since."""
    wiring = wire()
    done = run(_undo(wiring, entry, dry_run))
    force = await_force(wiring, done.revision) if done.revision is not None else None
    if as_json:
        print_json(_undone_as_dict(done) | (force or {}))
        return
    _say_undone(done)
    if done.revision is None:
        say("Nothing was saved (--dry-run).")
    elif force is not None:
        say_force(done.revision, force)


async def _undo(wiring: Wiring, entry: int, dry_run: bool) -> Undone:
    async with wiring.store() as store:
        who = by()
        caller, policy = root(who.actor), wiring.number_policy
        return await undo(store, who, caller, policy, entry, dry_run=dry_run)


def _undone_as_dict(done: Undone) -> dict[str, Any]:
    return {
        "action": done.action,
        "kind": done.entry.kind.value,
        "key": list(done.entry.key),
        "changes": {name: list(pair) for name, pair in done.changes.items()},
        "revision": done.revision,
    }


def _say_undone(done: Undone) -> None:
    what = f"{done.entry.kind.value} {'/'.join(done.entry.key)}"
    if done.action != "change":
        say(f"{'Removes' if done.action == 'remove' else 'Makes again'}: {what}")
    for name, (now, then) in done.changes.items():
        say(f"{what}: {name}: {now} -> {then}")
