"""SQLAlchemy Core store; the only place that imports a database."""
