"""The API over HTTP on the real store: resources, versions, errors, secrets, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.domain.extension import FORWARDING_BLOCKED
from tests.integration.api_client import TOKEN, Api, demo_api

E100 = "/organisations/acme/extensions/100"
E101 = "/organisations/acme/extensions/101"
CODE = "/organisations/acme/occupancies/singapore/authorization-code"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with demo_api(tmp_path) as api:
        yield api


async def test_a_patch_changes_only_what_is_given_and_says_which_revision_has_it(api: Api) -> None:
    before = await api.ok("GET", E100)
    body = {"dnd": True, "forwarding": {"extensions": ["102"]}}
    after = await api.ok("PATCH", E100, json=body)
    expected = before.json() | {"dnd": True}
    expected["forwarding"]["extensions"] = ["102"]
    del expected["update_in_progress"]  # a write is not in Asterisk yet when it is answered
    assert after.json() == expected
    revision = await api.store.revision()
    assert after.headers["X-Revision"] == str(revision)
    assert after.headers["ETag"] == f'"{revision}"'
    assert (await api.ok("GET", E100)).headers["ETag"] == after.headers["ETag"]
    assert api.nudges == 1


async def test_a_merge_patch_media_type_is_taken_and_null_is_the_default(api: Api) -> None:
    await api.ok("PATCH", E100, json={"label": "Desk", "no_answer": {"ring_timeout_s": 50}})
    after = await api.ok(
        "PATCH",
        E100,
        content=json.dumps({"label": None, "no_answer": None}),
        headers={"content-type": "application/merge-patch+json"},
    )
    assert after.json()["label"] == ""
    assert after.json()["no_answer"]["ring_timeout_s"] == 20


async def test_if_match_keeps_one_writer_from_overwriting_another(api: Api) -> None:
    seen = (await api.ok("GET", E100)).headers["ETag"]
    await api.ok("PATCH", E100, json={"dnd": True}, headers={"If-Match": seen})
    problem = await api.problem("PATCH", E100, 412, json={"dnd": False}, headers={"If-Match": seen})
    assert "read it again" in problem["detail"]
    await api.problem("DELETE", E100, 412, headers={"If-Match": "W/" + seen})
    await api.problem("DELETE", E100, 412, headers={"If-Match": "nonsense"})
    await api.ok("PATCH", E100, json={"dnd": False}, headers={"If-Match": f'{seen}, "2"'})
    await api.ok("PATCH", E100, json={"dnd": False}, headers={"If-Match": "*"})


async def test_of_writers_at_the_same_time_with_the_same_version_one_wins(api: Api) -> None:
    seen = (await api.ok("GET", E100)).headers["ETag"]
    answers = await asyncio.gather(
        *(
            api.client.patch(E100, json={"label": f"writer {number}"}, headers={"If-Match": seen})
            for number in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    winner = next(answer for answer in answers if answer.status_code == 200)
    now = (await api.ok("GET", E100)).json()
    assert now == winner.json() | {"update_in_progress": now["update_in_progress"]}


async def test_another_entitys_change_leaves_the_version_alone(api: Api) -> None:
    seen = (await api.ok("GET", E100)).headers["ETag"]
    await api.ok("PATCH", E101, json={"dnd": True})
    await api.ok("PATCH", E100, json={"dnd": True}, headers={"If-Match": seen})


async def test_a_second_forwarding_number_is_refused_word_for_word(api: Api) -> None:
    body = {"forwarding": {"numbers": ["+6531234567", "+6569876543"]}}
    problem = await api.problem("PATCH", E100, 422, json=body)
    assert problem["detail"] == "Maximum 1 Phone Number."
    assert problem["errors"] == [{"field": "forwarding.numbers", "rule": "Maximum 1 Phone Number."}]


async def test_forwarding_on_a_restricted_phone_is_a_conflict_word_for_word(api: Api) -> None:
    await api.ok("PATCH", E100, json={"restricted": True})
    problem = await api.problem("PATCH", E100, 409, json={"forwarding": {"enabled": True}})
    assert problem["detail"] == FORWARDING_BLOCKED


async def test_a_forwarding_loop_is_a_conflict_that_names_the_path(api: Api) -> None:
    await api.ok("PATCH", E101, json={"forwarding": {"enabled": True, "extensions": ["100"]}})
    problem = await api.problem("PATCH", E100, 409, json={"forwarding": {"enabled": True}})
    assert "100 -> 101 -> 100" in problem["detail"]


async def test_every_field_at_fault_is_named(api: Api) -> None:
    body = {"no_answer": {"ring_timeout_s": 61}, "dnd": "yes", "colour": "red"}
    problem = await api.problem("PATCH", E100, 422, json=body)
    assert {error["field"]: error["rule"] for error in problem["errors"]} == {
        "no_answer.ring_timeout_s": "must be between 5 and 60 (R115)",
        "dnd": "must be true or false",
        "colour": "there is no such field",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "request_"),
    [
        ("GET", "/nowhere", 404, {}),
        ("GET", "/organisations/nobody", 404, {}),
        ("GET", "/organisations/nobody/extensions", 404, {}),
        ("GET", "/organisations/acme/extensions/199", 404, {}),
        ("GET", f"{E100}/devices/aaaaaaaaaaaa", 404, {}),
        ("GET", "/numbers/+6561000999", 404, {}),
        ("GET", "/sites/%00", 404, {}),
        ("PUT", E100, 405, {"json": {}}),
        ("POST", "/sites", 400, {"content": b"{", "headers": {"content-type": "application/json"}}),
        ("POST", "/sites", 415, {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        ("POST", "/sites", 422, {"json": []}),
        ("POST", "/sites", 422, {"json": {}}),
        ("POST", "/sites", 413, {"content": b" " * 70_000}),
        ("GET", "/sites?limit=0", 422, {}),
        ("GET", "/sites?limit=many", 422, {}),
        ("GET", "/sites?cursor=*", 422, {}),
        ("GET", "/numbers?status=sold", 422, {}),
        ("GET", "/numbers?stattus=active", 422, {}),
        ("GET", "/numbers?status=active&status=active", 422, {}),
        ("GET", "/sites/singapore?x", 422, {}),
        ("DELETE", "/sites/singapore", 409, {}),
        ("DELETE", "/trunks/carrier", 409, {}),
    ],
)
async def test_every_error_has_the_same_shape(
    api: Api, method: str, path: str, status: int, request_: dict[str, Any]
) -> None:
    await api.problem(method, path, status, **request_)


async def test_a_body_that_hides_its_length_is_cut_off(api: Api) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024

    headers = {"content-type": "application/json"}
    await api.problem("POST", "/sites", 413, content=endless(), headers=headers)


async def test_the_allow_header_names_every_method(api: Api) -> None:
    response = await api.client.put(E100, json={})
    assert response.headers["Allow"] == "DELETE, GET, PATCH"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
async def test_without_the_token_nothing_is_told(api: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app), base_url="http://wirechief.test/api/v1"
    ) as stranger:
        for path in ("/organisations", "/nowhere"):
            response = await stranger.get(path, headers=headers)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            api.as_problem(response)


async def test_an_unforeseen_error_is_a_problem_without_details(api: Api) -> None:
    api.app.state.ports = None
    problem = await api.problem("GET", "/sites", 500)
    assert "the log has the details under" in problem["detail"]
    assert "TypeError" not in json.dumps(problem)


async def test_secrets_come_out_of_credentials_only(api: Api) -> None:
    created = await api.ok("POST", f"{E101}/devices", 201, json={"kind": "mobile", "transport": "tls"})
    credentials = created.json()["credentials"]
    device = created.json()["device"]
    assert credentials["port"] == 5061
    assert device["srtp"] is True
    assert created.headers["Location"] == f"/api/v1{E101}/devices/{device['id']}"
    path = f"{E101}/devices/{device['id']}"
    assert (await api.ok("GET", f"{path}/credentials")).json() == credentials
    rotated = (await api.ok("POST", f"{path}/credentials")).json()
    assert rotated["sip_password"] != credentials["sip_password"]
    chosen = "a" * 24
    await api.ok("PATCH", path, json={"sip_password": chosen})
    assert (await api.ok("GET", f"{path}/credentials")).json()["sip_password"] == chosen
    pin = (await api.ok("GET", f"{E101}/credentials")).json()["voicemail_pin"]
    assert len(pin) == 6

    await api.ok("PATCH", "/trunks/carrier", json={"username": "us", "password": "trunk-password"})
    listings = ["/organisations", "/sites", "/trunks", "/numbers", "/organisations/acme/extensions"]
    listings += [f"{E101}/devices", path, E101, "/trunks/carrier", "/organisations/acme/occupancies"]
    told = "".join([(await api.ok("GET", listing)).text for listing in listings])
    for secret in (chosen, pin, "trunk-password", rotated["sip_password"], "digest", "salt", '"password"'):
        assert secret not in told


async def test_a_refused_secret_is_not_repeated(api: Api) -> None:
    response = await api.client.patch(E101, json={"voicemail_pin": "98x76"})
    assert response.status_code == 422
    assert "98x76" not in response.text


async def test_an_authorization_code_is_shown_once(api: Api) -> None:
    given = (await api.ok("PUT", CODE, json={"code": "4711"})).json()
    assert given["code"] == "4711"
    occupancy = await api.ok("GET", "/organisations/acme/occupancies/singapore")
    assert occupancy.json()["authorization_code"] == {"id": given["id"]}
    random = (await api.ok("PUT", CODE, json={})).json()
    assert len(random["code"]) == 6
    await api.problem("PUT", CODE, 422, json={"code": "12"})
    await api.ok("DELETE", CODE, 204)
    assert (await api.ok("GET", "/organisations/acme/occupancies/singapore")).json()[
        "authorization_code"
    ] is None


async def test_a_listing_is_read_to_its_end_by_its_cursor(api: Api) -> None:
    keys: list[str] = []
    cursor: str | None = None
    for _ in range(5):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        body = (await api.ok("GET", "/organisations/acme/extensions", params=params)).json()
        keys += [item["key"] for item in body["items"]]
        cursor = body["next"]
        if cursor is None:
            break
    assert keys == ["100", "101", "102", "103"]


async def test_numbers_are_filtered_cumulatively(api: Api) -> None:
    await api.ok("POST", "/numbers/+6561000103/deactivate")
    found = (await api.ok("GET", "/numbers?org=acme&status=active")).json()["items"]
    assert [number["e164"] for number in found] == ["+6561000100", "+6561000101", "+6561000102"]
    assert (await api.ok("GET", "/numbers?org=hq")).json()["items"] == []


async def test_a_tenant_is_set_up_from_nothing_and_taken_away_again(api: Api) -> None:
    org = "/organisations/globex"
    created = await api.ok("POST", "/organisations", 201, json={"id": "globex", "name": "Globex"})
    assert created.headers["Location"] == f"/api/v1{org}"
    site = {"id": "london", "name": "London", "region": "GB", "time_zone": "Europe/London"}
    await api.ok("POST", "/sites", 201, json=site)
    await api.ok("POST", f"{org}/occupancies", 201, json={"site": "london"})
    await api.ok("POST", f"{org}/people", 201, json={"id": "ada", "name": "Ada"})
    await api.ok("POST", "/numbers", 201, json={"e164": "+442079460000", "site": "london"})
    await api.ok("POST", "/numbers/+442079460000/allocate", json={"org": "globex"})
    extension = {"key": "200", "site": "london", "person": "ada", "number": "+442079460000", "label": None}
    await api.ok("POST", f"{org}/extensions", 201, json=extension)
    await api.problem("POST", f"{org}/extensions", 409, json=extension)
    assert (await api.ok("GET", "/numbers/+442079460000")).json()["extension"] == "200"

    await api.ok("DELETE", f"{org}/extensions/200", 204)
    await api.ok("POST", "/numbers/+442079460000/deallocate")
    await api.ok("DELETE", "/numbers/+442079460000", 204)
    await api.ok("DELETE", f"{org}/people/ada", 204)
    await api.ok("DELETE", f"{org}/occupancies/london", 204)
    await api.ok("DELETE", "/sites/london", 204)
    gone = await api.ok("DELETE", org, 204)
    assert gone.headers["X-Revision"] == str(await api.store.revision())
    await api.problem("GET", org, 404)


async def test_a_call_is_explained_without_making_it(api: Api) -> None:
    await api.ok("PATCH", E100, json={"forwarding": {"enabled": True}})
    vip = {"caller": {"number": "+6531234567"}, "to": "+6561000100"}
    other = {"caller": {"number": "+6598765432"}, "to": "+6561000100"}
    assert (await api.ok("POST", "/explain", json=vip)).json()["rings"] == ["acme/100"]
    found = (await api.ok("POST", "/explain", json=other)).json()
    assert found["rings"] == ["acme/101", "acme/102", "acme/103"]
    assert {"node": "in.vip", "outcome": "no", "why": "the caller is not on the VIP list"} in found["trace"]
    inside = {"caller": {"org": "acme", "key": "102"}, "to": "101", "behaviour": {"acme/101": "ring"}}
    assert (await api.ok("POST", "/explain", json=inside)).json()["outcome"] == "voicemail"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"caller": {"org": "acme", "key": "199"}, "to": "100"}, 404),
        ({"caller": {"trunk": "nowhere"}, "to": "100"}, 404),
        ({"caller": {"org": "acme", "key": "100"}, "to": "101", "in_call": ["acme/199"]}, 404),
        ({"caller": {"org": "acme", "key": "100"}, "to": "sip:101"}, 422),
        ({"caller": {"org": "acme", "key": "100"}, "to": "101", "behaviour": {"acme/101": "sulk"}}, 422),
        ({"caller": {"org": "acme"}, "to": "101"}, 422),
    ],
)
async def test_a_call_that_cannot_be_asked_about_is_refused(
    api: Api, body: dict[str, Any], status: int
) -> None:
    await api.problem("POST", "/explain", status, json=body)


async def test_the_audit_tells_who_changed_what_with_secrets_masked(api: Api) -> None:
    await api.ok("PATCH", E101, json={"dnd": True})
    await api.ok("PATCH", E101, json={"voicemail_pin": "987654"})
    params = {"kind": "extension", "key": "acme/101", "limit": "2"}
    page = (await api.ok("GET", "/audit", params=params)).json()
    pin, dnd = page["items"]
    assert pin["actor"] == "api"
    assert (dnd["before"]["dnd"], dnd["after"]["dnd"]) == (False, True)
    assert "987654" not in json.dumps(page)
    older = (await api.ok("GET", "/audit", params=params | {"before": str(page["next"])})).json()
    assert [entry["actor"] for entry in older["items"]] == ["demo"]
    assert older["next"] is None


FILES = {"export.csv": "text/csv", "{upload}": "text/plain"}
"""The last part of addresses that answer a file -> what kind of."""


async def test_the_document_is_open_and_every_operation_tells_its_errors(api: Api) -> None:
    response = await api.client.get("/openapi.json", headers={"Authorization": ""})
    paths = response.json()["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            codes = set(operation["responses"])
            assert {"401", "500"} <= codes, (method, path)
            assert method != "patch" or {"404", "409", "412", "422"} <= codes
            for code, described in operation["responses"].items():
                kinds = set(described.get("content", {}))
                fine = {FILES.get(path.rpartition("/")[2], "application/json")}
                assert kinds <= ({"application/problem+json"} if code >= "400" else fine)


CONDITIONAL = (
    "/organisations/acme",
    "/sites/singapore",
    "/trunks/carrier",
    "/organisations/acme/occupancies/singapore",
)


@pytest.mark.parametrize("path", CONDITIONAL)
async def test_what_did_not_change_is_not_sent_again(api: Api, path: str) -> None:
    read = await api.ok("GET", path)
    tag = read.headers["ETag"]
    for asked in (tag, f"W/{tag}", f'"999999", {tag}', "*"):
        same = await api.ok("GET", path, 304, headers={"If-None-Match": asked})
        assert (same.content, same.headers["ETag"]) == (b"", tag), asked
        assert "content-type" not in same.headers
    for other in ('"999999"', "nonsense", ""):
        assert (await api.ok("GET", path, headers={"If-None-Match": other})).json() == read.json()


async def test_what_changed_is_sent_and_errors_are_never_unchanged(api: Api) -> None:
    tag = (await api.ok("GET", "/organisations/acme")).headers["ETag"]
    await api.ok("PATCH", "/organisations/acme", json={"name": "Acme and Sons"})
    read = await api.ok("GET", "/organisations/acme", headers={"If-None-Match": tag})
    assert read.json()["name"] == "Acme and Sons"
    await api.problem("GET", "/organisations/nobody", 404, headers={"If-None-Match": "*"})
    await api.problem("GET", "/organisations/acme?x=1", 422, headers={"If-None-Match": "*"})


async def test_what_shows_how_a_push_stands_is_always_sent(api: Api) -> None:
    for path in ("/organisations/acme/extensions/100", "/numbers/+6561000100"):
        tag = (await api.ok("GET", path)).headers["ETag"]
        await api.ok("GET", path, headers={"If-None-Match": tag})
