"""From the model to what a handset is told, and to what is published of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from control_plane.domain.entities import Entity, NumberStatus, Occupancy, PhoneNumber
from control_plane.domain.extension import NoAnswer, NoAnswerAction, Transport
from control_plane.domain.handsets import Handset, key_spec, normal_mac
from control_plane.domain.model import Model
from control_plane.render.artefacts import Unit, UnitKind
from control_plane.render.handsets.assemble import MAX_CONTACTS, Inside, inside_of, setup_of
from control_plane.render.handsets.publication import (
    Publication,
    difference,
    masked,
    publication_of,
    shown,
    version_of,
)
from control_plane.render.handsets.publishing import (
    COMMON_UNIT,
    Index,
    directory_changed,
    handset_units,
    render_publication,
    touched_handsets,
)
from control_plane.render.handsets.setup import HandsetFile, HandsetSetup, KeyKind, Srtp
from control_plane.render.packed import unpack
from tests.unit.handset_models import MAC, OTHER, PLACE, TOKEN, handset, handset_model
from tests.unit.pushing import NUMBER, SITE, MemoryStore, device, extension

NEUTRAL = {"neutral_user": "nq8w7e6r5t4z", "neutral_password": "N" * 24}
ADA = Unit(UnitKind.HANDSET, (MAC,))
BEN = Unit(UnitKind.HANDSET, (OTHER,))


async def model_of(*changes: Entity, base: Iterable[Entity] | None = None) -> Model:
    store = MemoryStore(handset_model() if base is None else base)
    store.change(*changes)
    return (await store.snapshot()).model


def inside(model: Model, org: str) -> Inside:
    return inside_of(model, org, Index(model).keys(org))


async def told(*changes: Entity, mac: str = MAC) -> HandsetSetup:
    model = await model_of(*changes)
    return setup_of(model, model.handsets[mac], PLACE, inside(model, "acme"))


async def published(*changes: Entity, unit: Unit = ADA, sequence: int = 1) -> Publication:
    model = await model_of(*changes)
    found = render_publication(model, unit, PLACE, lambda org: inside(model, org), sequence)
    (text,) = found.values.values()
    return publication_of(text)


async def test_a_handset_is_told_its_line_by_the_extension() -> None:
    voicemail = NoAnswer(action=NoAnswerAction.VOICEMAIL)
    tls = device("100").model_copy(update={"transport": Transport.TLS, "srtp": True})
    setup = await told(extension("100", label="Ada", no_answer=voicemail, voicemail_pin="4711"), tls)
    (line,) = setup.lines
    assert (line.label, line.display_name, line.number, line.sip_user) == ("Ada", "Ada", "100", tls.id)
    assert (line.host, line.port, line.srtp, line.mwi) == ("192.0.2.10", 5061, Srtp.REQUIRED, True)
    assert line.voicemail_code == "*97"
    assert setup.server.url == f"https://pbx.example.com:8443/p/{TOKEN}/"
    assert [(c.name, c.number) for c in setup.contacts] == [("Ada", "100"), ("Ben", "101")]
    assert setup.emergency == ("995", "999")
    assert (setup.time_zone, setup.language, setup.tone_country) == ("Asia/Singapore", "en", "SG")
    assert not setup.logged_out


async def test_without_a_mailbox_there_is_no_message_key_and_no_lamp() -> None:
    (line,) = (await told()).lines
    assert (line.voicemail_code, line.mwi, line.port, line.srtp) == (None, False, 5060, Srtp.OFF)


async def test_the_line_key_comes_first_unless_the_keys_say_where() -> None:
    given_keys = ("blf:101:Ben", "speed_dial:+6531234567:Hotel")
    setup = await told(handset(keys=given_keys))
    assert [(k.index, k.kind, k.value, k.label) for k in setup.keys] == [
        (1, KeyKind.LINE, "", ""),
        (2, KeyKind.BLF, "101", "Ben"),
        (3, KeyKind.SPEED_DIAL, "+6531234567", "Hotel"),
    ]
    own = await told(handset(keys=("blf:101:Ben", "line")))
    assert [k.kind for k in own.keys] == [KeyKind.BLF, KeyKind.LINE]


async def test_nobody_logged_in_leaves_nothing_but_how_to_fetch_and_whom_to_call_in_need() -> None:
    setup = await told(handset(key=None))
    assert setup.logged_out and (setup.lines, setup.contacts, setup.keys) == ((), (), ())
    assert setup.emergency == ("995", "999") and setup.server.url


async def test_nobody_logged_in_leaves_a_line_for_emergency_and_reception() -> None:
    """R73: with the neutral line's own credential, a key of its own, and no name or number of a person."""
    site = SITE.model_copy(update={"reception": ("100", "+6588880012", "300")})
    setup = await told(handset(key=None, name="Lobby", **NEUTRAL), site)
    (line,) = setup.lines
    assert (
        setup.logged_out
        and setup.contacts == ()
        and setup.digit_patterns == ("995", "999", "100", "300", "*11")
    )
    assert [(key.kind, key.value, key.label) for key in setup.keys] == [(KeyKind.LINE, "", "")]
    assert (line.sip_user, line.sip_password.get_secret_value()) == tuple(NEUTRAL.values())
    assert line.label == "Log in: dial *11"
    assert (line.display_name, line.number, line.transport) == ("Lobby", "", Transport.TLS)
    assert (line.port, line.srtp, line.mwi, line.voicemail_code) == (5061, Srtp.REQUIRED, False, None)
    reserved = NUMBER.model_copy(update={"status": NumberStatus.RESERVED})
    silent = await told(reserved, extension("100", number=NUMBER.e164), handset(**NEUTRAL))
    assert [each.sip_user for each in silent.lines] == [NEUTRAL["neutral_user"]]
    assert (await told(handset(key=None, enabled=False, **NEUTRAL))).lines == ()


async def test_reception_numbers_touch_the_handsets_of_their_organisation() -> None:
    model = await model_of()
    index = Index(model)
    assert touched_handsets(index, None, Occupancy(org="acme", site="hq")) == {ADA, BEN}
    assert touched_handsets(index, None, Occupancy(org="acme", site="elsewhere")) == frozenset()


async def test_a_number_that_is_not_active_takes_the_line_away() -> None:
    """R23."""
    reserved = PhoneNumber(
        e164=NUMBER.e164, site="hq", org="acme", extension="100", status=NumberStatus.RESERVED
    )
    assert (await told(reserved, extension("100", number=NUMBER.e164))).logged_out


async def test_what_can_be_dialled_holds_extensions_codes_and_the_region() -> None:
    patterns = (await told()).digit_patterns
    assert patterns[:3] == ("995", "999", "1XX")
    assert "*97" in patterns and "*72X." in patterns
    # Outside numbers, without those that would begin as emergency numbers do.
    assert {"[2-8]XXXXXXX", "9[0-8]XXXXXX", "99[01234678]XXXXX"} < set(patterns)


async def test_polls_are_spread_and_never_move() -> None:
    first, other = (await told()).server.interval_s, (await told(mac=OTHER)).server.interval_s
    assert first != other and (await told()).server.interval_s == first
    assert all(86_400 <= interval <= 95_040 and interval % 60 == 0 for interval in (first, other))


async def test_a_directory_has_an_end() -> None:
    many = [extension(str(number), label=f"n{number}") for number in range(1000, 1000 + MAX_CONTACTS + 5)]
    assert len((await told(*many)).contacts) == MAX_CONTACTS


async def test_what_is_published_holds_digests_of_token_and_login() -> None:
    found = await published()
    text = found.text()
    assert found.device["auth"] == "digest" and len(str(found.device["ha1"])) == 32
    assert len(str(found.device["token"])) == 64 and found.device["token"] != TOKEN
    assert found.device["version"] == version_of(found.files)
    config = next(f for f in found.files if f.secret)
    assert config.name == f"{MAC}.cfg" and b"x" * 20 in config.content
    assert publication_of(text).text() == text
    assert not any(file.common for file in found.files)


async def test_the_sequence_is_beside_the_files_and_not_in_the_version() -> None:
    one, two = await published(sequence=1), await published(sequence=2)
    assert (one.device["sequence"], two.device["sequence"]) == (1, 2)
    assert one.device["version"] == two.device["version"]


async def test_common_files_are_rendered_once_for_each_model_in_use() -> None:
    model = await model_of()
    found = render_publication(model, COMMON_UNIT, PLACE, lambda org: inside(model, org), 1).values
    assert found and all(key.name.startswith("common/") for key in found)
    assert not any(TOKEN in value for value in found.values())
    assert list(handset_units(model)) == [COMMON_UNIT, ADA, BEN]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (extension("100", label="Ada"), extension("100", label="Ada L."), {ADA}),
        (device("101"), device("101", password="y" * 20), {BEN}),
        (handset(), handset(name="Desk"), {ADA}),
        (None, handset(), {ADA, COMMON_UNIT}),
        (handset(), None, {ADA, COMMON_UNIT}),
        (SITE, SITE.model_copy(update={"time_zone": "Europe/London"}), {ADA, BEN}),
        (NUMBER, NUMBER.model_copy(update={"status": NumberStatus.RESERVED}), {ADA}),
    ],
)
async def test_a_change_touches_the_handsets_that_show_it(
    before: Entity | None, after: Entity | None, expected: set[Unit]
) -> None:
    assert touched_handsets(Index(await model_of()), before, after) == expected


async def test_only_what_the_directory_shows_changes_it() -> None:
    old = extension("100", label="Ada")
    assert directory_changed(old, extension("100", label="Bea")) == "acme"
    assert directory_changed(old, None) == "acme"
    assert directory_changed(old, extension("100", label="Ada", dnd=True)) is None


def test_a_difference_never_shows_a_secret() -> None:
    def side(secret: str, label: str) -> str:
        content = f"label = {label}\npassword = {secret}\n".encode()
        row = {"token": secret, "ha1": secret, "state": "enabled"}
        return Publication(row, (HandsetFile("a.cfg", content, "text/plain", secret=True),)).text()

    lines = "\n".join(difference(side("S" * 24, "Ada"), side("T" * 24, "Bea")))
    assert "S" * 16 not in lines and "T" * 16 not in lines
    assert "-label = Ada" in lines and "+label = Bea" in lines and "token: *** -> ***" in lines


@given(st.text(alphabet="abcXYZ0189", min_size=16, max_size=64), st.sampled_from(["=", " ", '"', "<", "/p/"]))
def test_a_run_as_long_as_a_secret_is_masked_wherever_it_stands(secret: str, mark: str) -> None:
    assert secret not in masked(f"a{mark}{secret}{mark}b")


async def test_a_file_is_shown_without_its_secrets() -> None:
    found = await published()
    for file in found.files:
        text = shown(file)
        assert "x" * 20 not in text and TOKEN not in text and "H" * 24 not in text and "A" * 24 not in text
    config = next(f for f in found.files if f.secret)
    assert "Ada" in shown(config)


async def test_the_passwords_of_the_web_pages_are_told_and_never_shown() -> None:
    setup = await told()
    assert (setup.admin_password.get_secret_value(), setup.user_password.get_secret_value()) == (
        "A" * 24,
        "B" * 24,
    )
    config = next(f for f in (await published()).files if f.secret)
    assert "B" * 24 in config.content.decode()
    assert "B" * 24 not in shown(config) and "A" * 24 not in shown(config)


async def test_that_somebody_looked_at_passwords_publishes_nothing() -> None:
    before = await published()
    assert await published(handset(passwords_shown_at=datetime(2026, 1, 1, tzinfo=UTC))) == before


@pytest.mark.parametrize(
    "text", ["80:5E:C0:12:34:56", "805e.c012.3456", "80-5E-C0-12-34-56", " 805EC0123456 "]
)
def test_a_mac_may_be_written_in_any_notation(text: str) -> None:
    assert normal_mac(text) == MAC


@pytest.mark.parametrize(
    "text", ["", "805ec012345", "805ec01234567", "815ec0123456", "0" * 12, "f" * 12, "zz" * 6]
)
def test_what_is_no_address_of_one_device_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a MAC address|group address"):
        normal_mac(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("blf", "needs what to dial"),
        ("teapot:1", "with a kind of"),
        ("blf:10 1:x", "digits"),
        ("blf:101:x:99", "1 to 16"),
        ("blf:101:x:1:2", "kind:value:label:line"),
        ("speed_dial:1:" + "x" * 31, "30 characters"),
    ],
)
def test_a_key_that_cannot_be_read_says_why(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        key_spec(text)


@pytest.mark.parametrize(
    "values",
    [
        {"admin_password": "short"},
        {"http_password": "with space " + "x" * 10},
        {"token": "xyz"},
        {"window_id": "a" * 32},
        {"extension": None},
        {"allowed": ("not a network",)},
        {"model": "x\ny"},
    ],
)
def test_a_handset_keeps_its_own_rules(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Handset.model_validate(handset().model_dump() | values)


async def test_text_of_a_publication_is_json_with_sorted_names() -> None:
    text = unpack((await published()).text())
    assert text == json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
