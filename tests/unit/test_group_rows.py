"""Business hours as the dialplan reads them from their rows, held against the model at random times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.callpath.group_evaluators import is_open
from control_plane.domain.entities import NumberStatus, Organisation, PhoneNumber, Site
from control_plane.domain.groups import DAYS, CallGroup, Destination, DestinationKind, MainNumber, spans_of
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.render.artefacts import Holder, Unit, UnitKind
from control_plane.render.units import render_unit, touched

E164 = "+442071838700"
DESK = Destination(kind=DestinationKind.EXTENSION, target="100")
MAILBOX = Destination(kind=DestinationKind.VOICEMAIL, target="109")
ZONES = ("Europe/London", "Asia/Singapore", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def model(main: MainNumber, zone: str = "Europe/London", status: str = "active") -> Model:
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[Site(id="london", name="London", region=RegionCode.GB, time_zone=zone)],
        numbers=[PhoneNumber(e164=E164, site="london", org="acme", status=NumberStatus(status), main=True)],
        call_groups=[CallGroup(org="acme", key="300", site="london", members=("100", "101"))],
        main_numbers=[main],
    )


def rows(model: Model, kind: UnitKind, *key: str) -> dict[str, str]:
    rendered = render_unit(model, "lab", Unit(kind, key)).values
    return {name.name: value for name, value in rendered.items() if name.holder is Holder.ROW}


def read_as_dialplan(found: dict[str, str], base: str, at: datetime) -> str:
    """What the node main.hours makes of the rows: STRFTIME by the row's zone, then comparisons of numbers."""
    local = at.astimezone(ZoneInfo(found[base].split(",")[0]))
    if f"{base}/{local:%Y-%m-%d}" in found:
        return "holiday"
    spans = found.get(f"{base}/{local.isoweekday()}", "")
    now = int(f"{local:%H%M}")
    for span in spans.split("&") if spans else ():
        opens, closes = span.split("-")
        if int(opens) <= now < int(closes):
            return "open"
    return "closed"


@st.composite
def hours(draw: st.DrawFn) -> str:
    first, last = sorted((draw(st.integers(0, 6)), draw(st.integers(0, 6))))
    opens, closes = sorted(draw(st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True)))
    return f"{DAYS[first]}-{DAYS[last]} {opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"


moments = st.integers(0, 2 * 365 * 24 * 60).map(lambda minute: FIRST + timedelta(minutes=minute, seconds=59))


@given(
    spans=st.lists(hours(), max_size=4),
    holidays=st.lists(
        st.integers(0, 730).map(lambda d: (FIRST + timedelta(d)).date().isoformat()), max_size=3
    ),
    zone=st.sampled_from(ZONES),
    at=moments,
)
@example(["sun-sun 01:00-02:00"], [], "Europe/London", datetime(2026, 3, 29, 1, 30, tzinfo=UTC))
@example(["sun-sun 01:00-02:00"], [], "Europe/London", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example(["sun-sun 01:00-02:00"], [], "Europe/London", datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
def test_rows_say_what_the_model_says(spans: list[str], holidays: list[str], zone: str, at: datetime) -> None:
    main = MainNumber(
        org="acme",
        site="london",
        e164=E164,
        hours=tuple(spans),
        holidays=tuple(holidays),
        in_hours=DESK,
        out_of_hours=MAILBOX,
    )
    found = rows(model(main, zone), UnitKind.MAIN_NUMBER, "acme", "london")
    assert read_as_dialplan(found, "main/acme/london", at) == is_open(main, zone, at)[0]


def test_an_end_of_day_is_midnight() -> None:
    assert spans_of("sat-sun 12:00-24:00") == ((6, 7), (720, 1440))


def test_the_rows_of_a_group_and_of_a_main_number() -> None:
    main = MainNumber(
        org="acme",
        site="london",
        e164=E164,
        hours=("mon 08:30-12:00", "mon 13:00-18:00"),
        holidays=("2026-12-25",),
        in_hours=Destination(kind=DestinationKind.GROUP, target="300", members=("101",)),
        out_of_hours=MAILBOX,
    )
    base = "main/acme/london"
    assert rows(model(main), UnitKind.MAIN_NUMBER, "acme", "london") == {
        base: "Europe/London,20,group,300,101,voicemail,109,,,,",
        f"{base}/1": "0830-1200&1300-1800",
        f"{base}/2026-12-25": "1",
    }
    assert rows(model(main), UnitKind.NUMBER, E164) == {f"did/{E164}": "main,acme,london"}
    assert rows(model(main, status="reserved"), UnitKind.NUMBER, E164) == {
        f"did/{E164}": "inactive,acme,london"
    }
    assert rows(model(main), UnitKind.CALL_GROUP, "acme", "300") == {
        "group/acme/300": "london,ring_all,20,60,100&101,,,"
    }


def test_joining_and_leaving_a_group_shows_in_the_member() -> None:
    main = MainNumber(org="acme", site="london", e164=E164, in_hours=DESK, out_of_hours=DESK)
    found = model(main)
    before = found.call_groups["acme", "300"]
    after = before.model_copy(update={"members": ("101", "102")})
    assert touched(found, before, after) == {
        Unit(UnitKind.CALL_GROUP, ("acme", "300")),
        *(Unit(UnitKind.EXTENSION, ("acme", key)) for key in ("100", "101", "102")),
    }


def test_another_time_zone_of_the_site_shows_in_its_main_numbers() -> None:
    main = MainNumber(org="acme", site="london", e164=E164, in_hours=DESK, out_of_hours=DESK)
    found = model(main)
    site = found.sites["london"]
    changed = touched(found, site, site.model_copy(update={"time_zone": "Europe/Paris"}))
    assert Unit(UnitKind.MAIN_NUMBER, ("acme", "london")) in changed
