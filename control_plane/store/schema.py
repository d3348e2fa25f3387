"""The tables. Those of the entities follow from their fields; migrations spell the same out as history.

Constraints repeat what the rules between entities say, so that no writer can get past them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from control_plane.ports import EntityKind
from control_plane.store.codec import KINDS, ColumnType, Kind

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _restrict(*columns: str, to: str) -> ForeignKeyConstraint:
    """A reference that forbids removing what it points at; `to` is "table.column,column"."""
    table, names = to.split(".")
    return ForeignKeyConstraint(
        columns, [f"{table}.{name}" for name in names.split(",")], ondelete="RESTRICT"
    )


# A number and its extension may point at each other, so one of the two is checked at commit; RESTRICT
# would be checked at once even then (sqlite.org/foreignkeys.html section 4.3), NO ACTION is not.
_NUMBER_TO_EXTENSION = ForeignKeyConstraint(
    ("org", "extension"),
    ("extensions.org", "extensions.key"),
    deferrable=True,
    initially="DEFERRED",
    use_alter=True,
)

_CONSTRAINTS: Final[dict[EntityKind, tuple[SchemaItem, ...]]] = {
    EntityKind.SITE: (_restrict("trunk", to="trunks.id"),),
    EntityKind.OCCUPANCY: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
    ),
    EntityKind.PERSON: (_restrict("org", to="organisations.id"),),
    EntityKind.NUMBER: (
        _restrict("site", to="sites.id"),
        _restrict("org", to="organisations.id"),
        ForeignKeyConstraint(("person",), ("people.id",)),
        _NUMBER_TO_EXTENSION,
        Index(None, "org", "extension"),
    ),
    EntityKind.EXTENSION: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
        _restrict("person", to="people.id"),
        _restrict("number", to="numbers.e164"),
        Index(None, "number"),
    ),
    EntityKind.DEVICE: (
        _restrict("org", "extension", to="extensions.org,key"),
        # One of each kind, and three kinds: this is also "at most three" (R76).
        UniqueConstraint("org", "extension", "kind"),
        CheckConstraint("kind IN ('ip_phone', 'mobile', 'desktop')", name="kind"),
    ),
    EntityKind.HANDSET: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
        # A changed device is removed and written anew (see rows.py), so this is checked at commit.
        ForeignKeyConstraint(("device",), ("devices.id",), deferrable=True, initially="DEFERRED"),
        Index(None, "device"),
    ),
    EntityKind.SERVICE: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
    ),
    EntityKind.SERVICE_CHANGE: (_restrict("org", "site", to="services.org,site"),),
    EntityKind.ACCOUNT: (
        _restrict("org", to="organisations.id"),
        _restrict("person", to="people.id"),
    ),
    EntityKind.TOKEN: (_restrict("account", to="accounts.email"),),
    EntityKind.CALL_GROUP: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
    ),
    EntityKind.MAIN_NUMBER: (
        _restrict("org", to="organisations.id"),
        _restrict("site", to="sites.id"),
        _restrict("e164", to="numbers.e164"),
    ),
}

_TYPES: Final[dict[ColumnType, type[TypeEngine[Any]]]] = {
    ColumnType.TEXT: Text,
    ColumnType.INTEGER: Integer,
    ColumnType.BOOLEAN: Boolean,
    ColumnType.LIST: JSON,
}


def _entity_table(kind: Kind) -> Table:
    return Table(
        kind.table,
        METADATA,
        *(Column(c.name, _TYPES[c.type](), nullable=c.nullable) for c in kind.shape.columns),
        Column("version", BigInteger, nullable=False),
        PrimaryKeyConstraint(*kind.key_fields),
        *_CONSTRAINTS.get(kind.kind, ()),
    )


ENTITIES: Final = {kind.kind: _entity_table(kind) for kind in KINDS.values()}

HEAD: Final = Table(
    "head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), nullable=False),
    Column("revision", BigInteger, nullable=False),
    # Changes up to and including this revision are gone from `changes`.
    Column("floor", BigInteger, nullable=False),
    # Rows in `changes`, so that pruning needs no count.
    Column("retained", BigInteger, nullable=False),
    PrimaryKeyConstraint("id"),
)

CHANGES: Final = Table(
    "changes",
    METADATA,
    Column("revision", BigInteger, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    PrimaryKeyConstraint("revision", "seq"),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    # SQLite only counts up by itself in an INTEGER primary key.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("at", String(32), nullable=False),  # ISO 8601, UTC
    Column("actor", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key", Text, nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("org", Text),
    # The changed fields between spaces, " dnd forwarding.enabled ", to be searched for one of them.
    Column("fields", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("id"),
    Index(None, "kind", "key", "id"),
    Index(None, "org", "id"),
)

PUSHED: Final = Table(
    "pushed",
    METADATA,
    Column("node", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("digest", Text, nullable=False),
    PrimaryKeyConstraint("node", "key"),
)

TASKS: Final = Table(
    "tasks",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), autoincrement=True, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("node", Text),
    Column("revision", BigInteger),
    Column("org", Text),
    # All organisations it is about, between spaces, " acme globex ", to be searched for one of them.
    Column("orgs", Text, nullable=False, server_default=""),
    # ["kind key", ...]: all of them while the task is open.
    Column("subjects", JSON, nullable=False),
    Column("subject_count", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created", String(32), nullable=False),  # ISO 8601, UTC, as below
    Column("state", String(16), nullable=False),
    Column("started", String(32)),
    Column("finished", String(32)),
    Column("attempts", Integer, nullable=False),
    Column("steps_total", Integer, nullable=False),
    Column("steps_done", Integer, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("error", Text),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("node", "revision"),
    Index(None, "state", "id"),
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("password_mark", Text, nullable=False),
    Column("expires_at", String(32), nullable=False),  # ISO 8601, UTC
    PrimaryKeyConstraint("id"),
)

SEEN: Final = Table(
    "seen",
    METADATA,
    # "account ann@example.com" or "token 4f..."
    Column("what", Text, nullable=False),
    Column("at", String(32), nullable=False),  # ISO 8601, UTC
    PrimaryKeyConstraint("what"),
)
