"""Handsets of every family set themselves up: told nothing but a server's name, they register and call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control_plane.adapters.phones import Engine
from control_plane.domain.extension import Transport
from tests.handsets.boot import BootFailed
from tests.handsets.witnesses import WITNESSES
from tests.integration.office import Office, running_office
from tests.integration.talk import CALLEE_HZ, CALLER_HZ, HEARD_S

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk


@pytest.fixture(scope="module")
def office(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office whose handsets have all booted, each first by its MAC and then at its own address."""
    with (
        Engine() as engine,
        running_office(tmp_path_factory.mktemp("office"), asterisk_image, engine) as made,
    ):
        assert made.all_boot(made.bootstrap) == {}
        assert made.all_boot(made.fetch) == {}
        yield made


@pytest.mark.parametrize("family", WITNESSES)
def test_a_handset_registers_with_what_it_fetched(office: Office, family: str) -> None:
    desk = office.desks[family]
    assert desk.bootstrap is not None
    assert desk.bootstrap.accounts == (), "a bootstrap holds no SIP secret"
    with office.phone(desk) as phone:
        assert phone.register() == 200
        office.stack.until(lambda: office.status(desk)["shown_as"] is not None, "the operator sees it")
        status = office.status(desk)
    assert (status["sync"], status["registration"]["aor"]) == ("in_sync", desk.account.user)
    assert status["last_fetch"]["user_agent"] == desk.asks.user_agent(desk.mac, desk.model)
    assert status["window_until"] is None


@pytest.mark.parametrize("transport", Transport)
def test_handsets_that_set_themselves_up_call_each_other(office: Office, transport: Transport) -> None:
    one = next(desk for desk in office.desks.values() if desk.transport is transport)
    other = next(desk for desk in office.desks.values() if desk.transport is not transport)
    with office.phone(one) as caller, office.phone(other) as callee:
        assert (caller.register(), callee.register()) == (200, 200)
        call = caller.call(other.extension)
        call.wait_confirmed()
        answered = callee.wait_incoming()
        answered.wait_confirmed()
        call.play_tone(CALLER_HZ)
        answered.play_tone(CALLEE_HZ)
        assert call.hears(CALLEE_HZ, HEARD_S)
        assert answered.hears(CALLER_HZ, HEARD_S)
        secure = (one.transport is Transport.TLS, other.transport is Transport.TLS)
        assert (call.srtp, answered.srtp) == secure
        assert answered.display_name == one.account.display_name
        call.hangup()


def test_a_window_is_closed_once_the_handset_came_through(office: Office) -> None:
    """Whoever knows the MAC from the label gets nothing any more."""
    errors = office.all_boot(lambda desk: office.bootstrap(desk.new()))
    assert {family: type(error) for family, error in errors.items()} == dict.fromkeys(WITNESSES, BootFailed)


def test_every_family_is_told_a_new_label(office: Office) -> None:
    office.at_every_desk(lambda desk: ("PATCH", desk.extension_path, {"label": f"Desk {desk.extension}"}))
    assert office.all_boot(office.fetch) == {}
    assert {family: desk.account.display_name for family, desk in office.desks.items()} == {
        family: f"Desk {desk.extension}" for family, desk in office.desks.items()
    }


def test_a_disabled_handset_gets_nothing_until_it_is_enabled(office: Office) -> None:
    office.at_every_desk(lambda desk: ("PATCH", desk.path, {"enabled": False}))
    refused = office.all_boot(lambda desk: office.fetch(desk.again()))
    office.at_every_desk(lambda desk: ("PATCH", desk.path, {"enabled": True}))
    assert {family: type(error) for family, error in refused.items()} == dict.fromkeys(WITNESSES, BootFailed)
    assert office.all_boot(lambda desk: office.fetch(desk.again())) == {}
