"""A handset's web pages have a user's account beside the administrator's; both passwords are ours."""

from __future__ import annotations

import secrets
import string

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_PASSWORD = string.ascii_letters + string.digits


def upgrade() -> None:
    op.add_column("handsets", sa.Column("user_password", sa.Text, nullable=False, server_default=""))
    op.add_column("handsets", sa.Column("passwords_shown_at", sa.Text, nullable=True))
    handsets = sa.table("handsets", sa.column("mac"), sa.column("user_password"))
    connection = op.get_bind()
    for mac in connection.execute(sa.select(handsets.c.mac)).scalars().all():
        random = "".join(secrets.choice(_PASSWORD) for _ in range(24))
        connection.execute(handsets.update().where(handsets.c.mac == mac).values(user_password=random))
