"""Alembic's entry: runs migrations on the connection it is given, inside its open transaction."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
