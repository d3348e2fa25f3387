"""Keeps attackers out of one node: security events over AMI in, rows over AMI out.

What to block is decided by the pure fold; here are the loop, the memory of what was seen, and the rows.
The rows follow the memory (level-triggered), so a restart of either side ends in the same state: the control
plane reads its records back when it first meets the node, and writes them again whenever it meets it later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime, timedelta

from control_plane.apply.exempt import Exempt, Resolve, resolve_host
from control_plane.errors import AsteriskError, InvalidField, StoreError, UnknownEntity, Unreachable
from control_plane.observe.attacks import (
    RECORD_PREFIX,
    REFUSED_PREFIX,
    REFUSING_ROW,
    Block,
    Network,
    Policy,
    Window,
    add_failure,
    block,
    contact_source,
    is_forgotten,
    judge,
    observe_failure,
    parse_record,
    record_row,
    refusal_rows,
    source_of,
)
from control_plane.ports import AmiEvent, Clock, LinkState, NodeLink, Store
from control_plane.settings import Settings

logger = logging.getLogger(__name__)

MAX_WINDOWS = 10_000
"""Addresses counted at once: whoever forges sources may not fill the memory."""
MAX_BLOCKS = 2_000
"""Blocks remembered, ended ones included."""
FAMILIAR_FOR = timedelta(hours=24)
"""How long an account stays familiar where it registered from: phones come back after a power cut."""
CONTACTS_EVERY = timedelta(minutes=5)
CONTACTS_FRESH = timedelta(seconds=30)
"""Before a stranger is blocked, the registrations must be at most so old: it may be a new office."""
TURN_EVERY_S = 60.0
RETRY_S = 5.0


def policy_of(settings: Settings) -> Policy:
    """The limits of the settings guard_*."""
    return Policy(settings.guard_max_failures, settings.guard_window_s, settings.guard_block_s)


class Guard:
    """Blocks attackers of one node, and lifts the blocks when their time is over.

    Args:
        exempt: never blocked; the addresses of the node's trunks are added from the model.
    """

    def __init__(
        self,
        link: NodeLink,
        store: Store,
        clock: Clock,
        *,
        node: str,
        policy: Policy,
        exempt: Iterable[Network] = (),
        resolve: Resolve = resolve_host,
    ) -> None:
        self._link = link
        self._store = store
        self._clock = clock
        self._node = node
        self._policy = policy
        self._exempt = Exempt(exempt, resolve)
        self._windows: OrderedDict[Network, Window] = OrderedDict()
        self._pending: set[Network] = set()
        self._familiar: dict[Network, dict[str, datetime]] = {}
        self._contacts_at: datetime | None = None
        self._lifted: dict[Network, datetime] = {}
        self._blocks: dict[Network, Block] = {}
        self._loaded = False
        self._present: dict[str, str] | None = None  # rows in AstDB; unknown after every disconnect
        self._connection = 0
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Guard the node until cancelled; errors of Asterisk or the store are logged and tried again."""
        stop_listening = self.listen()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._loop(self.turn, self._next_turn_s, self._wake))
                tasks.create_task(self._loop(self.refresh_exempt, lambda: TURN_EVERY_S, asyncio.Event()))
        finally:
            stop_listening()

    def listen(self) -> Callable[[], None]:
        """Take in the node's events from now on; returns what ends it. Done by `run`."""
        unsubscribe = (self._link.subscribe(self._on_event), self._link.on_state(self._on_state))

        def stop() -> None:
            for one in unsubscribe:
                one()

        return stop

    def blocked(self) -> tuple[Block, ...]:
        """The addresses refused now, newest first."""
        return tuple(sorted(self._active(), key=lambda b: b.since, reverse=True))

    async def unblock(self, address: str) -> None:
        """Lift the block of one address and forget it.

        Raises:
            InvalidField: not an IP address.
            UnknownEntity: it is not blocked.
            Unreachable: the node is not connected; nothing changed.
        """
        try:
            source = source_of(address)
        except ValueError:
            raise InvalidField("address", "must be an IP address, such as 192.0.2.7") from None
        self._require_connected()
        async with self._lock:
            await self._load()
            if source not in {b.source for b in self._active()}:
                raise UnknownEntity("block of address", str(address))
            await self._lift((source,))

    async def unblock_all(self) -> int:
        """Lift every block; how many there were.

        Raises:
            Unreachable: the node is not connected; nothing changed.
        """
        self._require_connected()
        async with self._lock:
            await self._load()
            lifted = tuple(b.source for b in self._active())
            await self._lift(lifted)
            return len(lifted)

    async def turn(self) -> None:
        """One round: read back after a reconnect, decide on who passed a limit, end blocks, write rows."""
        if not self._exempt.known:
            await self.refresh_exempt()
        if self._link.state is not LinkState.CONNECTED:
            return
        async with self._lock:
            await self._load()
            await self._refresh_contacts(CONTACTS_EVERY)
            await self._decide()
            self._forget()
            await self._write()

    async def _loop(
        self, work: Callable[[], Awaitable[None]], pause_s: Callable[[], float], wake: asyncio.Event
    ) -> None:
        while True:
            try:
                await work()
                delay = pause_s()
            except (AsteriskError, StoreError) as exc:
                logger.warning("guard of node %s tries again in %.0f s: %s", self._node, RETRY_S, exc)
                delay = RETRY_S
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # Python 3.11's wait_for, somewhere below, kept it to itself
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await wake.wait()
            wake.clear()

    def _next_turn_s(self) -> float:
        now = self._clock.now()
        ends = [(b.until - now).total_seconds() for b in self._active()]
        return max(0.05, min([TURN_EVERY_S, *ends]))

    # What comes in. These run inside the link's reader: no waiting.

    def _on_state(self, state: LinkState) -> None:
        self._present = None
        self._connection += 1
        if state is LinkState.CONNECTED:
            self._contacts_at = None
            self._wake.set()

    def _on_event(self, event: AmiEvent) -> None:
        if event.name == "ContactStatus":
            if event.headers.get("ContactStatus") in ("Created", "Updated", "Reachable", "NonQualified"):
                self._remember_contact(event.headers.get("AOR", ""), event.headers.get("URI", ""))
            return
        failure = observe_failure(event.name, event.headers)
        if failure is None or self._policy.max_failures == 0 or self._exempt.covers(failure.source):
            return
        now = self._clock.now()
        known = self._blocks.get(failure.source)
        if known is not None and known.is_active(now):
            return  # sent before the block took hold
        window = add_failure(self._windows.pop(failure.source, ()), failure, now, self._policy)
        self._windows[failure.source] = window
        if len(self._windows) > MAX_WINDOWS:
            self._windows.popitem(last=False)
        if judge(window, self._familiar_at(failure.source), self._policy):
            self._pending.add(failure.source)
            self._wake.set()

    def _remember_contact(self, aor: str, uri: str) -> None:
        source = contact_source(uri)
        if source is not None and aor:
            self._familiar.setdefault(source, {})[aor] = self._clock.now()

    def _familiar_at(self, source: Network) -> Collection[str]:
        return self._familiar.get(source, {}).keys()

    # One round. The lock is held.

    async def _load(self) -> None:
        if self._present is not None:
            return
        rows = await self._link.read_rows(RECORD_PREFIX.rstrip("/"))
        refusals = await self._link.read_rows(REFUSED_PREFIX.rpartition("/")[0])
        refusing = await self._link.read_row(REFUSING_ROW)
        if not self._loaded:
            found = [parse_record(key, value) for key, value in rows.items()]
            self._blocks = {b.source: b for b in found if b is not None} | self._blocks
            self._loaded = True
        ours = {key: value for key, value in refusals.items() if key.startswith(REFUSED_PREFIX)}
        self._present = ({} if refusing is None else {REFUSING_ROW: refusing}) | ours | rows

    async def _refresh_contacts(self, max_age: timedelta) -> None:
        now = self._clock.now()
        if self._contacts_at is not None and now - self._contacts_at < max_age:
            return
        for aor, uri in (await self._link.contacts()).items():
            self._remember_contact(aor, uri)
        self._contacts_at = now

    async def _decide(self) -> None:
        pending = sorted(self._pending, key=str)
        if any(not self._familiar_at(source) for source in pending):
            await self._refresh_contacts(CONTACTS_FRESH)
        for source in pending:
            self._pending.discard(source)
            window = self._windows.get(source, ())
            reason = judge(window, self._familiar_at(source), self._policy)
            if reason is None or self._exempt.covers(source):
                continue
            del self._windows[source]
            now = self._clock.now()
            made = block(source, reason, self._blocks.get(source), now, self._policy)
            self._blocks[source] = made
            logger.warning(
                "blocked address=%s node=%s seconds=%.0f times=%d reason=%s failures=%d phones=%d",
                made.address,
                self._node,
                (made.until - made.since).total_seconds(),
                made.times,
                reason,
                len(window),
                len(self._familiar_at(source)),
            )

    def _forget(self) -> None:
        now = self._clock.now()
        for source, past in [*self._blocks.items()]:
            if is_forgotten(past, now) or self._exempt.covers(source):
                del self._blocks[source]
        excess = sorted(self._blocks.values(), key=lambda b: b.until)[
            : max(0, len(self._blocks) - MAX_BLOCKS)
        ]
        for past in excess:
            del self._blocks[past.source]
        self._lifted = {s: at for s, at in self._lifted.items() if now - at < FAMILIAR_FOR}
        for source, accounts in [*self._familiar.items()]:
            kept = {account: at for account, at in accounts.items() if now - at < FAMILIAR_FOR}
            if kept:
                self._familiar[source] = kept
            else:
                del self._familiar[source]
        window = timedelta(seconds=self._policy.window_s)
        while self._windows and now - next(iter(self._windows.values()))[-1].at > window:
            self._windows.popitem(last=False)

    async def _write(self) -> None:
        """Make the rows say what the memory says: refusals first, then the records."""
        present = self._present
        if present is None:
            return  # the connection broke meanwhile; the next round reads back first
        protected = (*self._exempt.networks, *self._lifted, *self._familiar)
        wanted = refusal_rows(self._active(), protected) | dict(map(record_row, self._blocks.values()))
        put = [(key, value) for key, value in wanted.items() if present.get(key) != value]
        delete = [key for key in reversed(present) if key not in wanted]
        if not put and not delete:
            return
        self._present = None  # unknown while it changes
        connection = self._connection
        if put:
            await self._link.put_rows(put)
        if delete:
            await self._link.delete_rows(delete)
        if self._connection == connection:
            self._present = wanted

    async def _lift(self, sources: Collection[Network]) -> None:
        now = self._clock.now()
        for source in sources:
            past = self._blocks.pop(source)
            self._windows.pop(source, None)
            self._lifted[source] = now
            logger.info("unblocked address=%s node=%s by hand", past.address, self._node)
        await self._write()

    def _active(self) -> tuple[Block, ...]:
        now = self._clock.now()
        return tuple(b for b in self._blocks.values() if b.is_active(now))

    def _require_connected(self) -> None:
        if self._link.state is not LinkState.CONNECTED:
            raise Unreachable(f"Node {self._node} is not connected, so its blocks cannot be lifted now.")

    # Who is exempt. Names are resolved apart from the rounds: a slow name server must not delay a block.

    async def refresh_exempt(self) -> None:
        """Read the trunks' addresses anew. Raises: StoreError."""
        model = (await self._store.snapshot()).model
        hosts = {trunk.host for trunk in model.trunks.values() if trunk.node == self._node}
        if await self._exempt.refresh(hosts):
            self._wake.set()
