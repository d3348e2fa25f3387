"""What handsets sent, sealed by the provisioning server for us alone (docs/published-store.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from control_plane.adapters.journal import in_journal
from control_plane.errors import PublishingFailed, UnknownEntity
from control_plane.ports import Upload, Uploads

T = TypeVar("T")

LABEL: Final = b"sealed upload 1"
KEY_BYTES: Final = 32
NONCE: Final = bytes(12)


def public_key(private: SecretStr) -> str:
    """What the provisioning server seals with, in hex; `private` is 32 bytes in hex."""
    return _private(private).public_key().public_bytes_raw().hex()


def _private(secret: SecretStr) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(secret.get_secret_value()))


def unsealed(private: SecretStr, mac: str, name: str, sealed: bytes) -> bytes:
    """The file that was sent.

    Raises:
        ValueError: it was sealed for another key, or is of another device or name than it says.
    """
    ours = _private(private)
    ephemeral, rest = sealed[:KEY_BYTES], sealed[KEY_BYTES:]
    shared = ours.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    salt = ephemeral + ours.public_key().public_bytes_raw()
    key = HKDF(SHA256(), KEY_BYTES, salt=salt, info=LABEL).derive(shared)
    try:
        return ChaCha20Poly1305(key).decrypt(NONCE, rest, f"{mac}/{name}".encode())
    except InvalidTag:
        raise ValueError("it was not sealed for this key, or was changed") from None


class UploadsFile(Uploads):
    """`ports.Uploads` over the provisioning server's journal; where there is none, nothing was sent."""

    def __init__(self, journal: Path, private: SecretStr) -> None:
        self._path = journal
        self._private = private

    async def list(self, mac: str) -> tuple[Upload, ...]:
        rows = await self._do(
            lambda db: db.execute(
                "SELECT id, name, at, length(sealed) FROM uploads WHERE mac = ? ORDER BY id", (mac,)
            ).fetchall()
        )
        overhead = KEY_BYTES + 16
        return tuple(
            Upload(id, mac, name, datetime.fromisoformat(at).astimezone(UTC), max(0, size - overhead))
            for id, name, at, size in rows or ()
        )

    async def read(self, mac: str, id: int) -> bytes:
        row = await self._do(
            lambda db: db.execute(
                "SELECT name, sealed FROM uploads WHERE id = ? AND mac = ?", (id, mac)
            ).fetchone()
        )
        if row is None:
            raise UnknownEntity("upload", str(id))
        try:
            return unsealed(self._private, mac, row[0], row[1])
        except ValueError as exc:
            raise PublishingFailed(
                f"Upload {id} of {mac} cannot be opened ({exc}): remove it, the handset sends it again."
            ) from exc

    async def remove(self, mac: str, id: int) -> None:
        def gone(db: sqlite3.Connection) -> int:
            with db:
                return db.execute("DELETE FROM uploads WHERE id = ? AND mac = ?", (id, mac)).rowcount

        if not await self._do(gone):
            raise UnknownEntity("upload", str(id))

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        return await in_journal(self._path, work, "rw")
