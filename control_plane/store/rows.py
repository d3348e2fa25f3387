"""The statements: what a revision writes, and how the model, its changes and its audit are read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.plan.tasks import NewTask, Progress
from control_plane.ports import AuditEntry, AuditFilter, EntityChange, EntityKey, EntityKind
from control_plane.store.codec import (
    KINDS,
    changed_fields,
    from_json,
    key_of_text,
    key_text,
    masked,
    moment_text,
    organisation_of,
    to_json,
)
from control_plane.store.schema import AUDIT, CHANGES, ENTITIES, HEAD, PUSHED
from control_plane.store.state import State, loaded
from control_plane.store.tasks import insert_tasks, write_progress

RETAINED_CHANGES: Final = 5_000
"""How many changes a reader can catch up with; beyond that, reading the whole model costs no more."""
_PRUNE_AT: Final = RETAINED_CHANGES + 500  # not at every commit


@dataclass(frozen=True, slots=True)
class Head:
    """The newest revision, the revision changes are kept from, and how many are kept."""

    revision: int
    floor: int
    retained: int


@dataclass(frozen=True, slots=True)
class Commit:
    """One revision about to be written: who, when, what. Changes of one entity appear once."""

    revision: int
    at: datetime
    actor: str
    changes: Sequence[EntityChange]
    tasks: Sequence[NewTask] = ()
    progress: Mapping[int, Progress] = field(default_factory=dict)


_HEAD_COLUMNS: Final = select(HEAD.c.revision, HEAD.c.floor, HEAD.c.retained)
_HEAD_LOCKED: Final = _HEAD_COLUMNS.with_for_update()
_REVISION: Final = select(HEAD.c.revision)
_SET_HEAD: Final = update(HEAD).values(
    revision=bindparam("new_revision"), floor=bindparam("new_floor"), retained=bindparam("new_retained")
)


def read_revision(connection: Connection) -> int:
    return int(connection.execute(_REVISION).scalar_one())


def read_head(connection: Connection) -> Head:
    return Head(*connection.execute(_HEAD_COLUMNS).one())


def lock_head(connection: Connection) -> Head:
    """The head, kept from other writers until the transaction ends."""
    return Head(*connection.execute(_HEAD_LOCKED).one())


def read_state(connection: Connection, revision: int, settled: Model) -> State:
    """The whole model with what settings decide from `settled`; the connection has to show one revision."""
    shared: dict[Any, Entity] = {}
    rows: dict[EntityKind, list[tuple[Entity, int]]] = {}
    for kind in KINDS.values():
        found = connection.execute(select(ENTITIES[kind.kind])).all()
        decode = kind.shape.decode
        rows[kind.kind] = [(decode(row, shared), row[-1]) for row in found]
    return loaded(revision, rows, settled)


def read_changes(connection: Connection, after: int, upto: int | None = None) -> tuple[EntityChange, ...]:
    """Changes of the revisions after `after`, up to and with `upto` (None: the newest), oldest first."""
    shared: dict[Any, Entity] = {}
    query = select(CHANGES).where(CHANGES.c.revision > after).order_by(CHANGES.c.revision, CHANGES.c.seq)
    if upto is not None:
        query = query.where(CHANGES.c.revision <= upto)
    changes = []
    for revision, _, kind_name, before_json, after_json in connection.execute(query):
        kind = KINDS[EntityKind(kind_name)]
        old, new = from_json(kind, before_json, shared), from_json(kind, after_json, shared)
        known = new if old is None else old
        if known is not None:
            changes.append(EntityChange(revision, kind.kind, kind.key(known), old, new))
    return tuple(changes)


def write_commit(connection: Connection, head: Head, commit: Commit) -> None:
    """Rows, changes, audit entries, tasks and the new revision; the caller commits."""
    _write_entities(connection, commit)
    kept = _write_changes(connection, head, commit)
    connection.execute(insert(AUDIT), _audit_rows(commit))
    write_tasks(connection, commit)
    values = {"new_revision": kept.revision, "new_floor": kept.floor, "new_retained": kept.retained}
    connection.execute(_SET_HEAD, values)


def write_tasks(connection: Connection, commit: Commit) -> None:
    """Only what a commit has of tasks; the caller commits."""
    insert_tasks(connection, commit.tasks, commit.actor, commit.at)
    for id, progress in commit.progress.items():
        write_progress(connection, id, progress)


def _write_entities(connection: Connection, commit: Commit) -> None:
    """Rows in an order no constraint minds.

    Parents before children, then removals, children before parents. A device is removed and written anew:
    two devices may swap kinds, and the database compares each row as it comes.
    """
    by_kind: dict[EntityKind, list[EntityChange]] = {kind: [] for kind in KINDS}
    for change in commit.changes:
        by_kind[change.kind].append(change)
    devices = by_kind.pop(EntityKind.DEVICE)
    _delete(connection, EntityKind.DEVICE, [c.key for c in devices if c.before is not None])
    for kind, changes in by_kind.items():
        present = [c for c in changes if c.after is not None]
        _insert(connection, kind, [c for c in present if c.before is None])
        _update(connection, kind, [c for c in present if c.before is not None])
    _insert(connection, EntityKind.DEVICE, [c for c in devices if c.after is not None])
    for kind in reversed(by_kind):
        _delete(connection, kind, [c.key for c in by_kind[kind] if c.after is None])


def _insert(connection: Connection, kind: EntityKind, changes: Sequence[EntityChange]) -> None:
    if changes:
        connection.execute(insert(ENTITIES[kind]), [_row(change) for change in changes])


def _update(connection: Connection, kind: EntityKind, changes: Sequence[EntityChange]) -> None:
    if changes:
        rows = [_row(change) | _key_parameters(kind, change.key) for change in changes]
        connection.execute(_UPDATES[kind], rows)


def _delete(connection: Connection, kind: EntityKind, keys: Sequence[EntityKey]) -> None:
    if keys:
        connection.execute(_DELETES[kind], [_key_parameters(kind, key) for key in keys])


def _row(change: EntityChange) -> dict[str, Any]:
    row = to_json(KINDS[change.kind], change.after) or {}
    row["version"] = change.revision
    return row


def _key_parameters(kind: EntityKind, key: EntityKey) -> dict[str, Any]:
    return {f"key_{name}": value for name, value in zip(KINDS[kind].key_fields, key, strict=True)}


def _is_keyed(kind: EntityKind) -> ColumnElement[bool]:
    columns = ENTITIES[kind].c
    return and_(*(columns[name] == bindparam(f"key_{name}") for name in KINDS[kind].key_fields))


_UPDATES: Final = {
    kind: update(table)
    .where(_is_keyed(kind))
    .values({column.name: bindparam(column.name) for column in table.c})
    for kind, table in ENTITIES.items()
}
_DELETES: Final = {kind: delete(table).where(_is_keyed(kind)) for kind, table in ENTITIES.items()}


def _write_changes(connection: Connection, head: Head, commit: Commit) -> Head:
    """The head after the changes are kept, the oldest dropped in whole revisions when they are too many."""
    count = len(commit.changes)
    if count > RETAINED_CHANGES:
        connection.execute(delete(CHANGES))
        return Head(commit.revision, commit.revision, 0)
    connection.execute(insert(CHANGES), _change_rows(commit))
    if head.retained + count <= _PRUNE_AT:
        return Head(commit.revision, head.floor, head.retained + count)
    newest_first = select(CHANGES.c.revision).order_by(CHANGES.c.revision.desc(), CHANGES.c.seq.desc())
    first_too_many = newest_first.offset(RETAINED_CHANGES).limit(1)
    floor = int(connection.execute(first_too_many).scalar_one())
    connection.execute(delete(CHANGES).where(CHANGES.c.revision <= floor))
    retained = (connection.execute(select(func.count()).select_from(CHANGES))).scalar_one()
    return Head(commit.revision, floor, int(retained))


def _change_rows(commit: Commit) -> list[dict[str, Any]]:
    return [
        {
            "revision": commit.revision,
            "seq": seq,
            "kind": change.kind.value,
            "before": to_json(KINDS[change.kind], change.before),
            "after": to_json(KINDS[change.kind], change.after),
        }
        for seq, change in enumerate(commit.changes)
    ]


def _audit_rows(commit: Commit) -> list[dict[str, Any]]:
    at = moment_text(commit.at)
    return [
        {
            "revision": commit.revision,
            "at": at,
            "actor": commit.actor,
            "kind": change.kind.value,
            "key": key_text(change.key),
            "before": masked(change.before),
            "after": masked(change.after),
            "org": organisation_of(change),
            "fields": " ".join(("", *changed_fields(change.before, change.after), "")),
        }
        for change in commit.changes
    ]


def read_audit(
    connection: Connection, wanted: AuditFilter, *, limit: int, before_id: int
) -> tuple[AuditEntry, ...]:
    """The entries that are wanted, newest first; `before_id` 0 starts at the newest."""
    query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if before_id:
        query = query.where(AUDIT.c.id < before_id)
    if wanted.kind is not None:
        query = query.where(AUDIT.c.kind == wanted.kind.value)
    if wanted.key is not None:
        query = query.where(AUDIT.c.key == key_text(wanted.key))
    if wanted.actor is not None:
        query = query.where(AUDIT.c.actor == wanted.actor)
    if wanted.org is not None:
        query = query.where(AUDIT.c.org == wanted.org)
    if wanted.revision is not None:
        query = query.where(AUDIT.c.revision == wanted.revision)
    if wanted.since is not None:
        query = query.where(AUDIT.c.at >= moment_text(wanted.since))
    if wanted.until is not None:
        query = query.where(AUDIT.c.at < moment_text(wanted.until))
    if wanted.field is not None:
        query = query.where(
            AUDIT.c.fields.contains(f" {wanted.field} ", autoescape=True)
            | AUDIT.c.fields.contains(f" {wanted.field}.", autoescape=True)
        )
    return tuple(
        AuditEntry(
            id=row.id,
            revision=row.revision,
            at=datetime.fromisoformat(row.at),
            actor=row.actor,
            kind=EntityKind(row.kind),
            key=key_of_text(row.key),
            before=row.before,
            after=row.after,
            org=row.org,
            fields=tuple(row.fields.split()),
        )
        for row in connection.execute(query)
    )


def read_pushed(connection: Connection, *, node: str) -> dict[str, str]:
    """Artefact key -> digest."""
    query = select(PUSHED.c.key, PUSHED.c.digest).where(PUSHED.c.node == node)
    return {row.key: row.digest for row in connection.execute(query)}


_FORGET_PUSHED: Final = delete(PUSHED).where(
    PUSHED.c.node == bindparam("of_node"), PUSHED.c.key == bindparam("of_key")
)
_KEEP_PUSHED: Final = {
    dialect: statement.on_conflict_do_update(
        index_elements=["node", "key"], set_={"digest": statement.excluded.digest}
    )
    for dialect, statement in (("sqlite", sqlite.insert(PUSHED)), ("postgresql", postgresql.insert(PUSHED)))
}


def write_pushed(connection: Connection, node: str, digests: Mapping[str, str | None]) -> None:
    """Replace the digests of these artefacts; None removes one. The caller commits."""
    gone = [{"of_node": node, "of_key": key} for key, digest in digests.items() if digest is None]
    if gone:
        connection.execute(_FORGET_PUSHED, gone)
    kept = [
        {"node": node, "key": key, "digest": digest} for key, digest in digests.items() if digest is not None
    ]
    if kept:
        connection.execute(_KEEP_PUSHED[connection.dialect.name], kept)
