"""For every family: who reads its files, who boots as it does, and on which models the tests look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.handsets import yealink
from tests.handsets.boot import Handset
from tests.handsets.told import EXACT, Limits, Reader


@dataclass(frozen=True)
class Witness:
    """One family's independent half. `models`: the first is the one of the golden files."""

    read: Reader
    handset: Callable[[], Handset]
    models: tuple[str, ...]
    limits: Limits = EXACT
    untold: frozenset[str] = frozenset()
    """Features that are in the files but cannot be read back as a value."""


WITNESSES: dict[str, Witness] = {
    "yealink_t": Witness(
        yealink.read, lambda: yealink.YealinkHandset("yealink_t"), ("T46U", "T31G", "T54W"), yealink.LIMITS
    ),
    "yealink_dect": Witness(
        yealink.read, lambda: yealink.YealinkHandset("yealink_dect"), ("W70B",), yealink.LIMITS
    ),
}
