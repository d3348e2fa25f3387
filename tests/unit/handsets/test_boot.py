"""Every family boots: from its bare MAC to the bootstrap, and from there to the account it registers with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.domain.extension import Transport
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.setup import HandsetSetup, Srtp
from provisioning_server.login import BASIC_ONLY
from tests.handsets.boot import Boot, BootFailed, Provisioning, from_files
from tests.handsets.fanvil import FanvilPhone
from tests.handsets.setups import MAC, full_setup
from tests.handsets.told import own_files
from tests.handsets.witnesses import WITNESSES

FAMILY_MODELS = [(family, model) for family in sorted(WITNESSES) for model in WITNESSES[family].models]


def full(model: str, **changes: object) -> HandsetSetup:
    entry = CATALOGUE.model(model)
    return WITNESSES[entry.family].limits.fit(full_setup(entry, **changes))


def boot(family: str, model: str, **changes: object) -> Boot:
    files = render_handset(full(model, **changes))
    return WITNESSES[family].handset().boot(MAC, model, from_files(own_files(files)))


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_a_handset_finds_its_account(family: str, model: str) -> None:
    setup = full(model)
    account = boot(family, model).accounts[0]
    line = setup.lines[0]
    assert (account.user, account.password, account.host, account.port, account.transport) == (
        line.sip_user,
        line.sip_password.get_secret_value(),
        line.host,
        line.port,
        line.transport,
    )


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_a_handset_nobody_is_logged_in_at_finds_its_neutral_line(family: str, model: str) -> None:
    """R73; the line has no number of its own."""
    secure = "tls" in CATALOGUE.family(CATALOGUE.model(model)).supports
    line = replace(
        full(model).lines[0],
        number="",
        transport=Transport.TLS if secure else Transport.UDP,
        srtp=Srtp.REQUIRED if secure else Srtp.OFF,
    )
    [account] = boot(family, model, logged_out=True, lines=(line,), keys=()).accounts
    assert (account.user, account.password) == (line.sip_user, line.sip_password.get_secret_value())


@pytest.mark.parametrize("family", WITNESSES)
def test_a_handset_logs_in_as_the_catalogue_says(family: str) -> None:
    [entry] = [each for each in CATALOGUE.families if each.id == family]
    assert WITNESSES[family].handset().login == entry.login


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_the_bootstrap_leads_to_the_handsets_own_url(family: str, model: str) -> None:
    setup = full(model)
    files = {file.name: file.content for file in render_handset(setup) if file.bootstrap}
    handset = WITNESSES[family].handset()
    booted = handset.boot(MAC, model, from_files(files))
    server = setup.server
    login = ("", "") if handset.login == "none" else (server.user, server.password.get_secret_value())
    assert booted.provisioning == Provisioning(server.url, *login)
    assert booted.accounts == ()


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_without_its_file_a_handset_has_no_account(family: str, model: str) -> None:
    files = own_files(render_handset(full(model)))
    common = {name: content for name, content in files.items() if MAC not in name.lower()}
    with pytest.raises(BootFailed):
        WITNESSES[family].handset().boot(MAC, model, from_files(common))


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_a_handset_that_lost_its_line_registers_nothing(family: str, model: str) -> None:
    assert boot(family, model, lines=(), keys=()).accounts == ()


def test_a_yealink_boot_file_hides_what_it_does_not_name() -> None:
    files = own_files(render_handset(full_setup(CATALOGUE.model("T46U"))))
    files["y000000000000.boot"] = b'#!version:1.0.0.1\ninclude:config "special.cfg"\n'
    with pytest.raises(BootFailed, match=r"special\.cfg"):
        WITNESSES["yealink_t"].handset().boot(MAC, "T46U", from_files(files))


def test_a_fanvil_phone_takes_the_bootstrap_then_its_file_then_the_next_publication() -> None:
    model = CATALOGUE.model("X4U")
    phone = FanvilPhone()
    for sequence in (7, 8, 10**6):
        files = render_handset(full_setup(model, sequence=sequence))
        bootstrap = {file.name: file.content for file in files if file.bootstrap}
        assert phone.boot(MAC, "X4U", from_files(bootstrap)).accounts == ()
        assert phone.boot(MAC, "X4U", from_files(own_files(files))).accounts
    with pytest.raises(BootFailed, match="not newer"):
        phone.boot(MAC, "X4U", from_files(own_files(files)))


def test_names_are_unique_to_a_handset() -> None:
    one, other = (
        {
            file.name
            for file in render_handset(replace(full_setup(CATALOGUE.model("T46U")), mac=mac))
            if file.secret
        }
        for mac in ("805ec0000001", "805ec0000002")
    )
    assert not one & other


@pytest.mark.parametrize("family", WITNESSES)
def test_the_server_asks_for_the_login_the_family_answers(family: str) -> None:
    """Who is known to answer Basic alone is offered nothing else, so nobody else may be among them."""
    handset = WITNESSES[family].handset()
    agent = handset.user_agent(MAC, WITNESSES[family].models[0])
    assert (BASIC_ONLY.search(agent) is not None) is (handset.login == "basic")
