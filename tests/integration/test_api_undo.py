"""One change undone as a new one, for every kind that has a life of its own, on the real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from control_plane.adapters.clock import SystemClock
from control_plane.domain.entities import PhoneNumber
from control_plane.ports import EntityKind
from control_plane.service import handsets
from control_plane.service.number_life import confirm_numbers
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.writing import By
from tests.integration.api_client import Api, demo_api

FREE, MINE = "+6561000500", "+6561000100"
OTHER = "+6561000501"
SERVICE = "/organisations/acme/services/singapore"
PASSWORD = "four words and a dot."
MAC = "805ec0aabbcc"

Json = dict[str, Any]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with demo_api(tmp_path) as api:
        for e164 in (FREE, OTHER):
            await api.ok("POST", "/numbers", 201, json={"e164": e164, "site": "singapore"})
        yield api


async def newest(api: Api, **filters: str) -> Json:
    found: list[Json] = (await api.ok("GET", "/audit", params=filters | {"limit": "1"})).json()["items"]
    return found[0]


async def undo(api: Api, entry: Json, **request: Any) -> Json:
    done: Json = (await api.ok("POST", f"/audit/{entry['id']}/undo", **request)).json()
    return done


async def undo_newest(api: Api, **filters: str) -> Json:
    return await undo(api, await newest(api, **filters))


async def refused(api: Api, entry: Json, status: int = 409, **request: Any) -> str:
    revision = await api.store.revision()
    detail: str = (await api.problem("POST", f"/audit/{entry['id']}/undo", status, **request))["detail"]
    assert await api.store.revision() == revision, "nothing happened"
    return detail


async def logged_in(api: Api, email: str, **account: Any) -> dict[str, str]:
    await api.ok("POST", "/accounts", 201, json={"email": email, "password": PASSWORD, **account})
    token = (await api.ok("POST", "/login", json={"email": email, "password": PASSWORD})).json()["token"]
    return {"Authorization": f"Bearer {token}"}


async def number(api: Api, e164: str) -> PhoneNumber:
    return (await api.store.snapshot()).model.numbers[e164]


async def act(api: Api, e164: str, action: str, body: Json | None = None) -> Json:
    """Do it, and let Asterisk be seen to follow; the entry of the action."""
    await api.ok("POST", f"/numbers/{e164}/{action}", json=body or {})
    entry = await newest(api, kind="number", key=e164)
    version = (await api.store.versions(EntityKind.NUMBER))[(e164,)]
    await confirm_numbers(api.store, NumberPolicy(SystemClock()), [(e164, version)])
    return entry


# Numbers.


async def test_an_allocation_is_undone_as_long_as_nobody_used_the_number(api: Api) -> None:
    entry = await act(api, FREE, "allocate", {"org": "acme"})
    done = await undo(api, entry)
    assert done["changes"]["status"] == ["reserved", "available"]
    assert (await number(api, FREE)).org is None
    again = await undo_newest(api, kind="number", key=FREE)
    assert again["changes"]["status"] == ["available", "reserved"]
    assert (await number(api, FREE)).org == "acme"


async def test_a_number_that_was_in_use_rests_whatever_is_undone(api: Api) -> None:
    await api.ok("PATCH", SERVICE, json={"quantity": 5})
    allocated = await act(api, FREE, "allocate", {"org": "acme"})
    activated = await act(api, FREE, "activate")
    assert "was changed since in its status or owner (it is ACTIVE of acme)" in await refused(api, allocated)
    confirmed = await newest(api, kind="number", key=FREE)
    assert "nobody's change: undo the one before" in await refused(api, confirmed)
    assert (await undo(api, activated))["changes"]["pending_to"] == [None, "reserved"]
    back = await newest(api, kind="number", key=FREE)
    await undo(api, back)
    assert (await number(api, FREE)).pending_to == "active", "the undo of an undo"
    await act(api, FREE, "deactivate")
    released = await act(api, FREE, "deallocate")
    said = await refused(api, released)
    assert "rests until" in said and "Allocate it again after that" in said
    assert (await number(api, FREE)).status == "cooldown"
    await api.ok("DELETE", f"/numbers/{FREE}", 204)
    resting = (await newest(api, kind="number", key=FREE))["before"]["cooldown_until"]
    await undo_newest(api, kind="number", key=FREE)
    found = await number(api, FREE)
    assert (found.status, found.org) == ("cooldown", None)
    assert found.cooldown_until is not None
    assert found.cooldown_until.isoformat().replace("+00:00", "Z") == resting.replace("+00:00", "Z")


async def test_an_assignment_comes_and_goes_with_its_name(api: Api) -> None:
    await api.ok("POST", "/organisations/acme/people", 201, json={"id": "ada", "name": "Ada Byron"})
    await api.ok("PATCH", f"/numbers/{MINE}", json={"label_1": "Front", "label_2": "desk"})
    assigned = await act(api, MINE, "assign", {"person": "ada"})
    await api.ok("PATCH", f"/numbers/{MINE}", json={"softphone": True})
    assert "was changed since" not in await undo_dry(api, assigned), "another field is no obstacle"
    unassigned = await act(api, MINE, "unassign")
    assert "was changed since in person" in await refused(api, assigned)
    await undo(api, unassigned)
    found = await number(api, MINE)
    assert (found.person, found.label_1, found.softphone) == ("ada", "Ada", True)
    await undo_newest(api, kind="number", key=MINE)
    assert (await number(api, MINE)).person is None
    extension = (await api.ok("GET", "/organisations/acme/extensions/100")).json()
    assert extension["person"] is None


async def undo_dry(api: Api, entry: Json) -> str:
    return (await api.ok("POST", f"/audit/{entry['id']}/undo?dry_run=true")).text


async def test_a_pin_of_a_number_does_not_come_back(api: Api) -> None:
    await api.ok("POST", f"/numbers/{MINE}/check-pin", json={"pin": "000000"})
    tried = await newest(api, kind="extension")
    assert "Nothing in this change" in await refused(api, tried)
    async with api.store.transaction("test") as tx:
        tx.put(tx.model.numbers[MINE].model_copy(update={"default_pin": SecretStr("135790")}))
    reset = await newest(api, kind="number", key=MINE)
    assert "does not come back: reset it" in await refused(api, reset)


async def test_what_came_into_the_pool_goes_unless_somebody_has_it(api: Api) -> None:
    entry = await newest(api, kind="number", key=FREE)
    await api.ok("POST", f"/numbers/{FREE}/allocate", json={"org": "acme"})
    assert "was changed since" in await refused(api, entry)
    await undo_newest(api, kind="number", key=FREE)
    assert (await undo(api, entry))["action"] == "remove"
    assert (await undo_newest(api, kind="number", key=FREE))["action"] == "make"
    assert (await number(api, FREE)).status == "available"


async def test_a_tenant_undoes_what_he_may_change_of_his_numbers(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    await api.ok("PATCH", f"/numbers/{MINE}", json={"label_1": "Front"})
    await undo(api, await newest(api, kind="number", key=MINE), headers=headers)
    assert (await number(api, MINE)).label_1 == ""
    await api.ok("PATCH", f"/numbers/{MINE}", json={"allocation_lock": True})
    locked = await newest(api, kind="number", key=MINE)
    assert "the operator's to undo" in await refused(api, locked, 403, headers=headers)
    entry = await act(api, FREE, "allocate", {"org": "acme"})
    assert "the operator's to undo" in await refused(api, entry, 403, headers=headers)
    pool = await newest(api, kind="number", key=OTHER)
    await refused(api, pool, 404, headers=headers)


# Voice services.


async def test_a_voice_service_comes_back_without_new_numbers(api: Api) -> None:
    await api.ok("POST", "/organisations", 201, json={"id": "birch", "name": "Birch"})
    await api.ok("POST", "/organisations/birch/services", 201, json={"site": "singapore", "quantity": 0})
    made = await newest(api, kind="service", key="birch/singapore")
    path = "/organisations/birch/services/singapore"
    await api.ok("PATCH", path, json={"quantity": 2})
    changed = await newest(api, kind="service", key="birch/singapore")
    assert "was changed since in quantity" in await refused(api, made)
    assert (await undo(api, changed))["changes"] == {"quantity": [2, 0]}
    assert (await undo_newest(api, kind="service", key="birch/singapore"))["changes"] == {"quantity": [0, 2]}
    await undo_newest(api, kind="service", key="birch/singapore")
    await undo(api, made)
    await api.problem("GET", path, 404)
    await undo_newest(api, kind="service", key="birch/singapore")
    assert (await api.ok("GET", path)).json()["quantity"] == 0
    assert (await api.ok("GET", "/numbers?org=birch")).json()["items"] == []


async def test_fewer_services_than_are_in_use_do_not_come_back(api: Api) -> None:
    await api.ok("PATCH", SERVICE, json={"quantity": 5})
    entry = await newest(api, kind="service")
    await act(api, FREE, "allocate", {"org": "acme"})
    await act(api, FREE, "activate")
    assert "uses 5 voice services" in await refused(api, entry)
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    assert "the operator's to undo" in await refused(api, entry, 403, headers=headers)


async def test_a_scheduled_change_is_taken_back_and_set_again(api: Api) -> None:
    await api.ok("PUT", f"{SERVICE}/schedule/2199-01-01", json={"quantity": 7})
    await undo_newest(api, kind="service_change")
    assert (await api.ok("GET", SERVICE)).json()["scheduled"] == []
    await undo_newest(api, kind="service_change")
    assert (await api.ok("GET", SERVICE)).json()["scheduled"] == [{"on": "2199-01-01", "quantity": 7}]


# Handsets.


async def test_a_handset_comes_back_with_new_secrets_and_logged_out(api: Api) -> None:
    store, by, clock = api.store, By("test"), SystemClock()
    values = {"mac": MAC, "model": "T54W", "site": "singapore", "org": "acme", "name": "Front"}
    before = (await handsets.create_handset(store, by, values)).entity
    await handsets.patch_handset(store, by, MAC, {"name": "Back"})
    await undo_newest(api, kind="handset")
    assert (await api.store.snapshot()).model.handsets[MAC].name == "Front"
    await handsets.log_in(store, by, MAC, handsets.Binding("101"))
    await undo_newest(api, kind="handset", key=MAC)
    assert (await api.store.snapshot()).model.handsets[MAC].device is None
    await undo_newest(api, kind="handset", key=MAC)
    assert (await api.store.snapshot()).model.handsets[MAC].extension == "101"
    await handsets.rotate(store, by, clock, MAC, frozenset({handsets.Secrets.ACCESS}))
    assert "do not come back: rotate them again" in await refused(api, await newest(api, kind="handset"))
    await handsets.delete_handset(store, by, MAC)
    assert (await undo_newest(api, kind="handset", key=MAC))["action"] == "make"
    after = (await api.store.snapshot()).model.handsets[MAC]
    assert (after.name, after.site, after.device) == ("Front", "singapore", None)
    for secret in ("token", "http_password", "admin_password"):
        assert getattr(after, secret) != getattr(before, secret)
    assert (await undo_newest(api, kind="handset", key=MAC))["action"] == "remove"


# Accounts and tokens.


async def test_an_account_comes_back_without_password_and_tokens(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    await api.ok("POST", "/accounts/ann@acme.example/tokens", 201, json={"name": "n", "scopes": ["read"]})
    token = await newest(api, kind="token")
    await api.ok("PATCH", "/accounts/ann@acme.example", json={"name": "Ann", "disabled": True})
    await undo_newest(api, kind="account")
    assert (await api.ok("GET", "/accounts/ann@acme.example")).json()["disabled"] is False
    assert (await undo(api, token))["action"] == "remove"
    assert "does not come back: make a new one" in await refused(api, await newest(api, kind="token"))
    await api.ok(
        "POST", "/accounts", 201, json={"email": "bob@acme.example", "role": "read_only", "org": "acme"}
    )
    made = await newest(api, kind="account")
    await undo(api, made, headers=headers)
    assert (await undo_newest(api, kind="account"))["action"] == "make"
    await api.ok("DELETE", "/accounts/ann@acme.example", 204)
    await undo_newest(api, kind="account", key="ann@acme.example")
    account = (await api.store.snapshot()).model.accounts["ann@acme.example"]
    assert account.password_hash.get_secret_value() == ""
    await api.ok(
        "PUT", "/accounts/ann@acme.example/password", 204, json={"password": "five words and a dot."}
    )
    assert "does not come back: set a new one" in await refused(api, await newest(api, kind="account"))


async def test_a_tenant_makes_no_account_by_an_undo_that_he_may_not_make(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    await api.ok(
        "POST", "/accounts", 201, json={"email": "op@acme.example", "role": "read_only", "org": "acme"}
    )
    await api.ok("PATCH", "/accounts/op@acme.example", json={"role": "operator_admin", "org": None})
    await api.ok("PATCH", "/accounts/op@acme.example", json={"role": "read_only", "org": "acme"})
    found = (await api.ok("GET", "/audit?kind=account&key=op@acme.example", headers=headers)).json()["items"]
    for entry in found:
        status = (await api.client.post(f"/audit/{entry['id']}/undo", headers=headers)).status_code
        assert status in (200, 403, 409)
        account = (await api.store.snapshot()).model.accounts.get("op@acme.example")
        assert account is None or account.role == "read_only"


# Occupancies, call groups, main numbers.


async def test_an_occupancy_comes_back_without_its_code(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    path = "/organisations/acme/occupancies/singapore"
    await api.ok("PATCH", path, json={"reception": ["101"]})
    reception = await newest(api, kind="occupancy")
    assert "the operator's to undo" in await refused(api, reception, 403, headers=headers)
    await undo(api, reception)
    assert (await api.ok("GET", path)).json()["reception"] == ["100"]
    await api.ok("PUT", f"{path}/authorization-code", json={})
    assert "set a new one" in await refused(api, await newest(api, kind="occupancy"))
    await api.ok("DELETE", f"{path}/authorization-code", 204)
    await api.ok("PUT", f"{path}/authorization-code", json={})
    await undo(api, await newest(api, kind="occupancy"), headers=headers)
    assert (await api.store.snapshot()).model.occupancies["acme", "singapore"].authorization_code is None


async def test_a_group_and_a_main_number_are_changed_back_and_made_again(api: Api) -> None:
    headers = await logged_in(api, "ann@acme.example", role="occupier_admin", org="acme")
    path = "/organisations/acme/call-groups"
    otherwise = {"kind": "extension", "target": "103"}
    body = {"key": "900", "site": "singapore", "members": ["101", "102"]}
    made = await api.ok("POST", path, 201, json=body)
    await api.ok("PATCH", f"{path}/900", json={"otherwise": otherwise})
    await undo(api, await newest(api, kind="call_group"), headers=headers)
    assert (await api.ok("GET", f"{path}/900")).json() == made.json()
    await undo_newest(api, kind="call_group")
    assert (await api.ok("GET", f"{path}/900")).json()["otherwise"]["target"] == "103"
    before = (await api.ok("GET", f"{path}/900")).json()
    await api.ok("DELETE", f"{path}/900", 204)
    await undo_newest(api, kind="call_group")
    assert (await api.ok("GET", f"{path}/900")).json() == before
    await api.ok("PATCH", f"/numbers/{OTHER}", json={"main": True})
    await act(api, OTHER, "allocate", {"org": "acme"})
    desk = {"kind": "extension", "target": "100"}
    main = "/organisations/acme/main-numbers"
    await api.ok("POST", main, 201, json={"site": "singapore", "in_hours": desk, "out_of_hours": desk})
    await api.ok("PATCH", f"{main}/singapore", json={"in_hours": {"target": "101"}})
    await undo_newest(api, kind="main_number")
    assert (await api.ok("GET", f"{main}/singapore")).json()["in_hours"]["target"] == "100"
    await api.ok("DELETE", f"{main}/singapore", 204)
    await undo_newest(api, kind="main_number")
    assert (await api.ok("GET", f"{main}/singapore")).json()["out_of_hours"]["target"] == "100"


# What is never undone.


async def test_a_decommission_is_not_undone_and_nothing_of_who_leaves_is(api: Api) -> None:
    await api.ok("PATCH", "/organisations/acme/extensions/101", json={"label": "Front"})
    label = await newest(api)
    await api.ok("POST", "/organisations/acme/decommission", 202)
    assert "cannot be undone: what is left of it" in await refused(api, await newest(api))
    assert "is being decommissioned" in await refused(api, label)


async def test_a_rotated_password_does_not_come_back(api: Api) -> None:
    path = "/organisations/acme/extensions/101/devices"
    device = (await api.ok("GET", path)).json()["items"][0]["id"]
    await api.ok("POST", f"{path}/{device}/credentials")
    assert "Rotate it again" in await refused(api, await newest(api, kind="device"))
