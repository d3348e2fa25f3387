"""Handsets from a list: what each line becomes, and that a list is taken whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from control_plane.domain.entities import Organisation, Site, SiteProvisioning
from control_plane.domain.extension import DeviceKind, Extension, Transport
from control_plane.domain.handsets import Handset
from control_plane.domain.regions import RegionCode
from control_plane.errors import InvalidField, UnknownEntity
from control_plane.service.csv_lists import IMPORT_LINES_MAX, LineOutcome
from control_plane.service.handset_import import HandsetReport, import_handsets
from control_plane.service.handsets import Binding, create_handset
from control_plane.service.writing import By
from tests.unit.memory_store import MemoryStore

BY = By("test")
MAC = "805ec0123456"


async def office(phone_ids: int = 99) -> MemoryStore:
    store = MemoryStore()
    async with store.transaction("test") as tx:
        for org in ("acme", "globex"):
            tx.put(Organisation(id=org, name=org))
        for site in ("hq", "branch"):
            policy = SiteProvisioning(phone_ids=phone_ids)
            tx.put(
                Site(
                    id=site, name=site, region=RegionCode.SG, time_zone="Asia/Singapore", provisioning=policy
                )
            )
        for key in ("100", "101", "102", "103"):
            tx.put(Extension(org="acme", key=key, site="hq", voicemail_pin=SecretStr("482913")))
    return store


async def imported(
    store: MemoryStore, text: str, *, partial: bool = False, dry_run: bool = False
) -> HandsetReport:
    return await import_handsets(store, BY, "acme", text, dry_run=dry_run, partial=partial)


async def held(store: MemoryStore) -> dict[str, Handset]:
    return dict((await store.snapshot()).model.handsets)


def told(report: HandsetReport) -> list[tuple[int, str, str | None]]:
    return [(line.line, line.outcome.value, line.why) for line in report.lines]


async def test_a_list_sets_up_handsets_and_logs_their_extensions_in() -> None:
    store = await office()
    text = (
        "\ufeffMAC,Model,Site,Label,Extension\r\n"
        '80:5E:C0:12:34:56,t54w,hq,"Lobby, left",100\r\n'
        "\r\n"
        "0004.1312.3456,D785,hq,Kitchen,\r\n"
        ",Linphone,hq,Ada's laptop,100\r\n"
        ",Acrobits Groundwire,hq,,100\r\n"
    )
    report = await imported(store, text)
    assert told(report) == [(2, "added", None), (4, "added", None), (5, "added", None), (6, "added", None)]
    assert report.applied
    found = await held(store)
    lobby, kitchen = found[MAC], found["000413123456"]
    assert (lobby.model, lobby.name, lobby.extension, lobby.phone_id) == ("T54W", "Lobby, left", "100", 1)
    assert (kitchen.name, kitchen.extension, kitchen.device) == ("Kitchen", None, None)
    devices = (await store.snapshot()).model.devices["acme", "100"]
    assert {device.kind for device in devices} == set(DeviceKind)
    assert {handset.device for handset in found.values() if handset.device} == {d.id for d in devices}
    secrets = {h.token.get_secret_value() for h in found.values()}
    assert len(secrets) == len(found) == 4
    again = await imported(store, text)
    assert [line.outcome for line in again.lines] == [LineOutcome.PRESENT] * 4
    assert await held(store) == found


async def test_each_line_that_cannot_be_taken_says_why_and_takes_the_list_with_it() -> None:
    store = await office()
    await create_handset(
        store, BY, {"mac": MAC, "model": "T54W", "org": "acme", "site": "hq"}, Binding("103")
    )
    await create_handset(store, BY, {"mac": "0004130000ff", "model": "D785", "org": "globex", "site": "hq"})
    before = await held(store)
    text = (
        "805ec0000001,T54W,hq,Good,100\n"
        "805ec0000001,T54W,hq,Same MAC,101\n"
        "805ec0000002,T54W,hq,Same extension,100\n"
        "805ec0000003,T99,hq,No model,\n"
        "805ec000000,T54W,hq,Short,\n"
        "805ec0000004,T54W,moon,No site,\n"
        "805ec0000005,T54W,branch,Elsewhere,102\n"
        "805ec0000006,T54W,hq,No extension,999\n"
        "805ec0000007,T54W,hq,Taken,103\n"
        "805ec0123456,T46U,hq,Another model,\n"
        "0004130000ff,D785,hq,A stranger's,\n"
        "805ec0000008,T54W,hq,Too,101,many\n"
        "805ec0000009,Linphone,hq,Soft,101\n"
        ",MicroSIP,hq,Soft without extension,\n"
        ",T54W,hq,No MAC,\n"
        "805ec000000a,,hq,Nothing,\n"
        "\"=cmd|' /C calc'!A0\",T54W,hq,x,\n"
        '805ec000000b,T54W,hq,"two\nlines",\n'
    )
    report = await imported(store, text)
    assert not report.applied and await held(store) == before
    whys = {line: why or "" for line, _, why in told(report)}
    assert [line for line, outcome, _ in told(report) if outcome == "added"] == [1]
    for line, says in {
        2: "mac: stands on line 1 already", 3: "extension: stands on line 1 already", 4: "no handset model",
        5: "12 hex digits", 6: "there is no site moon", 7: "is at site hq, the handset at branch",
        8: "there is no extension 999", 9: "103 is logged in at handset 805ec0123456",
        10: "set up already, and not as here", 11: "set up already, and not as here",
        12: "more than 5 columns", 13: "leave its MAC empty", 14: "name its extension", 15: "MAC",
        16: "no handset model", 17: "12 hex digits", 19: "name",
    }.items():  # fmt: skip
        assert says in whys[line], (line, whys[line])
    partial = await imported(store, text, partial=True)
    assert partial.applied and set(await held(store)) - set(before) == {"805ec0000001"}


async def test_a_dry_run_writes_nothing() -> None:
    store = await office()
    revision = await store.revision()
    report = await imported(store, "805ec0000001,T54W,hq,,100", dry_run=True)
    assert (report.count(LineOutcome.ADDED), report.applied) == (1, False)
    assert await store.revision() == revision and not await held(store)


async def test_phone_ids_run_out_line_by_line() -> None:
    store = await office(phone_ids=2)
    lines = [f"805ec000000{number},T54W,hq,,10{number}" for number in range(4)]
    report = await imported(store, "\n".join(lines), partial=True)
    assert [line.outcome.value for line in report.lines] == ["added", "added", "refused", "refused"]
    assert all("phone IDs of site hq are taken" in (line.why or "") for line in report.lines[2:])
    assert sorted(h.phone_id or 0 for h in (await held(store)).values()) == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mac,model,place\n", "the heading must have the columns"),
        ("mac,model\n", "the heading must have the columns"),
        ("mac,model,site,site\n", "the heading must have the columns"),
        ('"a', "is not CSV"),
        ("a\0", "NUL"),
    ],
)
async def test_what_is_no_list_is_refused_as_a_whole(text: str, message: str) -> None:
    with pytest.raises(InvalidField, match=message):
        await imported(await office(), text, partial=True)


async def test_a_phone_that_cannot_do_tls_is_not_told_to() -> None:
    store = await office()
    await imported(store, f"{MAC},N510 IP PRO,hq,,100\n")
    [device] = (await store.snapshot()).model.devices["acme", "100"]
    assert (device.transport, device.srtp) == (Transport.UDP, False)
    assert (await held(store))[MAC].neutral_transport is Transport.UDP


async def test_a_heading_may_change_the_order() -> None:
    store = await office()
    await imported(store, "extension,site,mac,model\n100,hq,805ec0000001,T54W\n")
    assert (await held(store))["805ec0000001"].extension == "100"


async def test_nobody_imports_for_an_organisation_that_is_not_there() -> None:
    with pytest.raises(UnknownEntity):
        await import_handsets(await office(), BY, "nobody", "", dry_run=True)


async def test_ten_thousand_handsets_are_taken_and_no_more() -> None:
    store = await office()
    lines = [f"{0x805EC0000000 + number:012x},T54W,hq,Desk {number}," for number in range(IMPORT_LINES_MAX)]
    report = await imported(store, "mac,model,site,label,extension\n" + "\n".join(lines))
    assert report.count(LineOutcome.ADDED) == IMPORT_LINES_MAX == len(await held(store))
    with pytest.raises(InvalidField, match="at most 10000 lines"):
        await imported(store, "\n".join([*lines, "805ec1000000,T54W,hq,,"]))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
async def test_no_text_does_anything_but_be_reported_or_refused(text: str) -> None:
    store = await office()
    try:
        report = await imported(store, text)
    except InvalidField:
        return
    for line in report.lines:
        assert line.text.isprintable() and len(line.text) <= 40
        assert (line.why is None) is (line.outcome is not LineOutcome.REFUSED)
