"""What a change would push and publish, as a command shows it; nothing is saved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from control_plane.bootstrap.wiring import wire
from control_plane.cli.app import run
from control_plane.cli.output import print_json, say
from control_plane.cli.pushing import show_steps
from control_plane.domain.model import Model
from control_plane.service.handset_preview import HandsetSource
from control_plane.service.preview import Preview, WidePreview
from control_plane.store import SqlStore

Look = Callable[[SqlStore, Model, HandsetSource], Awaitable[Preview | WidePreview]]
"""Says what a change would lead to, without making it."""


def preview_change(look: Look, as_json: bool) -> None:
    """Show what a change would push and publish."""
    found = run(_looked(look))
    if as_json:
        print_json(found.as_dict())
        return
    plans: list[dict[str, Any]] = [plan.as_dict() for plan in found.plans]
    if not any(plan["steps"] for plan in plans):
        say("This changes nothing in Asterisk.")
    for plan in plans:
        if len(plans) > 1:
            say(f"Node {plan['node']}:")
        show_steps(plan["steps"])
    if found.handsets is not None:
        _show_handsets(found.handsets.as_dict())
    say("Nothing was saved (--dry-run).")


async def _looked(look: Look) -> Preview | WidePreview:
    wiring = wire()
    published = wiring.published()
    try:
        async with wiring.store() as store:
            model = (await store.snapshot()).model
            return await look(store, model, HandsetSource(published, wiring.place))
    finally:
        await published.close()


def _show_handsets(found: dict[str, Any]) -> None:
    show_steps(found["steps"])
    if found["told"]:
        say(f"Told to fetch (NOTIFY check-sync), where registered: {', '.join(found['told'])}.")
    if found["more"]:
        say(f"The change reaches {_handsets(found['more'])}; what they are told may change too.")
    if found["directories"]:
        say(f"The directory of {_handsets(found['directories'])} changes.")
    for problem in found["problems"]:
        say(f"  {problem}")


def _handsets(count: int) -> str:
    return f"{count} more handset{'s' if count > 1 else ''}"
