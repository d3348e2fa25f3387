"""`wirechief set`, `extension ...`, `device ...`: changing the model, and waiting until it is in force."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from control_plane.bootstrap.client import Client
from control_plane.bootstrap.lab import read_model
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.assignments import parse
from control_plane.cli.options import DryRunOption, FittingOrgOption, FittingSiteOption, SiteOption
from control_plane.cli.output import JsonOption, facts, print_json, progress, say
from control_plane.cli.previewing import preview_change
from control_plane.cli.pushing import push_now
from control_plane.cli.references import device_of, extension_id, place_id
from control_plane.cli.showing import ExtensionArgument, extension_as_dict
from control_plane.domain.extension import DeviceKind, ExtensionType, Transport
from control_plane.domain.model import ExtensionId
from control_plane.errors import AsteriskError
from control_plane.service import devices, extensions, tenants
from control_plane.service.preview import preview_extension
from control_plane.store import SqlStore

set_app = group("set")
extension_app = group("extension")
device_app = group("device")

IN_FORCE_S = 10.0
"""How long a command waits for a change to be in force before it says that it is not yet."""


@set_app.command("extension")
def set_extension(
    extension: ExtensionArgument,
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="Such as dnd=true forwarding.extensions=101,102."),
    ],
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change settings of an extension; only what is given changes, and it is in force when this returns."""
    changes = parse(assignments)
    if dry_run:
        preview_change(
            lambda store, model, handsets: preview_extension(
                store, by(), extension_id(model, extension), changes, handsets
            ),
            as_json,
        )
        return
    wiring = wire()
    version, changed = run(_patch(wiring, extension, changes))
    force = await_force(wiring, version) if changed else {"in_force": True, "took_ms": 0.0}
    if as_json:
        model = run(read_model(wiring))
        shown = extension_as_dict(model, model.extensions[extension_id(model, extension)], None)
        print_json({"extension": shown, "revision": version, **force})
    elif changed:
        say_force(version, force)
    else:
        say("Nothing changed: the extension is like that already.")


async def _patch(wiring: Wiring, extension: str, changes: dict[str, object]) -> tuple[int, bool]:
    async with wiring.store() as store:
        ident = extension_id((await store.snapshot()).model, extension)
        before = await store.revision()
        saved = await extensions.patch_extension(store, by(), ident, changes)
        return saved.version, saved.version > before


def await_force(wiring: Wiring, revision: int) -> dict[str, Any]:
    """Waits until Asterisk holds `revision`; pushes itself where no control plane runs and it may."""
    begun = time.monotonic()
    why: str | None = None
    try:
        if wiring.pid_file.running() is not None:
            within_s = IN_FORCE_S if wiring.settings.auto_apply else 0.1
            client = Client(wiring)
            why = _followed(client.follow(revision, within_s), revision)
            why = why or _published(client.publishing_follow(revision, within_s), revision)
        elif wiring.settings.auto_apply:
            pushed = push_now(wiring)
            why = None if pushed["ok"] else "; ".join(pushed["problems"]) or str(pushed["error"])
        else:
            why = "changes wait for 'wirechief apply' (auto_apply is off)"
    except AsteriskError as exc:
        why = str(exc)
    return {"in_force": why is None, "took_ms": round((time.monotonic() - begun) * 1000, 1), "why_not": why}


def _followed(node: dict[str, Any], revision: int) -> str | None:
    if node["in_sync"] and node["revision_pushed"] >= revision:
        return None
    if node["last_error"]:
        return str(node["last_error"])
    return "changes wait for 'wirechief apply'" if node["pending"] else "the push is not finished yet"


def _published(publishing: dict[str, Any], revision: int) -> str | None:
    if publishing["revision_published"] >= revision:
        return None
    return str(publishing["last_error"] or "handsets' files are not published yet")


def say_force(revision: int, force: dict[str, Any]) -> None:
    """One line: saved, and since when in force or why not yet."""
    if force["in_force"]:
        say(f"Saved as revision {revision}; in force in Asterisk after {force['took_ms']:.0f} ms.")
    else:
        say(f"Saved as revision {revision}; not in force yet: {force['why_not']}")


@set_app.command("code")
def set_code(
    digits: Annotated[str | None, typer.Argument(help="4 to 8 digits; random ones when not given.")] = None,
    org: FittingOrgOption = None,
    site: FittingSiteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an organisation at a site a new authorization code (R56) and show it once; it is kept nowhere."""
    wiring = wire()
    where, version, shown = run(_set_code(wiring, org, site, digits))
    force = await_force(wiring, version)
    if as_json:
        print_json({"org": where[0], "site": where[1], "code": shown, "revision": version, **force})
        return
    say(f"Authorization code of {where[0]} at {where[1]}: {shown} (shown once, kept nowhere)")
    say_force(version, force)


async def _set_code(
    wiring: Wiring, org: str | None, site: str | None, digits: str | None
) -> tuple[tuple[str, str], int, str]:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        found = place_id(model.occupancies, "organisation at one site", org, site)
        saved, shown = await tenants.set_authorization_code(store, by(), found, digits)
        return found, saved.version, shown


@extension_app.command("add")
def extension_add(
    key: Annotated[str, typer.Argument(help="Its number inside, 2 to 6 digits.")],
    org: Annotated[
        str | None, typer.Option("--org", help="Organisation; not needed where only one has extensions.")
    ] = None,
    site: SiteOption = None,
    label: Annotated[str, typer.Option("--label", help="What it is called.")] = "",
    number: Annotated[
        str | None, typer.Option("--number", help="Its number outside; must be allocated.")
    ] = None,
    type_: Annotated[
        ExtensionType, typer.Option("--type", help="A contact center's rings one device.")
    ] = ExtensionType.NORMAL,
    device: Annotated[
        list[DeviceKind] | None, typer.Option("--device", help="Devices to add. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add an extension, with devices if wanted."""
    wiring = wire()
    values: dict[str, object] = {"key": key, "label": label, "number": number, "type": type_}
    version, made = run(_add_extension(wiring, org, site, values, device or []))
    force = await_force(wiring, version)
    if as_json:
        print_json({"devices": made, "revision": version, **force})
        return
    for entry in made:
        _say_credentials(entry)
    say_force(version, force)


async def _add_extension(
    wiring: Wiring, org: str | None, site: str | None, values: dict[str, object], kinds: list[DeviceKind]
) -> tuple[int, list[dict[str, str | int]]]:
    async with wiring.store() as store:
        model = (await store.snapshot()).model
        orgs = {ident[0] for ident in model.extensions} or set(model.organisations)
        values["org"] = org or (next(iter(orgs)) if len(orgs) == 1 else "")
        values["site"] = site or (next(iter(model.sites)) if len(model.sites) == 1 else "")
        saved = await extensions.create_extension(store, by(), values)
        version = saved.version
        ident = (saved.entity.org, saved.entity.key)
        made = []
        for kind in kinds:
            added = await devices.create_device(store, by(), ident, {"kind": kind})
            version = added.version
            made.append(devices.credentials_of(added.entity, wiring.sip_address))
        return version, made


@extension_app.command("remove")
def extension_remove(extension: ExtensionArgument) -> None:
    """Remove an extension and its devices; its number stays with the organisation."""
    wiring = wire()
    version = run(_remove_extension(wiring, extension))
    say_force(version, await_force(wiring, version))


async def _remove_extension(wiring: Wiring, extension: str) -> int:
    async with wiring.store() as store:
        ident = extension_id((await store.snapshot()).model, extension)
        await extensions.delete_extension(store, by(), ident)
        return await store.revision()


KindArgument = Annotated[DeviceKind, typer.Argument(help="Which kind of device.")]
DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="Its kind, or its SIP user name.")]


@device_app.command("add")
def device_add(
    extension: ExtensionArgument,
    kind: KindArgument,
    transport: Annotated[Transport, typer.Option("--transport", help="How it registers.")] = Transport.UDP,
    name: Annotated[str, typer.Option("--name", help="What it is called.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Add a device to an extension and show its credentials; TLS brings SRTP along."""
    wiring = wire()
    values: dict[str, object] = {"kind": kind, "transport": transport, "name": name}
    version, made = run(_add_device(wiring, extension, values))
    _finish_device(wiring, version, made, as_json)


async def _add_device(
    wiring: Wiring, extension: str, values: dict[str, object]
) -> tuple[int, dict[str, str | int]]:
    async with wiring.store() as store:
        ident = extension_id((await store.snapshot()).model, extension)
        saved = await devices.create_device(store, by(), ident, values)
        return saved.version, devices.credentials_of(saved.entity, wiring.sip_address)


@device_app.command("rotate")
def device_rotate(extension: ExtensionArgument, device: DeviceArgument, as_json: JsonOption = False) -> None:
    """Give a device a new password and show it; the old one is refused from then on."""
    wiring = wire()
    version, made = run(_rotate(wiring, extension, device))
    _finish_device(wiring, version, made, as_json)


async def _rotate(wiring: Wiring, extension: str, device: str) -> tuple[int, dict[str, str | int]]:
    async with wiring.store() as store:
        ident, found = await _device(store, extension, device)
        saved = await devices.rotate_password(store, by(), ident, found)
        return saved.version, devices.credentials_of(saved.entity, wiring.sip_address)


@device_app.command("remove")
def device_remove(extension: ExtensionArgument, device: DeviceArgument) -> None:
    """Remove a device; it can no longer register."""
    wiring = wire()
    version = run(_remove_device(wiring, extension, device))
    say_force(version, await_force(wiring, version))


async def _remove_device(wiring: Wiring, extension: str, device: str) -> int:
    async with wiring.store() as store:
        ident, found = await _device(store, extension, device)
        await devices.delete_device(store, by(), ident, found)
        return await store.revision()


async def _device(store: SqlStore, extension: str, device: str) -> tuple[ExtensionId, str]:
    model = (await store.snapshot()).model
    ident = extension_id(model, extension)
    return ident, device_of(model, ident, device).id


def _finish_device(wiring: Wiring, version: int, made: dict[str, str | int], as_json: bool) -> None:
    force = await_force(wiring, version)
    if as_json:
        print_json({**made, "revision": version, **force})
        return
    _say_credentials(made)
    say_force(version, force)


def _say_credentials(made: dict[str, str | int]) -> None:
    facts("", {name: str(value) for name, value in made.items()})
    progress("The password is shown in clear: keep it to whoever sets up the device.")
