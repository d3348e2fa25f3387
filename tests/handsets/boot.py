"""Handsets that boot: what each family asks for, in what order, and what it then believes.

A handset is given a way to fetch and nothing else: `fetch(name, user_agent)` returns a file or None (404).
Names are relative to the handset's URL, or whole URLs where a file names one. Whoever fetches also answers
the login: each handset says how it would (`login`). Nothing here reads the templates or the catalogue's
boot sequence; the names are written down a second time, from the makes' documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from control_plane.domain.extension import Transport

Fetch = Callable[[str, str], bytes | None]


class BootFailed(Exception):
    """The handset did not find, or would not take, what it needs."""


@dataclass(frozen=True)
class Account:
    """What the handset will register with."""

    user: str
    password: str
    host: str
    port: int
    transport: Transport
    index: int = 1
    auth_user: str = ""
    display_name: str = ""


@dataclass(frozen=True)
class Provisioning:
    """Where the handset will ask next time, and as whom."""

    url: str
    user: str
    password: str


@dataclass
class Boot:
    """What happened. `asked` in order, found or not."""

    asked: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    accounts: tuple[Account, ...] = ()
    provisioning: Provisioning | None = None


class Handset(Protocol):
    """One family's behaviour."""

    family: str
    login: str
    """"digest", "basic" or "none"."""

    def user_agent(self, mac: str, model: str) -> str:
        """As the real one sends it."""
        ...

    def boot(self, mac: str, model: str, fetch: Fetch) -> Boot:
        """Ask, parse, believe.

        Raises:
            BootFailed: without a file the handset needs, or with one it refuses.
        """
        ...


class Asking:
    """A boot under way: remembers what was asked for."""

    def __init__(self, fetch: Fetch, user_agent: str) -> None:
        self._fetch = fetch
        self._user_agent = user_agent
        self.boot = Boot()

    def get(self, name: str) -> bytes | None:
        """The file, or None."""
        self.boot.asked.append(name)
        content = self._fetch(name, self._user_agent)
        if content is not None:
            self.boot.files[name] = content
        return content

    def need(self, name: str) -> bytes:
        """The file.

        Raises:
            BootFailed: it is not there.
        """
        content = self.get(name)
        if content is None:
            raise BootFailed(f"{name} is not there; asked for {self.boot.asked}")
        return content


def colons(mac: str) -> str:
    """80:5e:c0:a1:b2:c3."""
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2))


def from_files(files: Mapping[str, bytes]) -> Fetch:
    """A server that has these files, and looks names up without case; of a whole address, the last part."""
    by_name = {name.lower(): content for name, content in files.items()}
    return lambda name, user_agent: by_name.get(name.rpartition("/")[2].lower())
