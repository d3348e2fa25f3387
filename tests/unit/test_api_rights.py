"""Every operation of the OpenAPI document, in every position, on things of its own and of another tenant.

What is expected follows from the table of rights; that the API keeps to it, and that no answer holds anything
of somebody else's, is what is tested. An endpoint without a rule does not get this far: the application says
what to add and does not start.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import SecretStr

from control_plane.api.app import create_app
from control_plane.api.context import ApiPorts
from control_plane.api.rights import OPEN, OPERATOR_READS, READ, RULES, TENANT_READS, Rule, require_rules
from control_plane.domain.accounts import Account, Role, Scope, Token
from control_plane.domain.entities import (
    Entity,
    NumberStatus,
    Occupancy,
    Organisation,
    OrganisationKind,
    Person,
    PhoneNumber,
    Site,
    Trunk,
)
from control_plane.domain.extension import Device, DeviceKind, Extension
from control_plane.domain.groups import CallGroup, Destination, DestinationKind, MainNumber
from control_plane.domain.regions import RegionCode
from control_plane.domain.voice import VoiceService
from control_plane.plan.tasks import NewTask, TaskKind
from control_plane.service.attempts import FREE
from control_plane.service.devices import SipAddress
from control_plane.service.logins import Logins
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.rights import SCOPES, Caller, Position
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.integration.api_client import NODE, node_ports
from tests.unit.handset_models import handset
from tests.unit.handset_ports import handset_ports
from tests.unit.memory_store import (
    MemorySessions,
    MemoryStore,
    MemoryTasks,
    PlainPasswords,
    memory_logins,
)

PREFIX = "/api/v1"
MARK = "globex"
"""Part of every text that belongs to the other tenant."""


def tenant(org: str, site: str, key: str, e164: str, device: str) -> tuple[Entity, ...]:
    """An organisation with a person, her extension and number, a call group and a main number."""
    desk = Destination(kind=DestinationKind.EXTENSION, target=key)
    return (
        Organisation(id=org, name=f"{org} name"),
        Site(id=site, name=f"{site} name", region=RegionCode.GB, time_zone="Europe/London", trunk="carrier"),
        Occupancy(org=org, site=site),
        VoiceService(org=org, site=site, quantity=3),
        Person(id=f"{org}-ann", org=org, name=f"{org} Ann", email=f"ann@{org}.example"),
        PhoneNumber(
            e164=e164, site=site, org=org, extension=key, status=NumberStatus.ACTIVE, label_1=f"{org} line"
        ),
        Extension(
            org=org,
            key=key,
            site=site,
            label=f"{org} desk",
            person=f"{org}-ann",
            number=e164,
            voicemail_pin=SecretStr("482913"),
        ),
        Device(
            id=device,
            org=org,
            extension=key,
            kind=DeviceKind.IP_PHONE,
            sip_password=SecretStr("Password00000001"),
        ),
        *account(f"ann@{org}.example", org, person=f"{org}-ann", role=Role.PERSON),
        *account(f"bob@{org}.example", org, role=Role.READ_ONLY),
        handset(
            "805ec0000001" if org == "acme" else "805ec0000002",
            key,
            org=org,
            site=site,
            device=device,
            name=f"{org} phone",
            token=f"{org}-token".encode().hex().ljust(40, "0"),
        ),
        CallGroup(org=org, key="900", site=site, label=f"{org} group", members=(key,)),
        PhoneNumber(e164=f"{e164[:-1]}5", site=site, org=org, main=True),
        MainNumber(org=org, site=site, e164=f"{e164[:-1]}5", in_hours=desk, out_of_hours=desk),
    )


def account(email: str, org: str, **fields: Any) -> tuple[Entity, ...]:
    """An account with a token."""
    return (
        Account(email=email, org=org, name=f"{org} name", **fields),
        Token(
            id=token_id(email),
            account=email,
            name=f"{org} token",
            digest=SecretStr("0" * 64),
            scopes=(Scope.READ,),
            created_at=datetime(2025, 1, 1, tzinfo=UTC),
        ),
    )


def token_id(email: str) -> str:
    return sha256(email.encode()).hexdigest()[:12]


def everything() -> tuple[Entity, ...]:
    return (
        Trunk(id="carrier", host="127.0.0.2", region=RegionCode.GB),
        Organisation(id="hq", name="Headquarters", kind=OrganisationKind.OPERATOR),
        *tenant("acme", "london", "100", "+442071838750", "acme00000100"),
        *tenant(MARK, f"{MARK}-tower", "200", "+442071838799", "glob00000200"),
        Extension(org="acme", key="101", site="london", label="colleague", voicemail_pin=SecretStr("482913")),
        Device(
            id="acme00000101",
            org="acme",
            extension="101",
            kind=DeviceKind.IP_PHONE,
            sip_password=SecretStr("Password00000002"),
        ),
        PhoneNumber(e164="+442071838700", site="london"),
    )


def entry_of(org: str) -> str:
    """The id of an audit entry about something of this organisation."""
    found = (number for number, e in enumerate(everything(), 1) if isinstance(e, Extension) and e.org == org)
    return str(next(found))


OWN = {
    "org": "acme",
    "site": "london",
    "person": "acme-ann",
    "key": "100",
    "device": "acme00000100",
    "e164": "+442071838750",
    "trunk": "carrier",
    "group": "900",
    "node": NODE,
    "address": "192.0.2.1",
    "mail": "1",
    "task": "1",
    "account": "ann@acme.example",
    "token": token_id("ann@acme.example"),
    "mac": "805ec0000001",
    "name": "805ec0000001.cfg",
    "upload": "1",
    "entry": entry_of("acme"),
}
OTHER = OWN | {
    "org": MARK,
    "site": f"{MARK}-tower",
    "person": f"{MARK}-ann",
    "key": "200",
    "device": "glob00000200",
    "e164": "+442071838799",
    "account": f"ann@{MARK}.example",
    "token": token_id(f"ann@{MARK}.example"),
    "entry": entry_of(MARK),
    "task": "2",
    "mail": "2",
    "mac": "805ec0000002",
    "name": "805ec0000002.cfg",
}
COLLEAGUE = OWN | {
    "key": "101",
    "device": "acme00000101",
    "person": "acme-bob",
    "account": "bob@acme.example",
    "token": token_id("bob@acme.example"),
}
POOL = OWN | {"e164": "+442071838700"}
MAILS = {
    "outbox-failed/1": "missed,acme,100,+4420,1,busy|1|1|why",
    "outbox-failed/2": f"missed,{MARK},200,+4420,1,busy|1|1|{MARK} why",
}
BODIES: dict[str, Any] = {
    "create_organisation": {"id": "new", "name": "New"},
    "create_site": {"id": "new", "name": "New", "region": "GB", "time_zone": "Europe/London"},
    "create_trunk": {"id": "new", "host": "192.0.2.9", "region": "GB"},
    "create_person": {"name": "New"},
    "create_extension": {"key": "300", "site": "london"},
    "create_device": {"kind": "desktop"},
    "create_handset": {"mac": "805ec0aabbcc", "model": "T54W", "site": "london"},
    "import_handsets": {"csv": "805ec0aabbcd,T54W,london,Lobby,\n"},
    "log_in_handset": {"extension": "100"},
    "create_call_group": {"key": "901", "site": "london"},
    "create_main_number": {
        "site": "london",
        "in_hours": {"kind": "extension", "target": "100"},
        "out_of_hours": {"kind": "extension", "target": "100"},
    },
    "create_number": {"e164": "+442071838701", "site": "london"},
    "add_number_range": {"first": "+442071838702", "last": "+442071838703"},
    "import_numbers": {"csv": "number\n+442071838702\n"},
    "allocate_numbers": {"org": "acme", "count": 1},
    "allocate_one_number": {"org": "acme"},
    "assign_number": {"person": "acme-ann"},
    "check_number_pin": {"pin": "482913"},
    "add_service": {"site": "london", "quantity": 2},
    "patch_service": {"quantity": 2},
    "schedule_service": {"quantity": 2},
    "create_account": {"email": "new@acme.example", "role": "read_only", "org": "acme"},
    "set_password": {"password": "four words and a dot.", "current": "whatever it is now"},
    "create_token": {"name": "new", "scopes": ["read"]},
    "explain": {"caller": {"org": "acme", "key": "100"}, "to": "101"},
}
"""Bodies that are accepted. Others get {}, which may be refused as 409 or 422 - after the rights."""
QUERIES = {"follow": {"revision": "0", "within_s": "0.01"}}


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str

    @property
    def parameters(self) -> frozenset[str]:
        return frozenset(re.findall(r"{(\w+)}", self.path))

    def at(self, names: Mapping[str, str]) -> str:
        return re.sub(r"{(\w+)}", lambda found: names.get(found[1], "unknown"), self.path)


class KnownCallers(Logins):
    """Takes every token for the one of `caller`."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store, MemorySessions(), PlainPasswords(), store.clock)
        self.caller: Caller | None = None

    async def identify(self, text: str) -> Caller | None:
        return self.caller


class World:
    """The API over a model in memory that every request finds as it was."""

    def __init__(self, directory: Path) -> None:
        self.store = MemoryStore()
        self._directory = directory
        self.logins = KnownCallers(self.store)
        self.client = httpx.AsyncClient()

    async def open(self) -> None:
        node = self.node = FakeNode()
        await node.connect()
        store: Any = self.store
        tasks = MemoryTasks()
        await tasks.add_task("ann", NewTask(TaskKind.HANDSET, (("handset", OWN["mac"]),), "acme"))
        await tasks.add_task("eve", NewTask(TaskKind.HANDSET, (("handset", OTHER["mac"]),), MARK))
        parts = handset_ports(store, node, ManualClock(), self._directory)
        ports = ApiPorts(
            store,
            SecretStr("root"),
            SipAddress("127.0.0.1", 5060, 5061),
            tasks=tasks,
            clock=ManualClock(),
            logins=self.logins,
            nodes={NODE: node_ports(store, node, self._directory)},
            policy=NumberPolicy(self.store.clock),
            **parts,
        )
        transport = httpx.ASGITransport(create_app(ports))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://wirechief.test")
        async with self.store.transaction("seed") as tx:
            for entity in everything():
                tx.put(entity)
        await parts["publisher"].apply()
        self._entities, self._versions = dict(self.store.entities), dict(self.store.version_of)

    async def ask(
        self, caller: Caller, operation: Operation, names: Mapping[str, str], body: Any = None
    ) -> httpx.Response:
        self.store.entities, self.store.version_of = dict(self._entities), dict(self._versions)
        self.node.rows |= MAILS
        self.logins.caller = caller
        writes = operation.method in ("post", "patch", "put")
        return await self.client.request(
            operation.method,
            operation.at(names),
            headers={"Authorization": "Bearer token"},
            json=(body or BODIES.get(operation.name, {})) if writes else None,
            params=QUERIES.get(operation.name),
        )


def caller(position: Position, without: frozenset[Scope] = frozenset()) -> Caller:
    bound = position in (Position.OCCUPIER_ADMIN, Position.OCCUPIER_READER, Position.PERSON)
    return Caller(
        "ann@acme.example",
        position,
        org="acme" if bound else None,
        person="acme-ann" if position is Position.PERSON else None,
        scopes=SCOPES[position] - without,
    )


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.open()
    async with made.client:
        yield made


def operations() -> list[Operation]:
    """What the document says there is."""
    store = MemoryStore()
    ports = ApiPorts(
        store,
        SecretStr("root"),
        SipAddress("127.0.0.1", 5060, 5061),
        tasks=MemoryTasks(),
        clock=ManualClock(),
        logins=memory_logins(store),
        policy=NumberPolicy(store.clock),
    )
    paths = create_app(ports).openapi()
    return [
        Operation(found["operationId"], method, path)
        for path, methods in paths["paths"].items()
        for method, found in methods.items()
    ]


OPERATIONS = {operation.name: operation for operation in operations()}


def targets(operation: Operation) -> list[tuple[str, dict[str, str]]]:
    """The things to call it on, and whose they are."""
    found = [("own", OWN)]
    if operation.parameters & {"org", "site", "e164", "account", "entry", "task"}:
        found.append(("other", OTHER))
    if operation.parameters & {"key", "person", "account"}:
        found.append(("colleague", COLLEAGUE))
    if "e164" in operation.parameters:
        found.append(("pool", POOL))
    return found


def is_there(position: Position, parameters: frozenset[str], names: Mapping[str, str]) -> bool:
    """Whether what the address names is there for this position: said again, without the product's code."""
    if position in OPERATOR_READS or not parameters:
        return True
    if "entry" in parameters:
        return names["entry"] == OWN["entry"] and position in TENANT_READS
    if "task" in parameters:
        return names["task"] == OWN["task"] and position in TENANT_READS
    if "account" in parameters:
        return names["account"] == OWN["account"] or (names is COLLEAGUE and position in TENANT_READS)
    if position is Position.CARRIER:
        return parameters == {"site"} or (parameters == {"e164"} and names["e164"] == POOL["e164"])
    if not parameters & {"org", "site", "e164"}:
        return False
    if parameters == {"e164"} and names["e164"] == POOL["e164"]:
        return False
    mine = names["org"] == OWN["org"]
    if position is Position.PERSON and parameters & {"key", "person"}:
        mine = mine and not (
            ("key" in parameters and names["key"] != OWN["key"])
            or ("person" in parameters and names["person"] != OWN["person"])
        )
    return mine


@pytest.mark.parametrize("position", list(Position), ids=lambda position: position.name.lower())
async def test_every_operation_keeps_to_the_table_of_rights(world: World, position: Position) -> None:
    wrong: list[str] = []
    for operation in OPERATIONS.values():
        if operation.name in OPEN:
            continue
        rule = RULES[operation.name]
        for whose, names in targets(operation):
            answer = await world.ask(caller(position), operation, names)
            there = is_there(position, operation.parameters, names)
            allowed = position in rule.who and (whose == "own" or position not in rule.own)
            if not there:
                fits = answer.status_code == 404
            elif not allowed:
                fits = answer.status_code == 403
            else:
                # What is no rule of this table may still be in the way: a version, a rule of the model.
                fits = answer.status_code < 500 and answer.status_code not in (401, 403)
                fits = fits and (answer.status_code != 404 or names is COLLEAGUE or _has_unknown(operation))
            if not fits:
                wrong.append(f"{operation.name} of {whose}: {answer.status_code} {answer.text[:150]}")
    assert not wrong, "\n".join(wrong)


def _has_unknown(operation: Operation) -> bool:
    """Whether the address names something that this test's model does not have."""
    return not operation.parameters <= set(OWN) - {"address", "upload"}


@pytest.mark.parametrize("position", sorted(set(Position) - OPERATOR_READS), ids=lambda p: p.name.lower())
async def test_no_answer_holds_anything_of_another_tenant(world: World, position: Position) -> None:
    for operation in OPERATIONS.values():
        for whose, names in targets(operation):
            if whose == "other":
                continue
            told = (await world.ask(caller(position), operation, names)).text
            if position is Position.CARRIER and operation.name in ("list_sites", "get_site"):
                continue  # a carrier knows the sites it serves
            assert MARK not in told, operation
            assert OTHER["e164"] not in told, operation
            assert OTHER["mac"] not in told, operation


async def test_what_is_not_seen_is_answered_like_what_is_not_there(world: World) -> None:
    for operation in OPERATIONS.values():
        if not operation.parameters & {"org", "site", "e164", "account"}:
            continue
        hidden = await world.ask(caller(Position.OCCUPIER_ADMIN), operation, OTHER)
        nothing = {"org": "nobody", "site": "nowhere", "e164": "+442071838798", "account": "no@body.example"}
        missing = await world.ask(caller(Position.OCCUPIER_ADMIN), operation, OTHER | nothing)
        told = hidden.json()["detail"]
        for name, value in nothing.items():
            told = told.replace(f"'{OTHER[name]}'", f"'{value}'")
        assert (hidden.status_code, told) == (missing.status_code, missing.json()["detail"]), operation


async def test_a_preview_shows_files_of_handsets_to_who_may_read_them(world: World) -> None:
    for position, shown in ((Position.OCCUPIER_ADMIN, True), (Position.PERSON, False)):
        preview = OPERATIONS["preview_extension"]
        response = await world.ask(caller(position), preview, OWN, {"label": "Front"})
        assert response.status_code == 200, response.text
        handsets = response.json()["handsets"]
        assert (handsets is not None and handsets["told"] == [OWN["mac"]]) is shown


async def test_an_id_that_a_stranger_has_is_answered_like_a_free_one(world: World) -> None:
    tenant = caller(Position.OCCUPIER_ADMIN)
    for wanted in (OTHER["person"], "free"):
        body = {"id": wanted, "name": "New"}
        refused = await world.ask(tenant, OPERATIONS["create_person"], OWN, body)
        assert refused.status_code == 403
        assert "may not set id" in refused.json()["detail"]
    made = await world.ask(tenant, OPERATIONS["create_person"], OWN, {"name": "New"})
    assert made.status_code == 201
    assert made.headers["Location"].endswith(f"/people/{made.json()['id']}")
    chosen = await world.ask(
        caller(Position.OPERATOR_ADMIN), OPERATIONS["create_person"], OWN, {"id": "free", "name": "New"}
    )
    assert (chosen.status_code, chosen.json()["id"]) == (201, "free")


@pytest.mark.parametrize(
    "name", ["create_extension", "create_handset", "create_call_group", "create_main_number", "patch_handset"]
)
async def test_a_site_of_strangers_is_answered_like_none(world: World, name: str) -> None:
    told = []
    for site in (OTHER["site"], "nowhere"):
        body = BODIES.get(name, {}) | {"site": site}
        answer = await world.ask(caller(Position.OCCUPIER_ADMIN), OPERATIONS[name], OWN, body)
        told.append((answer.status_code, answer.text.replace(site, "SITE")))
    assert told[0] == told[1]
    assert told[0][0] == 422 and "you have nothing at a site" in told[0][1]


async def test_a_site_of_strangers_in_a_list_is_answered_like_none(world: World) -> None:
    told = []
    for site in (OTHER["site"], "nowhere"):
        body = {"csv": f"805ec0aabbcd,T54W,{site},Lobby,\n"}
        operation = OPERATIONS["import_handsets"]
        answer = await world.ask(caller(Position.OCCUPIER_ADMIN), operation, OWN, body)
        told.append((answer.status_code, answer.text.replace(site, "SITE")))
    assert told[0] == told[1]
    assert "there is no site SITE" in told[0][1]


async def test_whether_strangers_have_accounts_cannot_be_asked_for_many(world: World) -> None:
    tenant, operation = caller(Position.OCCUPIER_ADMIN), OPERATIONS["create_account"]
    taken = BODIES["create_account"] | {"email": OTHER["account"]}
    asked = [(await world.ask(tenant, operation, OWN, taken)).status_code for _ in range(FREE + 1)]
    assert asked == [409] * FREE + [429]
    free = BODIES["create_account"]
    assert (await world.ask(tenant, operation, OWN, free)).status_code == 429, "the same as for a taken one"
    assert (await world.ask(caller(Position.OPERATOR_ADMIN), operation, OWN, free)).status_code == 201


async def test_a_token_needs_the_scopes_of_the_operation(world: World) -> None:
    for operation in OPERATIONS.values():
        for scope in RULES[operation.name].scopes if operation.name in RULES else ():
            asking = caller(Position.OPERATOR_ADMIN, without=frozenset({scope}))
            answer = await world.ask(asking, operation, OWN)
            assert answer.status_code == 403, operation
            assert f"lacks the scope {scope.value}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("position", "name", "names", "body", "status"),
    [
        (Position.PERSON, "patch_extension", OWN, {"dnd": True}, 200),
        (Position.PERSON, "patch_extension", OWN, {"dnd": True, "restricted": False}, 403),
        (Position.PERSON, "patch_extension", OWN, {"person": None}, 403),
        (Position.OCCUPIER_ADMIN, "patch_number", OWN, {"label_1": "Desk"}, 200),
        (Position.OCCUPIER_ADMIN, "patch_number", OWN, {"org": None}, 403),
        (Position.OCCUPIER_ADMIN, "patch_number", OWN, {"status": "active"}, 403),
        (Position.CARRIER, "patch_number", POOL, {"main": True}, 200),
        (Position.CARRIER, "patch_number", POOL, {"org": "acme"}, 403),
        (Position.CARRIER, "create_number", POOL, {"e164": "+442071838702", "site": "london"}, 201),
    ],
)
async def test_some_may_set_some_fields_only(
    world: World, position: Position, name: str, names: dict[str, str], body: dict[str, Any], status: int
) -> None:
    answer = await world.ask(caller(position), OPERATIONS[name], names, body)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("e164", [OTHER["e164"], f"{OTHER['e164'][:-1]}5", POOL["e164"], "+442071838711"])
async def test_a_call_to_what_is_not_ours_is_explained_like_any_call_outside(world: World, e164: str) -> None:
    """Another tenant's number, its main number, a free number and one that is nowhere are all alike."""
    asking = caller(Position.OCCUPIER_ADMIN)
    body = {"caller": {"org": "acme", "key": "100"}, "to": e164}
    told = (await world.ask(asking, OPERATIONS["explain"], OWN, body)).json()
    assert [step["node"] for step in told["trace"]][-2:] == ["out.destination", "out.trunk"]
    assert (told["rings"], told["outcome"]) == ([e164], "answered")
    assert "carrier" not in str(told)
    body = {"caller": {"number": "+6531234567"}, "to": e164}
    hidden = await world.ask(asking, OPERATIONS["explain"], OWN, body)
    assert hidden.status_code == 404
    assert hidden.json()["detail"] == f"There is no number '{e164}'."
    reader = (await world.ask(caller(Position.OPERATOR_READER), OPERATIONS["explain"], OWN, body)).json()
    assert reader["trace"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"caller": {"org": MARK, "key": "200"}, "to": "200"}, 404),
        ({"caller": {"org": "acme", "key": "100"}, "to": "101", "in_call": [f"{MARK}/200"]}, 404),
        ({"caller": {"org": "acme", "key": "100"}, "to": "101", "in_call": ["acme/999"]}, 404),
        ({"caller": {"trunk": "carrier"}, "to": OWN["e164"]}, 403),
        ({"caller": {"trunk": "nowhere"}, "to": OWN["e164"]}, 403),
        ({"caller": {"number": None}, "to": OWN["e164"]}, 200),
        ({"caller": {"handset": OTHER["mac"]}, "to": "999"}, 404),
    ],
)
async def test_a_tenant_asks_about_calls_of_his_own_only(
    world: World, body: dict[str, Any], status: int
) -> None:
    answer = await world.ask(caller(Position.OCCUPIER_ADMIN), OPERATIONS["explain"], OWN, body)
    assert answer.status_code == status, answer.text


async def test_the_audit_says_who_it_was(world: World) -> None:
    made = await world.ask(caller(Position.OCCUPIER_ADMIN), OPERATIONS["create_person"], OWN)
    assert made.status_code == 201
    assert world.store.entries[-1].actor == "ann@acme.example"


async def _made() -> None:
    """An endpoint somebody adds."""


def test_an_endpoint_without_a_rule_says_what_to_add() -> None:
    router = APIRouter()
    router.get("/things", name="list_things")(_made)
    with pytest.raises(TypeError, match=r'add a line such as "list_things": Rule\(READ, TENANT_READS\)'):
        require_rules(router.routes, {})


def test_a_listing_for_tenants_has_to_be_filtered() -> None:
    router = APIRouter()
    router.get("/things", name="list_things")(_made)
    with pytest.raises(TypeError, match="leave out in the endpoint what `Viewing` does not see"):
        require_rules(router.routes, {"list_things": Rule(READ, TENANT_READS)})
    require_rules(router.routes, {"list_things": Rule(READ, TENANT_READS, filtered=True)})


def test_a_rule_for_nothing_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="names no operation with list_thongs"):
        require_rules((), {"list_thongs": Rule(READ, TENANT_READS)})


def test_the_table_has_every_operation_and_no_other() -> None:
    assert set(OPERATIONS) == set(RULES) | OPEN
