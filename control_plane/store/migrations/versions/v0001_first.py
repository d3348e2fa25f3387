"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_places()
    _create_people_and_numbers()
    _create_extensions()
    _create_devices()
    _create_history()
    op.create_table(
        "pushed",
        _text("node"),
        _text("key"),
        _text("digest"),
        sa.PrimaryKeyConstraint("node", "key", name="pk_pushed"),
    )


def _create_places() -> None:
    op.create_table(
        "organisations",
        _text("id"),
        _text("name"),
        _text("kind"),
        _version(),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
    )
    op.create_table(
        "trunks",
        _text("id"),
        _text("node"),
        _text("host"),
        sa.Column("port", sa.Integer, nullable=False),
        _text("region"),
        _text("username", nullable=True),
        _text("password", nullable=True),
        _version(),
        sa.PrimaryKeyConstraint("id", name="pk_trunks"),
    )
    op.create_table(
        "sites",
        _text("id"),
        _text("name"),
        _text("region"),
        _text("time_zone"),
        _text("node"),
        _text("trunk", nullable=True),
        _text("caller_id", nullable=True),
        _text("media_address", nullable=True),
        _list("reception"),
        _version(),
        sa.PrimaryKeyConstraint("id", name="pk_sites"),
        _restrict("sites", ["trunk"], ["trunks.id"]),
    )
    op.create_table(
        "occupancies",
        _text("org"),
        _text("site"),
        _text("authorization_code_id", nullable=True),
        _text("authorization_code_salt", nullable=True),
        _text("authorization_code_digest", nullable=True),
        _list("reception"),
        _version(),
        sa.PrimaryKeyConstraint("org", "site", name="pk_occupancies"),
        _restrict("occupancies", ["org"], ["organisations.id"]),
        _restrict("occupancies", ["site"], ["sites.id"]),
    )


def _create_people_and_numbers() -> None:
    op.create_table(
        "people",
        _text("id"),
        _text("org"),
        _text("name"),
        _text("email", nullable=True),
        _text("kind"),
        _version(),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        _restrict("people", ["org"], ["organisations.id"]),
    )
    op.create_table(
        "numbers",
        _text("e164"),
        _text("site"),
        _text("org", nullable=True),
        _text("extension", nullable=True),
        _text("status"),
        _text("label"),
        _version(),
        sa.PrimaryKeyConstraint("e164", name="pk_numbers"),
        _restrict("numbers", ["site"], ["sites.id"]),
        _restrict("numbers", ["org"], ["organisations.id"]),
        # SQLite takes it here, before the other table exists; others get it afterwards.
        sa.ForeignKeyConstraint(
            ["org", "extension"],
            ["extensions.org", "extensions.key"],
            name="fk_numbers_org_extension",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
    )
    op.create_index("ix_numbers_org_extension", "numbers", ["org", "extension"])


def _create_extensions() -> None:
    op.create_table(
        "extensions",
        _text("org"),
        _text("key"),
        _text("site"),
        _text("label"),
        _text("type"),
        _text("person", nullable=True),
        _text("number", nullable=True),
        _text("voicemail_pin"),
        _list("ring_devices"),
        _text("primary_device", nullable=True),
        _flag("call_waiting"),
        _flag("dnd"),
        _text("dnd_action"),
        _flag("forwarding_enabled"),
        _list("forwarding_numbers"),
        _list("forwarding_extensions"),
        _list("forwarding_vip"),
        _list("forwarding_vip_ring_devices"),
        _text("no_answer_action"),
        sa.Column("no_answer_ring_timeout_s", sa.Integer, nullable=False),
        _text("no_answer_number", nullable=True),
        _list("no_answer_notify"),
        _flag("restricted"),
        _version(),
        sa.PrimaryKeyConstraint("org", "key", name="pk_extensions"),
        _restrict("extensions", ["org"], ["organisations.id"]),
        _restrict("extensions", ["site"], ["sites.id"]),
        _restrict("extensions", ["person"], ["people.id"]),
        _restrict("extensions", ["number"], ["numbers.e164"]),
    )
    op.create_index("ix_extensions_number", "extensions", ["number"])
    if op.get_context().dialect.supports_alter:
        op.create_foreign_key(
            "fk_numbers_org_extension",
            "numbers",
            "extensions",
            ["org", "extension"],
            ["org", "key"],
            deferrable=True,
            initially="DEFERRED",
        )


def _create_devices() -> None:
    op.create_table(
        "devices",
        _text("id"),
        _text("org"),
        _text("extension"),
        _text("kind"),
        _text("name"),
        _text("transport"),
        _flag("srtp"),
        _flag("stun"),
        _text("sip_password"),
        _version(),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        _restrict("devices", ["org", "extension"], ["extensions.org", "extensions.key"]),
        sa.UniqueConstraint("org", "extension", "kind", name="uq_devices_org_extension_kind"),
        sa.CheckConstraint("kind IN ('ip_phone', 'mobile', 'desktop')", name="ck_devices_kind"),
    )


def _create_history() -> None:
    head = op.create_table(
        "head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1", name="ck_head_one_row"), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("retained", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_head"),
    )
    op.bulk_insert(head, [{"id": 1, "revision": 0, "floor": 0, "retained": 0}])
    op.create_table(
        "changes",
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.PrimaryKeyConstraint("revision", "seq", name="pk_changes"),
    )
    op.create_table(
        "audit",
        # SQLite only counts up by itself in an INTEGER primary key.
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        _text("actor"),
        sa.Column("kind", sa.String(16), nullable=False),
        _text("key"),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_kind_key_id", "audit", ["kind", "key", "id"])


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _list(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON, nullable=False)


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False)


def _restrict(table: str, columns: list[str], targets: list[str]) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{'_'.join(columns)}"
    return sa.ForeignKeyConstraint(columns, targets, name=name, ondelete="RESTRICT")
