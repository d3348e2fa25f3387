"""Tables for accounts, their tokens and log-ins, and whose an audit entry is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "accounts",
        _text("email"),
        _text("name"),
        _text("role"),
        _text("org", nullable=True),
        _text("person", nullable=True),
        sa.Column("disabled", sa.Boolean, nullable=False),
        _text("password_hash"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("email", name="pk_accounts"),
        sa.ForeignKeyConstraint(["org"], ["organisations.id"], name="fk_accounts_org", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name="fk_accounts_person", ondelete="RESTRICT"),
    )
    op.create_table(
        "tokens",
        _text("id"),
        _text("account"),
        _text("name"),
        _text("digest"),
        sa.Column("scopes", sa.JSON, nullable=False),
        _text("created_at"),
        _text("expires_at", nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.ForeignKeyConstraint(
            ["account"], ["accounts.email"], name="fk_tokens_account", ondelete="RESTRICT"
        ),
    )
    op.create_table(
        "sessions",
        _text("id"),
        _text("account"),
        _text("digest"),
        _text("password_mark"),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_table(
        "seen",
        _text("what"),
        sa.Column("at", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("what", name="pk_seen"),
    )
    op.add_column("audit", _text("org", nullable=True))
    op.add_column("audit", sa.Column("fields", sa.Text, nullable=False, server_default=""))
    op.create_index("ix_audit_org_id", "audit", ["org", "id"])


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)
