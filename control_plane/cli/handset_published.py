"""`wirechief handset notify`, `files`, `file` and `qr`: what is published for a handset, and telling it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from control_plane.bootstrap.handsets import provisioning_of
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import run
from control_plane.cli.handsets import MacArgument, handset_app
from control_plane.cli.output import JsonOption, print_json, say, table, yes_no
from control_plane.domain.model import Model
from control_plane.errors import InvalidField
from control_plane.render.handsets.qr import Picture, qr_code
from control_plane.service.handsets import require_handset


@handset_app.command("notify")
def handset_notify(
    mac: MacArgument,
    reboot: Annotated[bool, typer.Option("--reboot", help="Let it start anew.")] = False,
) -> None:
    """Tell one handset, and no other, to fetch now."""
    wiring = wire()

    async def notify() -> str:
        async with provisioning_of(wiring) as provisioning:
            return await provisioning.notify(mac, reboot)

    say(f"Told {run(notify())} to {'start anew' if reboot else 'fetch'}.")


@handset_app.command("files")
def handset_files(mac: MacArgument, as_json: JsonOption = False) -> None:
    """List what a handset can fetch, and when it last did."""
    found = run(_of(wire(), mac, lambda p, known: p.files(known)))
    if as_json:
        print_json([{k: v for k, v in file.items() if k != "fetched"} for file in found])
        return
    rows = (
        (
            file["name"] + (" (bootstrap)" if file["bootstrap"] else ""),
            str(file["size"]),
            yes_no(file["secret"]),
            f"{file['fetched'].at:%Y-%m-%d %H:%M:%S} ({file['fetched'].status})" if file["fetched"] else "",
        )
        for file in found
    )
    table("", ("file", "bytes", "secret", "last fetch (UTC)"), rows, none="Nothing is published for it yet.")


@handset_app.command("file")
def handset_file(
    mac: MacArgument,
    name: Annotated[str, typer.Argument(help="Its name, as 'files' lists it.")],
    bootstrap: Annotated[bool, typer.Option("--bootstrap", help="The one served while enrolling.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a file as it is published; what could be a secret reads ***."""
    found = run(_of(wire(), mac, lambda p, known: p.file(known, name, bootstrap)))
    if as_json:
        print_json({"name": name, "content": found["content"]})
    else:
        typer.echo(found["content"], nl=False)


async def _of(wiring: Wiring, mac: str, ask: Callable[..., Awaitable[Any]]) -> Any:
    async with provisioning_of(wiring, connect=False) as provisioning:
        model: Model = (await provisioning.store.snapshot()).model
        return await ask(provisioning, require_handset(model, mac).mac)


@handset_app.command("qr")
def handset_qr(
    mac: MacArgument,
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help="How long it is valid.")] = 60,
    picture: Annotated[Path | None, typer.Option("--picture", help="Save it as an SVG file instead.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a link to a softphone's settings that works once, and show it as a QR code."""
    if picture is not None:
        _made_private(picture)
    found = run(_of(wire(), mac, lambda p, known: p.link_for(known, minutes)))
    if as_json:
        print_json({**found, "valid_until": found["valid_until"].isoformat()})
        return
    if picture is None:
        typer.echo(qr_code(found["link"], Picture.TERMINAL), nl=False)
    else:
        picture.write_text(found["qr_svg"])
    say(found["link"])
    say(f"Works once, until {found['valid_until']:%Y-%m-%d %H:%M} UTC. Give it to its person only.")


def _made_private(path: Path) -> None:
    """An empty file for what lets somebody in, readable by its owner alone."""
    try:
        path.touch(0o600, exist_ok=False)
    except OSError as exc:
        why = exc.strerror or "not possible"
        raise InvalidField(
            "picture", f"{path} cannot be made ({why}): name a file that is not there yet"
        ) from exc
