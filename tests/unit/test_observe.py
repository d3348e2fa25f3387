from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from control_plane.apply.observer import Observer
from control_plane.observe.calls import CallLog
from control_plane.observe.registrations import Reach, Registrations
from tests.clocks import ManualClock
from tests.contract.fake_node import FakeNode
from tests.waiting import until

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
URI = "sip:abc@192.0.2.1:5060"
MOVED = "sip:abc@192.0.2.9:5060"


def contact(status: str, uri: str = URI, **more: str) -> dict[str, str]:
    return {"AOR": "abc", "URI": uri, "ContactStatus": status, **more}


def test_a_device_that_registers_answers_and_goes_is_followed() -> None:
    seen = Registrations()
    seen.take("ContactStatus", contact("NonQualified", UserAgent="Phone/1"), NOW)
    first = seen.get("abc")
    assert first is not None
    assert (first.reach, first.user_agent, first.since) == (Reach.REGISTERED, "Phone/1", NOW)
    seen.take("ContactStatus", contact("Reachable", RoundtripUsec="1500"), LATER)
    answering = seen.get("abc")
    assert answering is not None
    assert (answering.reach, answering.roundtrip_ms, answering.since) == (Reach.REACHABLE, 1.5, NOW)
    assert answering.user_agent == "Phone/1"
    seen.take("ContactStatus", contact("Unreachable"), LATER)
    assert seen.all()[0].reach is Reach.UNREACHABLE
    seen.take("ContactStatus", contact("Removed"), LATER)
    assert len(seen) == 0


def test_a_renewal_says_nothing_about_reach() -> None:
    seen = Registrations()
    seen.take("ContactStatus", contact("Reachable"), NOW)
    seen.take("ContactStatus", contact("Updated"), LATER)
    assert seen.all()[0].reach is Reach.REACHABLE


def test_a_device_that_moved_is_not_removed_with_its_old_contact() -> None:
    seen = Registrations()
    seen.take("ContactStatus", contact("Reachable"), NOW)
    seen.take("ContactStatus", contact("Created", MOVED), LATER)
    seen.take("ContactStatus", contact("Removed"), LATER)
    moved = seen.get("abc")
    assert moved is not None and moved.uri == MOVED and moved.since == LATER


def test_a_fresh_list_drops_who_went_and_keeps_what_is_known_of_who_stayed() -> None:
    seen = Registrations()
    seen.take("ContactStatus", contact("Reachable"), NOW)
    seen.take("ContactStatus", {**contact("Reachable"), "AOR": "gone"}, NOW)
    seen.reset({"abc": URI, "new": MOVED}, LATER)
    assert [(r.aor, r.reach) for r in seen.all()] == [("abc", Reach.REACHABLE), ("new", Reach.REGISTERED)]


def test_other_events_are_left_alone() -> None:
    seen, calls = Registrations(), CallLog()
    assert not seen.take("PeerStatus", contact("Reachable"), NOW)
    assert not seen.take("ContactStatus", {}, NOW)
    assert calls.take("UserEvent", {"UserEvent": "HandsetChange", "Call": "1.1"}, NOW) is None
    assert calls.take("UserEvent", {"UserEvent": "CallPath"}, NOW) is None


def path(call: str, way: str = "", trace: str = "in.entry:extension in.dnd:off") -> dict[str, str]:
    return {
        "UserEvent": "CallPath",
        "Call": call,
        "Path": way,
        "Org": "acme",
        "From": "101",
        "To": "100",
        "Dialled": "100",
        "Trace": trace,
    }


def test_a_call_is_over_when_its_own_trace_is_told_and_gathers_its_legs() -> None:
    calls = CallLog()
    calls.take("UserEvent", path("1.1", "100>102"), NOW)
    assert calls.finished() == ()
    calls.take("UserEvent", path("1.1"), LATER)
    calls.take("UserEvent", path("1.1", "100>103"), LATER)
    (record,) = calls.finished()
    assert record.ended == LATER
    assert [leg.path for leg in record.legs] == ["100>102", "100>103"]
    assert record.main is not None
    assert record.main.trace == (("in.entry", "extension"), ("in.dnd", "off"))
    assert record.main.outcome == "unfinished"


def test_an_event_told_twice_counts_once() -> None:
    calls = CallLog()
    for _ in range(2):
        calls.take("UserEvent", path("1.1"), NOW)
    (record,) = calls.finished()
    assert len(record.parts) == 1


def test_only_the_last_calls_are_kept_newest_first() -> None:
    calls = CallLog(kept=3)
    for number in range(5):
        calls.take("UserEvent", path(f"1.{number}"), NOW + timedelta(seconds=number))
    assert [record.call for record in calls.finished()] == ["1.4", "1.3", "1.2"]
    assert calls.get("1.0") is None


async def test_the_observer_lists_contacts_at_every_connect_and_follows_events() -> None:
    node = FakeNode()
    node.contact_uris = {"abc": URI}
    observer = Observer(node, ManualClock(NOW))
    task = asyncio.create_task(observer.run())
    try:
        await asyncio.sleep(0)
        await node.connect()
        await until(lambda: len(observer.registrations) > 0, "the contact", 5)
        node.emit("ContactStatus", **contact("Unreachable"))
        node.emit("UserEvent", **path("1.1"))
        assert observer.registrations.all()[0].reach is Reach.UNREACHABLE
        assert len(observer.calls.finished()) == 1
        node.cut()
        node.contact_uris = {}
        await node.connect()
        await until(lambda: len(observer.registrations) == 0, "its end", 5)
    finally:
        task.cancel()
        await asyncio.wait([task])
