"""Call groups: what may be a member, what may lead where, and what stands in the way of a removal."""

from __future__ import annotations

import pytest

from control_plane.domain.extension import Extension
from control_plane.domain.groups import CallGroup
from control_plane.errors import Conflict, DomainError, InvalidField, UnknownEntity
from control_plane.ports import Clock
from control_plane.service.bulk import NewExtension
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.extensions import create_extension, delete_extension, patch_extension
from control_plane.service.groups import create_group, delete_group, patch_group
from control_plane.service.handset import take_in
from control_plane.service.places import delete_organisation
from control_plane.service.warnings import ModelFindings
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore, added

BY = By("test")
ACME, SITE = "acme", "singapore"


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060))
    return store


async def group(store: MemoryStore, key: str = "300", /, **values: object) -> CallGroup:
    return (await create_group(store, BY, {"org": ACME, "site": SITE, "key": key, **values})).entity


async def forward(store: MemoryStore, key: str, *targets: str, **fields: object) -> Extension:
    forwarding = {"enabled": True, "extensions": targets, **fields}
    return (await patch_extension(store, BY, (ACME, key), {"forwarding": forwarding})).entity


@pytest.mark.parametrize(
    ("values", "field", "rule"),
    [
        ({"key": "3"}, "key", "must be 2 to 5 digits"),
        ({"key": "300300"}, "key", "must be 2 to 5 digits"),
        ({"key": "999"}, "key", "999 is an emergency number in"),
        ({"members": ("100", "199")}, "members", "there is no extension 199 in acme"),
        ({"site": "nowhere"}, "site", "there is no site 'nowhere'"),
        ({"ring_timeout_s": 4}, "ring_timeout_s", "must be between 5 and 60"),
        ({"total_ring_s": 301}, "total_ring_s", "must be between 5 and 300"),
        (
            {"otherwise": {"kind": "group", "target": "301"}},
            "otherwise.target",
            "there is no call group '301'",
        ),
        ({"otherwise": {"kind": "extension", "target": "199"}}, "otherwise.target", "no extension '199'"),
        ({"otherwise": {"kind": "extension", "target": "+6531"}}, "otherwise.target", "2 to 6 digits"),
        (
            {"otherwise": {"kind": "number", "target": "12345678901234567"}},
            "otherwise.target",
            "16 characters",
        ),
        ({"otherwise": {"kind": "number", "target": "995"}}, "otherwise.target", "must be an E.164 number"),
        (
            {"otherwise": {"kind": "extension", "target": "100", "members": ("101",)}},
            "otherwise.members",
            "only a call group has members",
        ),
        ({"members": tuple(str(key) for key in range(100, 131))}, "members", "at most 30 entries"),
    ],
)
async def test_a_refusal_names_the_field_and_the_rule(
    store: MemoryStore, values: dict[str, object], field: str, rule: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        await create_group(store, BY, {"org": ACME, "site": SITE, "key": "300", **values})
    assert refused.value.field == field
    assert rule in refused.value.rule
    assert not (await store.snapshot()).model.call_groups


async def test_a_group_key_and_an_extension_are_never_the_same(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="key: extension 100 of acme exists already"):
        await group(store, "100")
    await group(store)
    with pytest.raises(Conflict, match="key: call group 300 of acme exists already"):
        await group(store)
    with pytest.raises(Conflict, match="key: call group 300 of acme exists already"):
        await create_extension(store, BY, {"org": ACME, "site": SITE, "key": "300"})


async def test_a_destination_is_kept_as_e164_as_dialled_from_the_site(store: MemoryStore) -> None:
    made = await group(store, otherwise={"kind": "number", "target": "6123 4567"})
    assert made.otherwise is not None
    assert made.otherwise.target == "+6561234567"
    cleared = (await patch_group(store, BY, (ACME, "300"), {"otherwise": None})).entity
    assert cleared.otherwise is None


async def test_a_voicemail_must_be_there_and_stays_while_it_is_used(store: MemoryStore) -> None:
    await patch_extension(store, BY, (ACME, "101"), {"no_answer": {"action": "hangup"}})
    wanted = {"kind": "voicemail", "target": "101"}
    with pytest.raises(InvalidField, match="extension 101 has no voicemail: set its no_answer"):
        await group(store, otherwise=wanted)
    await patch_extension(store, BY, (ACME, "101"), {"no_answer": {"action": "voicemail"}})
    await group(store, otherwise=wanted)
    with pytest.raises(Conflict, match="The voicemail of extension 101 is still used by call group 300"):
        await patch_extension(store, BY, (ACME, "101"), {"no_answer": {"action": "hangup"}})


async def test_a_member_forwards_to_one_target(store: MemoryStore) -> None:
    await group(store, members=("103",))
    with pytest.raises(InvalidField) as refused:
        await forward(store, "103", "101", "102")
    assert refused.value.field == "forwarding"
    assert refused.value.rule == (
        "Maximum 1 forward target, a number or an extension: 103 is a member of call group 300 (R96)"
    )
    with pytest.raises(InvalidField, match="Maximum 1 forward target"):
        await forward(store, "103", "101", numbers=("+6531234567",), enabled=False)
    assert (await forward(store, "103", "101")).forwarding.extensions == ("101",)
    await forward(store, "100", "101", "102")


async def test_who_forwards_to_several_cannot_join(store: MemoryStore) -> None:
    await forward(store, "100", "101", "102")
    with pytest.raises(Conflict, match=r"extension 100 has several forward targets.*reduce its forwarding"):
        await group(store, members=("100",))
    await group(store, members=("103",))
    with pytest.raises(Conflict, match="reduce its forwarding"):
        await patch_group(store, BY, (ACME, "300"), {"members": ("103", "100")})


async def test_a_forwarding_goes_to_one_group_key(store: MemoryStore) -> None:
    await group(store)
    await group(store, "301")
    with pytest.raises(InvalidField) as refused:
        await forward(store, "100", "300", "301")
    assert (refused.value.field, refused.value.rule) == ("forwarding.extensions", "Maximum 1 Group Key.")
    assert (await forward(store, "100", "300", "101")).forwarding.targets == ("300", "101")


async def test_an_imported_extension_may_keep_more_and_only_an_import_says_so(store: MemoryStore) -> None:
    await group(store)
    await group(store, "301")
    values = {"org": ACME, "site": SITE, "key": "400", "forwarding": {"extensions": ("300", "301")}}
    with pytest.raises(InvalidField, match="Maximum 1 Group Key"):
        await added(store, NewExtension(values))
    with pytest.raises(InvalidField, match="only an import"):
        await create_extension(store, BY, {**values, "legacy_multi_forward": True})
    with pytest.raises(InvalidField, match="only an import"):
        await patch_extension(store, BY, (ACME, "100"), {"legacy_multi_forward": True})
    await added(store, NewExtension({**values, "legacy_multi_forward": True}))
    await patch_group(store, BY, (ACME, "300"), {"members": ("400",)})


async def test_a_loop_through_a_group_is_refused_wherever_it_closes(store: MemoryStore) -> None:
    await group(store, otherwise={"kind": "extension", "target": "100"})
    with pytest.raises(Conflict, match="Forwarding loop: 100 -> 300 -> 100 of acme"):
        await forward(store, "100", "300")
    await patch_group(store, BY, (ACME, "300"), {"otherwise": None})
    await forward(store, "100", "300")
    with pytest.raises(Conflict, match="Forwarding loop: 300 -> 100 -> 300 of acme"):
        await patch_group(
            store, BY, (ACME, "300"), {"otherwise": {"kind": "number", "target": "+6561000100"}}
        )
    await group(store, "301", otherwise={"kind": "group", "target": "300"})
    with pytest.raises(Conflict, match="Forwarding loop: 300 -> 301 -> 300"):
        await patch_group(store, BY, (ACME, "300"), {"otherwise": {"kind": "group", "target": "301"}})


async def test_a_call_is_sent_through_three_groups_at_most(store: MemoryStore) -> None:
    await group(store, "300")
    for key, onward in (("301", "300"), ("302", "301")):
        await group(store, key, otherwise={"kind": "group", "target": onward})
    with pytest.raises(Conflict, match="303 -> 302 -> 301 -> 300 of acme are 4 in a row, 3 are allowed"):
        await group(store, "303", otherwise={"kind": "group", "target": "302"})


async def test_what_is_used_is_not_removed(store: MemoryStore) -> None:
    await group(store, members=("103",))
    await group(store, "301", otherwise={"kind": "group", "target": "300"})
    await forward(store, "102", "300")
    with pytest.raises(Conflict, match="Extension 103 is still used by call group 300"):
        await delete_extension(store, BY, (ACME, "103"))
    with pytest.raises(Conflict, match="used by call group 301, the forwarding of extension 102"):
        await delete_group(store, BY, (ACME, "300"))
    with pytest.raises(DomainError, match="call group 300"):
        await delete_organisation(store, BY, ACME)
    await forward(store, "102", enabled=False)
    await delete_group(store, BY, (ACME, "301"))
    await delete_group(store, BY, (ACME, "300"))
    with pytest.raises(UnknownEntity):
        await delete_group(store, BY, (ACME, "300"))


async def test_a_phone_forwards_to_a_group_by_its_key(store: MemoryStore) -> None:
    await group(store, members=("101",))
    clock: Clock = ManualClock()
    device = (await store.snapshot()).model.devices[ACME, "100"][0].id
    row = {"journal/acme/100/fwdto/1.1": f"300,{int(clock.now().timestamp())},{device}"}
    assert await take_in(store, clock, row) == tuple(row)
    assert (await store.snapshot()).model.extensions[ACME, "100"].forwarding.extensions == ("300",)


async def test_a_group_that_cannot_ring_anybody_is_found(store: MemoryStore) -> None:
    await group(store)
    sentences = await ModelFindings(store).sentences()
    assert sentences == (
        "Calls to call group 300 of acme ring nobody: it has no member with a device in service.",
    )
