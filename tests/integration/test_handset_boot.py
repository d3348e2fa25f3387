"""Handsets of every family set themselves up: told nothing but a server's name, they register and call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from control_plane.adapters.engine import docker
from control_plane.domain.extension import Transport
from control_plane.render.handsets.families import CATALOGUE
from control_plane.service.demo import RECEPTION, SITE, did
from tests.handsets.boot import BootFailed
from tests.handsets.softphone_boot import SET_UP_BY_LINK, MicroSip
from tests.handsets.witnesses import WITNESSES
from tests.integration.office import HANDSETS, IN_FORCE_S, Desk, Office, running_office
from tests.integration.talk import CALLEE_HZ, CALLER_HZ, HEARD_S
from tests.security.sip_wire import SipSocket

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

TOLD_S = 10.0
QUIET_S = 1.0
"""A NOTIFY that was sent at the same moment as another has arrived by then."""


@pytest.fixture(scope="module")
def office(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office whose handsets have all booted, each first by its MAC and then at its own address."""
    folder = tmp_path_factory.mktemp("office")
    with running_office(folder, asterisk_image, folder / "sip") as made:
        assert made.all_boot(made.bootstrap) == {}
        assert made.all_boot(made.fetch) == {}
        yield made


@pytest.mark.parametrize("family", WITNESSES)
def test_a_handset_registers_with_what_it_fetched(office: Office, family: str) -> None:
    first, desk = office.desks[family].bootstrap, office.desks[family].again()
    assert first is not None and first.accounts == (), "a bootstrap holds no SIP secret"
    office.fetch(desk)
    office.stack.until(lambda: office.status(desk)["sync"] == "in_sync", "the fetch is seen")
    with office.phone(desk) as phone:
        assert phone.register() == 200
        office.stack.until(lambda: office.status(desk)["shown_as"] is not None, "the operator sees it")
        status = office.status(desk)
    assert status["registration"]["aor"] == desk.account.user
    assert status["last_fetch"]["user_agent"] == desk.asks.user_agent(desk.mac, desk.model)
    assert status["window_until"] is None


TOLD_BY = {
    "yealink": ("check-sync;reboot=false", "check-sync;reboot=true"),
    "grandstream": ("resync", "check-sync;reboot=true"),
    "poly": ("check-sync", "check-sync"),
    "cisco": ("resync", "reboot_now"),
    "snom": ("check-sync;reboot=false", "check-sync;reboot=true"),
    "fanvil": ("check-sync", "check-sync;reboot=true"),
    "mitel": ("check-sync", "check-sync;reboot=true"),
    "gigaset": ("check-sync", "check-sync;reboot=true"),
    "panasonic": ("check-sync", "check-sync;reboot=true"),
    "htek": ("resync", "check-sync;reboot=true"),
}
"""The events that make a make's handsets fetch, and start anew; from their documents, a second time."""


@pytest.mark.parametrize("family", WITNESSES)
def test_a_handset_is_told_in_its_makes_words_to_fetch_and_to_restart(office: Office, family: str) -> None:
    """As it arrives at a SIP phone, over the transport it registered with; no event wants a body."""
    # Restarted: a Fanvil takes a file only once, and the test before may have left it with the newest.
    desk = office.desks[family].again()
    words = TOLD_BY[CATALOGUE.model(desk.model).vendor]
    office.fetch(desk)
    office.stack.until(lambda: office.status(desk)["sync"] == "in_sync", "nobody else tells it to fetch")
    with office.phone(desk) as phone:
        assert phone.register() == 200
        office.stack.until(lambda: office.status(desk)["registration"] is not None, "it is registered")
        for place, event in enumerate(words):
            before = office.notified(desk)
            answer = office.api.ok("POST", f"{desk.path}/notify", {"reboot": bool(place)})
            assert answer["contact"].startswith(f"sip:{desk.account.user}@")

            def is_told(event: str = event, before: list[str] = before) -> bool:
                # A phone's log is a buffer full behind: what it says when it registers brings it on.
                told = [one for one in office.notified(desk) if one not in before]
                return phone.register() == 200 and any(f"\nEvent: {event}\n" in one for one in told)

            office.stack.until(is_told, f"it is told {event}")
        for request, *headers in (one.split("\n\n")[0].splitlines() for one in office.notified(desk)):
            assert request.startswith(f"NOTIFY sip:{desk.account.user}@")
            assert next(one for one in headers if one.startswith("Event:")).removeprefix("Event: ") in words
            assert "Content-Length:  0" in headers and not any("Content-Type" in one for one in headers)


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


@pytest.mark.parametrize("family", SET_UP_BY_LINK)
def test_a_softphone_registers_and_calls_with_what_a_link_gave_it(office: Office, family: str) -> None:
    """The link is good for one opening; whoever finds it afterwards has nothing."""
    desk, link, other = office.softphones[family], office.link(office.softphones[family]), "100"
    office.set_up(desk, link)
    assert desk.account.transport is desk.transport
    with pytest.raises(BootFailed):
        office.set_up(replace(desk), link)
    office.stack.until(lambda: office.status(desk)["sync"] == "in_sync", "the fetch is seen")
    with office.phone(desk) as phone:
        assert phone.register() == 200
        office.stack.until(lambda: office.status(desk)["shown_as"] is not None, "the operator sees it")
        assert office.status(desk)["registration"]["aor"] == desk.account.user
        callee = office.stack.phones[other]
        before = len(callee.incoming)
        call = phone.call(other)
        call.wait_confirmed()
        assert call.srtp is (desk.transport is Transport.TLS)
        assert callee.incoming[before].display_name == f"New {desk.extension}"
        call.hangup()


@pytest.mark.parametrize("family", [name for name, asks in SET_UP_BY_LINK.items() if asks().polls])
def test_a_softphone_that_asks_again_is_told_a_new_label_and_nothing_when_disabled(
    office: Office, family: str
) -> None:
    desk = office.softphones[family]
    office.set_up(desk, office.link(desk))
    password = desk.account.password
    office.in_force([("PATCH", desk.extension_path, {"label": "Known & <new>"})])
    office.ask_again(desk)
    assert (desk.account.display_name, desk.account.password) == ("Known & <new>", password)
    unused = office.link(desk)
    office.in_force([("PATCH", desk.path, {"enabled": False})])
    with pytest.raises(BootFailed):
        office.ask_again(desk)
    with pytest.raises(BootFailed):
        office.set_up(replace(desk), unused)
    as_before = ("PATCH", desk.extension_path, {"label": f"New {desk.extension}"})
    office.in_force([("PATCH", desk.path, {"enabled": True}), as_before])
    office.ask_again(desk)


def test_a_softphone_has_the_directory(office: Office) -> None:
    desk = office.softphones["microsip"]
    office.set_up(desk, office.link(desk))
    assert isinstance(desk.asks, MicroSip)
    assert (f"New {desk.extension}", desk.extension) in desk.asks.contacts


def test_handsets_of_a_list_are_set_up_together_and_fetch(office: Office) -> None:
    """One line as a phone that boots, one that nobody is logged in at."""
    key, mac, other = "291", "0c383ea0b1f0", "0c383ea0b1f1"
    office.api.ok("POST", "/organisations/acme/extensions", {"key": key, "site": SITE, "label": "Listed"})
    text = f"mac,model,site,label,extension\n{mac},X4U,{SITE},Lobby,{key}\n{other},X4U,{SITE},Spare,\n"
    dry = office.api.ok("POST", f"{HANDSETS}/import", {"csv": text, "dry_run": True})
    assert (dry["added"], dry["applied"]) == (2, False)
    office.in_force([("POST", f"{HANDSETS}/import", {"csv": text})])
    office.in_force([("PUT", f"{HANDSETS}/{mac}/enrolment", {})])
    witness = WITNESSES["fanvil_x"]
    desk = Desk("fanvil_x", mac, "X4U", key, Transport.TLS, witness.handset())
    office.bootstrap(desk)
    office.fetch(desk)
    assert desk.account.display_name == "Listed"
    with office.phone(desk) as phone:
        assert phone.register() == 200


async def _told(phone: SipSocket, within_s: float) -> str | None:
    """The event of the check-sync NOTIFY that arrives at a phone; None when none does."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            while True:
                text = (await loop.sock_recv(phone._socket, 65535)).decode()
                if text.startswith("NOTIFY") and "check-sync" in text:
                    return text
    except TimeoutError:
        return None


async def test_a_new_label_is_planned_published_and_told_to_that_handset_alone(office: Office) -> None:
    """A second device of the same extension hears nothing of it."""
    desk, label = office.desks["poly_vvx"], "Planned and told"
    assert desk.transport is Transport.UDP
    made = office.api.ok("POST", f"{desk.extension_path}/devices", {"kind": "mobile", "transport": "udp"})
    other = made["credentials"]
    office.stack.until_in_sync()
    office.stack.process.stop()
    office.stack.start(auto_apply=False)
    node = (office.stack.lab.settings.sip_address, office.stack.lab.settings.sip_port)
    try:
        with SipSocket(office.free_address(), node) as own, SipSocket(office.free_address(), node) as second:
            assert (await own.login(desk.account.user, desk.account.password)).status == 200
            assert (await second.login(other["sip_user"], other["sip_password"])).status == 200
            office.api.ok("PATCH", desk.extension_path, {"label": label})
            plan = office.api.ok("POST", "/provisioning/plan")
            [step] = [step for step in plan["steps"] if step["artefact"] == f"published:{desk.mac}"]
            assert any(line.startswith("+") and label in line for line in step["diff"]), step["diff"]
            office.api.ok("POST", "/provisioning/apply", {"digest": plan["digest"]})
            text = await _told(own, TOLD_S)
            assert text is not None and text.startswith(f"NOTIFY sip:{desk.account.user}@")
            assert await _told(second, QUIET_S) is None
        office.fetch(desk)
        assert desk.account.display_name == label
    finally:
        office.stack.process.stop()
        office.stack.start()


def test_a_disabled_handset_gets_nothing_until_it_is_enabled(office: Office) -> None:
    office.at_every_desk(lambda desk: ("PATCH", desk.path, {"enabled": False}))
    refused = office.all_boot(lambda desk: office.fetch(desk.again()))
    office.at_every_desk(lambda desk: ("PATCH", desk.path, {"enabled": True}))
    assert {family: type(error) for family, error in refused.items()} == dict.fromkeys(WITNESSES, BootFailed)
    assert office.all_boot(lambda desk: office.fetch(desk.again())) == {}


def test_handsets_boot_while_no_control_plane_runs(office: Office) -> None:
    office.stack.process.kill()
    try:
        booting = {family: desk.again() for family, desk in office.desks.items()}
        assert office.all_boot(lambda desk: office.fetch(booting[desk.family])) == {}
        assert {family: desk.account for family, desk in booting.items()} == {
            family: desk.account for family, desk in office.desks.items()
        }
        with office.phone(booting["yealink_t"]) as phone:
            assert phone.register() == 200
    finally:
        office.stack.start()


def test_over_http_a_secret_goes_only_where_the_site_allows_it_and_never_a_password(office: Office) -> None:
    refused = office.all_boot(lambda desk: office.fetch(desk.again(), "http"))
    office.in_force([("PATCH", f"/sites/{SITE}", {"provisioning": {"plain": True}})])
    try:
        over_http = {family: desk.again() for family, desk in office.desks.items()}
        errors = office.all_boot(lambda desk: office.fetch(over_http[desk.family], "http"))
    finally:
        office.in_force([("PATCH", f"/sites/{SITE}", {"provisioning": {"plain": False}})])
    assert {family: type(error) for family, error in refused.items()} == dict.fromkeys(WITNESSES, BootFailed)
    basic = {family for family, desk in office.desks.items() if desk.asks.login == "basic"}
    assert set(errors) == basic
    for family in set(over_http) - basic:
        assert over_http[family].account == office.desks[family].account


async def test_somebody_logs_in_on_the_phone_and_out_again(office: Office) -> None:
    """R49, R52, R73: and what the phone can do before, and that a log-in waits for the control plane."""
    desk, pin, api = office.desks["poly_vvx"], "471147", office.api
    assert desk.transport is Transport.UDP
    node = (office.stack.lab.settings.sip_address, office.stack.lab.settings.sip_port)
    office.in_force([("PATCH", desk.extension_path, {"voicemail_pin": pin})])
    office.in_force([("DELETE", f"{desk.path}/login", None)])
    office.fetch(desk)
    neutral = desk.account
    assert office.status(desk)["shown_as"] is None
    with SipSocket(office.free_address(), node) as told, office.phone(desk) as phone:
        assert (await told.login(neutral.user, neutral.password)).status == 200
        office.stack.until(lambda: office.status(desk)["shown_as"] is not None, "its line is registered")

        emergency = phone.call("999")
        emergency.wait_confirmed()
        seen = office.stack.node.run(office.stack.lab.carrier.seen("999"))
        assert seen is not None and seen.caller_number == did(RECEPTION), (
            "as the site: that is where help is needed"
        )
        emergency.hangup()
        assert office.ends_as(phone, desk.mac, "101") == "refused"

        assert office.ends_as(phone, desk.mac, "00#", desk.extension, pin) == "feature"
        text = await _told(told, TOLD_S)
        assert text is not None and text.startswith(f"NOTIFY sip:{neutral.user}@")
    office.fetch(desk)
    device = desk.account
    assert device.user != neutral.user and office.status(desk)["extension"] == desk.extension
    with SipSocket(office.free_address(), node) as told, office.phone(desk) as phone:
        assert phone.register() == 200
        assert office.stack.outcome("101", desk.extension) == "answered"
        phone.wait_incoming()
        assert (await told.login(device.user, device.password)).status == 200
        assert office.ends_as(phone, desk.extension, "*11") == "feature"
        text = await _told(told, TOLD_S)
        assert text is not None
        assert (await told.login(device.user, device.password)).status == 401
    office.fetch(desk)
    assert desk.account == neutral and office.status(desk)["extension"] is None

    office.stack.process.kill()
    try:
        with office.phone(desk) as phone:
            assert office.ends_as(phone, desk.mac, "*11", desk.extension, pin) == "feature"
    finally:
        office.stack.start()
    office.stack.until(lambda: office.status(desk)["extension"] == desk.extension, "the log-in is taken in")
    [last] = api.ok("GET", f"/audit?kind=handset&key={desk.mac}&limit=1")["items"]
    assert last["actor"] == f"handset {neutral.user}"
    api.ok("POST", f"/provisioning/follow?revision={last['revision']}&within_s={IN_FORCE_S}")
    office.fetch(desk)
    assert desk.account is not None and desk.account.user not in (neutral.user, "")
    headers = [value for event in office.stack.node.events for value in event.headers.values()]
    assert not [value for value in headers if pin in value], "the PIN is in an event"
    logged = office.stack.process.log_since(0) + docker("logs", office.stack.lab.lab.node_name)
    assert pin not in logged
