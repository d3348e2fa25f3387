"""What DHCP servers should tell handsets: the snippets, and that the command knows every dialect."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address

import pytest

from control_plane.bootstrap import provisioning
from provisioning_server.dhcp import MAKERS, Dialect, hints
from provisioning_server.errors import ServerError

URL = "https://pbx.example.com/e/"
TFTP = IPv4Address("192.0.2.10")


def test_the_command_knows_the_dialects_of_the_program() -> None:
    assert [d.value for d in provisioning.Dialect] == [d.value for d in Dialect]


@pytest.mark.parametrize("dialect", Dialect)
def test_every_maker_is_told_the_url_in_a_class_by_its_name(dialect: Dialect) -> None:
    snippet = hints(dialect, URL, TFTP)
    for maker in MAKERS:
        assert maker.begins in snippet
        assert (URL if maker.url else str(TFTP)) in snippet
    assert snippet == hints(dialect, URL, TFTP)


def test_who_knows_only_tftp_is_left_out_without_an_address() -> None:
    snippet = hints(Dialect.DNSMASQ, URL)
    assert "cisco-enterprise" not in snippet
    lines = snippet.splitlines()[1:]
    assert all(re.fullmatch(r'dhcp-(vendorclass=set|option-force=tag):[a-z-]+,.*"[^"]*"', x) for x in lines)


def test_keas_snippet_defines_every_option_it_uses() -> None:
    found = json.loads(hints(Dialect.KEA, URL, TFTP))
    defined = {option["code"] for option in found["option-def"]} | {66, 114}
    used = {data["code"] for each in found["client-classes"] for data in each["option-data"]}
    assert used <= defined


@pytest.mark.parametrize(
    "url", ["", "ftp://x/", 'https://x/"', "https://x/\n", "https://x/ y", "https://x/\\", "https://x/'"]
)
@pytest.mark.parametrize("dialect", Dialect)
def test_a_url_cannot_break_out_of_the_snippet(dialect: Dialect, url: str) -> None:
    with pytest.raises(ServerError, match="is no URL for handsets: give one as"):
        hints(dialect, url, TFTP)
