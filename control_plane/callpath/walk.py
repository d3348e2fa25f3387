"""One channel's way through the graph: what is known so far, and what it rang."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from control_plane.callpath.circumstances import Behaviour, Circumstances, Leg, Step
from control_plane.domain.entities import Site
from control_plane.domain.extension import Extension
from control_plane.domain.groups import CallGroup, Destination, MainNumber
from control_plane.domain.model import Model
from control_plane.domain.regions import REGIONS
from control_plane.errors import UnknownEntity

T = TypeVar("T")


class Attempt(StrEnum):
    """How one ringing attempt comes out, seen by who dialled it."""

    ANSWERED = "answered"
    RINGING = "ringing"
    NO_ANSWER = "no_answer"  # a leg that gave up by itself
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


_ATTEMPT: Mapping[Behaviour, Attempt] = {
    Behaviour.ANSWER: Attempt.ANSWERED,
    Behaviour.BUSY: Attempt.BUSY,
    Behaviour.REFUSE: Attempt.BUSY,  # cause 21 counts as busy
    Behaviour.RING: Attempt.RINGING,
    Behaviour.UNREGISTERED: Attempt.UNAVAILABLE,
}


@dataclass
class Walk:
    """The state of one channel's way through the graph, under the names the dialplan uses.

    `rules` are the evaluators, by node. On a leg `limit_s` is how long whoever dials it waits (None: until it
    ends by itself), and `elapsed_s` how much of that is gone.
    """

    model: Model
    now: Circumstances
    dialled: str
    rules: Mapping[str, Callable[[Walk], tuple[str, str]]]
    origin: str = ""  # "org/key" of the extension that made the call
    caller: Extension | None = None
    site: Site | None = None
    org: str = ""
    caller_key: str | None = None  # known to the callee as an extension of its own organisation
    caller_number: str | None = None
    number: str = ""  # dialled, as E.164
    callee: Extension | None = None
    exempt: bool = False
    held: bool = False
    hops: int = 0
    path: str = ""
    limit_s: int | None = None
    elapsed_s: int = 0
    group: CallGroup | None = None
    groups: int = 0
    only: tuple[str, ...] = ()
    queue: tuple[str, ...] = ()
    turn: tuple[str, ...] = ()
    turn_s: int = 0
    left_s: int = 0
    reason: str = ""
    so_far: str = ""
    main: MainNumber | None = None
    destination: Destination | None = None
    fallback: Destination | None = None
    trace: list[Step] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    rings: list[str] = field(default_factory=list)
    answered_by: list[str] = field(default_factory=list)

    # --- entries

    def from_extension(self, org: str, key: str) -> None:
        self.caller = self.model.extensions.get((org, key))
        if self.caller is None:
            raise UnknownEntity("extension", f"{org}/{key}")
        self.origin = f"{org}/{key}"
        self.site = self.model.sites[self.caller.site]
        self.org = org
        self.caller_key = key
        self.caller_number = self.caller.number

    def from_trunk(self, trunk_id: str, number: str | None) -> None:
        trunk = self.model.trunks.get(trunk_id)
        if trunk is None:
            raise UnknownEntity("trunk", trunk_id)
        region = REGIONS[trunk.region]
        self.number = region.normalise(self.dialled)
        digits = number or ""
        dialable = bool(digits) and all(c in "+0123456789" for c in digits)
        self.caller_number = region.normalise(digits) if dialable else None

    def from_handset(self, mac: str) -> None:
        handset = self.model.handsets.get(mac)
        if handset is None or not handset.has_neutral_line:
            raise UnknownEntity("handset with a neutral line", mac)
        self.site = self.model.sites[handset.site]
        self.org = handset.org

    # --- shared look-ups

    @property
    def called(self) -> Extension:
        return given(self.callee, "somebody who is called")

    @property
    def calling(self) -> Extension:
        """The extension this channel dials for: the caller, or on a leg the one that forwards."""
        return given(self.caller, "an extension that calls or forwards")

    @property
    def here(self) -> Site:
        """The site whose trunk and numbering apply."""
        return given(self.site, "a site")

    @property
    def hunting(self) -> CallGroup:
        """The group the call is in."""
        return given(self.group, "a call group")

    @property
    def called_main(self) -> MainNumber:
        return given(self.main, "a main number")

    @property
    def on_leg(self) -> bool:
        return bool(self.path)

    def find_group(self, org: str, key: str) -> CallGroup | None:
        return self.model.call_groups.get((org, key))

    def find_extension(self, org: str, key: str) -> Extension | None:
        return self.model.extensions.get((org, key))

    def behaviour_of(self, name: str) -> Behaviour:
        return self.now.behaviour.get(name, Behaviour.ANSWER)

    def ring(self, name: str) -> Attempt:
        """Ring an extension's devices or a number and note it."""
        attempt = _ATTEMPT[self.behaviour_of(name)]
        if attempt is not Attempt.UNAVAILABLE:
            self.rings.append(name)
        if attempt is Attempt.ANSWERED:
            self.answered_by.append(name)
        return attempt


def given(value: T | None, what: str) -> T:
    """What the graph enters a node with, always.

    Raises: RuntimeError when a call came to a node without it, which is an error of the graph and no input's.
    """
    if value is None:
        raise RuntimeError(f"the call came to a node that needs {what}")
    return value


def together(attempts: list[Attempt]) -> Attempt:
    """Dial()'s one status for several legs.

    An answer wins, else one still rings, else one gave up after ringing, else busy if any was.
    """
    for status in (Attempt.ANSWERED, Attempt.RINGING, Attempt.NO_ANSWER, Attempt.BUSY):
        if status in attempts:
            return status
    return Attempt.UNAVAILABLE
