"""How handsets stand, for commands: from the files and the node, whether or not a control plane runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from control_plane.adapters.ami import AmiLink
from control_plane.bootstrap.wiring import Wiring
from control_plane.errors import AsteriskError
from control_plane.observe.registrations import Registrations
from control_plane.service.handset_status import HandsetStatus
from control_plane.service.handset_view import Provisioning
from control_plane.service.handsets import require_handset


@asynccontextmanager
async def provisioning_of(wiring: Wiring, *, connect: bool = True) -> AsyncIterator[Provisioning]:
    """What operators see of handsets; with `connect` a node that does not answer is an error.

    Raises: AsteriskError, StoreError.
    """
    published = wiring.published()
    link = wiring.link()
    try:
        registered = await _registrations(wiring, link, required=connect)
        async with wiring.store() as store:
            yield wiring.provisioning(store, published, link, registered.get)
    finally:
        await published.close()
        await link.close()


async def _registrations(wiring: Wiring, link: AmiLink, *, required: bool) -> Registrations:
    found = Registrations()
    try:
        await link.connect()
        found.reset(await link.contacts(), wiring.clock.now())
    except AsteriskError:
        if required:
            raise
    return found


async def handset_statuses(wiring: Wiring, mac: str | None = None) -> Mapping[str, HandsetStatus]:
    """How all handsets stand, or the one named; a node that does not answer leaves registrations out.

    Raises: UnknownEntity, PublishingFailed.
    """
    async with provisioning_of(wiring, connect=False) as provisioning:
        model = (await provisioning.store.snapshot()).model
        wanted = None if mac is None else [require_handset(model, mac).mac]
        return await provisioning.statuses(model, wanted)
