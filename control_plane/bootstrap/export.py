"""Writes a node as an /etc/asterisk tree for an Asterisk that nobody pushes to."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.model import Model
from control_plane.errors import LabError
from control_plane.render.export import DATABASE_DIR, DATABASE_FILE, ETC, KEYS_DIR, render_export

_KEYS = ("ca.crt", "node.crt", "node.key")
_SCHEMA = "CREATE TABLE astdb(key VARCHAR(256), value VARCHAR(256), PRIMARY KEY(key))"
"""As Asterisk 22 creates it itself (main/db.c)."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. `tls` is False when the lab has no certificate yet, so the tree has no TLS."""

    directory: Path
    files: int
    rows: int
    tls: bool


def export_tree(
    wiring: Wiring, model: Model, directory: Path, *, target: str = ETC, force: bool = False
) -> Exported:
    """Makes `directory` the tree, to stand at `target` on the machine that runs it.

    Files are for their owner alone, since there are passwords in them; give them to Asterisk's user.

    Raises:
        LabError: the directory is not empty (and not `force`), or cannot be written.
        RenderError: the model holds a value that cannot be expressed.
    """
    keys = wiring.state_dir / "node" / "etc" / KEYS_DIR
    tls = all((keys / name).exists() for name in _KEYS)
    tree = render_export(model, wiring.node_start, target=target.rstrip("/"), tls=tls)
    try:
        _require_empty(directory, force=force)
        _write_files(directory, tree.files)
        _write_database(directory / DATABASE_FILE, tree.rows)
        if tls:
            _copy_keys(keys, directory / KEYS_DIR)
    except OSError as exc:
        raise LabError(
            f"{exc.filename or directory} cannot be written ({exc.strerror}): name a directory you may write."
        ) from exc
    return Exported(directory, len(tree.files), len(tree.rows), tls)


def _require_empty(directory: Path, *, force: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise LabError(f"{directory} is a file: name a directory.")
    if not force and directory.is_dir() and any(directory.iterdir()):
        raise LabError(f"{directory} is not empty: name another directory, or say --force to write over it.")


def _write_files(directory: Path, files: Mapping[str, str]) -> None:
    for part in (directory, directory / DATABASE_DIR):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        _write_private(directory / name, text.encode())


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _write_database(path: Path, rows: Mapping[str, str]) -> None:
    _write_private(path, b"")  # so that it is never readable by others
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_SCHEMA)
        database.executemany("INSERT INTO astdb(key, value) VALUES (?, ?)", rows.items())


def _copy_keys(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700, exist_ok=True)
    for name in _KEYS:
        _write_private(target / name, b"")
        shutil.copyfile(source / name, target / name)
