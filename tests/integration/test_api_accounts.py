"""Accounts, log-ins and tokens through the API on the real store, with argon2."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.adapters.clock import SystemClock
from control_plane.ports import EntityKind
from control_plane.service.attempts import FREE
from control_plane.service.logins import LASTS
from control_plane.store import open_store
from tests.integration.api_client import Api, demo_api

ANN, PASSWORD = "ann@acme.example", "four words and a dot."
NEW_PASSWORD = "another four words and a dot."
E101 = "/organisations/acme/extensions/101"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with demo_api(tmp_path) as api:
        body = {"email": ANN, "role": "occupier_admin", "org": "acme", "password": PASSWORD}
        made = await api.ok("POST", "/accounts", 201, json=body)
        assert made.headers["Location"] == f"/api/v1/accounts/{ANN}"
        yield api


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def logged_in(api: Api, email: str = ANN, password: str = PASSWORD) -> dict[str, str]:
    answer = await api.ok(
        "POST", "/login", json={"email": email, "password": password}, headers=bearing("no")
    )
    assert answer.headers["Cache-Control"] == "no-store"
    return bearing(answer.json()["token"])


async def named(api: Api, headers: dict[str, str], **wanted: Any) -> tuple[str, dict[str, str]]:
    body = {"name": "ci", "scopes": ["read", "write"], **wanted}
    made = (await api.ok("POST", f"/accounts/{ANN}/tokens", 201, json=body, headers=headers)).json()
    return made["details"]["id"], bearing(made["token"])


async def test_a_tenant_works_on_his_own_and_the_audit_says_who_it_was(api: Api) -> None:
    headers = await logged_in(api)
    me = (await api.ok("GET", "/me", headers=headers)).json()
    assert (me["name"], me["position"], me["org"]) == (ANN, "occupier admin", "acme")
    await api.ok("PATCH", E101, json={"dnd": True}, headers=headers)
    entry = (await api.ok("GET", "/audit?limit=1")).json()["items"][0]
    assert (entry["actor"], entry["key"]) == (ANN, "acme/101")
    await api.problem("GET", "/organisations/hq", 404, headers=headers)
    problem = await api.problem("PATCH", "/organisations/acme", 403, json={"name": "Mine"}, headers=headers)
    assert problem["type"] == "urn:wirechief:problem:forbidden"
    listed = (await api.ok("GET", "/organisations", headers=headers)).json()["items"]
    assert [org["id"] for org in listed] == ["acme"]


async def test_the_wrong_password_and_nobody_get_the_same_answer(api: Api) -> None:
    answers = [
        await api.client.post(
            "/login", json={"email": email, "password": "wrong"}, headers={"Authorization": ""}
        )
        for email in (ANN, "nobody@acme.example")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert answers[0].headers["WWW-Authenticate"].startswith("Bearer")


async def test_guessing_is_slowed_down_and_log_ins_in_force_go_on(api: Api) -> None:
    headers = await logged_in(api)
    for _ in range(FREE):
        await api.problem("POST", "/login", 401, json={"email": ANN, "password": "wrong"})
    locked = await api.client.post("/login", json={"email": ANN, "password": PASSWORD})
    assert (locked.status_code, locked.headers["Retry-After"]) == (429, "30")
    assert (await api.ok("GET", f"/accounts/{ANN}")).json()["locked_until"] is not None
    await api.ok("GET", "/me", headers=headers)
    api.clock.forward(30)
    await logged_in(api)


async def test_logging_out_expiry_and_a_new_password_end_a_log_in(api: Api) -> None:
    gone = await logged_in(api)
    await api.ok("POST", "/logout", 204, headers=gone)
    await api.problem("GET", "/me", 401, headers=gone)
    kept = await logged_in(api)
    body = {"password": NEW_PASSWORD, "current": PASSWORD}
    await api.problem("PUT", f"/accounts/{ANN}/password", 422, json={"password": NEW_PASSWORD}, headers=kept)
    await api.ok("PUT", f"/accounts/{ANN}/password", 204, json=body, headers=kept)
    await api.problem("GET", "/me", 401, headers=kept)
    await api.problem("POST", "/login", 401, json={"email": ANN, "password": PASSWORD})
    late = await logged_in(api, password=NEW_PASSWORD)
    api.clock.forward(LASTS.total_seconds())
    await api.problem("GET", "/me", 401, headers=late)


async def test_a_token_does_what_its_scopes_say_until_it_is_revoked_or_expires(api: Api) -> None:
    login = await logged_in(api)
    ident, reader = await named(api, login, scopes=["read"], days=30)
    await api.ok("GET", E101, headers=reader)
    await api.problem("PATCH", E101, 403, json={"dnd": True}, headers=reader)
    await api.problem("GET", f"{E101}/credentials", 403, headers=reader)
    listed = (await api.ok("GET", f"/accounts/{ANN}/tokens", headers=login)).json()
    assert [(token["id"], token["scopes"]) for token in listed] == [(ident, ["read"])]
    assert listed[0]["last_used"] is not None
    await api.ok("DELETE", f"/accounts/{ANN}/tokens/{ident}", 204, headers=login)
    await api.problem("GET", E101, 401, headers=reader)
    _, short = await named(api, login, days=1)
    api.clock.forward(timedelta(days=1).total_seconds())
    await api.problem("GET", E101, 401, headers=short)


async def test_a_token_revoked_by_another_process_is_refused_at_the_next_request(
    api: Api, tmp_path: Path
) -> None:
    ident, reader = await named(api, await logged_in(api))
    other = await open_store(tmp_path / "wirechief.db", SystemClock())
    try:
        await api.ok("GET", E101, headers=reader)
        async with other.transaction("cli") as tx:
            tx.delete(EntityKind.TOKEN, (ident,))
        await api.problem("GET", E101, 401, headers=reader)
    finally:
        await other.close()


async def test_while_a_token_is_revoked_every_request_is_answered_before_or_after(api: Api) -> None:
    login = await logged_in(api)
    ident, writer = await named(api, login)

    async def write(number: int) -> httpx.Response:
        return await api.client.patch(E101, json={"label": f"label {number}"}, headers=writer)

    async def revoke() -> httpx.Response:
        return await api.client.delete(f"/accounts/{ANN}/tokens/{ident}", headers=login)

    answers = await asyncio.gather(
        *(write(n) for n in range(10)), revoke(), *(write(n) for n in range(10, 20))
    )
    assert answers[10].status_code == 204
    assert {answer.status_code for answer in answers} <= {200, 204, 401}
    assert (await write(99)).status_code == 401


async def test_a_disabled_account_is_out_at_once_and_keeps_its_tokens_for_later(api: Api) -> None:
    login = await logged_in(api)
    _, reader = await named(api, login)
    await api.ok("PATCH", f"/accounts/{ANN}", json={"disabled": True})
    for headers in (login, reader):
        await api.problem("GET", "/me", 401, headers=headers)
    await api.problem("POST", "/login", 401, json={"email": ANN, "password": PASSWORD})
    await api.ok("PATCH", f"/accounts/{ANN}", json={"disabled": None})
    await api.ok("GET", "/me", headers=reader)


async def test_no_answer_and_no_audit_entry_holds_a_password_or_a_token(api: Api) -> None:
    login = await logged_in(api)
    _, reader = await named(api, login)
    await api.ok("PUT", f"/accounts/{ANN}/password", 204, json={"password": NEW_PASSWORD})
    told = [
        await api.ok("GET", path)
        for path in ("/accounts", f"/accounts/{ANN}", f"/accounts/{ANN}/tokens", "/audit?limit=1000")
    ]
    told.append(await api.client.post("/login", json={"email": ANN, "password": PASSWORD * 20}))
    text = "".join(answer.text for answer in told)
    # The random part may itself hold underlines: it is what stands behind the second one.
    secret = reader["Authorization"].split("_", 2)[2]
    for hidden in (PASSWORD, NEW_PASSWORD, "argon2", secret, login["Authorization"][10:]):
        assert hidden not in text
    kinds = {entry["kind"] for entry in json.loads(told[3].text)["items"]}
    assert {"account", "token"} <= kinds


async def test_a_person_or_organisation_with_an_account_stays(api: Api) -> None:
    await api.ok("POST", "/organisations/acme/people", 201, json={"id": "ada", "name": "Ada"})
    body = {"email": "ada@acme.example", "role": "person", "org": "acme", "person": "ada"}
    await api.ok("POST", "/accounts", 201, json=body)
    problem = await api.problem("DELETE", "/organisations/acme/people/ada", 409)
    assert "account" in problem["detail"]
    await api.ok("DELETE", "/accounts/ada@acme.example", 204)
    await api.ok("DELETE", "/organisations/acme/people/ada", 204)
