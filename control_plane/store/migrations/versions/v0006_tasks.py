"""What became of each change that has to reach Asterisk or a handset; which organisations are leaving."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("node", sa.Text),
        sa.Column("revision", sa.BigInteger),
        sa.Column("org", sa.Text),
        sa.Column("subjects", sa.JSON, nullable=False),
        sa.Column("subject_count", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started", sa.String(32)),
        sa.Column("finished", sa.String(32)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("steps_total", sa.Integer, nullable=False),
        sa.Column("steps_done", sa.Integer, nullable=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("node", "revision", name="uq_tasks_node_revision"),
    )
    op.create_index("ix_tasks_state_id", "tasks", ["state", "id"])
    op.add_column("organisations", sa.Column("decommission", sa.Text, nullable=False, server_default="none"))
