"""Numbering rules of the regions."""

from __future__ import annotations

import pytest

from control_plane.domain.regions import REGIONS, RegionCode


@pytest.mark.parametrize(
    ("region", "dialled", "e164"),
    [
        ("GB", "02079460000", "+442079460000"),
        ("GB", "00442079460000", "+442079460000"),
        ("GB", "+442079460000", "+442079460000"),
        ("GB", "999", "999"),
        ("US", "2125550100", "+12125550100"),
        ("US", "12125550100", "+12125550100"),
        ("US", "011442079460000", "+442079460000"),
        ("SG", "61000100", "+6561000100"),
        ("SG", "001442079460000", "+442079460000"),
        ("AU", "0291234567", "+61291234567"),
        ("AU", "001144207946000", "+44207946000"),
        ("AU", "000", "000"),
    ],
)
def test_a_dialled_number_becomes_e164(region: str, dialled: str, e164: str) -> None:
    assert REGIONS[RegionCode(region)].normalise(dialled) == e164
