"""The phones at a real Asterisk: registration, calls through it, message waiting."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.ami import AmiAddress, AmiLink
from control_plane.adapters.phones import Answer, Engine, Phone, SipAccount
from control_plane.ports import ConfigLine
from control_plane.render.mailboxes import mailbox_file
from tests.lab import RunningLab, running_lab_in

pytest.importorskip("pjsua2", reason="the phones extra has wheels for CPython 3.8-3.12 on x86_64 only")
pytestmark = pytest.mark.asterisk

PASSWORD = "correct-horse"
MAILBOX = "700@phones"
DEVICES: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "other": {},
    "mailbox": {"mailboxes": MAILBOX},
    "subscriber": {"mailboxes": MAILBOX, "mwi_subscribe_replaces_unsolicited": "yes"},
    "secure": {"transport": "transport-tls", "media_encryption": "sdes"},
}
# 600 echoes; 601 reads four digits and plays a tone only for the right ones; others ring the device.
DIALPLAN = (
    "600,1,Answer()",
    "600,2,Echo()",
    "601,1,Answer()",
    "601,2,Read(DIGITS,,4)",
    '601,3,GotoIf($["${DIGITS}" = "4711"]?4:5)',
    "601,4,Playtones(523/60000)",
    "601,5,Wait(20)",
    f"602,1,VoiceMail({MAILBOX},s)",
    "603,1,Progress()",
    "603,2,Playtones(333/60000)",
    "603,3,Wait(20)",
    "_[a-z].,1,Dial(PJSIP/${EXTEN},20)",
    "_[a-z].,2,Hangup(${HANGUPCAUSE})",
)

MakePhone = Callable[..., Phone]


@pytest.fixture(scope="module")
def node(asterisk_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """A lab of these tests' own: they replace its dialplan."""
    with running_lab_in(tmp_path_factory.mktemp("phones"), asterisk_image=asterisk_image) as lab:
        asyncio.run(_push(lab))
        yield lab


def link_to(lab: RunningLab) -> AmiLink:
    settings = lab.settings
    return AmiLink(AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, lab.secrets.ami))


async def _push(lab: RunningLab) -> None:
    link = link_to(lab)
    await link.connect()
    try:
        for name, options in DEVICES.items():
            mailbox = {k: v for k, v in options.items() if k == "mailboxes"}
            endpoint = {"context": "phones", "identify_by": "username", "aors": name, "auth": name}
            endpoint |= {"allow": "!all,ulaw,alaw", "direct_media": "no", "rtp_symmetric": "yes", **options}
            rows = {
                "auth": {"auth_type": "digest", "username": name, "password": PASSWORD},
                "aor": {"max_contacts": "1", "remove_existing": "yes"} | mailbox,
                "endpoint": endpoint,
            }
            await link.put_rows((f"pbx/{kind}/{name}", json.dumps(row)) for kind, row in rows.items())
        lines = [ConfigLine("exten", line) for line in DIALPLAN]
        await link.write_config("generated_dialplan.conf", {"phones": lines})
        await link.reload("pbx_config.so")
        number, _, context = MAILBOX.partition("@")
        line = ConfigLine(number, "1234,Phones")
        await link.edit_config(mailbox_file(f"{context}/{number}"), context, append=[line])
        await link.reload("app_voicemail.so")
    finally:
        await link.close()


@pytest.fixture(scope="module")
def phone_engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


@pytest.fixture
def make_phone(phone_engine: Engine, node: RunningLab) -> Iterator[MakePhone]:
    """Phones at the node that are closed after the test."""
    settings = node.settings
    with ExitStack() as phones:

        def make(name: str, **changes: Any) -> Phone:
            values: dict[str, Any] = {
                "sip_user": name,
                "sip_password": PASSWORD,
                "host": settings.sip_address,
                "port": settings.sip_tls_port if changes.get("transport") == "tls" else settings.sip_port,
                "local_address": "127.0.40.2",
            }
            account = SipAccount(**(values | changes))
            return phones.enter_context(Phone(phone_engine, account))

        yield make


@pytest.fixture
def secure_settings(node: RunningLab) -> dict[str, object]:
    return {"transport": "tls", "srtp": True, "ca_file": node.lab.certificate_authority}


def contacts(node: RunningLab) -> set[str]:
    """AORs that have a contact, as Asterisk holds them."""

    async def ask() -> set[str]:
        link = link_to(node)
        await link.connect()
        try:
            return set(await link.contacts())
        finally:
            await link.close()

    return asyncio.run(ask())


def test_a_phone_registers_and_closing_it_removes_its_contact(
    make_phone: MakePhone, node: RunningLab
) -> None:
    phone = make_phone("plain")
    assert phone.register() == 200
    assert phone.registered
    assert "plain" in contacts(node)
    assert phone.register() == 200, "a refresh"
    phone.close()
    assert not phone.registered
    assert "plain" not in contacts(node)


def test_a_phone_unregisters(make_phone: MakePhone, node: RunningLab) -> None:
    phone = make_phone("plain")
    phone.register()
    assert phone.unregister() == 200
    assert not phone.registered
    assert "plain" not in contacts(node)


@pytest.mark.parametrize(("name", "password"), [("plain", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_password_and_an_unknown_user_are_answered_401(
    make_phone: MakePhone, name: str, password: str
) -> None:
    phone = make_phone(name, sip_password=password)
    assert phone.register() == 401
    assert not phone.registered


def test_a_phone_registers_over_tcp(make_phone: MakePhone) -> None:
    assert make_phone("plain", transport="tcp").register() == 200


def test_a_phone_registers_over_tls_only_when_it_knows_the_authority(
    make_phone: MakePhone, secure_settings: dict[str, object], tmp_path: Path
) -> None:
    assert make_phone("secure", **secure_settings).register() == 200
    stranger = tmp_path / "stranger.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=stranger",
         "-keyout", str(tmp_path / "stranger.key"), "-out", str(stranger)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    assert make_phone("secure", **secure_settings | {"ca_file": stranger}).register() == 503


def test_a_phone_hears_its_own_echo(make_phone: MakePhone) -> None:
    call = make_phone("plain").call("600")
    call.wait_confirmed()
    call.play_tone(440)
    assert call.hears(440)
    assert (call.rtp().codec, call.srtp) == ("PCMU", False)


def test_digits_reach_the_dialplan(make_phone: MakePhone) -> None:
    call = make_phone("plain").call("601")
    call.wait_confirmed()
    call.send_dtmf("4711")
    assert call.hears(523, within_s=5)


def test_a_tone_before_the_answer_is_heard(make_phone: MakePhone) -> None:
    call = make_phone("plain").call("603")
    assert call.hears(333)
    assert call.answered_at is None
    assert 183 in call.responses()


def test_a_call_with_srtp_reaches_a_phone_without_it_and_both_hear(
    make_phone: MakePhone, secure_settings: dict[str, object]
) -> None:
    secure, plain = make_phone("secure", **secure_settings), make_phone("plain")
    plain.register()
    plain.behaviour = Answer(after_s=0)
    out = secure.call("plain")
    out.wait_confirmed()
    inbound = plain.wait_incoming()
    inbound.wait_confirmed()
    out.play_tone(440)
    inbound.play_tone(660)
    assert inbound.hears(440)
    assert out.hears(660)
    assert (out.srtp, inbound.srtp) == (True, False)


def test_a_blind_transfer_at_the_pbx_joins_caller_and_target(make_phone: MakePhone) -> None:
    ann, bob, eve = make_phone("mailbox"), make_phone("plain"), make_phone("other")
    for phone in (bob, eve):
        phone.register()
        phone.behaviour = Answer(after_s=0)
    out = ann.call("plain")
    out.wait_confirmed()
    inbound = bob.wait_incoming()
    inbound.wait_confirmed()
    out.play_tone(440)
    assert inbound.hears(440), "a REFER before Asterisk has joined the two is answered with 400"
    assert inbound.transfer("other") == 200
    eve.wait_incoming().wait_confirmed()
    eve.incoming[0].play_tone(660)
    assert eve.incoming[0].hears(440)
    assert out.hears(660)


@pytest.mark.parametrize("name", ["mailbox", "subscriber"])
def test_a_message_lights_the_lamp(
    make_phone: MakePhone, phone_engine: Engine, node: RunningLab, name: str
) -> None:
    phone = make_phone(name, subscribe_mwi=name == "subscriber")
    assert phone.register() == 200
    phone_engine.poll_until(lambda: phone.message_waiting is not None, 5, "the lamp is told")
    assert phone.message_waiting is not None
    new, old = phone.message_waiting
    caller = make_phone("plain").call("602")
    caller.wait_confirmed()
    caller.play_tone(880)
    phone_engine.run_for(2.5)
    caller.hangup()
    phone_engine.poll_until(lambda: phone.message_waiting == (new + 1, old), 5, "the lamp is lit")
