"""`wirechief mail ...`: mails about calls that wait or were given up, trying them again, discarding them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from control_plane.bootstrap.client import Client
from control_plane.bootstrap.installation import installed
from control_plane.cli.app import group
from control_plane.cli.output import JsonOption, print_json, say, table
from control_plane.errors import InvalidField

mail_app = group("mail")

COLUMNS = ("id", "state", "what", "extension", "to", "since (UTC)", "tries", "why")
MailId = Annotated[str, typer.Argument(metavar="ID", help="As mail list shows it.")]


@mail_app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List mails that were given up, then those that wait, the newest first; never what they say."""
    found = Client(installed()).mails(limit)
    if as_json:
        print_json(found)
    else:
        table("", COLUMNS, (_row(mail) for mail in found), none="No mail waits, and none was given up.")
        if len(found) == limit:
            say(f"There may be more than these {limit}: --limit shows them.")


def _row(mail: dict[str, Any]) -> tuple[str, ...]:
    since = mail["given_up_at"] or mail["at"] or ""
    return (
        mail["id"],
        mail["state"].replace("_", " "),
        mail["kind"] or "unreadable",
        f"{mail['organisation']}/{mail['extension']}" if mail["organisation"] else "",
        "\n".join(mail["recipients"]),
        since[:19].replace("T", " "),
        str(mail["tries"]) if mail["tries"] is not None else "",
        mail["error"] or "",
    )


@mail_app.command("retry")
def retry(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="As mail list shows it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Try all of them again.")] = False,
) -> None:
    """Try a mail again now, or all; it goes to those whom its extension names now."""
    if everything == (id is not None):
        raise InvalidField("ID", "name one mail ('wirechief mail list' shows them), or say --all")
    client = Client(installed())
    if id is not None:
        client.retry_mail(id)
        say(f"Mail {id} is tried again; 'wirechief mail list' shows it if that fails.")
    else:
        say(f"Tried again: {client.retry_mails()}. 'wirechief mail list' shows those that fail.")


@mail_app.command("discard")
def discard(id: MailId) -> None:
    """Forget a mail, waiting or given up: it is never sent. The voicemail it is about stays."""
    Client(installed()).discard_mail(id)
    say(f"Mail {id} is discarded.")
