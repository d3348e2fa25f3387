"""What the control plane publishes, the provisioning server serves; what it notes can be read back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from pydantic import SecretStr

from control_plane.adapters.published import PublishedFile
from control_plane.domain.handsets import Handset
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.handsets.publication import Publication
from control_plane.render.handsets.publishing import NOTHING_INSIDE, render_publication
from control_plane.render.handsets.setup import HandsetFile
from provisioning_server.serve import running
from tests.provisioning import DEADLINE_S, Server, own_settings
from tests.published import REALM, Publisher, md5, sha256
from tests.unit.handset_models import MAC as HANDSET
from tests.unit.handset_models import PLACE, handset_model
from tests.unit.handset_models import TOKEN as HANDSET_TOKEN
from tests.unit.pushing import MemoryStore

MAC, TOKEN, USER, PASSWORD = "805ec0a1b2c3", "token-0123456789abcdef", "user", "password-0123456789"


def publication(content: bytes) -> str:
    device: dict[str, str | int | None] = dict.fromkeys(
        (
            *("token_previous", "user_previous", "ha1_previous", "ha1_sha256", "ha1_sha256_previous"),
            *("window_id", "window_until"),
        )
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


async def test_a_login_by_sha256_is_offered_and_taken(tmp_path: Path) -> None:
    """RFC 7616, section 3.4: of a handset of the model, also while its login is rotated."""
    settings = own_settings(tmp_path / "state")
    published = PublishedFile(settings.store_path, PLACE.realm)
    entities = [*handset_model()]
    before = next(e for e in entities if isinstance(e, Handset) and e.mac == HANDSET)
    rotating = before.model_copy(
        update={
            "http_user_previous": before.http_user,
            "http_password_previous": before.http_password,
            "http_user": "httpuser99",
            "http_password": SecretStr("R" * 24),
        }
    )
    store = MemoryStore(entities)
    async with running(settings):
        server = Server(settings, Publisher(tmp_path / "unused.sqlite3"))
        server.publisher.close()
        for handset in (before, rotating):
            store.change(handset)
            model = (await store.snapshot()).model
            texts = render_publication(
                model, Unit(UnitKind.HANDSET, (HANDSET,)), PLACE, lambda _: NOTHING_INSIDE, 1
            )
            await published.replace({key.name: text for key, text in texts.values.items()})
            async with server.client() as client:
                for known in {before, handset}:
                    status = await fetch_by_sha256(client, f"/p/{HANDSET_TOKEN}/{HANDSET}.cfg", known)
                    assert status == 200
                wrong = handset.model_copy(update={"http_password": SecretStr("W" * 24)})
                assert await fetch_by_sha256(client, f"/p/{HANDSET_TOKEN}/{HANDSET}.cfg", wrong) == 401
        await published.close()


async def fetch_by_sha256(client: httpx.AsyncClient, path: str, handset: Handset) -> int:
    """The status a handset gets that does no other digest than SHA-256."""
    async with asyncio.timeout(DEADLINE_S):
        challenged = await client.get(path)
        (offer,) = [
            each
            for each in challenged.headers.get_list("www-authenticate")
            if each.endswith("algorithm=SHA-256")
        ]
        nonce = offer.partition('nonce="')[2].partition('"')[0]
        user, password = handset.http_user, handset.http_password.get_secret_value()
        ha1, ha2 = sha256(f"{user}:{PLACE.realm}:{password}"), sha256(f"GET:{path}")
        response = sha256(f"{ha1}:{nonce}:00000001:c:auth:{ha2}")
        login = (
            f'Digest username="{user}", realm="{PLACE.realm}", nonce="{nonce}", uri="{path}", '
            f'algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c", response="{response}"'
        )
        return (await client.get(path, headers={"Authorization": login})).status_code
