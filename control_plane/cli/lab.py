"""`wirechief lab ...`, `serve` and `carrier ...`: the lab up and down, and the world outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from control_plane.adapters.carrier import Behaviour
from control_plane.bootstrap import lab, process, provisioning
from control_plane.bootstrap.installation import Installation
from control_plane.bootstrap.lab import FIRST_ACCOUNT, LabReady, LabView
from control_plane.bootstrap.reach import provisioning_warning
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.app import app, group, run
from control_plane.cli.output import JsonOption, console, facts, print_json, progress, say, table, yes_no
from control_plane.cli.references import number_of
from control_plane.domain.model import Model
from control_plane.service.devices import credentials_of

lab_app = group("lab")
carrier_app = group("carrier")

NOT_RUNNING = 3
"""As systemctl status has it: the program is not running (LSB 5.0, init script actions)."""


@lab_app.command("up")
def up() -> None:
    """Start whatever does not run, push everything, and say what to do next."""
    begun = time.monotonic()
    wiring = wire()
    ready = lab.up(wiring, progress)
    if ready.already_up:
        say("The lab is up already.")
    else:
        say(f"The lab is up ({time.monotonic() - begun:.1f} s).")
    for name in ready.restart_needed:
        say(f"Changed settings wait for a restart ({name}): wirechief lab down, then wirechief lab up.")
    _say_what_next(wiring, ready)
    warning = provisioning_warning(wiring.settings)
    if warning is not None:
        say(f"\n{warning}")


def _say_what_next(wiring: Wiring, ready: LabReady) -> None:
    sip = wiring.sip_address
    facts(
        "",
        {
            "API": f"{wiring.api_url}/api/v1 (openapi.json there describes it)",
            "provisioning": provisioning.pid_file(wiring).url(),
            "token": f"api_token in {wiring.state_dir}/secrets.json",
            "SIP server": f"{sip.host} port {sip.port} UDP and TCP, {sip.tls_port} TLS",
            "softphones": "wirechief lab credentials",
            "log": str(wiring.log_file),
        },
    )
    if ready.password is not None:
        say(f"Operator's account: {FIRST_ACCOUNT}, password {ready.password} (shown once, kept nowhere)")
    if ready.code is not None:
        say(f"Authorization code of acme in Singapore: {ready.code} (shown once, kept nowhere; R56)")
    say("\nTry:")
    for line in (
        "wirechief explain --from 101 --to 100",
        "wirechief set extension 100 forwarding.enabled=true",
        "wirechief call --from +6531234567 --to 100",
    ):
        console().print(Text(f"  {line}", style="bold"), soft_wrap=True)


@lab_app.command("down")
def down() -> None:
    """Stop control plane, provisioning server, node and carrier; everything kept stays for the next start."""
    if lab.down(wire(), progress):
        say("The lab is down; 'wirechief lab up' brings it back as it was.")
    else:
        say("The lab was down already.")


@lab_app.command("status")
def status(as_json: JsonOption = False) -> None:
    """Show containers, processes, whether all is in sync, registered devices and blocked addresses.

    Exit 0: it runs, 3: the control plane or a container of the lab does not run, 1: error.
    """
    wiring = wire()
    view = lab.view(wiring)
    model = run(lab.read_model(wiring))
    if as_json:
        print_json(_status_json(view, wiring, model))
    else:
        facts("", _status_facts(view, wiring))
        _print_registered(view, model)
    if not view.runs:
        raise typer.Exit(NOT_RUNNING)


def _status_json(view: LabView, wiring: Wiring, model: Model) -> dict[str, Any]:
    containers = view.containers
    return {
        "node": containers.node.value if containers else None,
        "carrier": containers.carrier.value if containers else None,
        "containers_problem": view.containers_problem,
        "restart_needed": list(containers.restart_needed) if containers else [],
        "control_plane": {"running": view.control_plane is not None, "pid": view.control_plane},
        "provisioning": {
            "running": view.provisioning is not None,
            "pid": view.provisioning,
            "url": view.provisioning_url or None,
        },
        "api": f"{wiring.api_url}/api/v1",
        "sync": view.node,
        "registered": sorted(view.contacts) if view.contacts is not None else None,
        "devices": sum(len(devices) for devices in model.devices.values()),
    }


def _status_facts(view: LabView, wiring: Installation) -> dict[str, str]:
    containers, node = view.containers, view.node
    found = {
        "node": containers.node.value if containers else view.containers_problem or "unknown",
        "carrier": containers.carrier.value if containers else "unknown",
        "control plane": f"running (process {view.control_plane})" if view.control_plane else "not running",
        "provisioning": view.provisioning_url or "not running",
        "API": f"{wiring.api_url}/api/v1",
    }
    if containers and containers.restart_needed:
        found["restart needed"] = ", ".join(containers.restart_needed)
    if view.unanswered is not None:
        found["problem"] = view.unanswered
    if node is not None:
        found["in sync"] = yes_no(node["in_sync"])
        found["revision"] = f"{node['revision']}, in Asterisk: {node['revision_pushed']}"
        found["rows"] = f"{node['rows']} rows, {node['mailboxes']} mailboxes"
        if node["last_error"]:
            found["last error"] = node["last_error"]
        if node["faults"]:
            found["fault"] = "\n".join(node["faults"])
        if node["warnings"]:
            found["warning"] = "\n".join(node["warnings"])
        found["blocked"] = f"{node['blocked']} addresses" if node["blocked"] else "nobody"
        mail = _mail_in_words(node["mail"])
        if mail:
            found["mail"] = mail
    return found


def _mail_in_words(mail: Mapping[str, Any]) -> str:
    """What is wrong with mails about calls; empty when nothing is."""
    said = [mail["problem"]] if mail["problem"] else []
    if mail["failed"]:
        said.append(f"{mail['failed']} given up: 'wirechief mail list' says which and why")
    return "\n".join(said)


def _print_registered(view: LabView, model: Model) -> None:
    if view.contacts is None:
        say("registered: unknown, the control plane cannot be asked")
        return
    rows = [
        (f"{device.org}/{device.extension}", device.kind.value, device.id, view.contacts[device.id])
        for devices in model.devices.values()
        for device in devices
        if device.id in view.contacts
    ]
    if rows:
        table("registered devices", ("extension", "kind", "SIP user", "contact"), sorted(rows))
    else:
        say("registered: no device")


@lab_app.command("credentials")
def credentials(as_json: JsonOption = False) -> None:
    """What to type into a softphone, for each device; passwords in clear."""
    wiring = wire()
    model = run(lab.read_model(wiring))
    found = [
        credentials_of(device, wiring.sip_address)
        for _, devices in sorted(model.devices.items())
        for device in devices
    ]
    if as_json:
        print_json(found)
        return
    columns = ("extension", "kind", "sip_user", "sip_password", "host", "port", "transport")
    table("", columns, ([str(entry[name]) for name in columns] for entry in found))


@lab_app.command("log")
def log() -> None:
    """Follow the control plane's log; Ctrl-C stops following and nothing else."""
    path = wire().log_file
    say(f"--- {path} (Ctrl-C ends this view) ---")
    with subprocess.Popen(["tail", "-n", "20", "-F", str(path)]) as tail:
        try:
            tail.wait()
        except KeyboardInterrupt:
            tail.terminate()
            say("\nThe lab goes on; 'wirechief lab down' (or 'make down') stops it.")


@app.command("serve")
def serve() -> None:
    """Run the control plane in the foreground, for service managers; SIGTERM ends it in order."""
    wiring = wire()
    wiring.pid_file.require_free()
    line = process.command_line()
    os.execve(line[0], line, process.environment())  # noqa: S606 - no shell needed


@carrier_app.command("call")
def carrier_call(
    from_: Annotated[str, typer.Option("--from", metavar="NUMBER", help="A number outside, or 'anonymous'.")],
    to: Annotated[
        str, typer.Option("--to", metavar="DID", help="One of our numbers, or an extension with one.")
    ],
    seconds: Annotated[int, typer.Option("--seconds", min=1, help="How long to talk once answered.")] = 5,
    ring: Annotated[int, typer.Option("--ring", min=1, help="How long to ring at most.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Let the outside call in."""
    wiring = wire()
    model = run(lab.read_model(wiring))
    dialled = number_of(model, to, None)
    ended = run(wiring.carrier().call(from_, dialled, talk_s=seconds, ring_s=ring))
    if as_json:
        print_json({"end": ended.end.value, "cause": ended.cause, "talked_s": ended.talked_s})
    else:
        say(f"{from_} called {dialled}: {ended.end.value} (cause {ended.cause}), talked {ended.talked_s} s")


@carrier_app.command("set")
def carrier_set(
    number: Annotated[str, typer.Argument(help="A number outside.")],
    behaviour: Annotated[Behaviour, typer.Argument(help="What it does when it is called.")],
) -> None:
    """Set how a number outside behaves from the next call on."""
    run(wire().carrier().set_number(number, behaviour))
    say(f"{number}: {behaviour.value}")
