"""What handsets may fetch, and what they fetched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


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


@dataclass(frozen=True, slots=True)
class Upload:
    """A file a handset sent; `size` in bytes."""

    id: int
    mac: str
    name: str
    at: datetime
    size: int


class Uploads(Protocol):
    """What handsets sent and nobody has removed. PublishingFailed where the journal cannot be used."""

    async def list(self, mac: str) -> tuple[Upload, ...]:
        """Of one handset, oldest first."""
        ...

    async def read(self, mac: str, id: int) -> bytes:
        """Its content; a secret. Raises: UnknownEntity, PublishingFailed (it cannot be opened)."""
        ...

    async def remove(self, mac: str, id: int) -> None:
        """Raises: UnknownEntity."""
        ...


class FetchJournal(Protocol):
    """What handsets fetched, as the provisioning server wrote it down; without a server there is nothing.

    Every method raises PublishingFailed when the journal is there and cannot be used.
    """

    async def fetches(self, macs: Collection[str] | None = None) -> Mapping[str, Sequence[Fetched]]:
        """MAC -> its files, newest first; of all handsets or of those named."""
        ...

    async def bound(self) -> Mapping[str, Bound]: ...

    async def spent(self) -> frozenset[str]:
        """Enrolment windows and links that were used."""
        ...

    async def macs(self) -> frozenset[str]:
        """The handsets of which something is kept: what they fetched, from where, or what they sent."""
        ...

    async def forget(self, macs: Collection[str]) -> None:
        """Erase all that is kept of these handsets; what they used up stays used up."""
        ...
