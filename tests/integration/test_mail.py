"""Mail through a real SMTP server, and from a real call to the inbox."""

from __future__ import annotations

import asyncio
import ssl
import wave
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import SecretStr

from control_plane.adapters.ami.address import AmiAddress
from control_plane.adapters.ami.link import AmiLink
from control_plane.adapters.clock import SystemClock
from control_plane.adapters.mail import Security, SmtpMailer, mailer_of
from control_plane.adapters.voicemail import VoicemailSpool
from control_plane.apply.handsets import Intake
from control_plane.apply.reconciler import Reconciler
from control_plane.domain.entities import Entity, NumberStatus, Organisation, PhoneNumber, Site, Trunk
from control_plane.domain.extension import Extension, NoAnswer, NoAnswerAction
from control_plane.domain.model import ExtensionId
from control_plane.domain.regions import RegionCode
from control_plane.errors import MailNotSent, MailRefused
from control_plane.ports import Mail
from control_plane.service.notify import Outbox
from control_plane.settings import Settings
from control_plane.store import SqlStore, open_store
from tests.databases import migrated_file
from tests.integration.smtp_server import PASSWORD, USER, mail_server, make_certificate
from tests.lab import RunningLab, running_lab_in
from tests.waiting import until

MAIL = Mail(
    to=("ann@acme.example",),
    subject="Missed call from +6561234567 for Zoë, front desk (100)",
    text="Missed call\nfor Zoë\n.\nFrom here\n" + "long " * 300 + "\n",
    attachments=(("voicemail-100.wav", "audio/wav", bytes(range(256)) * 300),),
    message_id="1767574800.7",
)
CALLER = "+6561234567"
GREETING_S, SPOKEN_S = 12, 4
DID_VOICEMAIL, DID_MISSED = "+6560001001", "+6560001002"


def mailer(
    port: int,
    *,
    security: Security = Security.NONE,
    login: tuple[str, SecretStr] | None = None,
    tls_context: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
) -> SmtpMailer:
    return SmtpMailer(
        "127.0.0.1",
        port,
        SystemClock(),
        sender="pbx@acme.example",
        security=security,
        login=login,
        tls_context=tls_context,
        timeout_s=timeout_s,
    )


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The mail server's and its client's."""
    return make_certificate(tmp_path_factory.mktemp("mail"))


# The adapter.


async def test_a_mail_arrives_as_it_was_given() -> None:
    async with mail_server() as inbox:
        await mailer(inbox.port).send(MAIL)
    (mail,) = inbox.mails
    assert (mail["Subject"], mail["To"], mail["From"]) == (MAIL.subject, MAIL.to[0], "pbx@acme.example")
    assert mail["Message-ID"] == "<1767574800.7@acme.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert abs((mail["Date"].datetime - datetime.now(UTC)).total_seconds()) < 60
    body = mail.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == MAIL.text
    (attachment,) = mail.iter_attachments()
    assert (attachment.get_filename(), attachment.get_content_type()) == ("voicemail-100.wav", "audio/wav")
    assert attachment.get_content() == MAIL.attachments[0][2]


async def test_starttls_and_a_login(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    async with mail_server(starttls=server, login=True) as inbox:
        await mailer(
            inbox.port, security=Security.STARTTLS, login=(USER, SecretStr(PASSWORD)), tls_context=client
        ).send(MAIL)
    assert (inbox.was_encrypted, inbox.logins) == ([True], [True])


async def test_tls_from_the_first_byte(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    async with mail_server(tls=server) as inbox:
        await mailer(inbox.port, security=Security.TLS, tls_context=client).send(MAIL)
    assert len(inbox.mails) == 1


async def test_a_server_without_starttls_gets_nothing_and_no_password() -> None:
    async with mail_server(login=True) as inbox:
        sender = mailer(inbox.port, security=Security.STARTTLS, login=(USER, SecretStr(PASSWORD)))
        with pytest.raises(MailNotSent, match="STARTTLS"):
            await sender.send(MAIL)
    assert (inbox.mails, inbox.logins) == ([], [])


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
async def test_a_certificate_nobody_vouches_for_is_not_trusted(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    server, _ = contexts
    starttls, tls = (server, None) if security is Security.STARTTLS else (None, server)
    async with mail_server(starttls=starttls, tls=tls) as inbox:
        with pytest.raises(MailNotSent):
            await mailer(inbox.port, security=security).send(MAIL)
    assert inbox.mails == []


async def test_a_refused_login_is_tried_later_and_its_password_is_not_told(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = contexts
    async with mail_server(starttls=server, login=True) as inbox:
        sender = mailer(
            inbox.port, security=Security.STARTTLS, login=(USER, SecretStr("hunter2")), tls_context=client
        )
        with pytest.raises(MailNotSent, match="smtp_user") as caught:
            await sender.send(MAIL)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("550 5.1.1 no such user", MailRefused),
        ("451 4.7.1 greylisted", MailNotSent),
        ("452 full", MailNotSent),
    ],
)
async def test_a_refused_recipient_is_final_or_not_as_the_server_says(
    answer: str, error: type[Exception]
) -> None:
    async with mail_server() as inbox:
        inbox.recipient_answers["ann@acme.example"] = answer
        with pytest.raises(error, match=answer[:3]):
            await mailer(inbox.port).send(MAIL)


async def test_a_mail_refused_after_its_data_is_final_or_not_as_the_server_says() -> None:
    async with mail_server() as inbox:
        inbox.data_answer = "554 5.6.0 not wanted"
        with pytest.raises(MailRefused, match="554"):
            await mailer(inbox.port).send(MAIL)
        inbox.data_answer = "451 try later"
        with pytest.raises(MailNotSent, match="451"):
            await mailer(inbox.port).send(MAIL)


async def test_no_server_and_a_silent_server_are_tried_later(unused_tcp_port: int) -> None:
    with pytest.raises(MailNotSent):
        await mailer(unused_tcp_port).send(MAIL)

    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        with pytest.raises(MailNotSent):
            await mailer(server.sockets[0].getsockname()[1], timeout_s=0.3).send(MAIL)
        await gone.wait()


@pytest.mark.parametrize("subject", ["a\r\nBcc: eve@evil.example", "a\nb"])
async def test_a_subject_with_a_line_break_never_becomes_a_header(subject: str) -> None:
    async with mail_server() as inbox:
        with pytest.raises(MailRefused):
            await mailer(inbox.port).send(Mail(to=MAIL.to, subject=subject, text="x"))
    assert inbox.mails == []


async def test_an_address_the_server_cannot_express_is_final() -> None:
    async with mail_server() as inbox:
        with pytest.raises(MailRefused):
            await mailer(inbox.port).send(Mail(to=("jörg@acme.example",), subject="x", text="x"))


def test_no_mail_server_set_is_no_mailer() -> None:
    assert mailer_of(Settings(), SystemClock()) is None
    assert mailer_of(Settings(smtp_host="mail.acme.example"), SystemClock()) is not None


def test_a_mail_password_never_travels_in_the_clear() -> None:
    with pytest.raises(ValueError, match="smtp_starttls or smtp_tls"):
        Settings(smtp_host="mail.acme.example", smtp_user="u", smtp_starttls=False)


# The spool.


def message(box: Path, stem: str, *, at: int, caller: str, duration_s: int = 3, wav: bytes = b"RIFF") -> None:
    box.mkdir(parents=True, exist_ok=True)
    (box / f"{stem}.wav").write_bytes(wav)
    (box / f"{stem}.txt").write_text(
        f'[message]\norigmailbox=100\ncallerid="" <{caller}>\norigtime={at}\nduration={duration_s}\n'
    )


async def found(
    spool: Path, *, caller: str = "", stem: str = "", org: str = "acme", at: int = 1000
) -> bytes | None:
    recording = await VoicemailSpool(spool).read(
        org, "100", stem=stem, caller=caller, ended=datetime.fromtimestamp(at, UTC)
    )
    return None if recording is None else recording.wav


async def test_the_message_that_ended_when_the_call_did_is_found(tmp_path: Path) -> None:
    box = tmp_path / "voicemail/acme/100/INBOX"
    message(box, "msg0000", at=940, caller="101", wav=b"early")
    message(box, "msg0001", at=996, caller="102", wav=b"right")
    message(box, "msg0002", at=5000, caller="102", wav=b"late")
    assert await found(tmp_path) == b"right"


async def test_of_two_messages_at_the_same_time_the_caller_s_is_taken(tmp_path: Path) -> None:
    box = tmp_path / "voicemail/acme/100/INBOX"
    message(box, "msg0000", at=995, caller="+6561234567", wav=b"hers")
    message(box, "msg0001", at=997, caller="101", wav=b"his")
    assert await found(tmp_path, caller="+6561234567") == b"hers"
    assert await found(tmp_path, caller="101") == b"his"
    assert await found(tmp_path, stem="msg0000") == b"hers"


async def test_a_message_already_heard_is_found_among_the_old_ones(tmp_path: Path) -> None:
    message(tmp_path / "voicemail/acme/100/Old", "msg0000", at=996, caller="101", wav=b"heard")
    assert await found(tmp_path) == b"heard"


async def test_a_name_that_leads_elsewhere_a_link_and_a_huge_file_are_not_read(tmp_path: Path) -> None:
    box = tmp_path / "voicemail/acme/100/INBOX"
    message(box, "msg0000", at=997, caller="101")
    assert await found(tmp_path, org="../acme") is None
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    (box / "msg0000.wav").unlink()
    (box / "msg0000.wav").symlink_to(secret)
    assert await found(tmp_path) is None
    (box / "msg0000.wav").unlink()
    (box / "msg0000.wav").write_bytes(bytes(4_000_001))
    assert await found(tmp_path) is None


async def test_half_written_descriptions_are_not_read(tmp_path: Path) -> None:
    box = tmp_path / "voicemail/acme/100/INBOX"
    message(box, "msg0000", at=997, caller="101")
    (box / "msg0000.txt").write_text("[message]\norigtime=")
    assert await found(tmp_path) is None


# From a call to the inbox.


@pytest.fixture
def own_lab(asterisk_image: str, tmp_path: Path) -> Iterator[RunningLab]:
    with running_lab_in(tmp_path / "lab", asterisk_image=asterisk_image) as lab:
        yield lab


def office(carrier: str) -> tuple[Entity, ...]:
    """One extension that takes messages, one that tells of missed calls; neither has a phone."""
    notify = ("ann@acme.example",)
    return (
        Organisation(id="acme", name="Acme"),
        Trunk(id="carrier", host=carrier, region=RegionCode("SG")),
        Site(id="hq", name="HQ", region=RegionCode("SG"), time_zone="Asia/Singapore", trunk="carrier"),
        Extension(
            org="acme",
            key="100",
            site="hq",
            label="Front desk",
            number=DID_VOICEMAIL,
            voicemail_pin=SecretStr("471147"),
            no_answer=NoAnswer(action=NoAnswerAction.VOICEMAIL, ring_timeout_s=5, notify=notify),
        ),
        Extension(
            org="acme",
            key="101",
            site="hq",
            number=DID_MISSED,
            no_answer=NoAnswer(action=NoAnswerAction.RECORD_NUMBER, ring_timeout_s=5, notify=notify),
        ),
        *(
            PhoneNumber(e164=number, site="hq", org="acme", extension=key, status=NumberStatus.ACTIVE)
            for number, key in ((DID_VOICEMAIL, "100"), (DID_MISSED, "101"))
        ),
    )


@asynccontextmanager
async def pushed_store(lab: RunningLab, link: AmiLink, directory: Path) -> AsyncIterator[SqlStore]:
    """The office in a database and in the node."""
    store = await open_store(migrated_file(directory / "wirechief.db"), SystemClock())
    try:
        async with store.transaction("test") as transaction:
            for entity in office(lab.settings.carrier_address):
                transaction.put(entity)
        await link.connect()
        applied = await Reconciler(lab.settings.node, link, store, _no_intake(), SystemClock()).apply()
        assert applied is not None and applied.ok, applied and applied.problems()
        yield store
    finally:
        await link.close()
        await store.close()


def _no_intake() -> Intake:
    async def no_rows(_rows: Mapping[str, str]) -> tuple[()]:
        return ()

    async def no_pin(_extension: ExtensionId, _pin: str) -> None:
        return None

    return Intake(no_rows, no_pin)


@pytest.mark.asterisk
async def test_a_caller_s_message_and_a_missed_call_arrive_as_mail(
    own_lab: RunningLab, tmp_path: Path
) -> None:
    settings = own_lab.settings
    link = AmiLink(AmiAddress(settings.ami_host, settings.ami_port, settings.ami_user, own_lab.secrets.ami))
    async with pushed_store(own_lab, link, tmp_path) as store, mail_server() as inbox:
        # The first call comes while nobody is there to send its mail.
        await own_lab.carrier.call(CALLER, DID_MISSED)
        assert any(key.startswith("outbox/") for key in await link.read_rows("outbox"))
        outbox = Outbox(
            link,
            store,
            SystemClock(),
            node=settings.node,
            mailer=mailer(inbox.port),
            recordings=VoicemailSpool(own_lab.lab.node_dir / "spool"),
        )
        inbox.recipient_answers["ann@acme.example"] = "550 unknown"
        running = asyncio.create_task(outbox.run())
        try:
            await until(lambda: outbox.status.failed == 1, "the missed call's mail is given up", 10)
            (letter,) = await outbox.mails()
            assert (letter.state, letter.extension, letter.tries) == ("given_up", "101", 1)
            assert letter.error == "ann@acme.example: recipient refused: 550 unknown"
            inbox.recipient_answers.clear()
            assert await outbox.retry(letter.id) == 1
            await until(lambda: len(inbox.mails) == 1, "the missed call's mail", 10)
            await until(lambda: outbox.status.waiting == 0, "its row is gone", 10)
            assert await outbox.mails() == []
            await own_lab.carrier.call(CALLER, DID_VOICEMAIL, talk_s=GREETING_S + SPOKEN_S)
            await until(
                lambda: (outbox.status.sent, outbox.status.waiting) == (2, 0), "the message's mail", 20
            )
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        assert await link.read_rows("outbox") == {}
    missed, voicemail = inbox.mails
    assert missed["Subject"] == f"Missed call from {CALLER} for 101"
    assert "Reason: no phone was connected" in str(missed.get_content())
    assert voicemail["Subject"] == f"Voicemail from {CALLER} for Front desk (100)"
    (attachment,) = voicemail.iter_attachments()
    (stored,) = (own_lab.lab.node_dir / "spool" / "voicemail" / "acme" / "100" / "INBOX").glob("*.wav")
    assert attachment.get_content() == stored.read_bytes()
    with wave.open(BytesIO(attachment.get_content())) as sound:
        assert 1.0 < sound.getnframes() / sound.getframerate() <= 60.0
