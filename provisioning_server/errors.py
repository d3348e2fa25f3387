"""What can go wrong in a way that a person can mend."""

from __future__ import annotations


class ServerError(Exception):
    """The provisioning server cannot start or go on; the text says what to do."""


class StoreUnavailable(Exception):
    """The published store cannot be read now; handsets are asked to come again."""


class JournalUnavailable(Exception):
    """The journal cannot be written now, so nothing that may happen only once happens."""
