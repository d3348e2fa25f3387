"""What changes of extensions, devices and numbers do and refuse."""

from __future__ import annotations

import pytest

from control_plane.domain.entities import NumberStatus
from control_plane.domain.extension import (
    FORWARDING_BLOCKED,
    DeviceKind,
    Extension,
    NoAnswerAction,
    Transport,
)
from control_plane.errors import (
    Conflict,
    DomainError,
    InvalidField,
    InvalidFields,
    StaleVersion,
    UnknownEntity,
)
from control_plane.ports import EntityKind
from control_plane.service.bulk import NewExtension
from control_plane.service.demo import DemoPlace, load_demo
from control_plane.service.devices import (
    SipAddress,
    create_device,
    credentials_of,
    delete_device,
    patch_device,
    rotate_password,
)
from control_plane.service.extensions import create_extension, delete_extension, patch_extension
from control_plane.service.number_policy import NumberPolicy
from control_plane.service.numbers import create_number, delete_number, patch_number
from control_plane.service.places import create_site
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore, added

BY = By("test")
POLICY = NumberPolicy(ManualClock())
ACME = "acme"
E100 = (ACME, "100")
E101 = (ACME, "101")
RING_TIMEOUT = "no_answer.ring_timeout_s"
PLACE = DemoPlace(node="lab", carrier_host="127.0.0.2", carrier_port=5060)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore()
    await load_demo(store, PLACE)
    return store


async def extension(store: MemoryStore, key: str = "100") -> Extension:
    return (await store.snapshot()).model.extensions[ACME, key]


async def patch(store: MemoryStore, key: str = "100", /, **changes: object) -> Extension:
    return (await patch_extension(store, BY, (ACME, key), changes)).entity


async def test_a_new_extension_has_defaults_and_a_random_pin_of_six_digits(store: MemoryStore) -> None:
    values = {"org": ACME, "site": "singapore"}
    one = (await create_extension(store, BY, {**values, "key": "200"})).entity
    two = (await create_extension(store, BY, {**values, "key": "201"})).entity
    pins = {e.voicemail_pin.get_secret_value() for e in (one, two)}
    assert all(len(pin) == 6 and pin.isdigit() for pin in pins)
    assert one.no_answer.action is NoAnswerAction.HANGUP
    assert not one.forwarding.enabled


async def test_an_extension_exists_once(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="extension 100 of acme exists already"):
        await create_extension(store, BY, {"org": ACME, "site": "singapore", "key": "100"})


async def test_the_organisation_of_a_new_extension_must_exist(store: MemoryStore) -> None:
    with pytest.raises(UnknownEntity, match="There is no organisation 'nobody'"):
        await create_extension(store, BY, {"org": "nobody", "site": "singapore", "key": "100"})


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"no_answer": {"ring_timeout_s": 61}}, RING_TIMEOUT, "must be between 5 and 60 (R115)"),
        ({"no_answer": {"ring_timeout_s": 4}}, RING_TIMEOUT, "must be between 5 and 60 (R115)"),
        ({"no_answer": {"ring_timeout_s": "8"}}, RING_TIMEOUT, "must be a whole number"),
        (
            {"no_answer": {"action": "forward"}},
            "no_answer.number",
            "the action 'forward' needs the number to forward to",
        ),
        (
            {"forwarding": {"numbers": ("+6531234567", "+6569876543")}},
            "forwarding.numbers",
            "Maximum 1 Phone Number.",
        ),
        (
            {"forwarding": {"extensions": ("100",)}},
            "forwarding",
            "extension 100 cannot forward to itself",
        ),
        (
            {"forwarding": {"extensions": ("199",)}},
            "forwarding.extensions",
            "there is no extension or call group 199 in acme: create it first or choose another",
        ),
        (
            {"forwarding": {"numbers": ("995",)}},
            "forwarding.numbers",
            "995 is an emergency number in SG and cannot be a forward target",
        ),
        (
            {"no_answer": {"number": "9 9 9"}},
            "no_answer.number",
            "999 is an emergency number in SG and cannot be a forward target",
        ),
        ({"site": "paris"}, "site", "there is no site 'paris': create it first or choose another"),
        ({"person": "ada"}, "person", "there is no person of acme 'ada': create it first or choose another"),
        ({"number": "+6561000999"}, "number", "+6561000999 is not a number of acme: allocate it first"),
        ({"number": "+6561000101"}, "number", "+6561000101 belongs to extension 101: unassign it first"),
        ({"key": "105"}, "key", "cannot be changed: create a new one instead"),
        ({"colour": "red"}, "colour", "there is no such field"),
        ({"ring_devices": ("desktop",)}, "ring_devices", "extension 100 has no desktop device: add it first"),
        ({"voicemail_pin": "12"}, "voicemail_pin", "must be 4 to 10 digits"),
        ({"type": "boss"}, "type", "must be one of 'normal' or 'contact_center'"),
        (
            {"type": "contact_center"},
            "ring_devices",
            "a Contact Center extension rings 1 device",
        ),
        (
            {"forwarding": {"vip": ("bob",)}},
            "forwarding.vip[0]",
            "must be an E.164 number or an extension of 2 to 6 digits",
        ),
        ({"forwarding": 3}, "forwarding", "must be an object"),
    ],
)
async def test_a_refusal_names_the_field_and_the_rule(
    store: MemoryStore, changes: dict[str, object], field: str, rule: str
) -> None:
    before = await extension(store)
    with pytest.raises(InvalidField) as caught:
        await patch(store, **changes)
    assert caught.value.problems == ((field, rule),)
    assert await extension(store) == before


async def test_the_message_for_a_second_forwarding_number_is_word_for_word(store: MemoryStore) -> None:
    with pytest.raises(InvalidField) as caught:
        await patch(store, forwarding={"numbers": ["+6531234567", "+6569876543"]})
    assert str(caught.value) == "Maximum 1 Phone Number."


async def test_everything_wrong_is_said_at_once(store: MemoryStore) -> None:
    with pytest.raises(InvalidFields) as caught:
        await patch(store, dnd="perhaps", no_answer={"ring_timeout_s": 1})
    assert caught.value.problems == (
        ("dnd", "must be true or false"),
        ("no_answer.ring_timeout_s", "must be between 5 and 60 (R115)"),
    )


async def test_a_refused_secret_is_not_in_the_message_or_the_chain(store: MemoryStore) -> None:
    with pytest.raises(InvalidField) as caught:
        await patch(store, voicemail_pin="99x99")
    error: BaseException | None = caught.value
    assert "99x99" not in str(error)
    assert error is not None
    assert error.__suppress_context__


async def test_a_patch_changes_only_what_is_given(store: MemoryStore) -> None:
    before = await extension(store)
    after = await patch(store, forwarding={"extensions": ("102",)})
    assert after.forwarding.vip == before.forwarding.vip
    assert after == before.model_copy(
        update={"forwarding": before.forwarding.model_copy(update={"extensions": ("102",)})}
    )


async def test_null_takes_a_field_back_to_its_default(store: MemoryStore) -> None:
    await patch(store, no_answer={"ring_timeout_s": 45})
    after = await patch(store, no_answer={"ring_timeout_s": None}, label=None)
    assert (after.no_answer.ring_timeout_s, after.label) == (20, "")


async def test_switching_forwarding_on_remembers_the_devices_that_ring_now(store: MemoryStore) -> None:
    on = await patch(store, forwarding={"enabled": True})
    assert on.forwarding.vip_ring_devices == (DeviceKind.IP_PHONE, DeviceKind.MOBILE)
    later = await patch(store, ring_devices=("mobile",))
    assert later.forwarding.vip_ring_devices == (DeviceKind.IP_PHONE, DeviceKind.MOBILE)
    off = await patch(store, forwarding={"enabled": False})
    assert off.forwarding.vip_ring_devices == ()


async def test_the_remembered_devices_cannot_be_set(store: MemoryStore) -> None:
    with pytest.raises(InvalidField, match="set ring_devices instead"):
        await patch(store, forwarding={"vip_ring_devices": ("mobile",)})


async def test_forwarding_cannot_be_enabled_on_a_restricted_phone(store: MemoryStore) -> None:
    await patch(store, restricted=True)
    with pytest.raises(Conflict) as caught:
        await patch(store, forwarding={"enabled": True})
    assert str(caught.value) == FORWARDING_BLOCKED
    with pytest.raises(Conflict, match=FORWARDING_BLOCKED):
        await patch(store, no_answer={"action": "forward", "number": "+6531234567"})


async def test_restricting_a_phone_keeps_its_forwarding_switched_off(store: MemoryStore) -> None:
    before = await patch(store, forwarding={"enabled": True, "numbers": ("61234567",)})
    await patch(store, no_answer={"action": "forward", "number": "+6531234567"})
    restricted = await patch(store, restricted=True)
    assert not restricted.forwarding.enabled
    assert restricted.no_answer.action is NoAnswerAction.HANGUP
    assert restricted.forwarding.targets == before.forwarding.targets
    freed = await patch(store, restricted=False)
    assert not freed.forwarding.enabled
    assert freed.no_answer.number == "+6531234567"


async def test_restricting_and_enabling_in_one_change_is_refused(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match=FORWARDING_BLOCKED):
        await patch(store, restricted=True, forwarding={"enabled": True})


async def test_a_restricted_phone_takes_other_changes(store: MemoryStore) -> None:
    await patch(store, restricted=True)
    assert (await patch(store, forwarding={"vip": ("101",)}, dnd=True)).dnd


async def test_outside_numbers_are_kept_as_e164_as_dialled_from_the_site(store: MemoryStore) -> None:
    after = await patch(
        store,
        forwarding={"numbers": ["6123 4567"], "vip": ["3123-4567", "101"]},
        no_answer={"number": "00114155550123"},
    )
    assert after.forwarding.numbers == ("+6561234567",)
    assert after.forwarding.vip == ("+6531234567", "101")
    assert after.no_answer.number == "+14155550123"


async def test_a_forwarding_loop_is_refused_with_its_path(store: MemoryStore) -> None:
    await patch(store, "101", forwarding={"enabled": True, "extensions": ("100",)})
    with pytest.raises(Conflict, match="100 -> 101 -> 100"):
        await patch(store, forwarding={"enabled": True})
    assert not (await extension(store)).forwarding.enabled


async def test_a_loop_through_an_own_outside_number_is_refused(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="Forwarding loop"):
        await patch(store, forwarding={"enabled": True, "numbers": ("+6561000100",)})
    await patch_number(store, BY, POLICY, "+6561000101", {"extension": None})
    await patch(store, "102", forwarding={"enabled": True, "numbers": ("+6561000101",)})
    with pytest.raises(Conflict, match="Forwarding loop"):
        await patch_number(store, BY, POLICY, "+6561000101", {"extension": "102"})


async def test_a_chain_of_more_than_three_forwardings_is_refused_wherever_it_grows(
    store: MemoryStore,
) -> None:
    await create_extension(store, BY, {"org": ACME, "site": "singapore", "key": "104"})
    await patch(store, "103", forwarding={"enabled": True, "extensions": ("104",)})
    await patch(store, "100", forwarding={"enabled": True, "extensions": ("101",)})
    await patch(store, "102", forwarding={"enabled": True, "extensions": ("103",)})
    with pytest.raises(Conflict, match="Forwarding chain too long"):
        await patch(store, "101", forwarding={"enabled": True, "extensions": ("102",)})


@pytest.mark.parametrize("key", ["995", "999", "911"])
async def test_an_emergency_number_cannot_be_an_extension(store: MemoryStore, key: str) -> None:
    with pytest.raises(InvalidField, match=f"{key} is an emergency number in"):
        await create_extension(store, BY, {"org": ACME, "site": "singapore", "key": key})


async def test_an_old_version_does_not_overwrite_a_newer_one(store: MemoryStore) -> None:
    seen = (await store.versions(EntityKind.EXTENSION))[E100]
    saved = await patch_extension(store, By("a", frozenset({seen})), E100, {"dnd": True})
    assert saved.version > seen
    with pytest.raises(StaleVersion, match="read it again"):
        await patch_extension(store, By("b", frozenset({seen})), E100, {"dnd": False})
    assert (await extension(store)).dnd


async def test_an_unchanged_patch_leaves_no_trace(store: MemoryStore) -> None:
    revision = await store.revision()
    await patch(store, dnd=False)
    assert await store.revision() == revision


async def test_an_extension_others_forward_to_cannot_be_removed(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="Extension 101 is still used by the forwarding of extension 100"):
        await delete_extension(store, BY, E101)


async def test_removing_an_extension_takes_its_devices_and_frees_its_numbers(store: MemoryStore) -> None:
    await delete_extension(store, BY, E100)
    model = (await store.snapshot()).model
    assert E100 not in model.extensions
    assert E100 not in model.devices
    assert model.numbers["+6561000100"].extension is None
    assert model.numbers["+6561000100"].org == ACME


async def test_a_number_follows_the_extension_it_is_given_to(store: MemoryStore) -> None:
    await patch_number(store, BY, POLICY, "+6561000101", {"extension": None})
    assert (await extension(store, "101")).number is None
    await patch_number(store, BY, POLICY, "+6561000101", {"extension": "101", "label_1": "direct"})
    assert (await extension(store, "101")).number == "+6561000101"
    await patch(store, "101", number=None)
    model = (await store.snapshot()).model
    assert model.numbers["+6561000101"].extension is None


async def test_a_second_number_reaches_an_extension_without_becoming_its_caller_id(
    store: MemoryStore,
) -> None:
    await patch_number(store, BY, POLICY, "+6561000103", {"extension": "102"})
    model = (await store.snapshot()).model
    assert model.extensions[ACME, "102"].number == "+6561000102"
    assert model.extensions[ACME, "103"].number is None


async def test_an_extension_cannot_leave_its_number_behind_at_another_site(store: MemoryStore) -> None:
    site = {"id": "london", "name": "London", "region": "GB", "time_zone": "Europe/London"}
    await create_site(store, BY, site)
    with pytest.raises(InvalidField, match="is a number of site singapore, not of london"):
        await patch(store, site="london")
    moved = await patch(store, site="london", number=None)
    assert (moved.site, moved.number) == ("london", None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extension": "199"}, "there is no extension 199 in acme"),
        ({"org": "hq"}, "org: cannot be changed"),
        ({"status": "reserved"}, "status: cannot be changed"),
    ],
)
async def test_a_number_cannot_lead_nowhere(
    store: MemoryStore, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidField, match=message):
        await patch_number(store, BY, POLICY, "+6561000103", changes)


async def test_a_number_of_an_organisation_cannot_be_removed(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="belongs to acme: deallocate it first"):
        await delete_number(store, BY, "+6561000100")
    with pytest.raises(InvalidField, match="allocate it first"):
        await create_number(store, BY, {"e164": "+6561000104", "site": "singapore"})
        await patch_number(store, BY, POLICY, "+6561000104", {"extension": "100"})
    await delete_number(store, BY, "+6561000104")


async def test_a_device_gets_a_random_name_and_a_long_password(store: MemoryStore) -> None:
    device = (await create_device(store, BY, E101, {"kind": "mobile"})).entity
    assert len(device.id) == 12
    assert len(device.sip_password.get_secret_value()) == 24
    assert device.transport is Transport.UDP


async def test_an_extension_has_one_device_of_a_kind(store: MemoryStore) -> None:
    with pytest.raises(Conflict, match="has a desktop device already"):
        await create_device(store, BY, E101, {"kind": "desktop"})


async def test_tls_brings_srtp_along_and_leaving_it_takes_srtp_away(store: MemoryStore) -> None:
    device = (await create_device(store, BY, E101, {"kind": "mobile", "transport": "tls"})).entity
    assert device.srtp
    plain = (await patch_device(store, BY, E101, device.id, {"transport": "udp"})).entity
    assert not plain.srtp
    bare = (await patch_device(store, BY, E101, device.id, {"transport": "tls", "srtp": False})).entity
    assert not bare.srtp
    with pytest.raises(InvalidField, match="srtp needs transport tls"):
        await patch_device(store, BY, E101, device.id, {"transport": "udp", "srtp": True})


async def test_credentials_name_the_port_of_the_transport(store: MemoryStore) -> None:
    address = SipAddress("192.0.2.1", 5060, 5061)
    device = (await create_device(store, BY, E101, {"kind": "mobile", "transport": "tls"})).entity
    found = credentials_of(device, address)
    assert found["sip_user"] == device.id
    assert (found["host"], found["port"], found["transport"]) == ("192.0.2.1", 5061, "tls")


async def test_a_rotated_password_is_new(store: MemoryStore) -> None:
    device = (await store.snapshot()).model.devices[E101][0]
    rotated = (await rotate_password(store, BY, E101, device.id)).entity
    assert rotated.id == device.id
    assert rotated.sip_password != device.sip_password


async def test_a_removed_device_is_named_by_no_choice(store: MemoryStore) -> None:
    await patch(store, forwarding={"enabled": True}, primary_device="mobile")
    mobile = (await store.snapshot()).model.devices[E100][1]
    await delete_device(store, BY, E100, mobile.id)
    after = await extension(store)
    assert after.ring_devices == (DeviceKind.IP_PHONE,)
    assert after.forwarding.vip_ring_devices == (DeviceKind.IP_PHONE,)
    assert after.primary_device is None


async def test_a_device_is_found_only_below_its_own_extension(store: MemoryStore) -> None:
    device = (await store.snapshot()).model.devices[E101][0]
    with pytest.raises(UnknownEntity):
        await patch_device(store, BY, E100, device.id, {"label": "x"})


async def test_the_demo_is_the_example_of_r95_switched_off(store: MemoryStore) -> None:
    model = (await store.snapshot()).model
    first = model.extensions[E100]
    assert first.forwarding.extensions == ("101", "102", "103")
    assert first.forwarding.vip == ("+6531234567", "+6569876543")
    assert not first.forwarding.enabled
    assert [d.kind for d in model.devices[E100]] == [DeviceKind.IP_PHONE, DeviceKind.MOBILE]
    assert model.extensions[E101].has_mailbox
    assert all(n.status is NumberStatus.ACTIVE and n.extension for n in model.numbers.values())


async def test_the_demo_is_loaded_once(store: MemoryStore) -> None:
    revision = await store.revision()
    assert await load_demo(store, PLACE) is None
    assert await store.revision() == revision


async def test_an_import_takes_all_rows_or_none(store: MemoryStore) -> None:
    common = {"org": ACME, "site": "singapore"}
    rows = [
        NewExtension(
            {**common, "key": "300", "forwarding": {"extensions": ("301",)}}, ({"kind": "desktop"},)
        ),
        NewExtension({**common, "key": "301"}, ({"kind": "desktop"}, {"kind": "mobile"})),
    ]
    imported = await added(store, *rows)
    assert [e.key for e in imported.extensions] == ["300", "301"]
    assert len(imported.devices) == 3
    revision = await store.revision()
    bad = [NewExtension({**common, "key": "302"}), NewExtension({**common, "key": "995"})]
    with pytest.raises(DomainError, match="row 2: key: 995 is an emergency number"):
        await added(store, *bad)
    twice = [NewExtension({**common, "key": "302"}), NewExtension({**common, "key": "302"})]
    with pytest.raises(Conflict, match="row 2: extension 302 of acme exists already"):
        await added(store, *twice)
    assert await store.revision() == revision
