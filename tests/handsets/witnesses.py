"""For every family: who reads its files, who boots as it does, and on which models the tests look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.handsets import fanvil, grandstream, htek, snom, yealink
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


def _grandstream(family: str, models: tuple[str, ...], limits: Limits) -> Witness:
    return Witness(grandstream.reader(family), lambda: grandstream.GrandstreamDevice(family), models, limits)


WITNESSES: dict[str, Witness] = {
    "fanvil_x": Witness(fanvil.read, fanvil.FanvilPhone, ("X4U", "X6U", "V65"), fanvil.LIMITS),
    "htek_uc": Witness(htek.read, htek.HtekPhone, ("UC926", "UC912"), htek.LIMITS),
    "snom_d": Witness(snom.read, snom.SnomPhone, ("D785", "D120"), snom.LIMITS, frozenset({"mwi"})),
    "grandstream_gxp": _grandstream("grandstream_gxp", ("GXP1630", "GXP1610"), grandstream.LIMITS),
    "grandstream_grp": _grandstream("grandstream_grp", ("GRP2612", "GXP2170"), grandstream.LIMITS),
    "grandstream_ht": _grandstream("grandstream_ht", ("HT802", "HT801"), grandstream.HT_LIMITS),
    "grandstream_ht_profile": _grandstream(
        "grandstream_ht_profile", ("HT814", "HT818"), grandstream.HT_PROFILE_LIMITS
    ),
    "yealink_t": Witness(
        yealink.read, lambda: yealink.YealinkHandset("yealink_t"), ("T46U", "T31G", "T54W"), yealink.LIMITS
    ),
    "yealink_dect": Witness(
        yealink.read, lambda: yealink.YealinkHandset("yealink_dect"), ("W70B",), yealink.LIMITS
    ),
}
