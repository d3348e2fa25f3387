"""A mail server for tests: real SMTP on loopback, in the test's own event loop."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.waiting import until

CLOSED_S = 10.0
USER, PASSWORD = "wirechief", "correct horse"


@dataclass
class Inbox:
    """What arrived, and what the server answers; an answer of "" means it is taken."""

    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    recipient_answers: dict[str, str] = field(default_factory=dict)
    data_answer: str = ""
    port: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipient_answers.get(address, "")
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.data_answer:
            return self.data_answer
        message = message_from_bytes(envelope.original_content or b"", policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        self.was_encrypted.append(session.ssl is not None)
        return "250 OK"

    def login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
        self.logins.append(good)
        return AuthResult(success=good, handled=False)


class _Session(SMTP):
    """A connection that says when it is over."""

    def __init__(self, inbox: Inbox, open_: set[SMTP], **options: Any) -> None:
        super().__init__(inbox, **options)
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._open.discard(self)


@asynccontextmanager
async def mail_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[Inbox]:
    """A server on a free port of 127.0.0.1 for the length of the block."""
    inbox = Inbox()
    open_: set[SMTP] = set()

    def protocol() -> SMTP:
        return _Session(
            inbox,
            open_,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=inbox.login if login else None,
            auth_required=login and starttls is not None,
            auth_require_tls=starttls is not None,
            enable_SMTPUTF8=False,
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    inbox.port = server.sockets[0].getsockname()[1]
    async with server:
        yield inbox
        await until(lambda: not open_, "every connection to the mail server is closed", CLOSED_S)


def make_certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context with a fresh certificate for 127.0.0.1, and a client's that trusts it."""
    key, certificate = directory / "mail.key", directory / "mail.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail.test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))
