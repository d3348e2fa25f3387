"""What the use cases and the push need from the outside world.

Each protocol has one real implementation under the adapters and, where a test needs one, a fake that the
same contract tests run against. Nothing here does any work.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from control_plane.domain.entities import Entity
from control_plane.domain.model import Model
from control_plane.plan.tasks import NewTask, Progress, Subject, Task, TaskFilter


@dataclass(frozen=True, slots=True)
class AmiEvent:
    """One AMI event as it arrived; header names keep Asterisk's spelling, repeated headers keep the last."""

    name: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """One `name = value` (or `name => value`) line of an Asterisk configuration category, in file order.

    `value` is what Asterisk holds, unescaped. `arrow` tells `=>` from `=`; GetConfig does not report it,
    so it takes no part in comparisons.
    """

    name: str
    value: str
    arrow: bool = field(default=True, compare=False)


ConfigFile = Mapping[str, Sequence[ConfigLine]]
"""Category name -> its lines, both in file order."""


class LinkState(StrEnum):
    """How the control plane stands with one node."""

    CONNECTING = "connecting"
    CONNECTED = "connected"  # logged in and FullyBooted seen
    DISCONNECTED = "disconnected"
    LOGIN_REFUSED = "login_refused"


class NodeLink(Protocol):
    """One Asterisk node over AMI, as the push and the observer use it.

    Every method raises Unreachable when nothing was sent, OutcomeUnknown when the action was sent but the
    answer did not come in time or the connection broke, Rejected when Asterisk answered with an error, and
    UnsafeValue (before anything is sent) when a value has CR, LF or NUL or its line exceeds what AMI takes.
    No action is ever sent twice by the link itself.
    """

    @property
    def state(self) -> LinkState: ...

    @property
    def last_error(self) -> str | None:
        """One sentence on why the link is not connected, without secrets; None when it is."""
        ...

    async def connect(self) -> None:
        """Connect, log in and wait for FullyBooted; afterwards the link reconnects by itself with backoff.

        Raises: Unreachable, LoginRefused.
        """
        ...

    async def close(self) -> None: ...

    async def ping(self) -> float:
        """Round trip in seconds."""
        ...

    async def read_rows(self, prefix: str) -> dict[str, str]:
        """AstDB rows under `prefix` ("pbx/auth"), full key without the leading slash -> value. Empty: {}."""
        ...

    async def read_row(self, key: str) -> str | None: ...

    async def put_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write AstDB rows (full key, value) in order, pipelined.

        Raises on the first row refused; rows before it are written, rows after it may be.
        """
        ...

    async def delete_rows(self, keys: Iterable[str]) -> None:
        """Delete AstDB rows, pipelined; a row that is already gone is no error."""
        ...

    async def read_config(self, filename: str) -> dict[str, list[ConfigLine]] | None:
        """A configuration file by GetConfig; None when it does not exist."""
        ...

    async def write_config(self, filename: str, content: ConfigFile) -> None:
        """Make `filename` hold exactly `content`: created when missing, old categories dropped, written in
        batches within AMI's 128-line limit. Not atomic in Asterisk: the caller reads back."""
        ...

    async def edit_config(
        self,
        filename: str,
        category: str,
        *,
        delete: Sequence[ConfigLine] = (),
        append: Sequence[ConfigLine] = (),
    ) -> None:
        """Delete and append single lines of one category (created when missing), without touching others."""
        ...

    async def reload(self, module: str) -> None:
        """Reload one module ("pbx_config.so"). The acknowledgement is no evidence: read back.

        "A reload is in progress" is waited out up to a deadline.
        """
        ...

    async def count_endpoints(self) -> int:
        """How many PJSIP endpoints Asterisk can enumerate (a malformed row hides all after it)."""
        ...

    async def has_endpoint(self, name: str) -> bool:
        """Whether Asterisk can make a PJSIP endpoint of the row `pbx/endpoint/<name>`; about 1 ms at any
        number of endpoints, where counting takes seconds at 10 000."""
        ...

    async def contacts(self) -> dict[str, str]:
        """AOR -> contact URI of what is registered now (PJSIPShowContacts)."""
        ...

    async def notify(self, uri: str, event: str) -> None:
        """Send a SIP NOTIFY with this Event header to one contact; whether it was taken, nobody tells."""
        ...

    async def active_channels(self) -> int:
        """Number of channels up (CoreShowChannels/CoreStatus)."""
        ...

    def subscribe(self, listener: Callable[[AmiEvent], None]) -> Callable[[], None]:
        """Call `listener` for every event; returns the unsubscribe function. A listener must not block."""
        ...

    def on_state(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        """Call `listener` after every change of `state`; returns the unsubscribe function."""
        ...


class Clock(Protocol):
    """The time, injectable."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to send; `attachments` are (file name, MIME type, bytes).

    `message_id` is the part before the @ of the Message-ID, the same for every attempt to send one thing, so
    that a mailbox can drop a second copy. Empty: a new one each time.
    """

    to: tuple[str, ...]
    subject: str
    text: str
    attachments: tuple[tuple[str, str, bytes], ...] = ()
    message_id: str = ""


class Mailer(Protocol):
    """Sends mail; raises MailNotSent (retry) or MailRefused (never) from errors."""

    async def send(self, mail: Mail) -> None: ...


@dataclass(frozen=True, slots=True)
class Recording:
    """A voicemail message: a whole WAV file, and how long it lasts in seconds."""

    wav: bytes
    duration_s: int


class Recordings(Protocol):
    """Reads voicemail messages from where Asterisk keeps them."""

    async def read(
        self, org: str, mailbox: str, *, stem: str, caller: str, ended: datetime
    ) -> Recording | None:
        """The message a caller left in a mailbox, or None when it is not (or not yet, or no longer) there.

        Args:
            stem: its file name without suffix ("msg0003"); empty when unknown. Messages are renumbered when
                one is deleted, so a stem alone is a hint.
            caller: number or extension of the caller; prefers a message over others of the same time.
            ended: when the recording ended.
        """
        ...


class PhonePins(Protocol):
    """Voicemail PINs that their owners chose by phone, where Asterisk keeps them; secrets.

    They win over the PIN in the mailbox's line, so one that the model replaces has to go.
    """

    async def read_pins(self, names: Collection[str] | None = None) -> dict[str, str]:
        """ "context/mailbox" -> PIN, of all mailboxes or of those named; without those that have none."""
        ...

    async def remove_pins(self, names: Collection[str]) -> None:
        """Forget the PINs of these mailboxes; those that have none are no error. Read back to be sure."""
        ...


class PublishedStore(Protocol):
    """What the provisioning server may serve.

    Texts are those of render/handsets/publication.py: of one handset under its MAC, of a file common to all
    under "common/" and its name.

    Every method raises PublishingFailed when the store cannot be used.
    """

    async def read(self, names: Collection[str] | None = None) -> dict[str, str]:
        """Name -> text, of everything or of those named; without those that are not there."""
        ...

    async def replace(self, texts: Mapping[str, str | None]) -> None:
        """Make each name hold its text, None nothing; all of it at once or nothing."""
        ...

    async def add_link(self, token: str, mac: str, name: str, valid_until: datetime) -> None:
        """Let whoever has `token` (kept as a digest) fetch one file of a handset, once."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """The newest fetch of one file; `version` is that of the handset's publication at that moment."""

    mac: str
    name: str
    at: datetime
    status: int
    version: str
    scheme: str
    address: str
    user_agent: str
    count: int

    @property
    def served(self) -> bool:
        """Whether the handset has the file now: it was sent, or found unchanged."""
        return self.status in (200, 206, 304)


@dataclass(frozen=True, slots=True)
class Bound:
    """A handset at its first fetch with a login."""

    mac: str
    network: str
    at: datetime
    certificate: str | None


class FetchJournal(Protocol):
    """What handsets fetched, as the provisioning server wrote it down; without a server there is nothing.

    Every method raises PublishingFailed when the journal is there and cannot be read.
    """

    async def fetches(self, macs: Collection[str] | None = None) -> Mapping[str, Sequence[Fetched]]:
        """MAC -> its files, newest first; of all handsets or of those named."""
        ...

    async def bound(self) -> Mapping[str, Bound]: ...

    async def spent(self) -> frozenset[str]:
        """Enrolment windows and links that were used."""
        ...


class VoicemailBoxes(Protocol):
    """Mailboxes as directories of the spool: messages, greetings, names, PINs; whoever may read them reads
    all of it."""

    async def erase(self, name: str) -> bool:
        """Remove everything of the mailbox "context/mailbox" for good; whether nothing of it is left.

        Idempotent: True when there was nothing. Nothing outside the mailbox's own directory is touched,
        whatever the name or a link in the spool says.
        """
        ...


class EntityKind(StrEnum):
    """The resources of the model; each names one entity class."""

    ORGANISATION = "organisation"
    SITE = "site"
    OCCUPANCY = "occupancy"
    PERSON = "person"
    NUMBER = "number"
    EXTENSION = "extension"
    DEVICE = "device"
    TRUNK = "trunk"
    HANDSET = "handset"
    SERVICE = "service"
    SERVICE_CHANGE = "service_change"
    LEFTOVER = "leftover"
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - a kind, not a token
    CALL_GROUP = "call_group"
    MAIN_NUMBER = "main_number"


EntityKey = tuple[str, ...]
"""organisation (id,) · site (id,) · occupancy (org, site) · person (id,) · number (e164,)
· extension (org, key) · device (id,) · trunk (id,) · handset (mac,)
· service (org, site) · service_change (org, site, day) · leftover (node, org, extension)
· account (email,) · token (id,)
· call_group (org, key) · main_number (org, site)."""


@dataclass(frozen=True, slots=True)
class EntityChange:
    """One entity as a committed revision left it; `before` None: created, `after` None: deleted.

    The entities are whole, secrets included, so this value is never logged or serialised.
    """

    revision: int
    kind: EntityKind
    key: EntityKey
    before: Entity | None
    after: Entity | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The model as of `revision`."""

    revision: int
    model: Model


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who changed what, when. `before` and `after` are JSON objects with every secret masked."""

    id: int
    revision: int
    at: datetime
    actor: str
    kind: EntityKind
    key: EntityKey
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    org: str | None = None
    """Whose it was; None: the operator's."""
    fields: tuple[str, ...] = ()
    """The dotted names of what changed, secrets included; empty when something was made or removed."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit are wanted: those that fit everything that is not None.

    `field` is a changed field or one it lies in ("forwarding" fits "forwarding.enabled"); `until` is the
    first moment no longer wanted.
    """

    actor: str | None = None
    org: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    field: str | None = None


ANY_ENTRY = AuditFilter()


class Transaction(Protocol):
    """One write transaction: rows, audit entries and one new revision commit together or not at all."""

    @property
    def model(self) -> Model:
        """The model inside the transaction, with the puts and deletes made so far."""
        ...

    def version(self, kind: EntityKind, key: EntityKey) -> int:
        """The revision that last changed this entity (its ETag). Raises: UnknownEntity."""
        ...

    def put(self, entity: Entity) -> None:
        """Create or replace; a put that changes nothing leaves no trace."""
        ...

    def delete(self, kind: EntityKind, key: EntityKey) -> None:
        """Raises: UnknownEntity."""
        ...

    def add_task(self, task: NewTask) -> None:
        """A task that is born with this commit, or not at all."""
        ...

    def set_progress(self, id: int, progress: Progress) -> None:
        """How a task stands from this commit on."""
        ...


NO_OUTCOMES: Mapping[int, Progress] = {}


class Store(Protocol):
    """The desired state. Raises StoreBusy when another writer does not let go in time."""

    async def snapshot(self) -> Snapshot:
        """The newest committed model; cached, and brought up to date by the changes since."""
        ...

    def transaction(self, actor: str) -> AbstractAsyncContextManager[Transaction]:
        """Begin immediately; commit when the block ends well, roll back when it raises."""
        ...

    async def revision(self) -> int:
        """The newest committed revision; one cheap read."""
        ...

    async def changes_since(self, revision: int) -> tuple[EntityChange, ...] | None:
        """Committed changes after `revision`, oldest first, one per entity and revision. None: too long ago
        (or another process wrote more than is worth replaying); take a snapshot instead."""
        ...

    async def versions(self, kind: EntityKind) -> Mapping[EntityKey, int]:
        """The ETag revision of every entity of a kind."""
        ...

    async def audit(
        self,
        *,
        kind: EntityKind | None = None,
        key: EntityKey | None = None,
        limit: int = 50,
        before_id: int = 0,
        wanted: AuditFilter = ANY_ENTRY,
    ) -> tuple[AuditEntry, ...]:
        """Newest first; `before_id` continues a listing."""
        ...

    async def pushed(self, node: str) -> dict[str, str]:
        """What was last pushed to and verified on a node: artefact key -> digest."""
        ...

    async def record_pushed(
        self, node: str, digests: Mapping[str, str | None], outcomes: Mapping[int, Progress] = NO_OUTCOMES
    ) -> None:
        """Remember digests of verified artefacts (None forgets one), and how the push tasks of these
        revisions stand, in one transaction."""
        ...

    async def open_pushes(self, node: str) -> Mapping[int, Progress]:
        """Revision -> how its push to a node stands, of those that are not done; the newest MAX_OPEN."""
        ...


class TaskStore(Protocol):
    """Tasks, beside the model. Those that are done are forgotten in the end, the oldest first."""

    async def tasks(self, wanted: TaskFilter, *, limit: int = 50, before_id: int = 0) -> tuple[Task, ...]:
        """Newest first; `before_id` continues a listing."""
        ...

    async def task(self, id: int) -> Task:
        """Raises: UnknownEntity."""
        ...

    async def add_task(self, actor: str, task: NewTask) -> Task:
        """A task that is no push; pushes are born with their revision."""
        ...

    async def set_progress(self, id: int, progress: Progress) -> None:
        """Keep how a task stands."""
        ...

    async def open_subjects(self) -> Mapping[tuple[str | None, int | None], tuple[Subject, ...]]:
        """(node, revision) of each open push -> what it is about; for "update in progress" (R31)."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in: of its token only the digest, and of the password it was made with a mark."""

    id: str
    account: str
    digest: str
    password_mark: str
    expires_at: datetime


class Sessions(Protocol):
    """Log-ins, and when accounts and tokens were last used. Raises StoreBusy as the store does."""

    async def begin(self, session: Session, now: datetime) -> None:
        """Keep a new log-in, and forget those that have expired by `now`."""
        ...

    async def find(self, session_id: str) -> Session | None: ...

    async def end(self, session_id: str) -> None:
        """Forget one; one that is gone already is no error."""
        ...

    async def note_seen(self, what: str, at: datetime) -> None:
        """Remember that an account or token ("account ann@example.com", "token 4f...") was used."""
        ...

    async def seen(self) -> Mapping[str, datetime]:
        """When each was last used, of those that ever were."""
        ...


class Passwords(Protocol):
    """Hashes and checks passwords, slowly on purpose and never on the event loop.

    Raises TooMany when so many are being checked that another would wait for long.
    """

    async def hashed(self, password: str) -> str: ...

    async def matches(self, password_hash: str, password: str) -> bool:
        """Whether `password` is the one hashed; with an empty hash False, after the same work."""
        ...
