"""`wirechief handset uploads`: what handsets sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import run
from control_plane.cli.handsets import MacArgument, handset_app
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.errors import InvalidField
from control_plane.ports import ID_MAX, Upload
from control_plane.service.handset_status import written
from control_plane.service.handsets import require_handset
from control_plane.service.uploads import remove_upload, shown_upload


@handset_app.command("uploads")
def handset_uploads(
    mac: MacArgument,
    upload: Annotated[
        int | None, typer.Argument(metavar="[ID]", min=1, max=ID_MAX, help="Print this one.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what a handset sent, print one or remove it; what could be a secret reads ***."""
    wiring = wire()
    if remove and upload is None:
        raise InvalidField("ID", "say which is to be removed: 'wirechief handset uploads MAC' lists them")
    known = run(_known(wiring, mac))
    if upload is None:
        _print_list(run(wiring.uploads.list(known)), as_json)
    elif remove:
        run(_remove(wiring, known, upload))
        say(f"Removed upload {upload} of {written(known)}.")
    else:
        content = shown_upload(run(wiring.uploads.read(known, upload)))
        print_json({"id": upload, "content": content}) if as_json else typer.echo(content, nl=False)


async def _known(wiring: Wiring, mac: str) -> str:
    async with wiring.store() as store:
        return require_handset((await store.snapshot()).model, mac).mac


async def _remove(wiring: Wiring, mac: str, upload: int) -> None:
    async with wiring.store() as store:
        await remove_upload(store, wiring.uploads, by(), wiring.clock, mac, upload)


def _print_list(found: Sequence[Upload], as_json: bool) -> None:
    if as_json:
        print_json([{"id": u.id, "name": u.name, "at": u.at.isoformat(), "size": u.size} for u in found])
    else:
        rows = ((str(u.id), u.name, f"{u.at:%Y-%m-%d %H:%M:%S}", str(u.size)) for u in found)
        table("", ("id", "file", "sent (UTC)", "bytes"), rows)
