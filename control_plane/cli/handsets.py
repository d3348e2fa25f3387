"""`wirechief handset ...`: phones, adapters and softphones, who is logged in there, and their secrets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from control_plane.bootstrap.handsets import handset_statuses
from control_plane.bootstrap.wiring import Wiring, wire
from control_plane.cli.actor import by
from control_plane.cli.app import group, run
from control_plane.cli.changing import await_force, say_force
from control_plane.cli.output import JsonOption, facts, print_json, say, table, yes_no
from control_plane.cli.references import extension_id
from control_plane.domain.extension import DeviceKind, Transport
from control_plane.domain.handsets import Handset
from control_plane.errors import InvalidField
from control_plane.service import handsets as use_cases
from control_plane.service.handset_status import HandsetStatus, written
from control_plane.service.handset_view import catalogue
from control_plane.service.handsets import Binding, Secrets, require_handset
from control_plane.service.writing import Saved
from control_plane.store import SqlStore

handset_app = group("handset")

MacArgument = Annotated[str, typer.Argument(metavar="MAC", help="In any notation; a softphone's s... name.")]
KindOption = Annotated[DeviceKind, typer.Option("--kind", help="Which of the extension's devices.")]
TransportOption = Annotated[
    Transport | None, typer.Option("--transport", help="How it registers; a new device: tls.")
]
LoginOption = Annotated[
    str | None, typer.Option("--login", metavar="X", help="Log in this extension: 100, or acme/100.")
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", help="A key, in order: kind:value:label:line, such as blf:101:Ada. Repeatable."),
]


@handset_app.command("models")
def handset_models(
    vendor: Annotated[str | None, typer.Option("--vendor", help="Only this make.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that can be set up."""
    found = [model for model in catalogue() if vendor in (None, model["vendor"])]
    if as_json:
        print_json(found)
        return
    columns = ("model", "vendor", "family", "lines", "keys")
    rows = ([str(model[n]) for n in ("name", "vendor", "family", "lines", "keys")] for model in found)
    table("", columns, rows, none="No model of this make: 'wirechief handset models' lists all.")


@handset_app.command("list")
def handset_list(as_json: JsonOption = False) -> None:
    """List handsets: who is logged in, what they fetched, where they are registered."""
    wiring = wire()
    statuses = run(handset_statuses(wiring))
    if as_json:
        print_json([_as_json(statuses[mac]) for mac in sorted(statuses)])
    elif not statuses:
        say("No handset: 'wirechief handset add MAC MODEL --login X' sets one up.")
    else:
        columns = ("handset", "model", "extension", "state", "last fetch (UTC)", "registered")
        table("", columns, (_row(statuses[mac]) for mac in sorted(statuses)))


def _row(status: HandsetStatus) -> tuple[str, ...]:
    handset, fetch = status.handset, status.last_fetch
    return (
        written(handset.mac),
        handset.model,
        f"{handset.org}/{handset.extension}" if handset.extension else f"{handset.org}, nobody",
        status.sync.value.replace("_", " ") + (", rotating" if status.rotating else ""),
        f"{fetch.at:%Y-%m-%d %H:%M:%S} {fetch.name}" if fetch else "never",
        status.registration.uri if status.registration else "no",
    )


def _as_json(status: HandsetStatus) -> dict[str, Any]:
    handset, fetch, contact = status.handset, status.last_fetch, status.registration
    hidden = {"token", "token_previous", "http_user", "http_password", "http_user_previous"}
    hidden |= {"http_password_previous", "admin_password", "user_password", "window_id"}
    hidden |= {"neutral_password", "neutral_password_previous", "neutral_rotated_at"}
    return {
        **handset.model_dump(mode="json", exclude=hidden),
        "sync": status.sync.value,
        "shown_as": status.shown_as,
        "version": status.version,
        "version_fetched": status.version_fetched,
        "last_fetch": None
        if fetch is None
        else {
            "name": fetch.name,
            "at": fetch.at.isoformat(),
            "status": fetch.status,
            "address": fetch.address,
            "user_agent": fetch.user_agent,
            "scheme": fetch.scheme,
        },
        "contact": contact.uri if contact is not None else None,
        "rotating": status.rotating,
        "window_until": status.window_until.isoformat() if status.window_until else None,
        "warnings": list(status.warnings),
    }


@handset_app.command("show")
def handset_show(mac: MacArgument, as_json: JsonOption = False) -> None:
    """Show a handset: what it should have, what it fetched, where it is registered."""
    wiring = wire()
    status = run(handset_statuses(wiring, mac))[use_cases.known_mac(mac)]
    if as_json:
        print_json(_as_json(status))
        return
    _print(status)


def _print(status: HandsetStatus) -> None:
    handset, fetch, contact = status.handset, status.last_fetch, status.registration
    agent = f", {fetch.user_agent} at {fetch.address}" if fetch else ""
    facts(
        f"handset {written(handset.mac)}",
        {
            "model": handset.model,
            "name": handset.name,
            "organisation": handset.org,
            "site": handset.site,
            "extension": handset.extension or "nobody is logged in",
            "phone ID": str(handset.phone_id or "none"),
            "status": status.shown_as or "not registered by provisioning",
            "settings": status.sync.value.replace("_", " "),
            "last fetch": f"{fetch.name} at {fetch.at:%Y-%m-%d %H:%M:%S} UTC{agent}" if fetch else "never",
            "registered": contact.uri if contact else "no",
            "rotating": yes_no(status.rotating),
            "may enrol until": f"{status.window_until:%H:%M:%S} UTC" if status.window_until else "not now",
            "keys": ", ".join(handset.keys) or "one line key",
            "enabled": yes_no(handset.enabled),
        },
    )
    for warning in status.warnings:
        say(f"warning: {warning}.")


@handset_app.command("add")
def handset_add(
    mac: Annotated[str, typer.Argument(metavar="MAC", help="As on its label; '-' for a softphone.")],
    model: Annotated[str, typer.Argument(help="Its model: 'wirechief handset models' lists them.")],
    login: LoginOption = None,
    kind: KindOption = DeviceKind.IP_PHONE,
    transport: TransportOption = None,
    org: Annotated[str | None, typer.Option("--org", help="Organisation; not needed with --login.")] = None,
    site: Annotated[str | None, typer.Option("--site", help="Site; not needed where there is one.")] = None,
    name: Annotated[str, typer.Option("--name", help="What it is called.")] = "",
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set up a handset, and log somebody in at once if wanted (R49)."""
    wiring = wire()
    values: dict[str, object] = {"model": model, "name": name, "keys": tuple(key or ())}
    if mac != "-":
        values["mac"] = mac

    async def add(store: SqlStore) -> Saved[Handset]:
        found = (await store.snapshot()).model
        ident = extension_id(found, login, org) if login is not None else None
        values["org"] = ident[0] if ident else only(org, found.organisations, "--org")
        values["site"] = found.extensions[ident].site if ident else only(site, found.sites, "--site")
        binding = Binding(ident[1], kind, transport) if ident else None
        return await use_cases.create_handset(store, by(), values, binding)

    _changed(wiring, add, as_json)


def only(given: str | None, known: Any, option: str) -> str:
    """What was given, or the only one there is. Raises: InvalidField."""
    if given is not None or len(known) != 1:
        if given is None:
            raise InvalidField(option, f"say which: {', '.join(sorted(known)) or 'there is none yet'}")
        return given
    return str(next(iter(known)))


Change = Callable[[SqlStore], Awaitable[Saved[Handset]]]


def _changed(wiring: Wiring, change: Change, as_json: bool) -> None:
    """Make a change, wait until it is in force, and say how the handset stands."""

    async def make() -> tuple[Saved[Handset], int]:
        async with wiring.store() as store:
            return await change(store), await store.revision()

    saved, revision = run(make())
    force = await_force(wiring, revision)
    status = run(handset_statuses(wiring, saved.entity.mac))[saved.entity.mac]
    if as_json:
        print_json({**_as_json(status), "revision": revision, **force})
        return
    _print(status)
    say_force(revision, force)


@handset_app.command("set")
def handset_set(
    mac: MacArgument,
    name: Annotated[str | None, typer.Option("--name", help="What it is called.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Its model.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="Two letters, such as de.")] = None,
    key: KeyOption = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", help="A network it may fetch from. Repeatable.")
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Whether it may fetch at all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a handset; only what is given changes."""
    changes: dict[str, object] = {
        field: value
        for field, value in (
            ("name", name),
            ("model", model),
            ("language", language),
            ("keys", tuple(key) if key else None),
            ("allowed", tuple(allow) if allow else None),
            ("enabled", enabled),
        )
        if value is not None
    }
    _changed(wire(), lambda store: use_cases.patch_handset(store, by(), mac, changes), as_json)


@handset_app.command("remove")
def handset_remove(mac: MacArgument) -> None:
    """Remove a handset: it can fetch nothing more, and what it was given stops working."""
    wiring = wire()

    async def remove() -> int:
        async with wiring.store() as store:
            await use_cases.delete_handset(store, by(), mac)
            return await store.revision()

    revision = run(remove())
    say_force(revision, await_force(wiring, revision))


@handset_app.command("login")
def handset_login(
    mac: MacArgument,
    extension: Annotated[str, typer.Argument(metavar="X", help="An extension of its organisation.")],
    kind: KindOption = DeviceKind.IP_PHONE,
    transport: TransportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Log somebody in at a handset; whoever was logged in there is logged out."""

    async def log_in(store: SqlStore) -> Saved[Handset]:
        found = (await store.snapshot()).model
        org = require_handset(found, mac).org
        ident = extension_id(found, extension, org)
        return await use_cases.log_in(store, by(), mac, Binding(ident[1], kind, transport))

    _changed(wire(), log_in, as_json)


@handset_app.command("logout")
def handset_logout(mac: MacArgument, as_json: JsonOption = False) -> None:
    """Log a handset out and free its phone ID (R52)."""
    _changed(wire(), lambda store: use_cases.log_out(store, by(), mac), as_json)


@handset_app.command("enrol")
def handset_enrol(
    mac: MacArgument,
    minutes: Annotated[int, typer.Option("--minutes", help="How long.")] = 15,
    close: Annotated[bool, typer.Option("--close", help="Close it instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a handset fetch its bootstrap by its MAC alone, once, for some minutes."""
    wiring = wire()

    async def enrol(store: SqlStore) -> Saved[Handset]:
        if close:
            return await use_cases.close_window(store, by(), mac)
        return await use_cases.open_window(store, by(), wiring.clock, mac, minutes)

    _changed(wiring, enrol, as_json)
    if not close and not as_json:
        say(f"Point the handset's provisioning address at {wiring.place().url} and start it.")


@handset_app.command("rotate")
def handset_rotate(
    mac: MacArgument,
    sip: Annotated[
        bool, typer.Option("--sip", help="The SIP password only, of its device or of its neutral line.")
    ] = False,
    access: Annotated[
        bool, typer.Option("--access", help="The address and login it fetches with only.")
    ] = False,
    web: Annotated[bool, typer.Option("--web", help="The passwords of its web pages only.")] = False,
    end: Annotated[bool, typer.Option("--end", help="End the old secrets now, followed or not.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a handset new secrets; old ones it signs in with here work until it was seen with the new."""
    wiring = wire()
    named = {Secrets.SIP: sip, Secrets.ACCESS: access, Secrets.WEB: web}
    wanted = frozenset(one for one, asked in named.items() if asked) or frozenset(Secrets)

    async def rotate(store: SqlStore) -> Saved[Handset]:
        if end:
            return await use_cases.retire(store, by(), mac)
        return await use_cases.rotate(store, by(), wiring.clock, mac, wanted)

    _changed(wiring, rotate, as_json)


@handset_app.command("passwords")
def handset_passwords(mac: MacArgument, as_json: JsonOption = False) -> None:
    """Show the passwords of a handset's own web pages; the audit says who looked."""
    wiring = wire()

    async def show() -> use_cases.WebPasswords:
        async with wiring.store() as store:
            return await use_cases.show_passwords(store, by(), wiring.clock, mac)

    found = run(show())
    shown = {"admin": found.admin.get_secret_value(), "user": found.user.get_secret_value()}
    if as_json:
        print_json(shown)
    else:
        table("", ("account", "password"), shown.items())
