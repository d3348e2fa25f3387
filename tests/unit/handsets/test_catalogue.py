"""The catalogue of models: a line is a model, and a wrong line is named."""

from __future__ import annotations

import pytest

from control_plane.errors import UnknownEntity
from control_plane.render.handsets.catalogue import Catalogue, parse_models
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.family import FEATURES

HEAD = "family,name,lines,keys,hardware_code\n"


def test_a_model_is_found_without_regard_to_case() -> None:
    assert CATALOGUE.model("t46u") == CATALOGUE.model("T46U")
    assert CATALOGUE.family(CATALOGUE.model("W70B")).id == "yealink_dect"
    with pytest.raises(UnknownEntity, match="T99"):
        CATALOGUE.model("T99")


def test_every_family_says_how_it_is_told_and_what_it_can() -> None:
    for family in CATALOGUE.families:
        assert family.resync and family.supports <= set(FEATURES)
        assert CATALOGUE.models_of(family)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("yealink_t,T1,1\n", "line 2"),
        ("yealink_t,T1,0,0,\n", "at least 1"),
        ("yealink_t,T1,a,0,\n", "numbers"),
        ("yealink_t,T1,1,0,\nyealink_t,t1,1,0,\n", "line 3: t1 stands here twice"),
        ("yealink_t,T1/../x,1,0,\n", "plain word"),
        (",T1,1,0,\n", "plain word"),
    ],
)
def test_a_wrong_line_is_named(lines: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(parse_models("yealink", HEAD + lines))


def test_another_header_is_refused() -> None:
    with pytest.raises(ValueError, match="first line"):
        list(parse_models("yealink", "name,family\n"))


def test_a_model_of_no_family_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Catalogue(CATALOGUE.families, (*CATALOGUE.models, *parse_models("yealink", HEAD + "other,T1,1,0,\n")))
