"""What a handset sends is sealed for the control plane, which opens it, shows it and lets it go."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from control_plane.adapters.published import PublishedFile
from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.adapters.uploads import UploadsFile, public_key, unsealed
from control_plane.errors import PublishingFailed, UnknownEntity
from provisioning_server.serve import running
from provisioning_server.uploads import seal
from tests.integration.test_provisioning_published import MAC, PASSWORD, TOKEN, USER, publication
from tests.provisioning import DEADLINE_S, Server, own_settings
from tests.published import REALM, Publisher

SENT = b"account.1.password = hunter2hunter2hunter2\nlock_pin = 4711\nlang = en\n"


async def test_what_a_handset_sends_is_opened_by_the_control_plane_alone(tmp_path: Path) -> None:
    secrets = load_or_make_secrets(tmp_path / "secrets")
    settings = own_settings(tmp_path / "state", uploads="seal")
    published = PublishedFile(settings.store_path, REALM, public_key(secrets.upload_key))
    await published.replace({MAC: publication(b"settings")})
    uploads = UploadsFile(settings.journal_path, secrets.upload_key)
    assert await uploads.list(MAC) == ()
    async with running(settings):
        server = Server(settings, Publisher(tmp_path / "unused.sqlite3"))
        server.publisher.close()
        async with (
            server.client(auth=httpx.DigestAuth(USER, PASSWORD)) as client,
            asyncio.timeout(DEADLINE_S),
        ):
            sent = await client.put(f"/p/{TOKEN}/{MAC}-local.cfg", content=SENT)
            assert sent.status_code == 204
        (upload,) = await uploads.list(MAC)
        assert (upload.name, upload.size) == (f"{MAC}-local.cfg", len(SENT))
        assert await uploads.read(MAC, upload.id) == SENT
        stranger = UploadsFile(settings.journal_path, SecretStr("07" * 32))
        with pytest.raises(PublishingFailed, match="cannot be opened"):
            await stranger.read(MAC, upload.id)
        with pytest.raises(UnknownEntity):
            await uploads.read("805ec0ffffff", upload.id)
        await uploads.remove(MAC, upload.id)
        assert await uploads.list(MAC) == ()
        with pytest.raises(UnknownEntity):
            await uploads.remove(MAC, upload.id)
    await published.close()
    for file in (tmp_path / "state").rglob("*"):
        assert not file.is_file() or b"hunter2hunter2" not in file.read_bytes()


def test_what_was_sealed_for_one_device_and_name_opens_as_no_other() -> None:
    private = SecretStr("05" * 32)
    sealed = seal(bytes.fromhex(public_key(private)), MAC, "a.cfg", SENT)
    assert unsealed(private, MAC, "a.cfg", sealed) == SENT
    for mac, name, content in (
        (MAC, "b.cfg", sealed),
        ("0" * 12, "a.cfg", sealed),
        (MAC, "a.cfg", sealed[:-1]),
    ):
        with pytest.raises(ValueError, match="not sealed for this key"):
            unsealed(private, mac, name, content)


async def test_a_new_key_replaces_the_published_one(tmp_path: Path) -> None:
    """After the state directory's secrets were made anew."""
    path = tmp_path / "store.sqlite3"
    for key in ("aa" * 32, "bb" * 32):
        published = PublishedFile(path, REALM, key)
        await published.read()
        await published.close()
        with closing(sqlite3.connect(path)) as db:
            assert dict(db.execute("SELECT key, value FROM meta"))["upload_key"] == key
