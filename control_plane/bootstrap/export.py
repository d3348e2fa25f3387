"""Writes a node as an /etc/asterisk tree for an Asterisk that nobody pushes to."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from control_plane.bootstrap.wiring import Wiring
from control_plane.domain.model import Model
from control_plane.errors import LabError
from control_plane.render.export import DATABASE_FILE, ETC, KEYS_DIR, Place, render_export

MANIFEST = ".wirechief-export"
"""File of the tree that names the others, so that a later export over it leaves none behind."""
_KEYS = ("ca.crt", "node.crt", "node.key")
_SIDE_FILES = tuple(f"{DATABASE_FILE}{end}" for end in ("-journal", "-wal", "-shm"))
"""What SQLite keeps beside a database in use; another database's would damage the new one."""
_TARGET = re.compile(r"/[A-Za-z0-9._-][A-Za-z0-9._/-]*")
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
    wiring: Wiring,
    model: Model,
    directory: Path,
    *,
    target: str = ETC,
    address: str | None = None,
    force: bool = False,
) -> Exported:
    """Makes `directory` the tree, to stand at `target` on the machine that runs it, with SIP on `address`.

    Files are for their owner alone, since there are passwords in them; give them to Asterisk's user. The
    manager user's secret is not the one the push uses. With `force`, what an earlier export wrote is replaced
    or goes; files of somebody else that are in the way are replaced, others stay.

    Raises:
        LabError: the directory is not empty (and not `force`), or cannot be written.
        RenderError: the model holds a value that cannot be expressed.
    """
    place = _require_place(target, address or wiring.settings.sip_address)
    keys = wiring.state_dir / "node" / "etc" / KEYS_DIR
    start = replace(wiring.node_start, ami_secret=wiring.secrets.export_ami.get_secret_value())
    try:
        place = replace(place, certificate_for=_certificate_for(keys))
        tree = render_export(model, start, place)
        made = {name: text.encode() for name, text in tree.files.items()}
        if place.certificate_for is not None:
            made |= {f"{KEYS_DIR}/{name}": (keys / name).read_bytes() for name in _KEYS}
        _require_empty(directory, force=force)
        _write(directory, made, tree.rows)
    except OSError as exc:
        raise LabError(
            f"{exc.filename or directory} cannot be used ({exc.strerror}): name a directory you may write."
        ) from exc
    return Exported(directory, len(made), len(tree.rows), place.certificate_for is not None)


def _require_place(target: str, address: str) -> Place:
    if _TARGET.fullmatch(target) is None:
        raise LabError(
            f"--target {target!r} must be a directory from the root on, of letters, digits and . _ - /."
        )
    try:
        parsed = IPv4Address(address)
    except AddressValueError:
        raise LabError(f"--address {address!r} is not an IPv4 address: name one as 192.0.2.10.") from None
    if parsed.is_unspecified or parsed.is_multicast:
        raise LabError(f"--address {address}: phones are told this address, so name one of that machine.")
    return Place(target.rstrip("/"), str(parsed), None)


def _certificate_for(keys: Path) -> str | None:
    """The address the lab's certificate is made out to; None when there is none yet."""
    if not all((keys / name).exists() for name in (*_KEYS, "names")):
        return None
    names = (keys / "names").read_text().strip().split(",")
    return next((name.removeprefix("IP:") for name in names if name.startswith("IP:")), "")


def _require_empty(directory: Path, *, force: bool) -> None:
    if directory.exists() and not directory.is_dir():
        raise LabError(f"{directory} is a file: name a directory.")
    if not force and directory.is_dir() and any(directory.iterdir()):
        raise LabError(f"{directory} is not empty: name another directory, or say --force to write over it.")


def _write(directory: Path, files: Mapping[str, bytes], rows: Mapping[str, str]) -> None:
    _remove_earlier(directory)
    listed = "".join(f"{name}\n" for name in sorted((*files, DATABASE_FILE)))
    # First, so that what is written before an interruption is known to the next export.
    _write_private(directory / MANIFEST, listed.encode())
    for name, content in files.items():
        _write_private(directory / name, content)
    _write_database(directory / DATABASE_FILE, rows)


def _remove_earlier(directory: Path) -> None:
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return
    for name in (*manifest.read_text().splitlines(), *_SIDE_FILES):
        path = directory / name
        # The list is a file in a directory others may write to: it must not reach beyond it.
        if name and path.parent.resolve().is_relative_to(directory.resolve()):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it, or it is not there
        (directory / KEYS_DIR).rmdir()


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _write_database(path: Path, rows: Mapping[str, str]) -> None:
    _write_private(path, b"")  # so that it is never readable by others
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(_SCHEMA)
        database.executemany("INSERT INTO astdb(key, value) VALUES (?, ?)", rows.items())
