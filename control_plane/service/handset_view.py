"""What operators see of handsets beyond the model: what is published, what was fetched, who is registered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from control_plane.domain.handsets import Handset
from control_plane.domain.model import Model
from control_plane.errors import IllegalTransition, UnknownEntity
from control_plane.observe.registrations import Registration
from control_plane.ports import Clock, FetchJournal, NodeLink, PublishedStore, Store
from control_plane.render.handsets.families import CATALOGUE
from control_plane.render.handsets.publication import etag, publication_of, shown
from control_plane.render.handsets.qr import Picture, link_for, qr_code
from control_plane.service.credentials import new_token
from control_plane.service.handset_status import HandsetStatus, status_of
from control_plane.service.handsets import require_handset

Registered = Callable[[str], Registration | None]
Json = dict[str, Any]


@dataclass(frozen=True)
class Provisioning:
    """The published store, the journal and the registrations of handsets, seen together."""

    store: Store
    published: PublishedStore
    journal: FetchJournal
    clock: Clock
    registered: Registered
    link: NodeLink
    url: str
    """Where the provisioning server is reached; ends in "/"."""
    authority_url: str = ""
    """Where the authority of one's own is that signed its certificate; "" is a public one."""

    async def statuses(
        self, model: Model, macs: Collection[str] | None = None
    ) -> Mapping[str, HandsetStatus]:
        """How these handsets stand, or all of the model.

        Raises: PublishingFailed.
        """
        wanted = [mac for mac in (model.handsets if macs is None else macs) if mac in model.handsets]
        texts = await self.published.read(wanted)
        fetches = await self.journal.fetches(wanted)
        bound, spent, now = await self.journal.bound(), await self.journal.spent(), self.clock.now()
        return {
            mac: status_of(
                model,
                model.handsets[mac],
                texts.get(mac),
                fetches.get(mac, ()),
                self.contact(model.handsets[mac]),
                bound=bound.get(mac),
                spent=spent,
                authority_url=self.authority_url,
                now=now,
            )
            for mac in wanted
        }

    def contact(self, handset: Handset) -> Registration | None:
        """Where the handset is registered."""
        return next(iter(contacts_of(handset, self.registered)), None)

    async def notify(self, mac: str, reboot: bool = False) -> str:
        """Tell one handset to fetch now; where the NOTIFY went, the likeliest first where that is in doubt.

        Raises: UnknownEntity, IllegalTransition (it is registered nowhere), AsteriskError.
        """
        handset = require_handset((await self.store.snapshot()).model, mac)
        contacts = contacts_of(handset, self.registered)
        if not contacts:
            raise IllegalTransition(
                f"Handset {handset.mac} is registered nowhere and cannot be told; it fetches when it starts."
            )
        family = CATALOGUE.family(CATALOGUE.model(handset.model))
        for contact in contacts:
            await self.link.notify(contact.uri, family.reboot if reboot else family.resync)
        return contacts[0].uri

    async def files(self, mac: str) -> list[Json]:
        """What the handset can fetch, each with its newest fetch.

        Raises: UnknownEntity, PublishingFailed.
        """
        publication = publication_of(await self._text(mac))
        fetched = {f.name.lower(): f for f in (await self.journal.fetches([mac])).get(mac, ())}
        return [
            {
                "name": file.name,
                "bootstrap": file.bootstrap,
                "secret": file.secret,
                "size": len(file.content),
                "etag": etag(file.content),
                "fetched": None if file.bootstrap else fetched.get(file.name.lower()),
            }
            for file in publication.files
        ]

    async def file(self, mac: str, name: str, bootstrap: bool = False) -> Json:
        """One file for a person, secrets masked.

        Raises: UnknownEntity, PublishingFailed.
        """
        for file in publication_of(await self._text(mac)).files:
            if file.name.lower() == name.lower() and file.bootstrap is bootstrap:
                return {"name": file.name, "content_type": file.content_type, "content": shown(file)}
        raise UnknownEntity("file of the handset", name)

    async def _text(self, mac: str) -> str:
        text = (await self.published.read([mac])).get(mac)
        if text is None:
            raise UnknownEntity("published handset", mac)
        return text

    async def link_for(self, mac: str, minutes: int) -> Json:
        """A link to a softphone's settings that works once; its token is kept nowhere in clear.

        `link` opens the softphone by itself where it has a scheme of its own; `qr_svg` is a picture of it.

        Raises: UnknownEntity, IllegalTransition (no softphone, or nobody logged in), PublishingFailed.
        """
        handset = require_handset((await self.store.snapshot()).model, mac)
        if not handset.is_softphone:
            raise IllegalTransition(f"{handset.model} is a phone: open its enrolment instead.")
        if handset.device is None:
            raise IllegalTransition(f"Nobody is logged in at {handset.mac}: log somebody in first.")
        settings = [f for f in publication_of(await self._text(handset.mac)).files if f.secret]
        if not settings:
            raise UnknownEntity("settings of softphone", handset.mac)
        token, until = new_token(), self.clock.now() + timedelta(minutes=minutes)
        await self.published.add_link(token, handset.mac, settings[0].name, until)
        address = f"{self.url}s/{token}"
        link = link_for(CATALOGUE.family(CATALOGUE.model(handset.model)), address)
        picture = qr_code(link, Picture.SVG).decode()
        return {"url": address, "link": link, "qr_svg": picture, "valid_until": until}


def contacts_of(handset: Handset, registered: Registered) -> tuple[Registration, ...]:
    """Where a handset may be: as what it is set up as first, then as what it was before.

    Who just logged in or out is still registered as before, and registrations outlive what the handset was
    told since; so all of them are it, and none can be left out. Where another handset has taken over its last
    device, that one is told to fetch once more than it needs, and finds nothing new: who of the two is
    registered as that device, Asterisk does not say.
    """
    names = (handset.device or handset.neutral_user, handset.neutral_user, handset.last_device)
    found = (registered(name) for name in dict.fromkeys(names) if name)
    return tuple({contact.uri: contact for contact in found if contact is not None}.values())


def catalogue() -> list[Json]:
    """Every model that can be set up."""
    return [
        {
            "name": model.name,
            "vendor": model.vendor,
            "family": model.family,
            "lines": model.lines,
            "keys": model.keys,
            "softphone": CATALOGUE.family(model).softphone,
            "supports": sorted(CATALOGUE.family(model).supports),
        }
        for model in CATALOGUE.models
    ]
