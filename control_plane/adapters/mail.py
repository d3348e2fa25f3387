"""Mail over SMTP (RFC 5321), with STARTTLS or TLS and a login where the server asks for them."""

from __future__ import annotations

import contextlib
import ssl
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, make_msgid
from enum import StrEnum

import aiosmtplib
from pydantic import SecretStr

from control_plane.errors import MailNotSent, MailRefused
from control_plane.ports import Clock, Mail, Mailer
from control_plane.settings import Settings

TIMEOUT_S = 30.0
PERMANENT = 500  # RFC 5321 section 4.2.1: 5yz replies are permanent, 4yz are worth another try
REPLY_LENGTH = 200


class Security(StrEnum):
    """How the connection is protected."""

    NONE = "none"
    STARTTLS = "starttls"  # insisted on: a server that does not offer it gets nothing
    TLS = "tls"


class SmtpMailer(Mailer):
    """Sends each mail over a connection of its own.

    Args:
        login: user name and password, where the server asks for them.
        tls_context: trust for the server's certificate; None: the system's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        clock: Clock,
        *,
        sender: str,
        security: Security = Security.STARTTLS,
        login: tuple[str, SecretStr] | None = None,
        tls_context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._sender = sender
        self._security = security
        self._login = login
        self._tls_context = tls_context
        self._timeout_s = timeout_s

    async def send(self, mail: Mail) -> None:
        """Send to all of `mail.to` in one transaction.

        Raises:
            MailNotSent: no connection, a login refused, a temporary refusal: try again later. Some of
                several recipients may have been served, so callers who care send to one at a time.
            MailRefused: the server will never take this, or it cannot be expressed as a message.
        """
        try:
            message = self._message(mail)
        except (ValueError, MessageError) as exc:
            raise MailRefused(f"The mail cannot be expressed as a message: {_short(str(exc))}.") from exc
        try:
            refused, _ = await self._transfer(message, mail.to)
        except aiosmtplib.SMTPRecipientsRefused as exc:
            refused = {
                one.recipient: aiosmtplib.SMTPResponse(one.code, one.message) for one in exc.recipients
            }
        except aiosmtplib.SMTPException as exc:
            raise _as_ours(exc, mail, self._host) from exc
        except (OSError, TimeoutError, ValueError) as exc:
            raise MailNotSent(f"Mail server {self._host} cannot be used: {_short(str(exc))}.") from exc
        if refused:
            worst = min(refused.values(), key=lambda reply: reply.code)
            raise _by_code(worst.code, f"recipient refused: {worst.code} {_short(worst.message)}")

    async def _transfer(
        self, message: EmailMessage, to: tuple[str, ...]
    ) -> tuple[dict[str, aiosmtplib.SMTPResponse], str]:
        user, password = self._login or (None, SecretStr(""))
        client = aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=user,
            password=password.get_secret_value() if user else None,
            timeout=self._timeout_s,
            use_tls=self._security is Security.TLS,
            # None would mean "when offered", which anybody in between can take away.
            start_tls=self._security is Security.STARTTLS,
            tls_context=self._tls_context,
        )
        try:
            await client.connect()
            answer = await client.send_message(message, sender=self._sender, recipients=list(to))
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await client.quit()  # the mail is taken: a server that is rude now changes nothing
            return answer
        finally:
            # Not `async with client`: it says QUIT even when cancelled in the middle of a mail, and waits for
            # an answer that the server, still expecting text, never gives (aiosmtplib 5.1.3).
            client.close()

    def _message(self, mail: Mail) -> EmailMessage:
        domain = self._sender.rpartition("@")[2] or "localhost"
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self._sender
        message["To"] = ", ".join(mail.to)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = (
            f"<{mail.message_id}@{domain}>" if mail.message_id else make_msgid(domain=domain)
        )
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers to a machine
        message.set_content(mail.text, cte="quoted-printable")
        for name, mime_type, content in mail.attachments:
            maintype, _, subtype = mime_type.partition("/")
            message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
        return message


def mailer_of(settings: Settings, clock: Clock) -> SmtpMailer | None:
    """The mailer of the settings smtp_*; None when no mail server is set."""
    if not settings.smtp_host:
        return None
    security = Security.STARTTLS if settings.smtp_starttls else Security.NONE
    return SmtpMailer(
        settings.smtp_host,
        settings.smtp_port,
        clock,
        sender=settings.smtp_sender,
        security=Security.TLS if settings.smtp_tls else security,
        login=(settings.smtp_user, settings.smtp_password) if settings.smtp_user else None,
    )


def _as_ours(exc: aiosmtplib.SMTPException, mail: Mail, host: str) -> MailNotSent | MailRefused:
    match exc:
        case aiosmtplib.SMTPAuthenticationError():
            return MailNotSent(
                f"Mail server {host} refused the login ({exc.code}): check smtp_user and its password."
            )
        case aiosmtplib.SMTPSenderRefused() | aiosmtplib.SMTPDataError():
            return _by_code(exc.code, f"mail refused: {exc.code} {_short(exc.message)}")
        case aiosmtplib.SMTPNotSupported() if not all(map(str.isascii, mail.to)):
            return MailRefused(f"Mail server {host} takes no addresses beyond ASCII (no SMTPUTF8).")
        case _:
            return MailNotSent(f"Mail server {host} cannot be used: {_short(str(exc))}.")


def _by_code(code: int, text: str) -> MailNotSent | MailRefused:
    return MailRefused(text) if code >= PERMANENT else MailNotSent(text)


def _short(text: str) -> str:
    """What a foreign server says, as one short printable line."""
    line = " ".join(text.split())
    return "".join(c for c in line if c.isprintable())[:REPLY_LENGTH].rstrip(".")
