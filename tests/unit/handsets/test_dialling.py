"""Dialled key by key at every family: nothing is sent short, everything that exists gets through."""

from __future__ import annotations

from functools import cache

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from control_plane.domain.entities import Organisation, Site
from control_plane.domain.extension import Device, Extension
from control_plane.domain.model import Model
from control_plane.domain.regions import REGIONS, RegionCode
from control_plane.render.handsets.assemble import inside_of, setup_of
from control_plane.render.handsets.digits import Limit, fitted, mgcp, parse_pattern, regular_expression
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.setup import HandsetSetup
from tests.handsets.dialling import (
    NOTATIONS,
    PLUS_CANNOT_BE_DIALLED,
    Map,
    is_let_through,
    is_sent_at_once,
    sent_early,
)
from tests.handsets.setups import full_setup, patterns
from tests.handsets.told import own_files
from tests.handsets.witnesses import WITNESSES
from tests.unit.handset_models import MAC, PLACE, handset, handset_model

FAMILIES = [
    family.id for family in CATALOGUE.families if "digit_map" in family.supports and not family.softphone
]
LAYOUTS = {
    "three digits": ("100", "101", "250", "999"),
    "like numbers outside": ("0200", "0412", "1120", "6123", "2071"),
    "mixed": ("20", "200", "2000", "6512", "91", "9112", "0000", "10601", "112233"),
}
"""Extensions, some of which begin as emergency numbers or numbers outside do."""
TRUNK = {RegionCode.GB: "0", RegionCode.US: "", RegionCode.SG: "", RegionCode.AU: "0"}
ABROAD = {RegionCode.GB: "00", RegionCode.US: "011", RegionCode.SG: "001", RegionCode.AU: "0011"}
_TYPES = (
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.TOLL_FREE,
    phonenumbers.PhoneNumberType.PREMIUM_RATE,
    phonenumbers.PhoneNumberType.VOIP,
)


def model_of(region: RegionCode, layout: str) -> Model:
    entities = handset_model()
    [site] = [each for each in entities if isinstance(each, Site)]
    here = Site.model_validate({**site.model_dump(), "region": region, "time_zone": "Europe/London"})
    [pattern, *_] = [each for each in entities if isinstance(each, Extension)]
    held = {e.key: e for e in entities if isinstance(e, Extension)}
    wanted = {**held, **{key: pattern.model_copy(update={"key": key}) for key in LAYOUTS[layout]}}
    return Model.of(
        organisations=[e for e in entities if isinstance(e, Organisation)],
        sites=[here],
        extensions=wanted.values(),
        devices=[e for e in entities if isinstance(e, Device)],
        handsets=[handset()],
    )


@cache
def setup_for(region: RegionCode, layout: str) -> HandsetSetup:
    model = model_of(region, layout)
    inside = inside_of(model, "acme", [key for _, key in model.extensions])
    return setup_of(model, model.handsets[MAC], PLACE, inside)


def told_map(family: str, emergency: tuple[str, ...], digit_patterns: tuple[str, ...]) -> str:
    """What a handset of the family is told for these, read back from its files."""
    witness = WITNESSES[family]
    entry = CATALOGUE.model(witness.models[0])
    setup = witness.limits.fit(full_setup(entry, emergency=emergency, digit_patterns=digit_patterns))
    told = witness.read(own_files(render_handset(setup)), setup).digit_map
    assert told
    return told


@cache
def map_of(family: str, region: RegionCode, layout: str) -> Map:
    """What a handset of the family was told, read back from its files."""
    made = setup_for(region, layout)
    told = told_map(family, made.emergency, made.digit_patterns)
    assert len(told) <= 1500
    return NOTATIONS[CATALOGUE.model(WITNESSES[family].models[0]).vendor](told)


def is_national(region: RegionCode, national: str) -> bool:
    parsed = phonenumbers.PhoneNumber(
        country_code=int(REGIONS[region].calling_code), national_number=int(national or "0")
    )
    return phonenumbers.is_valid_number_for_region(parsed, region.value)


def national_numbers(region: RegionCode) -> set[str]:
    """Numbers that exist by the plan of a country: an example of each kind, and their neighbours.

    Those that the exchange knows as dialled; others (1300 numbers of Australia, say) it does not route.
    """
    examples = [phonenumbers.example_number_for_type(region.value, kind) for kind in _TYPES]
    known = {str(number.national_number) for number in examples if number is not None}
    near = {f"{start}{number[2:]}" for number in known for start in map("{:02d}".format, range(100))}
    near |= {
        f"{number[0]}{start}{number[4:]}"
        for number in known
        for start in map("{:03d}".format, range(0, 1000, 7))
    }
    found = {number for number in known | near if number[0] != "0" and is_national(region, number)}
    e164 = {number: f"+{REGIONS[region].calling_code}{number}" for number in found}
    return {number for number in found if REGIONS[region].normalise(TRUNK[region] + number) == e164[number]}


@cache
def numbers_outside(region: RegionCode) -> tuple[str, ...]:
    """As they are dialled: national, with the country code where that is usual, and abroad."""
    found = {TRUNK[region] + number for number in national_numbers(region)}
    if region in (RegionCode.US, RegionCode.SG):
        found |= {REGIONS[region].calling_code + number for number in national_numbers(region)}
        found = {number for number in found if REGIONS[region].normalise(number).startswith("+")}
    for other in RegionCode:
        abroad = sorted(REGIONS[other].calling_code + number for number in national_numbers(other))[::37]
        found |= {f"{mark}{number}" for number in abroad for mark in ("+", ABROAD[region])}
    return tuple(sorted(found))


def codes(setup: HandsetSetup) -> list[str]:
    """Feature codes, and those that take a number with one behind them."""
    plain = [text for text in setup.digit_patterns if text.startswith("*") and not text.endswith(".")]
    taking = [
        text.removesuffix("X.") for text in setup.digit_patterns if text.startswith("*") and "." in text
    ]
    return plain + [code + number for code in taking for number in ("7", "101", "02071838700")]


CASES = [(region, layout) for region in RegionCode for layout in LAYOUTS]


def test_no_number_of_a_plan_begins_with_an_emergency_number() -> None:
    """Which is why an emergency call need not wait for one."""
    for region in RegionCode:
        numbers = [TRUNK[region] + number for number in national_numbers(region)]
        assert len(numbers) > 100
        wrong = [n for n in numbers if n.startswith(REGIONS[region].emergency)]
        assert wrong == []


@pytest.mark.parametrize(("region", "layout"), CASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_sent_short_and_everything_gets_through(
    family: str, region: RegionCode, layout: str
) -> None:
    told, setup = map_of(family, region, layout), setup_for(region, layout)
    dialled = [*setup.emergency, *LAYOUTS[layout], *codes(setup), *numbers_outside(region)]
    if CATALOGUE.model(WITNESSES[family].models[0]).vendor in PLUS_CANNOT_BE_DIALLED:
        dialled = [number for number in dialled if "+" not in number]
    assert {number: early for number in dialled if (early := sent_early(told, number))} == {}
    outside = [number for number in dialled if not is_let_through(told, number)]
    assert outside == []


@pytest.mark.parametrize(("region", "layout"), CASES)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_emergency_call_waits_only_where_an_extension_may_be_meant(
    family: str, region: RegionCode, layout: str
) -> None:
    told, setup = map_of(family, region, layout), setup_for(region, layout)
    for number in setup.emergency:
        longer = any(key.startswith(number) and key != number for key in LAYOUTS[layout])
        assert is_sent_at_once(told, number) is not longer, number


@settings(max_examples=60)
@given(region=st.sampled_from(RegionCode), family=st.sampled_from(FAMILIES), data=st.data())
def test_any_number_of_a_pattern_is_never_cut_by_another(
    region: RegionCode, family: str, data: st.DataObject
) -> None:
    """Whatever the patterns are made for: what one lets through, no other sends the beginning of."""
    layout = data.draw(st.sampled_from(sorted(LAYOUTS)))
    told = map_of(family, region, layout)
    number = data.draw(st.from_regex(data.draw(st.sampled_from(told)).expression, fullmatch=True))
    early = sent_early(told, number)
    assert early is None or not any(one.expression.fullmatch(number) and one.ends for one in told), (
        number,
        early,
    )


TAKES = {"panasonic": Limit(500, 100), "poly": Limit(768, 30), "mitel": Limit(512)}
"""What these makes take of a map, by vendor."""
LIMITED = [family for family in FAMILIES if family.split("_")[0] in TAKES]
TOO_LONG = ("0", "[0-4][1357].", "[1357][1357]X[0-4][0-4][1357]", "[1-7].", "[0-4][0-4][1357]")
"""Split so that nothing is sent early, they are 524 characters: too many for Panasonic and Mitel."""


def dialled_by(text: str) -> st.SearchStrategy[str]:
    return st.from_regex(regular_expression(parse_pattern(text)), fullmatch=True)


@pytest.mark.parametrize("family", LIMITED)
def test_a_map_that_would_be_too_long_waits_instead(family: str) -> None:
    vendor = family.split("_")[0]
    told = told_map(family, ("112",), TOO_LONG)
    assert TAKES[vendor].allows(told)
    found = NOTATIONS[vendor](told)
    for number in ("112", "0", "13", "131011", "777777", "401"):
        assert is_let_through(found, number), number
        assert sent_early(found, number) is None, number


@pytest.mark.parametrize("family", LIMITED)
@settings(max_examples=25)
@example(texts=list(TOO_LONG), emergency=["112"], data=None)
@given(
    texts=st.lists(patterns, min_size=1, max_size=14),
    emergency=st.lists(st.sampled_from(("112", "999", "000", "10")), max_size=3, unique=True),
    data=st.data(),
)
def test_whatever_can_be_dialled_the_map_fits_and_sends_nothing_early(
    family: str, texts: list[str], emergency: list[str], data: st.DataObject | None
) -> None:
    vendor = family.split("_")[0]
    told = told_map(family, tuple(emergency), tuple(texts))
    assert TAKES[vendor].allows(told)
    found = NOTATIONS[vendor](told)
    assert [number for number in emergency if not is_let_through(found, number)] == []
    number = data.draw(st.sampled_from(texts).flatmap(dialled_by)) if data else "131011"
    assert "+" in number or sent_early(found, number) is None


@given(
    texts=st.lists(patterns, max_size=8),
    emergency=st.lists(st.sampled_from(("112", "999", "000", "10")), max_size=3, unique=True),
    limit=st.builds(Limit, st.integers(40, 300), st.none() | st.integers(8, 30)),
    data=st.data(),
)
def test_a_coarser_map_sends_nothing_the_fine_one_would_not(
    texts: list[str], emergency: list[str], limit: Limit, data: st.DataObject
) -> None:
    """However short the map has to be: emergency numbers stay, and what is sent at once only gets less."""
    coarse = fitted(mgcp, texts, emergency, limit)
    assert limit.allows(coarse)
    fine, coarser = NOTATIONS["poly"](fitted(mgcp, texts, emergency, Limit(10**6))), NOTATIONS["poly"](coarse)
    dialled = [*emergency, *(data.draw(dialled_by(text)) for text in texts)]
    for number in dialled:
        assert sent_early(coarser, number) is None
        assert is_sent_at_once(fine, number) or not is_sent_at_once(coarser, number)
    assert [number for number in emergency if not is_let_through(coarser, number)] == []
    for number in dialled:
        marks = number.lstrip("*#+")
        if marks.isdigit() and len(number) - len(marks) < 2:
            assert is_let_through(coarser, number)
