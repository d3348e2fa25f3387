"""What a DHCP server tells handsets, as a snippet for it. Pure.

Each maker looks at options of its own and names itself in option 60, so the snippet has a class for each.
"""

from __future__ import annotations

import json
from enum import StrEnum
from ipaddress import IPv4Address
from typing import NamedTuple

from provisioning_server.errors import ServerError


class Dialect(StrEnum):
    """Whose configuration the snippet is for."""

    DNSMASQ = "dnsmasq"
    ISC = "isc"
    KEA = "kea"


class Maker(NamedTuple):
    """How one maker's handsets name themselves in option 60, and which option takes our URL.

    `address` is the option for the address of a TFTP server, where they know no URL.
    """

    id: str
    begins: str
    url: tuple[int, ...]
    address: int | None = None


MAKERS = (
    Maker("yealink", "yealink", (66, 43)),
    Maker("grandstream", "Grandstream", (66,)),
    Maker("poly", "Poly", (160,)),
    Maker("cisco-spa", "Cisco SPA", (66,)),
    Maker("linksys", "LINKSYS", (66,)),
    Maker("cisco-mpp", "Cisco CP-", (66,)),
    Maker("cisco-enterprise", "Cisco Systems, Inc. IP Phone", (), 150),
    Maker("snom", "snom", (66,)),
    Maker("fanvil", "Fanvil", (66,)),
    Maker("mitel", "AastraIPPhone", (43, 66)),
    Maker("gigaset", "Gigaset", (114,)),
    Maker("panasonic", "Panasonic", (160,)),
)
_ISC_NAMES = {43: "vendor-encapsulated-options", 66: "tftp-server-name"}
_KEA_KNOWN = {43, 66, 114}


def hints(dialect: Dialect, url: str, tftp: IPv4Address | None = None) -> str:
    """The snippet. `url` ends in "/"; `tftp` is our TFTP server, for handsets that know nothing else.

    Raises:
        ServerError: the URL would break out of the snippet.
    """
    if not url.startswith(("http://", "https://", "tftp://")) or any(
        char in "\"\\'" or not "!" <= char <= "~" for char in url
    ):
        raise ServerError(f"{url!r} is no URL for handsets: give one as https://pbx.example.com/e/.")
    makers = [maker for maker in MAKERS if maker.url or (maker.address and tftp)]
    write = {Dialect.DNSMASQ: _dnsmasq, Dialect.ISC: _isc, Dialect.KEA: _kea}[dialect]
    return write(makers, url, tftp)


def _dnsmasq(makers: list[Maker], url: str, tftp: IPv4Address | None) -> str:
    lines = ["# Handsets: where they fetch their configuration."]
    for maker in makers:
        lines.append(f'dhcp-vendorclass=set:{maker.id},"{maker.begins}"')
        lines += [f'dhcp-option-force=tag:{maker.id},{code},"{url}"' for code in maker.url]
        if maker.address and tftp:
            lines.append(f"dhcp-option-force=tag:{maker.id},{maker.address},{tftp}")
    return "\n".join(lines) + "\n"


def _isc(makers: list[Maker], url: str, tftp: IPv4Address | None) -> str:
    codes = sorted({code for maker in makers for code in maker.url} - _ISC_NAMES.keys())
    lines = ["# Handsets: where they fetch their configuration."]
    lines += [f"option handset-{code} code {code} = text;" for code in codes]
    if any(maker.address for maker in makers):
        lines.append("option handset-150 code 150 = array of ip-address;")
    for maker in makers:
        lines.append(f'class "{maker.id}" {{')
        test = f"substring(option vendor-class-identifier, 0, {len(maker.begins)})"
        lines.append(f'  match if {test} = "{maker.begins}";')
        lines += [f'  option {_ISC_NAMES.get(code, f"handset-{code}")} "{url}";' for code in maker.url]
        if maker.address and tftp:
            lines.append(f"  option handset-{maker.address} {tftp};")
        lines.append("}")
    return "\n".join(lines) + "\n"


def _kea(makers: list[Maker], url: str, tftp: IPv4Address | None) -> str:
    """Members of "Dhcp4"; option 43 is left out, because Kea takes it apart unless it is told otherwise."""
    codes = sorted({code for maker in makers for code in maker.url} - _KEA_KNOWN)
    defined: list[dict[str, object]] = [
        {"name": f"handset-{code}", "code": code, "type": "string", "space": "dhcp4"} for code in codes
    ]
    if any(maker.address for maker in makers):
        defined.append(
            {"name": "handset-150", "code": 150, "type": "ipv4-address", "array": True, "space": "dhcp4"}
        )
    classes = []
    for maker in makers:
        data: list[dict[str, object]] = [
            {"code": code, "data": url, "always-send": True} for code in maker.url if code != 43
        ]
        if maker.address and tftp:
            data.append({"code": maker.address, "data": str(tftp), "always-send": True})
        test = f"substring(option[60].text, 0, {len(maker.begins)}) == '{maker.begins}'"
        classes.append({"name": maker.id, "test": test, "option-data": data})
    return json.dumps({"option-def": defined, "client-classes": classes}, indent=2) + "\n"
