"""The running control plane: store, link, reconciler, guard, outbox and observer in one asyncio process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from control_plane.adapters.ami import AmiLink
from control_plane.adapters.mail import mailer_of
from control_plane.adapters.published import PublishedFile
from control_plane.apply.exempt import exempt_of
from control_plane.apply.guard import Guard, policy_of
from control_plane.apply.observer import Observer
from control_plane.apply.publisher import Publisher
from control_plane.apply.reconciler import Reconciler
from control_plane.bootstrap.wiring import Wiring
from control_plane.errors import AsteriskError
from control_plane.service.decommissioner import Decommissioner
from control_plane.service.follow_up import FollowUp
from control_plane.service.handset_view import Provisioning
from control_plane.service.notify import Outbox
from control_plane.service.upkeep import Upkeep
from control_plane.store import SqlStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ControlPlane:
    """The parts that run, for those who ask them."""

    wiring: Wiring
    store: SqlStore
    link: AmiLink
    reconciler: Reconciler
    guard: Guard
    outbox: Outbox
    observer: Observer
    decommissioner: Decommissioner
    upkeep: Upkeep
    publisher: Publisher
    published: PublishedFile
    provisioning: Provisioning
    follow_up: FollowUp

    def nudge(self) -> None:
        """The model changed: push it and publish it."""
        self.reconciler.nudge()
        self.publisher.nudge()


@asynccontextmanager
async def running(wiring: Wiring) -> AsyncIterator[ControlPlane]:
    """Everything running until the block ends; then it is stopped in order and closed.

    A node that cannot be reached is no reason not to run: the link goes on trying.

    Raises:
        StoreError: the database cannot be used.
    """
    async with wiring.store() as store:
        plane = _assembled(wiring, store)
        tasks = [
            _start("link", _connect(plane.link)),
            _start("reconciler", plane.reconciler.run()),
            _start("guard", plane.guard.run()),
            _start("outbox", plane.outbox.run()),
            _start("observer", plane.observer.run()),
            _start("upkeep", plane.upkeep.run()),
            _start("publisher", plane.publisher.run()),
            _start("decommissions", plane.decommissioner.run()),
            _start("handsets", plane.follow_up.run()),
        ]
        try:
            yield plane
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await plane.link.close()
            await plane.published.close()


def _assembled(wiring: Wiring, store: SqlStore) -> ControlPlane:
    settings, clock = wiring.settings, wiring.clock
    link = wiring.link()
    guard = Guard(
        link, store, clock, node=settings.node, policy=policy_of(settings), exempt=exempt_of(settings)
    )
    outbox = Outbox(
        link,
        store,
        clock,
        node=settings.node,
        mailer=mailer_of(settings, clock),
        recordings=wiring.spool,
    )
    observer = Observer(link, clock)
    published = wiring.published()
    told: list[FollowUp] = []
    publisher = wiring.publisher(store, published, lambda macs: told[0].published(macs))
    provisioning = wiring.provisioning(store, published, link, observer.registrations.get)
    follow_up = FollowUp(provisioning, publisher.text_of, tasks=store)
    told.append(follow_up)
    reconciler = wiring.reconciler(store, link)
    leaving = Decommissioner(store, store, clock, wiring.number_policy, partial(_pushed, reconciler))
    upkeep = Upkeep(store, wiring.number_policy, reconciler.nudge)
    return ControlPlane(
        wiring,
        store,
        link,
        reconciler,
        guard,
        outbox,
        observer,
        leaving,
        upkeep,
        publisher,
        published,
        provisioning,
        follow_up,
    )


async def _pushed(reconciler: Reconciler, org: str, revision: int, within_s: float) -> str | None:
    """Why Asterisk was not seen to hold a revision in time, or holds what `org` left; None: all is well."""
    if await reconciler.wait_pushed(revision, within_s):
        return await reconciler.wait_erased(org, within_s)
    return reconciler.problem or f"Asterisk was not seen to hold the change within {within_s:g} s."


async def _connect(link: AmiLink) -> None:
    # The first attempt may fail; from then on the link tries by itself.
    with contextlib.suppress(AsteriskError):
        await link.connect()


def _start(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.critical(
            "%s ended and is needed: restart the control plane", task.get_name(), exc_info=task.exception()
        )
