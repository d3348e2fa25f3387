"""For every family: who reads its files, who boots as it does, and on which models the tests look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.handsets import (
    cisco,
    fanvil,
    gigaset,
    grandstream,
    htek,
    mitel,
    panasonic,
    poly,
    snom,
    yealink,
)
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
    "poly_vvx": Witness(
        poly.read, lambda: poly.PolyHandset("poly_vvx"), ("VVX450", "VVX150", "VVX601"), poly.LIMITS
    ),
    "poly_edge": Witness(poly.read, lambda: poly.PolyHandset("poly_edge"), ("EdgeE350",), poly.LIMITS),
    "cisco_spa": Witness(
        cisco.read,
        lambda: cisco.CiscoHandset("cisco_spa"),
        ("SPA508G", "SPA504G", "SPA301"),
        cisco.SPA_LIMITS,
        frozenset(("srtp",)),
    ),
    "cisco_ata": Witness(
        cisco.read,
        lambda: cisco.CiscoHandset("cisco_ata"),
        ("SPA112",),
        cisco.ATA_LIMITS,
        frozenset(("srtp",)),
    ),
    "cisco_mpp": Witness(
        cisco.read, lambda: cisco.CiscoHandset("cisco_mpp"), ("CP-8851", "CP-7821"), cisco.MPP_LIMITS
    ),
    "mitel_68xx": Witness(
        mitel.read, lambda: mitel.MitelHandset("mitel_68xx"), ("6867i", "6865i"), mitel.LIMITS
    ),
    "mitel_69xx": Witness(mitel.read, lambda: mitel.MitelHandset("mitel_69xx"), ("6930",), mitel.LIMITS),
    "gigaset_n510": Witness(
        gigaset.read_n510,
        lambda: gigaset.GigasetBase("gigaset_n510"),
        ("N510 IP PRO",),
        gigaset.N510_LIMITS,
    ),
    "gigaset_nx70": Witness(
        gigaset.read_nx70,
        lambda: gigaset.GigasetBase("gigaset_nx70"),
        ("N870 IP PRO", "N670 IP PRO"),
        gigaset.NX70_LIMITS,
    ),
    "panasonic_hdv": Witness(
        panasonic.read,
        panasonic.PanasonicHandset,
        ("KX-HDV230", "KX-HDV130"),
        panasonic.LIMITS,
        frozenset(("mwi",)),
    ),
}
