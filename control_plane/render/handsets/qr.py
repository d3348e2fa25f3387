"""A one-time address for a softphone, as a link to tap and as a picture to scan. Pure: text in, bytes out.

The address is a credential as long as it works: neither it nor the picture belongs in a log.
"""

from __future__ import annotations

from enum import StrEnum
from io import BytesIO, StringIO
from urllib.parse import urlsplit

import segno

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.family import Family

MAX_ADDRESS = 512
"""A longer one makes a picture that a telephone's camera does not read from a screen."""
_SCALE = 8
_BORDER = 4
"""Modules of white around it (ISO/IEC 18004, 6.3.8)."""
_PREFIXES = {"linphone": "linphone-config:https://", "acrobits": "provlinkbs://"}
"""What opens the application by itself; Acrobits' stands for HTTPS."""


class Picture(StrEnum):
    """How a QR code is drawn."""

    SVG = "svg"
    PNG = "png"
    TERMINAL = "terminal"


def link_for(family: Family, address: str) -> str:
    """What a person taps or scans: opens the softphone where it has a scheme of its own, else the address.

    Raises:
        UnsafeValue: the address is not HTTPS, or could not be scanned.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.netloc:
        raise UnsafeValue("address", "a softphone is set up over HTTPS only")
    if not address.isascii() or not address.isprintable() or " " in address or len(address) > MAX_ADDRESS:
        raise UnsafeValue("address", f"must be printable ASCII without blanks, {MAX_ADDRESS} at most")
    return _PREFIXES.get(family.id, "https://") + address.removeprefix("https://")


def qr_code(text: str, picture: Picture) -> bytes:
    """A QR code of `text` with error correction M or better; the same text gives the same bytes."""
    code = segno.make(text, micro=False, error="m")
    match picture:
        case Picture.SVG:
            drawn = BytesIO()
            code.save(drawn, kind="svg", scale=_SCALE, border=_BORDER, light="#fff", xmldecl=False)
            return drawn.getvalue()
        case Picture.PNG:
            drawn = BytesIO()
            code.save(drawn, kind="png", scale=_SCALE, border=_BORDER)
            return drawn.getvalue()
        case Picture.TERMINAL:
            text_drawn = StringIO()
            code.terminal(text_drawn, border=2, compact=True)
            return text_drawn.getvalue().encode()
