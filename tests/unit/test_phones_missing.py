"""Phones are optional: what a machine without their library is told."""

from __future__ import annotations

import sys

import pytest

from control_plane.adapters.phones import Engine
from control_plane.errors import LabError


def test_without_the_library_an_engine_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pjsua2", None)  # as the import system marks what cannot be imported
    with pytest.raises(LabError, match=r"run `pip install 'wirechief\[phones\]'`"):
        Engine()


def test_the_package_is_imported_without_the_library() -> None:
    importers = {name for name in sys.modules if name.startswith("control_plane.adapters.phones.")}
    assert "control_plane.adapters.phones.phone" in importers
    assert not importers & {f"control_plane.adapters.phones.{name}" for name in ("handset", "line", "pjsip")}
