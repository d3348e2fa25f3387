"""Call groups, and main numbers with their group features."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("numbers", _flag("main"))
    op.add_column("extensions", _flag("legacy_multi_forward"))
    op.create_table(
        "call_groups",
        _text("org"),
        _text("key"),
        _text("site"),
        _text("label"),
        sa.Column("members", sa.JSON, nullable=False),
        _text("strategy"),
        sa.Column("ring_timeout_s", sa.Integer, nullable=False),
        sa.Column("total_ring_s", sa.Integer, nullable=False),
        *_destination("otherwise", nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("org", "key", name="pk_call_groups"),
        _restrict("call_groups", "org", "organisations.id"),
        _restrict("call_groups", "site", "sites.id"),
    )
    op.create_table(
        "main_numbers",
        _text("org"),
        _text("site"),
        _text("e164"),
        sa.Column("hours", sa.JSON, nullable=False),
        sa.Column("holidays", sa.JSON, nullable=False),
        *_destination("in_hours"),
        *_destination("out_of_hours"),
        *_destination("if_not_answered", nullable=True),
        sa.Column("ring_timeout_s", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("org", "site", name="pk_main_numbers"),
        _restrict("main_numbers", "org", "organisations.id"),
        _restrict("main_numbers", "site", "sites.id"),
        _restrict("main_numbers", "e164", "numbers.e164"),
    )


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _destination(name: str, *, nullable: bool = False) -> tuple[sa.Column[object], ...]:
    return (
        sa.Column(f"{name}_kind", sa.Text, nullable=nullable),
        sa.Column(f"{name}_target", sa.Text, nullable=nullable),
        sa.Column(f"{name}_members", sa.JSON, nullable=nullable),
    )


def _restrict(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=f"fk_{table}_{column}", ondelete="RESTRICT")
