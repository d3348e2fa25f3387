"""Every family: what its files say is what the set-up says, whatever the names are."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.gigaset import PIN, system_pin
from control_plane.render.handsets.publication import shown
from control_plane.render.handsets.setup import Contact, HandsetSetup
from tests.handsets.setups import HOSTILE, MAC, full_setup, line, setups
from tests.handsets.told import TOLD_BY_FEATURE, differences, expected, own_files
from tests.handsets.witnesses import WITNESSES

GOLDEN = Path(__file__).parent / "golden"
FAMILIES = sorted(WITNESSES)
FAMILY_MODELS = [(family, model) for family in FAMILIES for model in WITNESSES[family].models]


def full(model: str, **changes: object) -> HandsetSetup:
    """A set-up that uses everything this model's family can express."""
    entry = CATALOGUE.model(model)
    setup = full_setup(entry, **changes)
    return WITNESSES[entry.family].limits.fit(setup) if entry.family in WITNESSES else setup


def wrong(family: str, setup: HandsetSetup) -> list[str]:
    witness = WITNESSES[family]
    told = witness.read(own_files(render_handset(setup)), setup)
    return list(differences(told, expected(setup, witness.limits)))


def test_every_family_has_a_witness() -> None:
    assert {family.id for family in CATALOGUE.families if not family.softphone} <= set(WITNESSES)
    for family, witness in WITNESSES.items():
        assert {CATALOGUE.model(model).family for model in witness.models} == {family}


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_a_setup_that_uses_everything_is_read_back(family: str, model: str) -> None:
    assert wrong(family, full(model)) == []


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_setup_is_read_back(family: str, model: str, data: st.DataObject) -> None:
    setup = WITNESSES[family].limits.fit(data.draw(setups(CATALOGUE.model(model))))
    assert wrong(family, setup) == []


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_name_that_means_harm_is_a_name(family: str, text: str) -> None:
    model = WITNESSES[family].models[0]
    lines = (line(1, label=text, display_name=text),)
    assert (
        wrong(family, full(model, lines=lines, contacts=(Contact(text, "100"),), directory_name=text)) == []
    )


@pytest.mark.parametrize("mark", ["\n", "\r", "\0", "\x1b", "\u2028", "\x85"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_line_break_or_control_character_is_refused_and_named(family: str, mark: str) -> None:
    model = WITNESSES[family].models[0]
    setup = full(model, lines=(line(1, label=f"Anna{mark}account.1.password = x"),))
    with pytest.raises(UnsafeValue, match=r"lines\.1\.label"):
        render_handset(setup)
    with pytest.raises(UnsafeValue, match=r"server\.ca_pem|admin_password"):
        render_handset(full(model, admin_password=SecretStr(f"Admin{mark}0000000000")))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_family_supports_is_in_its_files(family: str) -> None:
    witness = WITNESSES[family]
    setup = full(witness.models[0])
    told = witness.read(own_files(render_handset(setup)), setup)
    [entry] = [each for each in CATALOGUE.families if each.id == family]
    silent = [
        feature
        for feature in entry.supports - witness.untold
        if TOLD_BY_FEATURE[feature](told) in (None, (), {}, "")
    ]
    assert silent == []


ONE_ACCOUNT = frozenset({"gigaset_nx70", "gigaset_n510"})
"""Their web pages know an administrator alone, by what is known of them."""


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_no_account_of_the_web_pages_keeps_the_password_of_its_maker(family: str, model: str) -> None:
    """Both where there are two; gone from the file, the handset would keep what it had before."""
    setup = full(model)
    told = WITNESSES[family].read(own_files(render_handset(setup)), setup)
    admin, user = setup.admin_password.get_secret_value(), setup.user_password.get_secret_value()
    assert told.admin_password == CATALOGUE.family(CATALOGUE.model(model)).admin_login(admin)
    assert told.user_password == (None if family in ONE_ACCOUNT else user)


@given(st.text(alphabet="abcXYZ019", min_size=16, max_size=64))
def test_the_pin_of_a_gigaset_base_is_four_digits_and_not_that_of_its_maker(password: str) -> None:
    pin = system_pin(password)
    assert re.fullmatch(r"[0-9]{4}", pin) and pin != "0000"
    assert pin == system_pin(password)


def test_the_pin_of_a_gigaset_base_is_shown_to_nobody_who_looks_at_its_file() -> None:
    setup = full("N510 IP PRO", lines=())
    pin = system_pin(setup.admin_password.get_secret_value())
    (file, *_) = (one for one in render_handset(setup) if one.secret and not one.bootstrap)
    packed = f"0x{pin[:2]},0x{pin[2:]}"
    assert packed in file.content.decode()
    assert packed not in shown(file) and f'{PIN}" class="symb_item" value="***"' in shown(file)


@pytest.mark.parametrize(("family", "model"), FAMILY_MODELS)
def test_common_files_are_the_same_for_every_handset(family: str, model: str) -> None:
    one = full(model)
    other = replace(
        full(model, lines=(), keys=(), contacts=()), mac="0004130000ff", time_zone="Asia/Tokyo", language="fr"
    )
    common = [
        {file.name: file.content for file in render_handset(setup) if file.common} for setup in (one, other)
    ]
    assert common[0] == common[1]
    for content in common[0].values():
        for told in (MAC, one.lines[0].sip_user, one.server.url, one.server.user, "Secret", "Password"):
            assert told.encode() not in content


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bootstrap_tells_the_url_and_no_sip_secret(family: str) -> None:
    setup = full(WITNESSES[family].models[0])
    bootstraps = [file for file in render_handset(setup) if file.bootstrap]
    assert bootstraps
    folder = urlsplit(setup.server.url).path.rstrip("/").encode()
    assert any(folder in file.content for file in bootstraps)
    assert not any(b"Sip-Secret" in file.content or b"AdminPassword" in file.content for file in bootstraps)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_logged_out_handset_keeps_nothing_of_a_person(family: str) -> None:
    setup = full(WITNESSES[family].models[0], logged_out=True)
    witness = WITNESSES[family]
    told = witness.read(own_files(render_handset(setup)), setup)
    assert told.contacts in (None, ())
    assert not any(key.value in ("101", "*97") for key in (told.keys or {}).values())
    assert not any(each.voicemail_code or each.mwi for each in told.lines.values())
    assert not any(b"Bob" in content for content in own_files(render_handset(setup)).values())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_setup_gives_the_same_bytes_as_last_time(family: str) -> None:
    folder = GOLDEN / family
    files = {
        f"{'bootstrap-' if file.bootstrap else ''}{file.name}": file.content
        for file in render_handset(full(WITNESSES[family].models[0]))
    }
    if os.environ.get("WIRECHIEF_UPDATE_SNAPSHOTS"):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.iterdir():
            stale.unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    found = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    assert found == files, "look at the change, then set WIRECHIEF_UPDATE_SNAPSHOTS=1"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mac": "80:5e:c0:a1:b2:c3"}, "mac"),
        ({"mac": "../../etc/pa"}, "mac"),
        ({"lines": (line(1), line(1))}, "same number"),
        ({"lines": (line(99),)}, "T46U has 16"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"digit_patterns": ("1|2",)}, "digit_patterns"),
        ({"stun_server": "stun.example.com:a"}, "port"),
    ],
)
def test_what_cannot_be_said_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UnsafeValue, match=says):
        render_handset(full("T46U", **changes))


def test_a_certificate_file_holds_certificates_only() -> None:
    setup = full("T46U")
    with pytest.raises(UnsafeValue, match="ca_pem"):
        render_handset(
            replace(setup, server=replace(setup.server, ca_pem="-----BEGIN RSA PRIVATE KEY-----\n"))
        )
