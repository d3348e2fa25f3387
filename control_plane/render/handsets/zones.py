"""A time zone as the rules a handset is told: standard offset, and when the clocks change this year.

The rules come from the offsets the zone database gives for the year, not from its idea of what is "daylight
saving": Ireland and Morocco write theirs with a negative saving, which no handset knows. Standard time is
the smaller of the year's two offsets.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from control_plane.errors import UnsafeValue

LAST_WEEK = 5
YEARS_AHEAD = 8
"""A rule is preferred that also holds in the years to come; that many cover the way weekdays move."""
STEP = timedelta(days=7)
"""No zone changes its clocks there and back within a week."""
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Change:
    """When the clocks change, in the wall-clock time before the change.

    `week` 1 to 4 counts this weekday within the month, 5 is the last; `weekday` 0 is Sunday, as in POSIX.
    `second` is of the day; only `posix_tz` uses values below 0 or of 24 hours and more.
    """

    month: int
    week: int
    weekday: int
    second: int

    @property
    def hour(self) -> int:
        """The full hour."""
        return self.second // 3600

    @property
    def minute(self) -> int:
        """Minutes past the hour."""
        return self.second % 3600 // 60

    @property
    def weekday_from_monday(self) -> int:
        """1 is Monday, 7 Sunday."""
        return self.weekday or 7

    def moment(self, year: int) -> datetime:
        """The moment in `year`, in the wall-clock time before the change; without a zone."""
        first = datetime(year, self.month, 1)
        ahead = (self.weekday - first.isoweekday()) % 7
        days = monthrange(year, self.month)[1]
        day = 1 + ahead + 7 * (self.week - 1)
        while day > days:
            day -= 7
        return first + timedelta(days=day - 1, seconds=self.second)


@dataclass(frozen=True, slots=True)
class Zone:
    """The rules of one year. `save_s` is 0 where the clocks do not change; then there are no changes."""

    name: str
    offset_s: int
    save_s: int = 0
    start: Change | None = None
    end: Change | None = None

    @property
    def changes(self) -> tuple[Change, Change] | None:
        """(start, end) of summer time; None where the clocks stay."""
        return (self.start, self.end) if self.start and self.end else None


@dataclass(frozen=True, slots=True)
class _Jump:
    at: datetime
    """UTC."""
    before_s: int
    after_s: int

    @property
    def wall(self) -> datetime:
        return (self.at + timedelta(seconds=self.before_s)).replace(tzinfo=None)


def _offset_s(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _jumps(zone: ZoneInfo, year: int) -> Iterator[_Jump]:
    at, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    before = _offset_s(zone, at)
    while at < end:
        following = min(at + STEP, end)
        after = _offset_s(zone, following)
        if after != before:
            low, high = at, following
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                low, high = (low, middle) if _offset_s(zone, middle) == after else (middle, high)
            yield _Jump(high, before, after)
        at, before = following, after


def _pair(jumps: tuple[_Jump, ...]) -> tuple[_Jump, _Jump] | None:
    """(start, end) of summer time; None when the year's offsets are no two that alternate.

    Ramadan falls twice into 2030: what Morocco then does in December is not said.
    """
    starts = [jump for jump in jumps if jump.after_s > jump.before_s]
    ends = [jump for jump in jumps if jump.after_s < jump.before_s]
    if (
        not starts
        or not ends
        or (starts[0].after_s, starts[0].before_s) != (ends[0].before_s, ends[0].after_s)
    ):
        return None
    return starts[0], ends[0]


def _same_day(wall: datetime, days: int) -> Iterator[Change]:
    """The rules that give this moment, when told of the day that many days before."""
    day = wall - timedelta(days=days)
    second = wall.hour * 3600 + wall.minute * 60 + days * DAY_S
    weekday = day.isoweekday() % 7
    if day.day > monthrange(day.year, day.month)[1] - 7:
        yield Change(day.month, LAST_WEEK, weekday, second)
    if day.day <= 28:
        yield Change(day.month, (day.day + 6) // 7, weekday, second)


def _rule(wall: datetime, coming: tuple[datetime, ...], *, days: tuple[int, ...]) -> Change:
    """Of the rules that give `wall`, the one that gives most of the coming years' moments."""
    candidates = [rule for shift in days for rule in _same_day(wall, shift)]
    return max(candidates, key=lambda rule: sum(rule.moment(other.year) == other for other in coming))


def _zone_info(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as exc:
        raise UnsafeValue("time_zone", f"{name!r} is not in the zone database") from exc


@lru_cache(maxsize=1024)
def _zone(name: str, year: int, days: tuple[int, ...]) -> Zone:
    info = _zone_info(name)
    pair = _pair(tuple(_jumps(info, year)))
    if pair is None:
        return Zone(name, _offset_s(info, datetime(year, 12, 31, tzinfo=UTC)))
    start, end = pair
    years = [found for ahead in range(1, YEARS_AHEAD) if (found := _pair(tuple(_jumps(info, year + ahead))))]
    return Zone(
        name,
        start.before_s,
        start.after_s - start.before_s,
        _rule(start.wall, tuple(one.wall for one, _ in years), days=days),
        _rule(end.wall, tuple(one.wall for _, one in years), days=days),
    )


def zone_rules(name: str, year: int) -> Zone:
    """The rules of IANA zone `name` in `year`; times of day are 0:00 to 23:59.

    Where the clocks change only once in the year, or for good, the offset at its end is given.

    Raises:
        UnsafeValue: there is no such zone.
    """
    return _zone(name, year, (0,))


def _posix_offset(seconds: int) -> str:
    """With the sign of POSIX: what is added to local time."""
    return offset_or_time(-seconds)


def offset_or_time(seconds: int) -> str:
    """2, -1 or 9:30."""
    whole, rest = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else ''}{whole}" + (f":{rest:02d}" if rest else "")


def _names(zone: Zone, year: int) -> tuple[str, str]:
    """The zone's own letters where it has some: POSIX wants three at least, and handsets know no <+01>."""
    info = _zone_info(zone.name)
    names = {
        _offset_s(info, at): at.astimezone(info).tzname() or ""
        for at in (datetime(year, month, 15, tzinfo=UTC) for month in range(1, 13))
    }
    standard, summer = names.get(zone.offset_s, ""), names.get(zone.offset_s + zone.save_s, "")
    return (
        standard if standard.isalpha() and len(standard) >= 3 else "LST",
        summer if summer.isalpha() and len(summer) >= 3 and summer != standard else "LDT",
    )


def posix_tz(name: str, year: int) -> str:
    """The zone as a POSIX TZ string (IEEE 1003.1, 8.3), such as CET-1CEST-2,M3.5.0/2,M10.5.0/3.

    Raises:
        UnsafeValue: there is no such zone.
    """
    zone = _zone(name, year, (0, 1, -1))
    standard, summer = _names(zone, year)
    text = f"{standard}{_posix_offset(zone.offset_s)}"
    if zone.changes is None:
        return text
    rules = "".join(
        f",M{change.month}.{change.week}.{change.weekday}/{offset_or_time(change.second)}"
        for change in zone.changes
    )
    return f"{text}{summer}{_posix_offset(zone.offset_s + zone.save_s)}{rules}"
