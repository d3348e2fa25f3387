"""Main numbers: which number is nominated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("numbers", sa.Column("main", sa.Boolean, nullable=False, server_default=sa.false()))
