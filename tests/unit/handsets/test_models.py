"""Every model of the catalogue, not one of a family: rendered, read back and booted, with hard data.

A case is a transport, a time zone and a name; each model goes through all of them, with all its lines and
keys in use, so that a row of a vendor's table or of `models.csv` that is wrong is found by its model.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from control_plane.domain.extension import Transport
from control_plane.render.handsets.families import CATALOGUE, render_handset
from control_plane.render.handsets.family import CatalogueModel
from control_plane.render.handsets.setup import Contact, HandsetSetup, KeyKind, KeySetup, LineSetup, Srtp
from tests.handsets.boot import Account, from_files
from tests.handsets.setups import MAC, full_setup, line
from tests.handsets.softphones import SOFTPHONES
from tests.handsets.told import differences, expected, own_files
from tests.handsets.witnesses import WITNESSES

ZONES = (
    "Europe/London", "America/New_York", "Asia/Singapore", "Australia/Sydney", "Asia/Kathmandu",
    "America/St_Johns", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Auckland",
)  # fmt: skip
"""Both hemispheres, with and without summer time, and offsets that are no whole hours."""
NAMES = (
    "Fish & Chips",
    "<b>bold</b>",
    'Al "Bo" Gibbs',
    "O'Neill",
    "Chloé",
    "😀 Réception",
    "é&<\"'>😀;#=%NULL%",
)
TRANSPORTS = tuple(Transport)
MODELS = [model.name for model in CATALOGUE.models]
_KINDS = (KeyKind.BLF, KeyKind.SPEED_DIAL, KeyKind.VOICEMAIL)


def case(model: CatalogueModel, number: int) -> HandsetSetup:
    """The set-up of one case: all lines, all keys."""
    supports = CATALOGUE.family(model).supports
    transport = TRANSPORTS[number % 3] if "tls" in supports else Transport.UDP
    srtp = Srtp.REQUIRED if transport is Transport.TLS and "srtp" in supports else Srtp.OFF
    name = NAMES[number % len(NAMES)]
    keys = [KeySetup(1, KeyKind.LINE, "", name)]
    keys += [
        KeySetup(index, _KINDS[(index + number) % 3], str(100 + index), f"{name[:20]}{index}")
        for index in range(2, model.keys + 1)
    ]
    setup = full_setup(
        model,
        time_zone=ZONES[number],
        lines=tuple(
            line(index, display_name=f"{name} {index}", label=name, transport=transport, srtp=srtp)
            for index in range(1, model.lines + 1)
        ),
        keys=tuple(keys[: model.keys]),
        contacts=tuple(Contact(each, str(200 + place)) for place, each in enumerate(NAMES)),
    )
    if model.family in WITNESSES:
        return WITNESSES[model.family].limits.fit(setup)
    return SOFTPHONES[model.family].fit(replace(setup, mac="s0123456789a"))


def _registers(line: Account | LineSetup) -> tuple[object, ...]:
    """What decides whether a REGISTER works."""
    if isinstance(line, LineSetup):
        user, password = line.sip_user, line.sip_password.get_secret_value()
    else:
        user, password = line.auth_user or line.user, line.password
    return line.index, user, password, line.host, line.port, line.transport


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_told_what_it_should_be(name: str) -> None:
    model = CATALOGUE.model(name)
    softphone = SOFTPHONES.get(model.family)
    read, limits = (
        (softphone.read, softphone.limits)
        if softphone
        else (WITNESSES[model.family].read, WITNESSES[model.family].limits)
    )
    wrong = {}
    for number in range(len(ZONES)):
        setup = case(model, number)
        files = own_files(render_handset(setup))
        told = read(files, setup)
        if softphone:
            told = replace(told, user=None, password=None)
        if found := list(differences(told, expected(setup, limits))):
            wrong[number] = found
        if not softphone:
            booted = WITNESSES[model.family].handset().boot(MAC, name, from_files(files))
            believed, meant = ([_registers(each) for each in side] for side in (booted.accounts, setup.lines))
            if believed != meant and not found:
                wrong[number] = [f"registers with {believed}, not {meant}"]
    assert wrong == {}


@pytest.mark.parametrize("name", [name for name in MODELS if CATALOGUE.model(name).family in WITNESSES])
def test_a_model_asks_as_the_catalogue_says(name: str) -> None:
    model = CATALOGUE.model(name)
    family, handset = CATALOGUE.family(model), WITNESSES[model.family].handset()
    files = own_files(render_handset(case(model, 0)))
    asked = [each.rpartition("/")[2] for each in handset.boot(MAC, name, from_files(files)).asked]
    steps = [step.spelled(MAC, model) for step in family.boot]
    assert asked[0] == steps[0]
    assert [each for each in asked if each in steps] == [each for each in steps if each in asked]
    assert re.fullmatch(family.user_agent, handset.user_agent(MAC, name))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_renders_with_nothing_to_say(name: str) -> None:
    model = CATALOGUE.model(name)
    setup = replace(case(model, 0), lines=(), keys=(), contacts=(), ntp_servers=(), digit_patterns=())
    assert any(file.secret for file in render_handset(setup))
