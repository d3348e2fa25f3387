"""TLS: our own authority and certificate, or given ones; contexts; whom a handset's certificate names.

Old handsets know RSA only, new ones shake hands with elliptic curves at a twentieth of the cost: of the leaf
there are two, and OpenSSL picks what the handset can. The authority is RSA, which all can verify.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning_server.errors import ServerError
from provisioning_server.names import mac_of
from provisioning_server.settings import Settings

CA_YEARS = 20
LEAF_DAYS = 397
RENEW_DAYS = 30
CA_FILE = "ca.crt"
_RSA_BITS = 2048
"""What the oldest handsets can verify and the least that is still sound."""
_SKEW = timedelta(days=1)
"""A handset without a clock yet may live in yesterday."""
LeafKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Authority(NamedTuple):
    """Our authority's key and certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate


class Identity(NamedTuple):
    """Whom a verified client certificate names; `mac` is None for one shared by many handsets."""

    mac: str | None
    fingerprint: str


class Certificates:
    """The certificates of one server; made where there are none, renewed in place."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.own_dir / "tls"
        self._contexts: list[ssl.SSLContext] = []

    @property
    def ca_pem(self) -> bytes:
        """Our authority's certificate, for handsets to trust; b"" with a given certificate."""
        path = self._directory / CA_FILE
        return path.read_bytes() if self._settings.tls_certificate is None and path.exists() else b""

    def prepare(self) -> None:
        """Makes or renews what is needed; contexts given out take it up for new connections.

        Raises:
            ServerError: a file cannot be read, written or understood.
        """
        try:
            if self._settings.tls_certificate is None:
                self._make()
            for context in self._contexts:
                self._load(context)
        except (OSError, ValueError, ssl.SSLError) as exc:
            raise ServerError(f"The TLS certificate cannot be used: {exc}") from exc

    def context(self, *, legacy: bool = False) -> ssl.SSLContext:
        """A server context: TLS 1.2 and newer, or with `legacy` also 1.0 and 1.1 and what belongs to them.

        Raises:
            ServerError: the manufacturers' authorities cannot be read.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
        if legacy:
            context.set_ciphers("DEFAULT:!aNULL:!eNULL:!RC4:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        else:
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._settings.client_ca_file is not None:
                _ask_for_certificates(context, self._settings.client_ca_file)
        try:
            self._load(context)
        except (OSError, ssl.SSLError) as exc:
            raise ServerError(f"The TLS certificate cannot be used: {exc}") from exc
        self._contexts.append(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        if settings.tls_certificate is not None:
            context.load_cert_chain(settings.tls_certificate, settings.tls_key)
            return
        for kind in ("rsa", "ec"):
            context.load_cert_chain(self._directory / f"{kind}.crt", self._directory / f"{kind}.key")

    def _make(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = self._authority()
        names = _names(self._settings)
        for kind in ("rsa", "ec"):
            path = self._directory / f"{kind}.crt"
            if not _still_good(path, authority, names):
                key: LeafKey = _rsa_key() if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
                _write(self._directory / f"{kind}.key", _key_pem(key), 0o600)
                leaf = _leaf(authority, key, names)
                _write(path, _pem(leaf) + _pem(authority.certificate), 0o644)

    def _authority(self) -> Authority:
        key_path, path = self._directory / "ca.key", self._directory / CA_FILE
        if not (key_path.exists() and path.exists()):
            key = _rsa_key()
            _write(key_path, _key_pem(key), 0o600)
            _write(path, _pem(_root(key)), 0o644)
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(loaded, rsa.RSAPrivateKey):
            raise ValueError(f"{key_path} holds no RSA key")
        return Authority(loaded, x509.load_pem_x509_certificate(path.read_bytes()))


def identity_of(peer: dict[str, Any] | None, der: bytes | None) -> Identity | None:
    """Whom a certificate names that TLS has verified: the MAC in its CN or serial number."""
    if not peer or not der:
        return None
    fingerprint = hashlib.sha256(der).hexdigest()
    subject = {name: value for part in peer.get("subject", ()) for name, value in part}
    for field in ("commonName", "serialNumber"):
        mac = mac_of(str(subject.get(field, "")))
        if mac is not None:
            return Identity(mac, fingerprint)
    return Identity(None, fingerprint)


def _ask_for_certificates(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except (OSError, ssl.SSLError) as exc:
        raise ServerError(f"client_ca_file {authorities} cannot be used: {exc}") from exc
    context.verify_mode = ssl.CERT_OPTIONAL


def _names(settings: Settings) -> list[x509.GeneralName]:
    addresses = dict.fromkeys((settings.host, *settings.addresses))
    found: list[x509.GeneralName] = [x509.DNSName(name) for name in dict.fromkeys(settings.names)]
    parsed = [ipaddress.ip_address(address) for address in addresses]
    return found + [x509.IPAddress(address) for address in parsed if not address.is_unspecified]


def _still_good(path: Path, authority: Authority, names: list[x509.GeneralName]) -> bool:
    if not path.exists() or not path.with_suffix(".key").exists():
        return False
    try:
        leaf = x509.load_pem_x509_certificate(path.read_bytes())
        key = serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
        there = list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        leaf.verify_directly_issued_by(authority.certificate)
    except Exception:  # whatever is wrong with it, a new one is made
        return False
    return (
        key.public_key() == leaf.public_key()
        and there == names
        and leaf.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEW_DAYS)
    )


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def _root(key: rsa.RSAPrivateKey) -> x509.Certificate:
    # The serial number in the name keeps the authorities of two labs apart in a handset's store.
    serial = x509.random_serial_number()
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"Provisioning authority {serial % 16**8:08x}")]
    )
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    return (
        _built(name, name, key, serial, timedelta(days=365 * CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(authority: Authority, key: LeafKey, names: list[x509.GeneralName]) -> x509.Certificate:
    common = next((str(name.value) for name in names), "localhost")[:64]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    issuer = authority.certificate
    serial = x509.random_serial_number()
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    usage = x509.KeyUsage(True, False, is_rsa, False, False, False, False, False, False)
    return (
        _built(subject, issuer.subject, key, serial, timedelta(days=LEAF_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )


def _built(
    subject: x509.Name, issuer: x509.Name, key: LeafKey, serial: int, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - _SKEW)
        .not_valid_after(now - _SKEW + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: LeafKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replaces the file in one step; nobody else can read it meanwhile."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
