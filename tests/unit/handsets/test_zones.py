"""A year as the rules tell it, minute by minute around every change, against the zone database and libc."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.zones import Change, Zone, posix_tz, zone_rules

YEAR = 2026
ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",  # negative saving in the database
    "Africa/Casablanca",  # standard time in Ramadan only
    "Africa/Cairo",  # last Friday in April to the last Thursday's midnight
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "America/Havana",
    "America/Nuuk",  # changes on the day before the rule's
    "America/Phoenix",
    "America/Sao_Paulo",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Lord_Howe",  # saves 30 minutes
    "Australia/Sydney",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "UTC",
)


def moments(zone: str, year: int) -> Iterator[datetime]:
    """Every six hours, and every quarter of an hour around each change."""
    info = ZoneInfo(zone)
    at, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while at < end:
        following = at + timedelta(hours=6)
        yield at
        if at.astimezone(info).utcoffset() != following.astimezone(info).utcoffset():
            yield from (at + timedelta(minutes=15 * quarter) for quarter in range(24))
        at = following


def truth(zone: str, at: datetime) -> int:
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def told(zone: Zone, at: datetime) -> int:
    """What a clock that goes by the rules shows: an own reading of month, week and weekday."""
    if zone.changes is None:
        return zone.offset_s
    start, end = (own_moment(each, at.year) for each in zone.changes)
    begins = start - timedelta(seconds=zone.offset_s)
    ends = end - timedelta(seconds=zone.offset_s + zone.save_s)
    plain = at.replace(tzinfo=None)
    summer = begins <= plain < ends if begins < ends else not ends <= plain < begins
    return zone.offset_s + (zone.save_s if summer else 0)


def own_moment(change: Change, year: int) -> datetime:
    days = [
        day
        for day in (datetime(year, change.month, 1) + timedelta(days=each) for each in range(31))
        if day.month == change.month and (day.weekday() + 1) % 7 == change.weekday
    ]
    return days[min(change.week, len(days)) - 1] + timedelta(seconds=change.second)


@pytest.mark.parametrize("year", [YEAR, 2027, 2035])
@pytest.mark.parametrize("name", ZONES)
def test_the_rules_tell_the_year_as_it_is(name: str, year: int) -> None:
    zone = zone_rules(name, year)
    wrong = [at for at in moments(name, year) if told(zone, at) != truth(name, at)]
    assert wrong == []


@pytest.fixture
def own_zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("own_zone")
@pytest.mark.parametrize("name", ZONES)
def test_libc_reads_the_posix_string_as_the_zone_database_says(name: str) -> None:
    os.environ["TZ"] = posix_tz(name, YEAR)
    time.tzset()
    wrong = [at for at in moments(name, YEAR) if time.localtime(at.timestamp()).tm_gmtoff != truth(name, at)]
    assert wrong == [], posix_tz(name, YEAR)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Europe/Berlin", "CET-1CEST-2,M3.5.0/2,M10.5.0/3"),
        ("America/New_York", "EST5EDT4,M3.2.0/2,M11.1.0/2"),
        ("Australia/Lord_Howe", "LST-10:30LDT-11,M10.1.0/2,M4.1.0/2"),
        ("Asia/Kathmandu", "LST-5:45"),
    ],
)
def test_posix_strings_that_are_in_the_books(name: str, text: str) -> None:
    assert posix_tz(name, YEAR) == text


def test_every_zone_of_the_database_has_rules_a_handset_can_take() -> None:
    for name in sorted(available_timezones() - {"localtime", "Factory"}):
        zone = zone_rules(name, YEAR)
        assert -12 * 3600 <= zone.offset_s <= 14 * 3600, name
        for change in zone.changes or ():
            assert 0 <= change.second < 86_400 and 1 <= change.week <= 5, name


def test_a_zone_that_gave_up_changing_its_clocks_has_no_rules_from_then_on() -> None:
    assert zone_rules("America/Sao_Paulo", 2018).changes is not None
    assert zone_rules("America/Sao_Paulo", YEAR).changes is None


@pytest.mark.parametrize("name", ["Europe/Atlantis", "../etc/passwd", ""])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(UnsafeValue):
        zone_rules(name, YEAR)
