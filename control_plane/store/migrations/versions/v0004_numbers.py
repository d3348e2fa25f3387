"""The life of a number: name, assignment, PIN, lock and cooldown; voice services; what is left to erase."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    _extend_numbers()
    op.create_table(
        "services",
        _text("org"),
        _text("site"),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("main_included", sa.Boolean, nullable=False),
        _version(),
        sa.PrimaryKeyConstraint("org", "site", name="pk_services"),
        _restrict("services", ["org"], ["organisations.id"]),
        _restrict("services", ["site"], ["sites.id"]),
    )
    op.create_table(
        "service_changes",
        _text("org"),
        _text("site"),
        _text("on"),
        sa.Column("quantity", sa.Integer, nullable=False),
        _version(),
        sa.PrimaryKeyConstraint("org", "site", "on", name="pk_service_changes"),
        _restrict("service_changes", ["org", "site"], ["services.org", "services.site"]),
    )
    op.create_table(
        "leftovers",
        _text("node"),
        _text("org"),
        _text("extension"),
        sa.Column("devices", sa.JSON, nullable=False),
        _version(),
        sa.PrimaryKeyConstraint("node", "org", "extension", name="pk_leftovers"),
    )
    # What is in use stays so, and within what it is entitled to.
    op.execute(
        "INSERT INTO services (org, site, quantity, main_included, version) "
        "SELECT org, site, COUNT(*), FALSE, 1 FROM numbers WHERE status = 'active' AND org IS NOT NULL "
        "GROUP BY org, site"
    )
    op.add_column("sites", sa.Column("nominate_main", sa.Boolean, nullable=False, server_default=sa.false()))


def _extend_numbers() -> None:
    for name in ("label_1", "label_2", "default_pin"):
        op.add_column("numbers", sa.Column(name, sa.Text, nullable=False, server_default=""))
    for name in ("softphone", "ever_active", "allocation_lock", "pin_locked"):
        op.add_column("numbers", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("numbers", sa.Column("pin_failures", sa.Integer, nullable=False, server_default="0"))
    for name in ("pending_to", "cooldown_until"):
        op.add_column("numbers", sa.Column(name, sa.Text, nullable=True))
    numbers = sa.table("numbers", *(sa.column(n) for n in ("label", "label_1", "status", "ever_active")))
    # What is ACTIVE was in use, and so rests before anybody else gets it.
    op.execute(numbers.update().values(label_1=sa.func.substr(numbers.c.label, 1, 30)))
    op.execute(numbers.update().where(numbers.c.status == "active").values(ever_active=sa.true()))
    op.drop_column("numbers", "label")
    # In one statement, as SQLite would have to copy the table to add a constraint by itself.
    op.execute(
        "ALTER TABLE numbers ADD COLUMN person TEXT CONSTRAINT fk_numbers_person REFERENCES people (id)"
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.BigInteger, nullable=False)


def _restrict(table: str, columns: list[str], targets: list[str]) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{'_'.join(columns)}"
    return sa.ForeignKeyConstraint(columns, targets, name=name, ondelete="RESTRICT")
