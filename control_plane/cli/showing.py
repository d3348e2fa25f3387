"""`wirechief show ...` and `feature-codes`: reading the model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control_plane.bootstrap.lab import read_model, registered
from control_plane.bootstrap.wiring import wire
from control_plane.cli.app import app, group, run
from control_plane.cli.output import JsonOption, facts, print_json, table, yes_no
from control_plane.cli.references import called_place, extension_id
from control_plane.domain.extension import Device, Extension
from control_plane.domain.features import with_codes
from control_plane.domain.groups import CallGroup, MainNumber
from control_plane.domain.model import Model
from control_plane.render.place_picture import extension_mermaid, group_mermaid, main_number_mermaid

show_app = group("show")

ExtensionArgument = Annotated[str, typer.Argument(metavar="X", help="An extension: 100, or acme/100.")]


@show_app.command("extension")
def show_extension(extension: ExtensionArgument, as_json: JsonOption = False) -> None:
    """Show an extension: its settings, devices, and which of them are registered."""
    wiring = wire()
    model = run(read_model(wiring))
    ident = extension_id(model, extension)
    contacts = registered(wiring)
    if as_json:
        print_json(extension_as_dict(model, model.extensions[ident], contacts))
        return
    _print_extension(model, model.extensions[ident], contacts)


@show_app.command("picture")
def show_picture(
    place: Annotated[
        str,
        typer.Argument(metavar="X", help="An extension or call group: 100, acme/300; or a number of ours."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Print what a call to an extension, a call group or a main number can meet, as a Mermaid flowchart."""
    model = run(read_model(wire()))
    picture = _picture(model, called_place(model, place))
    if as_json:
        print_json({"mermaid": picture})
    else:
        typer.echo(picture, nl=False)


def _picture(model: Model, place: Extension | CallGroup | MainNumber) -> str:
    match place:
        case Extension():
            return extension_mermaid(model, place)
        case CallGroup():
            return group_mermaid(model, place)
        case MainNumber():
            return main_number_mermaid(model, place)


@show_app.command("extensions")
def show_extensions(as_json: JsonOption = False) -> None:
    """List all extensions."""
    model = run(read_model(wire()))
    found = [model.extensions[ident] for ident in sorted(model.extensions)]
    if as_json:
        print_json([extension_as_dict(model, extension, None) for extension in found])
        return
    columns = ("extension", "label", "number", "devices", "DND", "forwards to", "no answer")
    rows = (_row(model, extension) for extension in found)
    table("", columns, rows, none="No extension: 'wirechief extension add' makes one.")


def pin_lock(extension: Extension) -> str:
    """Whether its PIN is locked, and how near to it it is."""
    if extension.pin_locked:
        return "locked: reset the PIN"
    return f"no, {extension.pin_failures} wrong in a row" if extension.pin_failures else "no"


def _row(model: Model, extension: Extension) -> tuple[str, ...]:
    forwarding = extension.forwarding
    return (
        f"{extension.org}/{extension.key}",
        extension.label,
        extension.number or "",
        ", ".join(device.kind.value for device in model.devices_of(extension)),
        yes_no(extension.dnd),
        ", ".join(forwarding.targets) if forwarding.enabled else "",
        extension.no_answer.action.value,
    )


def extension_as_dict(model: Model, extension: Extension, contacts: dict[str, str] | None) -> dict[str, Any]:
    """An extension for JSON, without its PIN and its devices' passwords."""
    found: dict[str, Any] = extension.model_dump(mode="json", exclude={"voicemail_pin"})
    found["active"] = model.is_active(extension)
    found["devices"] = [_device(device, contacts) for device in model.devices_of(extension)]
    return found


def _device(device: Device, contacts: dict[str, str] | None) -> dict[str, Any]:
    shown: dict[str, Any] = device.model_dump(mode="json", exclude={"sip_password", "org", "extension"})
    shown["registered"] = None if contacts is None else device.id in contacts
    return shown


def _print_extension(model: Model, extension: Extension, contacts: dict[str, str] | None) -> None:
    forwarding, no_answer = extension.forwarding, extension.no_answer
    targets = ", ".join(forwarding.targets) or "nobody"
    to = f" to {no_answer.number}" if no_answer.number else ""
    facts(
        f"extension {extension.org}/{extension.key}",
        {
            "label": extension.label,
            "type": extension.type.value,
            "site": extension.site,
            "number": extension.number or "none",
            "in service": yes_no(model.is_active(extension)),
            "do not disturb": f"{yes_no(extension.dnd)} ({extension.dnd_action.value})",
            "forwarding": f"{'on' if forwarding.enabled else 'off'}, to {targets}",
            "VIP callers": ", ".join(forwarding.vip) or "none",
            "no answer": f"{no_answer.action.value}{to} after {no_answer.ring_timeout_s} s",
            "rings": ", ".join(kind.value for kind in extension.ring_devices) or "by the default rule",
            "call waiting": yes_no(extension.rings_waiting_calls),
            "restricted": yes_no(extension.restricted),
            "PIN lock": pin_lock(extension),
        },
    )
    rows = (
        (d.kind.value, d.id, d.transport.value, yes_no(d.srtp), _registered(d, contacts))
        for d in model.devices_of(extension)
    )
    table("devices", ("kind", "SIP user", "transport", "SRTP", "registered"), rows)


def _registered(device: Device, contacts: dict[str, str] | None) -> str:
    return "unknown" if contacts is None else contacts.get(device.id, "no")


@app.command("feature-codes")
def feature_codes(as_json: JsonOption = False) -> None:
    """The codes people dial on their phones."""
    codes = with_codes(wire().settings.feature_codes)
    if as_json:
        print_json([{"code": c.code, "feature": c.feature.value, "does": c.says} for c in codes])
    else:
        table("", ("code", "does"), ((code.code, code.says) for code in codes))
