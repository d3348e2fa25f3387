"""Files that handsets send: nobody here can read them once they are taken in.

They may hold passwords, so they are encrypted to the control plane's public key (X25519, HKDF-SHA256,
ChaCha20-Poly1305) before anything is written. docs/published-store.md says how to open one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from provisioning_server.journal import Journal
from provisioning_server.settings import Settings, Uploads
from provisioning_server.store import PublishedStore

LABEL = b"sealed upload 1"
_KEY_BYTES = 32
_NONCE = bytes(12)
"""Each file has a key of its own, so the nonce need not vary."""


def seal(public_key: bytes, mac: str, name: str, content: bytes) -> bytes:
    """`content` for the holder of the private key alone: 32 bytes of ephemeral public key, then ciphertext.

    Device and name are authenticated with it. Raises ValueError for what is no X25519 key.
    """
    ephemeral = X25519PrivateKey.generate()
    ours = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    key = HKDF(SHA256(), _KEY_BYTES, salt=ours + public_key, info=LABEL).derive(shared)
    return ours + ChaCha20Poly1305(key).encrypt(_NONCE, content, f"{mac}/{name}".encode())


class Inbox:
    """Takes in uploads, when that is on and the control plane has published a key."""

    def __init__(self, settings: Settings, store: PublishedStore, journal: Journal) -> None:
        self._settings = settings
        self._store = store
        self._journal = journal

    @property
    def is_open(self) -> bool:
        return self._settings.uploads is Uploads.SEAL

    async def take(
        self,
        mac: str,
        name: str,
        length: bytes | None,
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    ) -> int:
        """The HTTP status for an upload: 204 kept, 403 no key, 413 too large, 507 too many wait already.

        Raises:
            JournalUnavailable
        """
        key, limit = self._store.upload_key, self._settings.upload_bytes
        if key is None:
            return 403
        if length is not None and (not length.isdigit() or len(length) > 12 or int(length) > limit):
            return 413
        content = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return 400
            content += message.get("body", b"")
            more = message.get("more_body", False)
            if len(content) > limit:
                return 413
        try:
            sealed = seal(bytes.fromhex(key), mac, name, bytes(content))
        except ValueError:
            return 403
        kept = await self._journal.upload(mac, name, sealed, self._settings.upload_count)
        return 204 if kept else 507
