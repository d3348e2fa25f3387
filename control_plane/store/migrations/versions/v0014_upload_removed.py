"""Which of the files a handset sent was removed last, and when: what the audit tells of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("handsets", sa.Column("upload_removed", sa.Text, nullable=False, server_default=""))
