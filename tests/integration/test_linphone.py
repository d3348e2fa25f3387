"""A real Linphone is set up by a link that works once, registers at the real Asterisk and is called.

The file is made from the model and served by the provisioning server over HTTPS, with its own authority.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.domain.handsets import Handset
from control_plane.render.handsets.assemble import Place, inside_of, setup_of
from control_plane.render.handsets.families import render_handset
from control_plane.service.demo import KEYS, OCCUPIER
from tests.integration.linphone import Linphone, why_not, write_tone
from tests.integration.stack import Stack
from tests.integration.talk import CALLEE_HZ, CALLER_HZ
from tests.published import Entry, File, Publisher

pytestmark = pytest.mark.asterisk

ID = "s0123456789a"
LATER = "2100-01-01T00:00:00+00:00"
KEY, OTHER = "101", "100"
START_S = 20.0
BY_LINK = {"s/linphone.xml": 1}
"""The journal's name of a file that was got by a link."""


@dataclass(frozen=True)
class Provisioning:
    """A provisioning server that runs as a process of its own."""

    state_dir: Path
    port: int
    publisher: Publisher

    @property
    def url(self) -> str:
        """By name: Linphone 5.1 takes no address out of a certificate."""
        return f"https://localhost:{self.port}/"

    @property
    def authority(self) -> Path:
        return self.state_dir / "provisioning" / "tls" / "ca.crt"

    def fetches(self) -> dict[str, int]:
        """How often each file of the softphone was served, by name."""
        with sqlite3.connect(self.state_dir / "provisioning" / "journal.sqlite3") as journal:
            rows = journal.execute("SELECT name, count FROM fetches WHERE mac = ? AND status = 200", (ID,))
            return dict(rows.fetchall())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def provisioning_server(directory: Path) -> Iterator[Provisioning]:
    state_dir, port = directory / "state", free_port()
    publisher = Publisher(state_dir / "published" / "store.sqlite3")
    given = {"STATE_DIR": state_dir, "HOST": "127.0.0.1", "HTTPS_PORT": port, "HTTP_PORT": 0}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHIEF_")}
    environment |= {f"WIRECHIEF_PROVISIONING_{name}": str(value) for name, value in given.items()}
    log = directory / "provisioning.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "provisioning_server"], env=environment, stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield Provisioning(state_dir, port, publisher)
    finally:
        process.terminate()
        process.wait(10)
        publisher.close()


@pytest.fixture(scope="session")
def linphone_runs() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def provisioning(tmp_path: Path) -> Iterator[Provisioning]:
    with provisioning_server(tmp_path) as running:
        yield running


def publish(stack: Stack, provisioning: Provisioning) -> Entry:
    """The softphone of extension 101, as the model has it."""
    model, device = stack.model(), stack.device(KEY)
    token = secrets.token_hex(20)
    extension = model.extensions[OCCUPIER, KEY]
    handset = Handset.model_validate(
        {
            "mac": ID,
            "model": "Linphone",
            "org": OCCUPIER,
            "site": extension.site,
            "extension": KEY,
            "device": device.id,
            "token": token,
            "http_user": "unused0001",
            "http_password": "H" * 24,
            "admin_password": "A" * 24,
            "user_password": "B" * 24,
        }
    )
    s = stack.lab.settings
    place = Place(
        url=provisioning.url,
        public_url=f"{provisioning.url}c/",
        sip_host=s.sip_address,
        sip_port=s.sip_port,
        sip_tls_port=s.sip_tls_port,
        year=2026,
        sip_realm=s.sip_realm,
    )
    files = render_handset(setup_of(model, handset, place, inside_of(model, OCCUPIER, KEYS)))
    entry = Entry(
        ID,
        {file.name: File(file.content, file.secret, content_type=file.content_type) for file in files},
        token=token,
        auth="none",
    )
    provisioning.publisher.publish(entry)
    return entry


def registered(stack: Stack) -> bool:
    """Whether Asterisk knows where the device is."""
    return stack.device(KEY).id in stack.api.ok("GET", "/nodes/lab/contacts")


@pytest.mark.usefixtures("linphone_runs")
def test_a_link_sets_up_a_linphone_that_registers_and_talks(
    stack: Stack, provisioning: Provisioning, tmp_path: Path
) -> None:
    stack.phones.pop(KEY).close()
    stack.until(lambda: not registered(stack), "the extension's own phone is gone")
    link = secrets.token_urlsafe(24)
    entry = publish(stack, provisioning)
    provisioning.publisher.link(link, entry, "linphone.xml", LATER)
    phone = Linphone(tmp_path / "home", provisioning.authority, f"{provisioning.url}s/{link}")
    tone = tmp_path / "tone.wav"
    write_tone(tone, CALLEE_HZ, 60)
    phone.start()
    try:
        phone.until(lambda: registered(stack), "it is registered", lambda: stack.engine.poll(0.01))
        stack.until(lambda: provisioning.fetches() == BY_LINK, "the fetch is in the journal")
        phone.speak(tone)

        call = stack.phones[OTHER].call(KEY)
        call.wait_confirmed()
        call.play_tone(CALLER_HZ)
        assert call.hears(CALLEE_HZ, 10)
        stack.until(lambda: phone.hears(CALLER_HZ), "Linphone hears the caller")
        call.hangup()
        phone.until(lambda: "ended" in phone.said, "it knows that the call is over")

        before = len(stack.phones[OTHER].incoming)
        phone.tell(f"call {OTHER}")
        stack.until(lambda: len(stack.phones[OTHER].incoming) > before, "Linphone's call rings", 20)
        back = stack.phones[OTHER].incoming[-1]
        back.wait_confirmed()
        assert back.hears(CALLEE_HZ, 10)
        back.hangup()
    finally:
        phone.stop()
    assert stack.device(KEY).sip_password.get_secret_value() not in phone.configuration
    stack.until(lambda: not registered(stack), "it has said goodbye")

    phone.start()  # the link is spent: from now on it asks at its own address
    try:
        stack.until(lambda: provisioning.fetches() == BY_LINK | {"linphone.xml": 1}, "it asked again")
        phone.until(lambda: registered(stack), "it is registered again", lambda: stack.engine.poll(0.01))
    finally:
        phone.stop()


@pytest.mark.usefixtures("linphone_runs")
def test_a_linphone_does_not_fetch_from_a_server_of_another_authority(
    provisioning: Provisioning, tmp_path: Path
) -> None:
    entry = Entry(ID, {"linphone.xml": File(b"<config/>", secret=True)}, auth="none")
    provisioning.publisher.publish(entry)
    link = secrets.token_urlsafe(24)
    provisioning.publisher.link(link, entry, "linphone.xml", LATER)
    stranger = tmp_path / "stranger"
    with provisioning_server(stranger) as other:
        phone = Linphone(tmp_path / "home", other.authority, f"{provisioning.url}s/{link}")
        phone.start()
        try:
            phone.until(lambda: "SSL handshake failed" in phone.log, "it finds the stranger out")
        finally:
            phone.stop()
    assert provisioning.fetches() == {}
