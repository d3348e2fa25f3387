"""Tables for handsets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "handsets",
        _text("mac"),
        _text("model"),
        _text("org"),
        _text("site"),
        _text("name"),
        _text("extension", nullable=True),
        _text("device", nullable=True),
        _text("last_device", nullable=True),
        sa.Column("phone_id", sa.Integer, nullable=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("keys", sa.JSON, nullable=False),
        _text("language", nullable=True),
        sa.Column("allowed", sa.JSON, nullable=False),
        _text("certificate"),
        _text("token"),
        _text("token_previous"),
        _text("http_user"),
        _text("http_password"),
        _text("http_user_previous"),
        _text("http_password_previous"),
        _text("rotated_at", nullable=True),
        _text("admin_password"),
        _text("window_id", nullable=True),
        _text("window_until", nullable=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_handsets"),
        sa.ForeignKeyConstraint(["org"], ["organisations.id"], name="fk_handsets_org", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["site"], ["sites.id"], name="fk_handsets_site", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["device"], ["devices.id"], name="fk_handsets_device", deferrable=True, initially="DEFERRED"
        ),
    )
    op.create_index("ix_handsets_device", "handsets", ["device"])
    op.add_column("devices", sa.Column("sip_password_previous", sa.Text, nullable=False, server_default=""))
    op.add_column("devices", _text("rotated_at", nullable=True))
    for column in (
        sa.Column("provisioning_plain", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("provisioning_interval_s", sa.Integer, nullable=False, server_default="86400"),
        _text("provisioning_language", nullable=True),
        _text("provisioning_tone_country", nullable=True),
        sa.Column("provisioning_ntp_servers", sa.JSON, nullable=False, server_default="[]"),
        _text("provisioning_stun_server", nullable=True),
        sa.Column("provisioning_phone_ids", sa.Integer, nullable=False, server_default="1000"),
    ):
        op.add_column("sites", column)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)
