"""An exported tree on disk: who may read it, writing it twice, and writing it over another."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from control_plane.adapters.secrets import load_or_make_secrets
from control_plane.bootstrap.export import Exported, export_tree
from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.entities import Organisation, Site
from control_plane.domain.extension import Extension
from control_plane.domain.model import Model
from control_plane.domain.regions import RegionCode
from control_plane.errors import LabError
from control_plane.settings import Settings

ADDRESS = "127.0.0.1"


def model(*keys: str) -> Model:
    return Model.of(
        organisations=[Organisation(id="acme", name="Acme")],
        sites=[Site(id="sg", name="SG", region=RegionCode.SG, time_zone="Asia/Singapore", node="lab")],
        extensions=[Extension.model_validate({"org": "acme", "key": key, "site": "sg"}) for key in keys],
    )


@pytest.fixture(name="wiring")
def _wiring(tmp_path: Path) -> Wiring:
    state = tmp_path / "state"
    return Wiring(Settings(state_dir=state, sip_address=ADDRESS), load_or_make_secrets(state))


def with_certificate(wiring: Wiring) -> None:
    keys = wiring.state_dir / "node" / "etc" / "keys"
    keys.mkdir(parents=True)
    for name in ("ca.crt", "ca.key", "node.crt", "node.key"):
        (keys / name).write_text(name)
    (keys / "names").write_text(f"IP:{ADDRESS},DNS:localhost")


def content(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file()}


def test_only_the_owner_can_read_any_file_of_the_tree(wiring: Wiring, tmp_path: Path) -> None:
    with_certificate(wiring)
    tree = tmp_path / "tree"
    export_tree(wiring, model("100"), tree)
    modes = {
        (p.is_dir(), stat.S_IMODE(p.stat().st_mode)) for p in (tree, *tree.rglob("*")) if not p.is_symlink()
    }
    assert modes == {(True, 0o700), (False, 0o600)}


def test_two_exports_of_one_model_have_the_same_bytes(wiring: Wiring, tmp_path: Path) -> None:
    with_certificate(wiring)
    for name in ("one", "two"):
        export_tree(wiring, model("100", "101"), tmp_path / name)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    export_tree(wiring, model("100", "101"), tmp_path / "one", force=True)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_was_written_is_counted_and_the_database_is_one_that_asterisk_reads(
    wiring: Wiring, tmp_path: Path
) -> None:
    done = export_tree(wiring, model("100"), tmp_path / "tree")
    with closing(sqlite3.connect(tmp_path / "tree" / "db" / "astdb.sqlite3")) as database:
        rows = dict(database.execute("SELECT key, value FROM astdb"))
    assert "/ext/acme/100" in rows
    assert done == Exported(tmp_path / "tree", len(content(tmp_path / "tree")) - 2, len(rows), tls=False)


def test_the_signing_key_of_the_authority_stays_at_home(wiring: Wiring, tmp_path: Path) -> None:
    with_certificate(wiring)
    assert export_tree(wiring, model(), tmp_path / "tree").tls
    assert sorted(p.name for p in (tmp_path / "tree" / "keys").iterdir()) == [
        "ca.crt",
        "node.crt",
        "node.key",
    ]


def test_the_secret_of_the_push_is_in_no_file(wiring: Wiring, tmp_path: Path) -> None:
    export_tree(wiring, model(), tmp_path / "tree")
    files = content(tmp_path / "tree")
    assert not any(wiring.secrets.ami.get_secret_value().encode() in data for data in files.values())
    own = wiring.secrets.export_ami.get_secret_value().encode()
    assert [name for name, data in files.items() if own in data] == ["manager.conf"]


def test_a_directory_with_anything_in_it_is_left_alone(wiring: Wiring, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "mine").write_text("kept")
    with pytest.raises(LabError, match=r"tree is not empty: .*--force"):
        export_tree(wiring, model(), tmp_path / "tree")
    assert content(tmp_path / "tree") == {"mine": b"kept"}


def test_force_leaves_nothing_of_an_earlier_export_and_everything_of_others(
    wiring: Wiring, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    with_certificate(wiring)
    export_tree(wiring, model("100", "101"), tree)
    for name in ("db/astdb.sqlite3-wal", "db/astdb.sqlite3-journal", "notes of the operator"):
        (tree / name).write_text("of the old database, or mine")
    (wiring.state_dir / "node" / "etc" / "keys" / "node.crt").unlink()
    export_tree(wiring, model("100"), tree, force=True)
    export_tree(wiring, model("100"), tmp_path / "fresh")
    left = content(tree)
    assert left.pop("notes of the operator") == b"of the old database, or mine"
    assert left == content(tmp_path / "fresh")
    assert not (tree / "keys").exists()


def test_a_list_that_reaches_out_of_the_directory_is_not_followed(wiring: Wiring, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    export_tree(wiring, model(), tree)
    (tmp_path / "precious").write_text("kept")
    (tree / ".wirechief-export").write_text(f"../precious\n{tmp_path}/precious\n")
    export_tree(wiring, model(), tree, force=True)
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"target": "etc/asterisk"}, "--target"),
        ({"target": "/etc/a;b"}, "--target"),
        ({"target": "/"}, "--target"),
        ({"address": "pbx.example"}, "--address"),
        ({"address": "0.0.0.0"}, "--address"),
    ],
)
def test_a_place_no_asterisk_can_be_at_is_refused_with_the_option_that_names_it(
    wiring: Wiring, tmp_path: Path, place: dict[str, Any], message: str
) -> None:
    with pytest.raises(LabError, match=message):
        export_tree(wiring, model(), tmp_path / "tree", **place)
    assert not (tmp_path / "tree").exists()


def test_a_file_in_the_place_of_the_directory_is_named(wiring: Wiring, tmp_path: Path) -> None:
    (tmp_path / "tree").write_text("a file")
    with pytest.raises(LabError, match="is a file: name a directory"):
        export_tree(wiring, model(), tmp_path / "tree", force=True)
