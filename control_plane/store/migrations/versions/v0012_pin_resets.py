"""When the PIN of a number was last reset, which the audit shows also where the PIN stayed the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("numbers", sa.Column("pin_reset_at", sa.Text, nullable=True))
