"""A node over AMI: what the port `NodeLink` says, on a session that is kept alive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from control_plane.adapters.ami import astdb, config_files, wire
from control_plane.adapters.ami.address import AmiAddress, AmiTiming
from control_plane.adapters.ami.keeper import Keeper
from control_plane.adapters.ami.session import Session
from control_plane.errors import Rejected
from control_plane.ports import ConfigFile, ConfigLine, NodeLink

_ROW_MISSING = "Database entry not found"
_ROW_GONE = "Database entry could not be deleted"  # DBDel of a row that is not there, 22.10.1
_RELOAD_BUSY = "A reload is in progress"
_RELOAD_RETRY_S = 0.2
_NOTIFIER = b"ObjectName: wc-notify\r\n"
_IDENTIFY_ROWS = "pbx/identify/"
_IDENTIFY_CACHE = "identify"
"""Named in sorcery.conf. Without it PJSIP reads all of AstDB for every request (see there)."""
_NO_CACHE = "The provided cache does not exist"


class AmiLink(Keeper, NodeLink):
    """`NodeLink` over AMI, one per node; what its methods promise is written at the port."""

    def __init__(self, address: AmiAddress, timing: AmiTiming | None = None) -> None:
        super().__init__(address, timing)
        self._config_lock = asyncio.Lock()
        self._reload_lock = asyncio.Lock()

    async def ping(self) -> float:
        session = self._open_session()
        loop = asyncio.get_running_loop()
        started = loop.time()
        await session.order({"Action": "Ping"}, what="Ping")
        return loop.time() - started

    async def read_rows(self, prefix: str) -> dict[str, str]:
        session = self._open_session()
        messages = await session.list_items(
            {"Action": "DBGetTree", "Family": prefix},
            what=f"Read AstDB rows under {prefix!r}",
            item="DBGetTreeResponse",
        )
        return wire.parse_tree_rows(messages, prefix)

    async def read_row(self, key: str) -> str | None:
        session = self._open_session()
        family, name = astdb.split_key(key)
        what = f"Read AstDB row {key!r}"
        reply = await session.ask({"Action": "DBGet", "Family": family, "Key": name}, what=what)
        if reply.ok:
            return reply.events[0].get("Val", "")
        if reply.error == _ROW_MISSING:
            return None
        raise Rejected(f"{what}: Asterisk refused: {reply.error}.")

    async def put_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        session = self._open_session()
        actions = [astdb.put_action(key, value) for key, value in rows]
        await session.run_batch(actions, what="Write AstDB rows")
        await self._bring_into_force(session, (key for key, _ in actions))

    async def delete_rows(self, keys: Iterable[str]) -> None:
        session = self._open_session()
        actions = [astdb.delete_action(key) for key in keys]
        await session.run_batch(actions, what="Delete AstDB rows", harmless=_ROW_GONE)
        await self._bring_into_force(session, (key for key, _ in actions))

    async def _bring_into_force(self, session: Session, keys: Iterable[str]) -> None:
        """Let PJSIP see at once what it keeps a copy of; should this be lost, it looks by itself in 5 s."""
        if not any(key.startswith(_IDENTIFY_ROWS) for key in keys):
            return
        what = "Refresh PJSIP's copy of the addresses it knows"
        reply = await session.ask(
            {"Action": "SorceryMemoryCachePopulate", "Cache": _IDENTIFY_CACHE}, what=what
        )
        if not reply.ok and not reply.error.startswith(_NO_CACHE):
            raise Rejected(f"{what}: Asterisk refused: {reply.error}.")

    async def read_config(self, filename: str) -> dict[str, list[ConfigLine]] | None:
        return await config_files.read_config(self._open_session(), filename)

    async def write_config(self, filename: str, content: ConfigFile) -> None:
        async with self._config_lock:
            await config_files.write_config(self._open_session(), filename, content)

    async def edit_config(
        self,
        filename: str,
        category: str,
        *,
        delete: Sequence[ConfigLine] = (),
        append: Sequence[ConfigLine] = (),
    ) -> None:
        async with self._config_lock:
            await config_files.edit_config(
                self._open_session(), filename, category, delete=delete, append=append
            )

    async def reload(self, module: str) -> None:
        """See the port. Reloads of one node never overlap: Asterisk has deadlocked on that."""
        action = {"Action": "Reload", "Module": module}
        what = f"Reload {module}"
        loop = asyncio.get_running_loop()
        async with self._reload_lock:
            deadline = loop.time() + self._timing.reload_s
            while True:
                reply = await self._open_session().ask(action, what=what, deadline_s=self._timing.reload_s)
                if reply.ok:
                    return
                if reply.error != _RELOAD_BUSY or loop.time() > deadline:
                    raise Rejected(f"{what}: Asterisk refused: {reply.error}.")
                await asyncio.sleep(_RELOAD_RETRY_S)

    async def count_endpoints(self) -> int:
        messages = await self._open_session().list_items(
            {"Action": "PJSIPShowEndpoints"},
            what="PJSIPShowEndpoints",
            item="EndpointList",
            empty_answer="No endpoints found",
        )
        # The one of pjsip.conf stands in no row; the last message is no endpoint.
        return sum(_NOTIFIER not in message for message in messages[:-1])

    async def has_endpoint(self, name: str) -> bool:
        messages = await self._open_session().list_items(
            {"Action": "PJSIPShowEndpoint", "Endpoint": name},
            what=f"Show endpoint {name!r}",
            item="EndpointDetail",
            empty_answer="Unable to retrieve endpoint",
        )
        return bool(messages)

    async def contacts(self) -> dict[str, str]:
        messages = await self._open_session().list_items(
            {"Action": "PJSIPShowContacts"},
            what="List registered contacts",
            item="ContactList",
            empty_answer="No Contacts found",
        )
        events = [wire.parse_headers(message) for message in messages[:-1]]
        # ObjectName is "<aor>;@<hash>" (res_pjsip_registrar.c); the event has no header with the AOR alone.
        return {event["ObjectName"].rpartition(";@")[0]: event["Uri"] for event in events}

    async def notify(self, uri: str, event: str) -> None:
        # A semicolon is escaped in pjsip_notify.conf only; over AMI a variable is taken as it is.
        action = {"Action": "PJSIPNotify", "URI": uri, "Variable": f"Event={event}"}
        reply = await self._open_session().ask(action, what="Send a NOTIFY")
        if not reply.ok:
            raise Rejected(f"Send a NOTIFY: Asterisk refused: {reply.error}.")

    async def active_channels(self) -> int:
        return await self._count("CoreShowChannels", item="CoreShowChannel")

    async def _count(self, action: str, *, item: str, empty_answer: str | None = None) -> int:
        messages = await self._open_session().list_items(
            {"Action": action}, what=action, item=item, empty_answer=empty_answer
        )
        return max(0, len(messages) - 1)
