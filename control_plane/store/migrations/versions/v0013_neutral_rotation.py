"""A neutral line's password is rotated as a device's: the one before works beside it for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column(
        "handsets", sa.Column("neutral_password_previous", sa.Text, nullable=False, server_default="")
    )
    op.add_column("handsets", sa.Column("neutral_rotated_at", sa.Text, nullable=True))
