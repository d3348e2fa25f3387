"""Which makes of handsets some MAC prefixes belong to: to notice a label that was read wrong.

Some of each make's assignments in the IEEE's public register: a prefix that is not here says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "yealink": ("001565", "805ec0", "805e0c", "249ad8", "44dbd2", "3024a9", "c4fc22"),
    "grandstream": ("000b82", "c074ad", "ec74d7"),
    "poly": ("0004f2", "64167f", "482567"),
    "snom": ("000413",),
    "fanvil": ("0c383e",),
    "mitel": ("00085d", "08000f"),
    "gigaset": ("7c2f80", "589ec6"),
    "panasonic": ("0080f0", "080023", "bcc342"),
    "htek": ("001fc1",),
}
_VENDOR_OF = {prefix: vendor for vendor, prefixes in _PREFIXES.items() for prefix in prefixes}


def vendor_problem(mac: str, vendor: str) -> str | None:
    """What is odd about a MAC address on a handset of `vendor`; None when nothing is known to be."""
    known = _VENDOR_OF.get(mac[:6])
    if known is None or vendor not in _PREFIXES or known == vendor:
        return None
    return f"this MAC address is one of {known}, the model one of {vendor}: look at the label again"
