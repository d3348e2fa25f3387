"""Softphones set up by a link: what each believes is what it was meant to be told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.domain.extension import Transport
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.qr import link_for
from control_plane.render.handsets.setup import Contact, HandsetSetup, Srtp
from tests.handsets.boot import BootFailed
from tests.handsets.setups import full_setup, line
from tests.handsets.softphone_boot import SET_UP_BY_LINK, Get, Got, MicroSip
from tests.handsets.softphones import SOFTPHONES

TRICKY = ("Anna & Bob", "<script>", "Say \u201cé\u201d", "O'Neill", "x = y ; z", "😀 Réception")


def setup_of(family: str, name: str = "Anna", **changes: object) -> HandsetSetup:
    model = CATALOGUE.model(SOFTPHONES[family].model)
    lines = (line(1, display_name=name, label=name, **changes),)
    return replace(full_setup(model), mac="s0123456789a", lines=lines, contacts=(Contact(name, "100"),))


def opened(family: str, setup: HandsetSetup, content_type: str | None = None) -> tuple[str, Get]:
    """A link to the settings, and who answers it once."""
    files = {file.name: file for file in render_handset(setup)}
    [settings] = [file for file in files.values() if file.secret]
    link = link_for(CATALOGUE.family(CATALOGUE.model(setup.model)), "https://prov.example.com/s/onetime")
    unspent = ["https://prov.example.com/s/onetime"]

    def get(address: str, user_agent: str) -> Got | None:
        name = address.removeprefix(setup.server.url)
        if address in unspent:
            unspent.remove(address)
            name = settings.name
        file = files.get(name)
        return None if file is None else Got(content_type or file.content_type, file.content)

    return link, get


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("name", TRICKY)
@pytest.mark.parametrize("family", SET_UP_BY_LINK)
def test_a_softphone_finds_its_account_behind_a_link(family: str, name: str, transport: Transport) -> None:
    srtp = Srtp.REQUIRED if transport is Transport.TLS else Srtp.OFF
    setup = setup_of(family, name, transport=transport, srtp=srtp)
    softphone = SET_UP_BY_LINK[family]()
    [account] = softphone.set_up(*opened(family, setup)).accounts
    told = setup.lines[0]
    assert (account.user, account.auth_user, account.password, account.host, account.port) == (
        told.sip_user,
        told.sip_user,
        told.sip_password.get_secret_value(),
        told.host,
        told.port,
    )
    assert (account.transport, account.display_name) == (transport, name)
    if isinstance(softphone, MicroSip):
        assert softphone.contacts == ((name, "100"),)


@pytest.mark.parametrize("family", SET_UP_BY_LINK)
def test_a_spent_link_sets_nothing_up(family: str) -> None:
    link, get = opened(family, setup_of(family))
    booted = SET_UP_BY_LINK[family]().set_up(link, get)
    with pytest.raises(BootFailed):
        SET_UP_BY_LINK[family]().set_up(link, get)
    if SET_UP_BY_LINK[family]().polls:
        assert SET_UP_BY_LINK[family]().ask_again(booted, get).accounts == booted.accounts


@pytest.mark.parametrize("family", SET_UP_BY_LINK)
def test_a_page_in_place_of_the_file_is_no_file(family: str) -> None:
    with pytest.raises(BootFailed, match="text/html"):
        SET_UP_BY_LINK[family]().set_up(*opened(family, setup_of(family), "text/html; charset=utf-8"))


@pytest.mark.parametrize("family", SET_UP_BY_LINK)
def test_a_softphone_that_lost_its_line_has_no_account(family: str) -> None:
    setup = replace(setup_of(family), lines=(), contacts=())
    assert SET_UP_BY_LINK[family]().set_up(*opened(family, setup)).accounts == ()
