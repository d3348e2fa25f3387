"""Softphones: what their one file says is what the set-up says, and no more of a secret than it must."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.errors import UnsafeValue
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.setup import Contact, HandsetSetup
from tests.handsets.setups import HOSTILE, full_setup, line, setups
from tests.handsets.softphones import SOFTPHONES, sections
from tests.handsets.told import TOLD_BY_FEATURE, differences, expected, own_files

GOLDEN = Path(__file__).parent / "golden"
ID = "s0123456789a"
NAMES = sorted(SOFTPHONES)


def full(name: str, **changes: Any) -> HandsetSetup:
    phone = SOFTPHONES[name]
    return phone.fit(replace(full_setup(CATALOGUE.model(phone.model)), mac=ID, **changes))


def wrong(name: str, setup: HandsetSetup) -> list[str]:
    phone = SOFTPHONES[name]
    told = phone.read(own_files(render_handset(setup)), setup)
    return list(differences(replace(told, user=None, password=None), expected(setup, phone.limits)))


def test_every_softphone_has_a_reader() -> None:
    assert {family.id for family in CATALOGUE.families if family.softphone} == set(SOFTPHONES)


@pytest.mark.parametrize("name", NAMES)
def test_a_setup_that_uses_everything_is_read_back(name: str) -> None:
    assert wrong(name, full(name)) == []


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_setup_is_read_back(name: str, data: st.DataObject) -> None:
    phone = SOFTPHONES[name]
    setup = phone.fit(replace(data.draw(setups(CATALOGUE.model(phone.model))), mac=ID))
    assert wrong(name, setup) == []


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_means_harm_is_a_name(name: str, text: str) -> None:
    lines = (line(1, label=text, display_name=text),)
    assert wrong(name, full(name, lines=lines, contacts=(Contact(text, "100"),))) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_a_softphone_supports_is_in_its_file(name: str) -> None:
    phone = SOFTPHONES[name]
    setup = full(name)
    told = phone.read(own_files(render_handset(setup)), setup)
    supported = CATALOGUE.family(CATALOGUE.model(phone.model)).supports - phone.untold
    silent = [feature for feature in supported if TOLD_BY_FEATURE[feature](told) in (None, (), {}, "")]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_there_is_one_file_to_fetch_and_it_is_secret(name: str) -> None:
    phone = SOFTPHONES[name]
    [step] = CATALOGUE.family(CATALOGUE.model(phone.model)).boot
    files = {file.name: file for file in render_handset(full(name))}
    assert files[step.name].secret
    assert not any(file.common or file.bootstrap for file in files.values() if file.name != "ca.crt")


def test_linphone_is_given_a_hash_and_not_the_password() -> None:
    setup = full("linphone")
    [file] = render_handset(setup)
    assert b"Sip-Secret" not in file.content
    assert "passwd" not in sections(file.content)["auth_info_0"]


def test_the_hash_is_of_the_realm_of_the_server() -> None:
    one, other = (
        render_handset(full("linphone", lines=(line(1, realm=realm),)))[0].content
        for realm in ("asterisk", "pbx.example.com")
    )
    found = [re.search(rb'"ha1" overwrite="true">([0-9a-f]{32})<', content) for content in (one, other)]
    assert found[0] and found[1] and found[0][1] != found[1][1]


@pytest.mark.parametrize("user", ["a;transport=udp", "a@b", "a>", "", 'a"'])
def test_a_user_that_would_change_an_address_is_refused(user: str) -> None:
    with pytest.raises(UnsafeValue, match="sip_user"):
        render_handset(full("linphone", lines=(line(1, sip_user=user),)))


@pytest.mark.parametrize("host", ["pbx;lr", "pbx@other", "a b", "", "<pbx>"])
def test_a_host_that_would_change_an_address_is_refused(host: str) -> None:
    with pytest.raises(UnsafeValue, match="host"):
        render_handset(full("linphone", lines=(line(1, host=host),)))


@pytest.mark.parametrize("number", ["1;x=y", "sip:1@evil", "1>", "1\N{FULLWIDTH DIGIT ONE}"])
def test_a_number_that_cannot_be_dialled_is_refused(number: str) -> None:
    with pytest.raises(UnsafeValue, match="contacts"):
        render_handset(full("linphone", contacts=(Contact("Anna", number),)))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_setup_gives_the_same_bytes_as_last_time(name: str) -> None:
    folder = GOLDEN / name
    files = {file.name: file.content for file in render_handset(full(name))}
    if os.environ.get("WIRECHIEF_UPDATE_SNAPSHOTS"):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.iterdir():
            stale.unlink()
        for file, content in files.items():
            (folder / file).write_bytes(content)
    found = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    assert found == files, "look at the change, then set WIRECHIEF_UPDATE_SNAPSHOTS=1"
