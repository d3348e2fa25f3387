"""The secrets a lab makes for itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from control_plane.adapters.secrets import LabSecrets, load_or_make_secrets
from control_plane.errors import LabError


def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    state_dir = tmp_path / "new" / "state"
    made = load_or_make_secrets(state_dir)
    assert load_or_make_secrets(state_dir) == made
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_dir / "secrets.json").stat().st_mode) == 0o600


def test_no_two_labs_have_the_same_secrets(tmp_path: Path) -> None:
    values = [
        getattr(load_or_make_secrets(tmp_path / name), field).get_secret_value()
        for name in ("one", "two")
        for field in LabSecrets.model_fields
    ]
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 32


def test_a_missing_secret_is_added_and_unknown_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text(json.dumps({"ami": "kept", "of a newer version": "kept too"}))
    secrets = load_or_make_secrets(tmp_path)
    stored = json.loads((tmp_path / "secrets.json").read_text())
    assert secrets.ami.get_secret_value() == stored["ami"] == "kept"
    assert stored["of a newer version"] == "kept too"
    assert stored["api_token"] == secrets.api_token.get_secret_value()


@pytest.mark.parametrize("damaged", ['{"ami": "hunter2", ', "[1]", '{"ami": ["hunter2"]}', "null"])
def test_a_damaged_file_is_named_and_not_quoted(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "secrets.json").write_text(damaged)
    with pytest.raises(LabError, match=r"secrets\.json is damaged") as refused:
        load_or_make_secrets(tmp_path)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert (tmp_path / "secrets.json").read_text() == damaged


def test_a_state_directory_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="WIRECHIEF_STATE_DIR"):
        load_or_make_secrets(tmp_path / "file" / "state")


def test_secrets_do_not_show_when_printed(tmp_path: Path) -> None:
    secrets = load_or_make_secrets(tmp_path)
    assert secrets.ami.get_secret_value() not in repr(secrets)
