"""A task may be about things of several organisations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("tasks", sa.Column("orgs", sa.Text, nullable=False, server_default=""))
    # Whose the further things of a task were is not known any more; there is one task of each change.
    op.execute("UPDATE tasks SET orgs = ' ' || org || ' ' WHERE org IS NOT NULL")
