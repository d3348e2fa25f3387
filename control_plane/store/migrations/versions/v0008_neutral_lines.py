"""A neutral line for each handset: what it is while nobody is logged in."""

from __future__ import annotations

import secrets
import string

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_LOWER = string.ascii_lowercase
_USER = _LOWER + string.digits
_PASSWORD = string.ascii_letters + string.digits


def upgrade() -> None:
    for name, default in (("neutral_user", ""), ("neutral_password", ""), ("neutral_transport", "tls")):
        op.add_column("handsets", sa.Column(name, sa.Text, nullable=False, server_default=default))
    # The one family without TLS; which it was then, so it is spelt out.
    op.execute("UPDATE handsets SET neutral_transport = 'udp' WHERE model = 'N510 IP PRO'")
    handsets = sa.table(
        "handsets", sa.column("mac"), sa.column("neutral_user"), sa.column("neutral_password")
    )
    connection = op.get_bind()
    macs = connection.execute(sa.select(handsets.c.mac)).scalars().all()
    for mac in macs:
        if mac.startswith("s"):
            continue  # a softphone, which has none
        connection.execute(
            handsets.update()
            .where(handsets.c.mac == mac)
            .values(
                neutral_user=_random(_LOWER, 1) + _random(_USER, 11), neutral_password=_random(_PASSWORD, 24)
            )
        )


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
