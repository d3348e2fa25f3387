"""The desired state in SQLite or PostgreSQL; the only place that imports a database."""

from control_plane.store.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
