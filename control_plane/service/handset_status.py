"""How a handset stands: what it should have, what it fetched, where it is registered (R77)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import UnknownEntity
from control_plane.observe.registrations import Registration
from control_plane.ports import Bound, Fetched
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.family import Family
from control_plane.render.handsets.publication import settings_in
from control_plane.service.ouis import vendor_problem
from control_plane.service.sip_rotation import sip_rotation, sip_user

BY_LINK = "s/"
"""Before the name of a file in the journal that was got by a link that works once."""


class Sync(StrEnum):
    """Whether the handset has what it should have."""

    UNPUBLISHED = "unpublished"  # nothing can be fetched: see the faults of publishing
    DISABLED = "disabled"
    NEVER_FETCHED = "never_fetched"
    BEHIND = "behind"  # it has older settings than are published
    IN_SYNC = "in_sync"


@dataclass(frozen=True, slots=True)
class HandsetStatus:
    """One handset for operators; without secrets."""

    handset: Handset
    sync: Sync
    shown_as: str | None
    """R77: "<device name - MAC>" once it registered with what it fetched; None before."""
    version: str | None
    version_fetched: str | None
    last_fetch: Fetched | None
    registration: Registration | None
    bound: Bound | None
    rotating: bool
    """A secret was changed and the old one still works beside it."""
    window_until: datetime | None
    warnings: tuple[str, ...]


def has_settings(text: str, fetches: Sequence[Fetched]) -> bool:
    """Whether a handset last fetched every file of its settings as it is published now."""
    version, names = settings_in(text)
    seen = _settings_fetched(names, fetches)
    return bool(seen) and all(fetched.version == version for fetched in seen)


def _settings_fetched(names: Collection[str], fetches: Sequence[Fetched]) -> list[Fetched]:
    """The newest fetch of each of the files `names`, newest first as `fetches` are.

    What a softphone got by its link counts: MicroSIP and Zoiper get their settings in no other way.
    """
    newest: dict[str, Fetched] = {}
    for fetched in fetches:
        name = fetched.name.lower().removeprefix(BY_LINK)
        if fetched.served and name in names:
            newest.setdefault(name, fetched)
    return list(newest.values())


def status_of(
    model: Model,
    handset: Handset,
    text: str | None,
    fetches: Sequence[Fetched],
    registration: Registration | None,
    *,
    bound: Bound | None = None,
    spent: frozenset[str] = frozenset(),
    authority_url: str = "",
    now: datetime,
) -> HandsetStatus:
    """How `handset` stands; `text` is its publication, `fetches` what the journal has of it, newest first."""
    version = names = None
    if text is not None:
        version, names = settings_in(text)
    settings = _settings_fetched(names or (), fetches)
    rotating = handset.is_rotating or sip_rotation(model, handset) is not None
    until = handset.window_until
    is_open = until is not None and until > now and handset.window_id not in spent
    as_told = registration is not None and registration.aor == sip_user(model, handset)
    return HandsetStatus(
        handset=handset,
        sync=_sync(handset, text, fetches, settings),
        shown_as=_shown_as(handset) if as_told and settings else None,
        version=version,
        version_fetched=settings[0].version if settings else None,
        last_fetch=fetches[0] if fetches else None,
        registration=registration,
        bound=bound,
        rotating=rotating,
        window_until=until if is_open else None,
        warnings=warnings_of(handset, authority_url),
    )


def _sync(
    handset: Handset, text: str | None, fetches: Sequence[Fetched], settings: Sequence[Fetched]
) -> Sync:
    if text is None:
        return Sync.UNPUBLISHED
    if not handset.enabled:
        return Sync.DISABLED
    if not settings:
        return Sync.NEVER_FETCHED
    return Sync.IN_SYNC if has_settings(text, fetches) else Sync.BEHIND


def _shown_as(handset: Handset) -> str:
    return f"{handset.name or handset.model} - {written(handset.mac)}"


def written(mac: str) -> str:
    """A MAC address as it stands on a label; a softphone's name as it is."""
    if len(mac) != 12 or mac.startswith("s"):
        return mac
    return ":".join(mac[start : start + 2] for start in range(0, 12, 2)).upper()


def warnings_of(handset: Handset, authority_url: str) -> tuple[str, ...]:
    """What looks wrong about a handset although it is allowed.

    `authority_url`: where the provisioning server's own authority is; "": a public one signed for it.
    """
    try:
        model = CATALOGUE.model(handset.model)
    except UnknownEntity:
        return (f"there is no handset model {handset.model!r} any more",)
    if handset.is_softphone:
        return ()
    problems = [vendor_problem(handset.mac, model.vendor)]
    if authority_url:
        problems.append(_trust_problem(CATALOGUE.family(model), authority_url))
    return tuple(problem for problem in problems if problem is not None)


def _trust_problem(family: Family, authority_url: str) -> str | None:
    if family.softphone or "custom_ca" in family.supports:
        return None
    if family.blind:
        return (
            "it is told to check no certificate, as it cannot be told of the provisioning server's own"
            " authority: with a certificate of a public one there it checks (docs/handsets.md, custom_ca)"
        )
    return (
        "it cannot be told of the provisioning server's own authority: install"
        f" {authority_url} at its web pages, or give the server a certificate of a public authority"
        " (docs/handsets.md, custom_ca)"
    )
