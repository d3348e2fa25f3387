"""What the control plane publishes, the provisioning server serves; what it notes can be read back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from control_plane.adapters.published import PublishedFile
from control_plane.render.handsets.publication import Publication
from control_plane.render.handsets.setup import HandsetFile
from provisioning_server.serve import running
from tests.provisioning import DEADLINE_S, Server, own_settings
from tests.published import REALM, Publisher, md5, sha256

MAC, TOKEN, USER, PASSWORD = "805ec0a1b2c3", "token-0123456789abcdef", "user", "password-0123456789"


def publication(content: bytes) -> str:
    device: dict[str, str | int | None] = dict.fromkeys(
        ("token_previous", "user_previous", "ha1_previous", "window_id", "window_until")
    )
    device |= {"vendor": "yealink", "family": "yealink-t", "model": "SIP-T54W", "state": "enabled"}
    device |= {
        "token": sha256(TOKEN),
        "auth": "digest",
        "user": USER,
        "ha1": md5(f"{USER}:{REALM}:{PASSWORD}"),
    }
    device |= {"allowed": "[]", "plain": 0, "certificate": "off", "user_agent": "", "sequence": 1}
    device["version"] = sha256(content)
    return Publication(device, (HandsetFile(f"{MAC}.cfg", content, "text/plain", secret=True),)).text()


async def test_a_handset_gets_what_the_control_plane_publishes_at_once(tmp_path: Path) -> None:
    settings = own_settings(tmp_path / "state")
    published = PublishedFile(settings.store_path, REALM)
    async with running(settings):
        server = Server(settings, Publisher(tmp_path / "unused.sqlite3"))
        server.publisher.close()
        async with server.client(auth=httpx.DigestAuth(USER, PASSWORD)) as client:
            for content in (b"first", b"second"):
                await published.replace({MAC: publication(content)})
                async with asyncio.timeout(DEADLINE_S):
                    answer = await client.get(f"/p/{TOKEN}/{MAC}.cfg")
                assert (answer.status_code, answer.content) == (200, content)
            await published.replace({MAC: None})
            assert (await client.get(f"/p/{TOKEN}/{MAC}.cfg")).status_code == 401
        await published.close()
        fetched = await server.journalled("SELECT version, count FROM fetches WHERE status = 200")
    assert fetched == [(sha256(b"second"), 2)]
