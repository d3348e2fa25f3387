"""The link and the picture of a softphone's one-time address."""

from __future__ import annotations

import struct
import zlib

import pytest
from lxml import etree

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.qr import MAX_ADDRESS, Picture, link_for, qr_code

ADDRESS = "https://prov.example.com:8443/s/AbCdEfGhIjKlMnOpQrStUv"
QUIET = 2
"""Modules of white that the picture in the terminal has around it; the others have four."""


def png_modules(png: bytes) -> list[list[bool]]:
    """Rows of modules, True is dark; reads what segno writes: one bit a pixel, no filter."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        [length] = struct.unpack(">I", png[at : at + 4])
        chunks[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += length + 12
    width, height, depth = struct.unpack(">IIB", chunks[b"IHDR"][:9])
    assert (depth, width) == (1, height)
    data = zlib.decompress(chunks[b"IDAT"])
    stride = 1 + -(-width // 8)
    rows = [data[row * stride + 1 : (row + 1) * stride] for row in range(0, height, 8)]
    return [[not row[x // 8] >> (7 - x % 8) & 1 for x in range(0, width, 8)] for row in rows]


def terminal_modules(text: str) -> list[list[bool]]:
    """Two rows of modules in a line of text; blanks are dark on a terminal's black."""
    shown = {" ": (True, True), "\u2580": (False, True), "\u2584": (True, False), "\u2588": (False, False)}
    rows = []
    for line in text.splitlines():
        pairs = [shown[char] for char in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    return rows


def family(name: str) -> str:
    found = next(each for each in CATALOGUE.families if each.id == name)
    return link_for(found, ADDRESS)


def test_linphone_has_a_scheme_of_its_own_and_zoiper_the_address() -> None:
    assert family("linphone") == f"linphone-config:{ADDRESS}"
    assert family("acrobits") == f"provlinkbs://{ADDRESS.removeprefix('https://')}"
    assert family("zoiper") == family("microsip") == ADDRESS


@pytest.mark.parametrize(
    "address",
    [
        "http://prov.example.com/s/x",
        "linphone-config:https://prov.example.com/",
        "https:///s/x",
        "https://prov.example.com/s/ x",
        "https://prov.example.com/s/x\n",
        "https://prov.example.com/s/\N{LATIN SMALL LETTER E WITH ACUTE}",
        "https://prov.example.com/" + "x" * MAX_ADDRESS,
    ],
)
def test_an_address_that_is_not_https_or_cannot_be_scanned_is_refused(address: str) -> None:
    with pytest.raises(UnsafeValue, match="address"):
        link_for(next(each for each in CATALOGUE.families if each.softphone), address)


@pytest.mark.parametrize("text", [f"linphone-config:{ADDRESS}", "https://" + "x" * MAX_ADDRESS])
def test_the_pictures_show_the_same_modules(text: str) -> None:
    png = png_modules(qr_code(text, Picture.PNG))
    crop = 4 - QUIET
    terminal = terminal_modules(qr_code(text, Picture.TERMINAL).decode())
    inner = [row[crop:-crop] for row in png[crop:-crop]]
    assert terminal[: len(inner)] == inner
    size = etree.fromstring(qr_code(text, Picture.SVG)).get("width")
    assert size == str(8 * len(png))


def test_the_same_text_is_the_same_picture_and_another_is_not() -> None:
    for picture in Picture:
        assert qr_code(ADDRESS, picture) == qr_code(ADDRESS, picture) != qr_code(ADDRESS + "w", picture)
