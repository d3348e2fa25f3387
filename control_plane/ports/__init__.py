"""What the use cases and the push need from the outside world.

Each protocol has one real implementation under the adapters and, where a test needs one, a fake that the
same contract tests run against. Nothing here does any work.
"""

from __future__ import annotations

from control_plane.ports.node import AmiEvent, ConfigFile, ConfigLine, LinkState, NodeLink
from control_plane.ports.outside import Clock, Mail, Mailer, Passwords
from control_plane.ports.published import Bound, Fetched, FetchJournal, PublishedStore, Upload, Uploads
from control_plane.ports.spool import PhonePins, Recording, Recordings, VoicemailBoxes
from control_plane.ports.store import (
    ANY_ENTRY,
    ID_MAX,
    NO_OUTCOMES,
    AuditEntry,
    AuditFilter,
    EntityChange,
    EntityKey,
    EntityKind,
    Session,
    Sessions,
    Snapshot,
    Store,
    TaskStore,
    Transaction,
)

__all__ = [
    "ANY_ENTRY",
    "ID_MAX",
    "NO_OUTCOMES",
    "AmiEvent",
    "AuditEntry",
    "AuditFilter",
    "Bound",
    "Clock",
    "ConfigFile",
    "ConfigLine",
    "EntityChange",
    "EntityKey",
    "EntityKind",
    "FetchJournal",
    "Fetched",
    "LinkState",
    "Mail",
    "Mailer",
    "NodeLink",
    "Passwords",
    "PhonePins",
    "PublishedStore",
    "Recording",
    "Recordings",
    "Session",
    "Sessions",
    "Snapshot",
    "Store",
    "TaskStore",
    "Transaction",
    "Upload",
    "Uploads",
    "VoicemailBoxes",
]
