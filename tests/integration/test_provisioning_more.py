"""The provisioning server's other ways in: certificates, proxies, uploads, plug and play, the process."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import ssl
import struct
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from provisioning_server.app import client_behind
from provisioning_server.certificates import Certificates
from provisioning_server.pnp import GROUP
from tests.provisioning import DEADLINE_S, free_address, own_settings, serving
from tests.published import Entry, File

MAC, OTHER = "805ec0a1b2c3", "805ec0a1b2c4"
FILES = {"a.cfg": File(b"a", secret=True)}
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


class Maker:
    """A manufacturer's authority, and the certificates in its handsets."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Maker")])
        self.ca_file = directory / "maker.pem"
        self.ca_file.write_bytes(self._signed(self.name, self.key, ca=True))

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM)

    def installed(self, trust: ssl.SSLContext, common_name: str, serial: str = "") -> ssl.SSLContext:
        """`trust` with a handset's certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        if serial:
            parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
        path = self.directory / "handset.pem"
        path.write_bytes(
            self._signed(x509.Name(parts), key, ca=False)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        trust.load_cert_chain(path)
        return trust


async def test_a_client_certificate_must_be_the_devices_own(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    async with serving(tmp_path, client_ca_file=maker.ca_file) as server:

        async def status(policy: str, *certificate: str) -> int:
            entry = Entry(MAC, FILES, certificate=policy)
            server.publisher.publish(entry)
            trust = maker.installed(server.trust, *certificate) if certificate else server.trust
            async with server.client(auth=entry.login, verify=trust) as client:
                return (await client.get(entry.path("a.cfg"))).status_code

        right, wrong, shared = "80:5E:C0:A1:B2:C3", OTHER, "SIP phone"
        assert await status("required", right) == 200
        assert await status("required", "T54W", MAC.upper()) == 200
        assert [await status("required", *one) for one in ((wrong,), (shared,), ())] == [401, 401, 401]
        assert [await status("optional", *one) for one in ((right,), (shared,), ())] == [200, 200, 200]
        assert await status("optional", wrong) == 401
        assert await status("off", wrong) == 200
        bound = await server.journalled("SELECT certificate FROM bound")
        assert len(bound[0][0]) == 64


async def test_a_certificate_nobody_knows_gets_no_connection(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    (tmp_path / "other").mkdir()
    stranger = Maker(tmp_path / "other")
    async with serving(tmp_path, client_ca_file=maker.ca_file) as server:
        async with server.client(verify=stranger.installed(server.trust, MAC)) as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/c/ca.crt")
        async with server.client() as client:
            assert (await client.get("/c/ca.crt")).status_code == 200


@pytest.mark.parametrize(
    ("header", "proxies", "expected"),
    [
        (b"", 1, "peer"),
        (b"1.1.1.1", 1, "1.1.1.1"),
        (b"6.6.6.6, 1.1.1.1", 1, "1.1.1.1"),
        (b"6.6.6.6, 1.1.1.1, 2.2.2.2", 2, "1.1.1.1"),
        (b"1.1.1.1", 2, "peer"),
        (b"[2001:db8::1]:4711", 1, "2001:db8::1"),
        (b"192.0.2.1:4711", 1, "192.0.2.1"),
        (b", ,", 1, "peer"),
    ],
)
def test_who_stands_behind_proxies(header: bytes, proxies: int, expected: str) -> None:
    assert client_behind("peer", header, proxies) == expected


async def test_forwarded_for_counts_only_when_proxies_are_counted(tmp_path: Path) -> None:
    entry = Entry(MAC, FILES, allowed=("192.0.2.0/24",))
    for proxies, header, expected in (
        (0, "192.0.2.1", 401),
        (1, "192.0.2.1", 200),
        (1, "192.0.2.1, 198.51.100.1", 401),
        (1, "198.51.100.1, 192.0.2.1", 200),
    ):
        async with serving(tmp_path, trusted_proxies=proxies) as server:
            server.publisher.publish(entry)
            async with server.client(auth=entry.login) as client:
                answer = await client.get(entry.path("a.cfg"), headers={"X-Forwarded-For": header})
                assert answer.status_code == expected, (proxies, header)


async def test_uploads_are_sealed_for_the_control_plane_alone(tmp_path: Path) -> None:
    private = X25519PrivateKey.generate()
    entry = Entry(MAC, FILES)
    async with serving(tmp_path, uploads="seal", upload_bytes=1000, upload_count=2) as server:
        server.publisher.publish(entry)
        async with server.client(auth=entry.login) as client:
            assert (await client.put(entry.path("x.cfg"), content=b"x")).status_code == 403  # no key yet
            server.publisher.set_meta(upload_key=private.public_key().public_bytes_raw().hex())
            assert (await client.put(entry.path("Local.cfg"), content=b"password = 1")).status_code == 204
            assert (await client.post(entry.path("big.cfg"), content=b"x" * 1001)).status_code == 413
            assert (await client.put(f"/p/{'t' * 32}/x.cfg", content=b"x")).status_code == 401
            assert (await client.put("/e/x.cfg", content=b"x")).status_code == 404
            assert (await client.put(entry.path("two.cfg"), content=b"x")).status_code == 204
            assert (await client.put(entry.path("three.cfg"), content=b"x")).status_code == 507
        rows = server.journal("SELECT mac, name, sealed FROM uploads ORDER BY id")
    mac, name, sealed = rows[0]
    assert (len(rows), mac, name) == (2, MAC, "local.cfg")
    assert b"password" not in sealed
    assert opened(private, mac, name, sealed) == b"password = 1"


def opened(private: X25519PrivateKey, mac: str, name: str, sealed: bytes) -> bytes:
    """As docs/published-store.md says it."""
    ephemeral, ours = sealed[:32], private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    key = HKDF(hashes.SHA256(), 32, salt=ephemeral + ours, info=b"sealed upload 1").derive(shared)
    return ChaCha20Poly1305(key).decrypt(bytes(12), sealed[32:], f"{mac}/{name}".encode())


def subscribe(mac: str, port: int, call: str = "c1") -> bytes:
    lines = (
        f"SUBSCRIBE sip:MAC%3a{mac.upper()}@224.0.1.75 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK1;rport",
        f"From: <sip:MAC%3a{mac.upper()}@224.0.1.75>;tag=1",
        f"To: <sip:MAC%3a{mac.upper()}@224.0.1.75>",
        f"Call-ID: {call}",
        "CSeq: 1 SUBSCRIBE",
        f"Contact: <sip:127.0.0.1:{port}>",
        'Event: ua-profile;profile-type="device";vendor="yealink";model="T54W";version="96"',
        "Expires: 0",
        "Accept: application/url",
        "Content-Length: 0",
    )
    return "\r\n".join([*lines, "", ""]).encode()


class Handset:
    """Sends to the group, hears what comes back."""

    def __init__(self, port: int) -> None:
        self.group = (GROUP, port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s", socket.inet_aton("127.0.0.1"))
        )
        self.socket.bind(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    async def ask(self, packet: bytes) -> None:
        await asyncio.get_running_loop().sock_sendto(self.socket, packet, self.group)

    async def hear(self, seconds: float = DEADLINE_S) -> bytes | None:
        try:
            async with asyncio.timeout(seconds):
                packet, self.peer = await asyncio.get_running_loop().sock_recvfrom(self.socket, 5000)
                return packet
        except TimeoutError:
            return None


async def test_a_handset_that_may_enrol_is_told_where_over_multicast(tmp_path: Path) -> None:
    port = 20_000 + os.getpid() % 30_000
    async with serving(tmp_path, pnp=True, pnp_port=port, pnp_allow=("127.0.0.0/8",)) as server:
        expected = Entry(MAC, FILES, window_id="w", window_until=SOON)
        server.publisher.publish(expected, Entry(OTHER, FILES))
        handset = Handset(port)
        for nothing in (
            subscribe(OTHER, handset.port),
            subscribe("805ec0ffffff", handset.port),
            subscribe(MAC, handset.port).replace(b"ua-profile", b"presence"),
            subscribe(MAC, handset.port).replace(b"Via: ", b"Via: \x01"),
            subscribe(MAC, handset.port).replace(b"\r\nCall-ID: c1", b""),
            subscribe(MAC, handset.port)[:90],
            b"\xff" * 3000,
        ):
            await handset.ask(nothing)
        assert await handset.hear(0.5) is None
        await handset.ask(subscribe(MAC, handset.port, "c2"))
        ok, notify = await handset.hear(), await handset.hear()
        assert ok is not None
        assert notify is not None
        assert ok.startswith(b"SIP/2.0 200 OK\r\n")
        assert b"\r\nCall-ID: c2\r\n" in ok
        url = f"{server.settings.base_url}/e/"
        assert notify.startswith(b"NOTIFY sip:127.0.0.1:")
        assert notify.endswith(f"\r\n\r\n{url}".encode())
        assert f"\r\nContent-Length: {len(url)}\r\n".encode() in notify
        assert await handset.hear(2.0) == notify  # unanswered, so it comes again
        await asyncio.get_running_loop().sock_sendto(
            handset.socket, b"SIP/2.0 200 OK\r\nCall-ID: c2\r\nCSeq: 1 NOTIFY\r\n\r\n", handset.peer
        )
        assert await handset.hear(1.2) is None
        handset.socket.close()


async def test_nobody_is_answered_whose_network_is_not_allowed(tmp_path: Path) -> None:
    port = 20_000 + (os.getpid() + 7) % 30_000
    async with serving(tmp_path, pnp=True, pnp_port=port) as server:
        server.publisher.publish(Entry(MAC, FILES, window_id="w", window_until=SOON))
        handset = Handset(port)
        await handset.ask(subscribe(MAC, handset.port))
        assert await handset.hear(0.5) is None
        handset.socket.close()


def test_a_certificate_is_kept_renewed_and_follows_its_names(tmp_path: Path) -> None:
    settings = own_settings(tmp_path)
    settings.own_dir.mkdir()
    leaf, ca = (settings.own_dir / "tls" / name for name in ("ec.crt", "ca.crt"))
    Certificates(settings).prepare()
    first, authority = leaf.read_bytes(), ca.read_bytes()
    assert (settings.own_dir / "tls" / "ca.key").stat().st_mode & 0o777 == 0o600
    Certificates(settings).prepare()
    assert leaf.read_bytes() == first
    Certificates(settings.model_copy(update={"names": ("pbx.example",)})).prepare()
    renewed = x509.load_pem_x509_certificate(leaf.read_bytes())
    names = renewed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pbx.example"]
    assert ca.read_bytes() == authority


async def process(tmp_path: Path, **settings: str) -> asyncio.subprocess.Process:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WIRECHIEF_")}
    given = {"STATE_DIR": str(tmp_path), **settings}
    environment |= {f"WIRECHIEF_PROVISIONING_{name}": value for name, value in given.items()}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provisioning_server", env=environment, stdout=PIPE, stderr=PIPE
    )


async def heard(started: asyncio.subprocess.Process, word: bytes) -> bytes:
    assert started.stderr is not None
    said = b""
    async with asyncio.timeout(30):
        while word not in said:
            line = await started.stderr.readline()
            assert line, said
            said += line
    return said


async def test_the_process_starts_refuses_a_second_and_ends_in_order(tmp_path: Path) -> None:
    host = free_address()
    running = await process(tmp_path, HOST=host)
    try:
        await heard(running, b"event=started")
        second = await process(tmp_path, HOST=host)
        _, errors = await second.communicate()
        assert second.returncode == 1
        assert b"runs already" in errors.splitlines()[-1]
        running.send_signal(signal.SIGTERM)
        assert b"event=stopped" in await heard(running, b"event=stopped")
        assert await running.wait() == 0
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    with sqlite3.connect(tmp_path / "provisioning" / "journal.sqlite3") as journal:
        assert journal.execute("SELECT count(*) FROM fetches").fetchone() == (0,)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"HTTPS_PORT": "99999"}, "WIRECHIEF_PROVISIONING_HTTPS_PORT"),
        ({"HOST": "somewhere"}, "WIRECHIEF_PROVISIONING_HOST"),
        ({"HOST": "192.0.2.1"}, "WIRECHIEF_PROVISIONING_HOST"),
        ({"TLS_CERTIFICATE": "/nowhere", "TLS_KEY": "/nowhere"}, "TLS certificate"),
        ({"STATE_DIR": "/proc/nothing"}, "WIRECHIEF_PROVISIONING_STATE_DIR"),
    ],
)
async def test_what_keeps_it_from_starting_is_one_sentence(
    tmp_path: Path, settings: dict[str, str], names: str
) -> None:
    started = await process(tmp_path, **settings)
    _, errors = await started.communicate()
    last = errors.decode().strip().splitlines()[-1]
    assert started.returncode == 1
    assert last.startswith("error: ")
    assert names in last
    assert "Traceback" not in errors.decode()
