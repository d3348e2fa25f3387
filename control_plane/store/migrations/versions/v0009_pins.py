"""Wrong PINs are counted where the PIN is: at the extension, not at its number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("extensions", sa.Column("pin_failures", sa.Integer, nullable=False, server_default="0"))
    op.add_column(
        "extensions", sa.Column("pin_locked", sa.Boolean, nullable=False, server_default=sa.false())
    )
    # An extension that several numbers reach has the strictest of what they counted.
    op.execute(
        "UPDATE extensions SET pin_failures = COALESCE((SELECT MAX(numbers.pin_failures) FROM numbers "
        "WHERE numbers.org = extensions.org AND numbers.extension = extensions.key), 0), "
        "pin_locked = EXISTS (SELECT 1 FROM numbers WHERE numbers.org = extensions.org "
        "AND numbers.extension = extensions.key AND numbers.pin_locked)"
    )
    op.drop_column("numbers", "pin_failures")
    op.drop_column("numbers", "pin_locked")
