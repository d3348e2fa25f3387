"""A published store in memory behind its port, with faults on request; held to the file by contract tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from control_plane.errors import PublishingFailed
from control_plane.render.handsets.publication import publication_of


class FakePublished:
    """Implements control_plane.ports.PublishedStore."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.links: list[tuple[str, str, str, datetime]] = []
        self.writes: list[frozenset[str]] = []
        self.broken: str | None = None
        self.cut_before_write: int | None = None
        """Break before this many more transactions were written."""

    async def read(self, names: Collection[str] | None = None) -> dict[str, str]:
        self._require_whole()
        return {name: text for name, text in self.texts.items() if names is None or name in names}

    async def replace(self, texts: Mapping[str, str | None]) -> None:
        self._require_whole()
        if self.cut_before_write is not None:
            if self.cut_before_write == 0:
                raise PublishingFailed("cut")
            self.cut_before_write -= 1
        self.writes.append(frozenset(texts))
        for name, text in texts.items():
            if text is None:
                self.texts.pop(name, None)
            else:
                self.texts[name] = publication_of(text).text()

    async def add_link(self, token: str, mac: str, name: str, valid_until: datetime) -> None:
        self._require_whole()
        self.links.append((token, mac, name, valid_until))

    def _require_whole(self) -> None:
        if self.broken is not None:
            raise PublishingFailed(self.broken)
