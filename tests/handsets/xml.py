"""What several makes' readers do: XML, whole addresses, tones of a country."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from lxml import etree

from tests.handsets.boot import BootFailed, Provisioning
from tests.handsets.told import OTHER, Files

TONES = {
    "GB": ((350, 440), (400,), (375, 375)),
    "US": ((350, 440), (480, 620), (500, 500)),
    "DE": ((425,), (425,), (480, 480)),
    "FR": ((440,), (440,), (500, 500)),
    "ES": ((425,), (425,), (200, 200)),
    "IT": ((425,), (425,), (500, 500)),
}
"""Dial tone, busy tone, busy cadence in ms; from E.180 Supplement 2, written down a second time."""


def country(dial: tuple[int, ...], busy: tuple[int, ...], cadence: tuple[int, ...]) -> str:
    """Whose tones these are."""
    return next((name for name, tones in TONES.items() if tones == (dial, busy, cadence)), OTHER)


def parsed(content: bytes) -> etree._Element:
    """The document.

    Raises:
        BootFailed: it is not well-formed, or has an entity or a document type.
    """
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as exc:
        raise BootFailed(f"not XML: {exc}") from exc
    if root.getroottree().docinfo.doctype:
        raise BootFailed("a document type")
    return root


def last_part(address: str) -> str:
    """The file name of an address."""
    return address.rpartition("/")[2]


def pages(files: Files, first: str, name: str, number: str, following: str) -> Iterator[tuple[str, str]]:
    """Entries of a directory in pages: tags of an entry's name and number, XPath of the next address."""
    address = first
    while address:
        page = parsed(files[last_part(address)])
        for entry in page.iter(name.partition("/")[0]):
            yield (
                entry.findtext(name.partition("/")[2]) or "",
                entry.findtext(number) or "",
            )
        found = page.xpath(following)
        address = str(found[0]) if found else ""


def provisioning(address: str, user: str, password: str) -> Provisioning:
    """The folder of an address, and the login."""
    return Provisioning(address.rpartition("/")[0] + "/", user, password)


def login_in(address: str) -> Provisioning:
    """Folder and login of an address that holds both."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    folder = parts.path.rpartition("/")[0]
    return Provisioning(f"{parts.scheme}://{host}{folder}/", parts.username or "", parts.password or "")


def numbered(values: Mapping[str, str], prefix: str, suffix: str) -> dict[int, str]:
    """The values of prefix + number + suffix."""
    return {
        int(name[len(prefix) : len(name) - len(suffix)]): value
        for name, value in values.items()
        if name.startswith(prefix)
        and name.endswith(suffix)
        and name[len(prefix) : len(name) - len(suffix)].isdigit()
    }
