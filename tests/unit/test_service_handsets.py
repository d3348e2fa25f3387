"""Handsets: set up, logged in and out, enrolled, rotated; what goes wrong leaves everything as it was."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site, SiteProvisioning
from control_plane.domain.extension import Device, DeviceKind, Extension, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import Conflict, DomainError, IllegalTransition, InvalidField
from control_plane.render.handsets.gigaset import system_pin
from control_plane.service import devices, extensions, handsets
from control_plane.service.handsets import Binding
from control_plane.service.writing import By
from tests.clocks import ManualClock
from tests.unit.memory_store import MemoryStore

BY = By("test")
MAC, OTHER = "80:5E:C0:12:34:56", "805ec0123457"
SIP = frozenset({handsets.Secrets.SIP})


async def office(phone_ids: int = 2) -> MemoryStore:
    store = MemoryStore()
    async with store.transaction("test") as tx:
        for org in ("acme", "globex"):
            tx.put(Organisation(id=org, name=org))
        policy = SiteProvisioning(phone_ids=phone_ids)
        tx.put(
            Site(id="hq", name="HQ", region=RegionCode.SG, time_zone="Asia/Singapore", provisioning=policy)
        )
        tx.put(Site(id="branch", name="Branch", region=RegionCode.SG, time_zone="Asia/Singapore"))
        for key in ("100", "101", "102"):
            tx.put(Extension(org="acme", key=key, site="hq", voicemail_pin=SecretStr("482913")))
    return store


async def model_of(store: MemoryStore) -> Model:
    return (await store.snapshot()).model


async def add(store: MemoryStore, mac: str = MAC, key: str | None = "100", **values: object) -> Handset:
    binding = Binding(key) if key is not None else None
    wanted = {"mac": mac, "model": "t54w", "org": "acme", "site": "hq", **values}
    return (await handsets.create_handset(store, BY, wanted, binding)).entity


async def device_of(store: MemoryStore, key: str = "100") -> Device:
    (found,) = (await model_of(store)).devices["acme", key]
    return found


async def test_a_handset_that_is_set_up_is_logged_in_with_a_device_and_a_phone_id() -> None:
    """R49."""
    store = await office()
    made = await add(store)
    device = await device_of(store)
    assert (made.mac, made.model, made.extension, made.device) == ("805ec0123456", "T54W", "100", device.id)
    assert (device.kind, device.transport, device.srtp) == (DeviceKind.IP_PHONE, Transport.TLS, True)
    assert made.phone_id == 1
    assert len(made.token.get_secret_value()) == 40


async def test_every_handset_has_secrets_of_its_own() -> None:
    store = await office()
    one, two = await add(store), await add(store, OTHER, "101")
    for name in ("token", "http_user", "http_password", "admin_password", "user_password"):
        assert getattr(one, name) != getattr(two, name)
    assert one.admin_password != one.user_password


async def test_a_mac_can_be_set_up_once_and_nobody_learns_by_whom() -> None:
    store = await office()
    await add(store)
    with pytest.raises(Conflict) as caught:
        await handsets.create_handset(store, BY, {"mac": MAC, "model": "T54W", "org": "globex", "site": "hq"})
    assert "set up already" in str(caught.value) and "acme" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"model": "No such"}, "model"),
        ({"mac": "12"}, "mac"),
        ({"keys": ("teapot",)}, "keys"),
        ({"keys": ("line",) * 28}, "keys"),
        ({"admin_password": "short"}, "admin_password"),
        ({"user_password": "with space 0123456"}, "user_password"),
        ({"allowed": ("everywhere",)}, "allowed"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_made(values: dict[str, Any], field: str) -> None:
    store = await office()
    before = store.last_revision
    with pytest.raises(InvalidField) as caught:
        await add(store, **values)
    assert caught.value.field.startswith(field) and store.last_revision == before


async def test_phone_ids_are_taken_freed_and_run_out() -> None:
    """R49, R52."""
    store = await office(phone_ids=1)
    await add(store)
    with pytest.raises(Conflict, match=r"All 1 phone IDs of site hq are taken"):
        await add(store, OTHER, "101")
    assert "805ec0123457" not in (await model_of(store)).handsets
    await handsets.log_out(store, BY, MAC)
    assert (await add(store, OTHER, "101")).phone_id == 1


async def test_logging_out_takes_line_and_phone_id_away_and_the_password_too() -> None:
    store = await office()
    made = await add(store)
    password = (await device_of(store)).sip_password
    out = (await handsets.log_out(store, BY, MAC)).entity
    assert (out.extension, out.device, out.phone_id, out.last_device) == (None, None, None, made.device)
    assert (await device_of(store)).sip_password != password
    with pytest.raises(IllegalTransition, match="Nobody is logged in"):
        await handsets.log_out(store, BY, MAC)


async def test_logging_in_elsewhere_logs_the_first_handset_out() -> None:
    store = await office()
    await add(store)
    await add(store, OTHER, None)
    moved = (await handsets.log_in(store, BY, OTHER, Binding("100"))).entity
    held = (await model_of(store)).handsets
    assert moved.device == (await device_of(store)).id
    assert held["805ec0123456"].device is None and held["805ec0123456"].phone_id is None


async def test_the_extension_must_be_of_the_site_and_organisation() -> None:
    store = await office()
    await add(store, OTHER, None, site="branch")
    with pytest.raises(InvalidField, match="at site hq"):
        await handsets.log_in(store, BY, OTHER, Binding("100"))
    with pytest.raises(InvalidField, match="no extension 999"):
        await handsets.log_in(store, BY, OTHER, Binding("999"))


async def test_removing_device_or_extension_logs_the_handset_out() -> None:
    store = await office()
    made = await add(store)
    await devices.delete_device(store, BY, ("acme", "100"), made.device or "")
    assert (await model_of(store)).handsets[made.mac].device is None
    await handsets.log_in(store, BY, MAC, Binding("101"))
    await extensions.delete_extension(store, BY, ("acme", "101"))
    assert (await model_of(store)).handsets[made.mac].extension is None


async def test_an_enrolment_window_opens_for_minutes_and_closes() -> None:
    store, clock = await office(), ManualClock()
    await add(store)
    opened = (await handsets.open_window(store, BY, clock, MAC, 15)).entity
    assert opened.window_until is not None
    assert (opened.window_until - clock.now()).total_seconds() == 900
    again = (await handsets.open_window(store, BY, clock, MAC, 5)).entity
    assert again.window_id != opened.window_id
    closed = (await handsets.close_window(store, BY, MAC)).entity
    assert (closed.window_id, closed.window_until) == (None, None)
    with pytest.raises(InvalidField, match="1 to 1440"):
        await handsets.open_window(store, BY, clock, MAC, 0)


async def test_rotating_keeps_the_oldest_secrets_until_they_are_retired() -> None:
    store, clock = await office(), ManualClock()
    made, device = await add(store), await device_of(store)
    await handsets.rotate(store, BY, clock, MAC)
    twice = (await handsets.rotate(store, BY, clock, MAC)).entity
    rotated = await device_of(store)
    assert twice.token_previous == made.token and twice.http_user_previous == made.http_user
    assert rotated.sip_password_previous == device.sip_password != rotated.sip_password
    done = (await handsets.retire(store, BY, MAC)).entity
    assert not done.is_rotating and done.token == twice.token
    assert twice.neutral_password == made.neutral_password != done.neutral_password
    assert not (await device_of(store)).sip_password_previous.get_secret_value()


async def test_only_what_is_asked_for_is_rotated() -> None:
    store, clock = await office(), ManualClock()
    made = await add(store)
    await handsets.rotate(store, BY, clock, MAC, SIP)
    assert (await model_of(store)).handsets[made.mac].token == made.token
    password = (await device_of(store)).sip_password
    await handsets.rotate(store, BY, clock, MAC, frozenset({handsets.Secrets.ACCESS}))
    assert (await device_of(store)).sip_password == password


async def test_where_nobody_is_logged_in_the_neutral_line_is_rotated_like_a_device() -> None:
    store, clock = await office(), ManualClock()
    await add(store)
    before = (await handsets.log_out(store, BY, MAC)).entity
    device = await device_of(store)
    await handsets.rotate(store, BY, clock, MAC, SIP)
    twice = (await handsets.rotate(store, BY, clock, MAC, SIP)).entity
    assert twice.neutral_password_previous == before.neutral_password != twice.neutral_password
    assert (twice.neutral_rotated_at, twice.token) == (clock.now(), before.token)
    assert await device_of(store) == device  # which is nobody's now
    done = (await handsets.retire(store, BY, MAC)).entity
    assert (done.neutral_password, done.neutral_rotated_at) == (twice.neutral_password, None)
    assert not done.neutral_password_previous.get_secret_value()
    assert (await handsets.retire(store, BY, MAC)).entity == done
    with pytest.raises(InvalidField, match="cannot be changed"):
        await handsets.patch_handset(store, BY, MAC, {"neutral_password_previous": "x" * 24})


async def test_a_log_in_ends_no_password_of_the_neutral_line_that_the_handset_may_still_have() -> None:
    """What it needs for an emergency call until it was seen as the device (R73)."""
    store, clock = await office(), ManualClock()
    await add(store)
    before = (await handsets.log_out(store, BY, MAC)).entity
    await handsets.rotate(store, BY, clock, MAC, SIP)
    logged_in = (await handsets.log_in(store, BY, MAC, Binding("100"))).entity
    assert logged_in.neutral_password_previous == before.neutral_password
    done = (await handsets.retire(store, BY, MAC)).entity
    assert done.neutral_password not in (logged_in.neutral_password, before.neutral_password)
    assert not done.neutral_password_previous.get_secret_value()


async def test_who_is_logged_in_with_a_number_out_of_service_is_on_the_neutral_line() -> None:
    """R23: its settings name that line, so that must not change at once, whatever becomes of the device."""
    store, clock = await office(), ManualClock()
    before = await add(store)
    async with store.transaction("test") as tx:
        held = PhoneNumber(e164="+6561000100", site="hq", org="acme", status=NumberStatus.RESERVED)
        tx.put(held)
        tx.put(tx.model.extensions["acme", "100"].model_copy(update={"number": held.e164}))
    rotated = (await handsets.rotate(store, BY, clock, MAC, SIP)).entity
    assert rotated.neutral_password_previous == before.neutral_password != rotated.neutral_password
    assert (await handsets.retire(store, BY, MAC)).entity.neutral_password == rotated.neutral_password
    assert not (await device_of(store)).sip_password_previous.get_secret_value()


async def test_a_softphone_nobody_is_logged_in_at_has_no_sip_password_to_rotate() -> None:
    store, clock = await office(), ManualClock()
    made = await handsets.create_handset(store, BY, {"model": "Linphone", "org": "acme", "site": "hq"})
    with pytest.raises(IllegalTransition, match="no SIP password"):
        await handsets.rotate(store, BY, clock, made.entity.mac, SIP)
    after = (await handsets.rotate(store, BY, clock, made.entity.mac)).entity
    assert after.is_rotating and not after.neutral_password.get_secret_value()


async def test_new_passwords_of_the_web_pages_leave_everything_else_alone() -> None:
    store, clock = await office(), ManualClock()
    made = await add(store)
    after = (await handsets.rotate(store, BY, clock, MAC, frozenset({handsets.Secrets.WEB}))).entity
    assert (after.token, after.is_rotating) == (made.token, False)
    assert after.admin_password != made.admin_password
    assert after.user_password not in (made.user_password, after.admin_password)


async def test_who_looks_at_the_passwords_of_the_web_pages_is_in_the_audit() -> None:
    store, clock = await office(), ManualClock()
    made = await add(store)
    found = await handsets.show_passwords(store, By("ada"), clock, MAC)
    assert (found.admin, found.user) == (made.admin_password, made.user_password)
    entry = store.entries[-1]
    assert (entry.actor, entry.key, entry.fields) == ("ada", (made.mac,), ("passwords_shown_at",))
    assert found.admin.get_secret_value() not in str(entry)
    with pytest.raises(InvalidField, match="cannot be changed"):
        await handsets.patch_handset(store, BY, MAC, {"passwords_shown_at": None})


async def test_a_base_that_takes_a_pin_shows_the_pin() -> None:
    store, clock = await office(), ManualClock()
    made = await add(store, model="N510 IP PRO")
    found = await handsets.show_passwords(store, BY, clock, MAC)
    assert found.admin.get_secret_value() == system_pin(made.admin_password.get_secret_value())


async def test_a_softphone_has_no_web_pages() -> None:
    store, clock = await office(), ManualClock()
    made = (
        await handsets.create_handset(store, BY, {"model": "Linphone", "org": "acme", "site": "hq"})
    ).entity
    with pytest.raises(InvalidField, match="no web pages"):
        await handsets.show_passwords(store, BY, clock, made.mac)


async def test_what_names_a_handset_or_follows_from_something_else_cannot_be_patched() -> None:
    store = await office()
    await add(store)
    for name, value in (("mac", OTHER), ("org", "globex"), ("phone_id", 7), ("http_user", "somebody1")):
        with pytest.raises(InvalidField, match="cannot be changed"):
            await handsets.patch_handset(store, BY, MAC, {name: value})
    with pytest.raises(Conflict, match="log the handset out"):
        await handsets.patch_handset(store, BY, MAC, {"site": "branch"})
    named = (await handsets.patch_handset(store, BY, MAC, {"name": "Desk", "model": "t46u"})).entity
    assert (named.name, named.model) == ("Desk", "T46U")


async def test_a_handset_that_is_not_there_is_not_found() -> None:
    store = await office()
    for work in (
        handsets.log_out(store, BY, MAC),
        handsets.delete_handset(store, BY, MAC),
        handsets.rotate(store, BY, ManualClock(), MAC),
        handsets.patch_handset(store, BY, "nonsense", {}),
    ):
        with pytest.raises(DomainError):
            await work


async def test_a_removed_handset_leaves_the_device_with_another_password() -> None:
    store = await office()
    await add(store)
    password = (await device_of(store)).sip_password
    await handsets.delete_handset(store, BY, MAC)
    assert not (await model_of(store)).handsets
    assert (await device_of(store)).sip_password != password
