"""A node in memory behind the port `NodeLink`, with faults on request.

The same contract tests run against it and against a real Asterisk, so a test that uses it may trust that
rows, files and errors behave as there. What it does not model: PJSIP, calls and timing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from control_plane.adapters.ami import astdb, config_text, wire
from control_plane.errors import LoginRefused, OutcomeUnknown, Rejected, Unreachable
from control_plane.ports import AmiEvent, ConfigFile, ConfigLine, LinkState, NodeLink


@dataclass(slots=True)
class Faults:
    """What shall go wrong, and when. Operations are counted one per row, file step or reload."""

    cut_after: int | None = None
    """Break the connection after this many more operations were done; whoever asked learns nothing."""
    refuse_keys: set[str] = field(default_factory=set)
    """Rows, files and modules that Asterisk answers with an error."""
    refuse_login: bool = False
    unreachable: bool = False


class FakeNode(NodeLink):
    """An Asterisk that holds rows and files; `operations` lists what was done, in order."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.files: dict[str, dict[str, list[ConfigLine]]] = {}
        self.operations: list[tuple[str, str]] = []
        self.faults = Faults()
        self.endpoints: int | None = None
        self.unreadable: set[str] = set()
        self.contact_uris: dict[str, str] = {}
        self.channels = 0
        self._committed: dict[str, str] = {}
        self._state = LinkState.DISCONNECTED
        self._last_error: str | None = "not connected yet"
        self._listeners: list[Callable[[AmiEvent], None]] = []
        self._state_listeners: list[Callable[[LinkState], None]] = []

    # What a test does to it.

    def cut(self) -> None:
        """Break the connection, as a network does."""
        self._last_error = "Asterisk closed the connection."
        self._move(LinkState.DISCONNECTED)

    def commit(self) -> None:
        """What AstDB does about once a second: rows written so far survive a crash."""
        self._committed = dict(self.rows)

    def crash(self) -> None:
        """Kill Asterisk: rows since the last commit are lost (acknowledged or not), and the connection."""
        self.rows = dict(self._committed)
        self.channels = 0
        self.cut()

    def emit(self, name: str, **headers: str) -> None:
        """Send an event to everybody who listens."""
        for listener in tuple(self._listeners):
            listener(AmiEvent(name, {"Event": name, **headers}))

    # The port.

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def last_error(self) -> str | None:
        return self._last_error

    async def connect(self) -> None:
        if self._state is LinkState.CONNECTED:
            return
        self._move(LinkState.CONNECTING)
        if self.faults.unreachable:
            self._last_error = "The node cannot be reached."
            self._move(LinkState.DISCONNECTED)
            raise Unreachable(self._last_error)
        if self.faults.refuse_login:
            self._last_error = "The node refused the login."
            self._move(LinkState.LOGIN_REFUSED)
            raise LoginRefused(self._last_error)
        self._last_error = None
        self._move(LinkState.CONNECTED)
        self.emit("FullyBooted", Status="Fully Booted")

    async def close(self) -> None:
        self._last_error = "closed"
        self._move(LinkState.DISCONNECTED)

    async def ping(self) -> float:
        self._do("ping", "")
        return 0.0

    async def read_rows(self, prefix: str) -> dict[str, str]:
        wire.require_line("Family", prefix, f"AstDB prefix {prefix!r}")
        self._do("read_rows", prefix)
        return {key: value for key, value in sorted(self.rows.items()) if key.startswith(f"{prefix}/")}

    async def read_row(self, key: str) -> str | None:
        astdb.split_key(key)
        self._do("read_row", key)
        return self.rows.get(key)

    async def put_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        held = list(rows)
        for key, value in held:
            wire.encode_action(astdb.put_action(key, value)[1], key)
        self._require_connected()
        for key, value in held:
            self._do("put", key, partial(self.rows.__setitem__, key, value))

    async def delete_rows(self, keys: Iterable[str]) -> None:
        held = list(keys)
        for key in held:
            wire.encode_action(astdb.delete_action(key)[1], key)
        self._require_connected()
        for key in held:
            self._do("delete", key, partial(self.rows.pop, key, None))

    async def read_config(self, filename: str) -> dict[str, list[ConfigLine]] | None:
        config_text.require_filename(filename)
        self._do("read_config", filename)
        held = self.files.get(filename)
        return None if held is None else {category: list(lines) for category, lines in held.items()}

    async def write_config(self, filename: str, content: ConfigFile) -> None:
        config_text.require_filename(filename)
        config_text.require_content(filename, content)
        wanted = {category: list(lines) for category, lines in content.items()}
        self._do("write_config", filename, lambda: self.files.__setitem__(filename, wanted))

    async def edit_config(
        self,
        filename: str,
        category: str,
        *,
        delete: Sequence[ConfigLine] = (),
        append: Sequence[ConfigLine] = (),
    ) -> None:
        config_text.require_filename(filename)
        config_text.require_category(filename, category)
        for line in (*delete, *append):
            config_text.require_config_line(filename, category, line)

        def change() -> None:
            lines = self.files.setdefault(filename, {}).setdefault(category, [])
            for line in delete:
                if line in lines:
                    lines.remove(line)
            lines.extend(append)

        self._do("edit_config", filename, change)

    async def reload(self, module: str) -> None:
        wire.require_line("Module", module, f"Reload {module}")
        self._do("reload", module)
        self.emit("Reload", Module=module, Status="0")

    async def count_endpoints(self) -> int:
        self._do("count_endpoints", "")
        if self.endpoints is not None:
            return self.endpoints
        return sum(key.startswith("pbx/endpoint/") for key in self.rows)

    async def has_endpoint(self, name: str) -> bool:
        self._do("has_endpoint", name)
        return f"pbx/endpoint/{name}" in self.rows and name not in self.unreadable

    async def contacts(self) -> dict[str, str]:
        self._do("contacts", "")
        return dict(self.contact_uris)

    async def notify(self, uri: str, event: str) -> None:
        self._do("notify", f"{uri} {event}")

    async def active_channels(self) -> int:
        self._do("active_channels", "")
        return self.channels

    def subscribe(self, listener: Callable[[AmiEvent], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_state(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        self._state_listeners.append(listener)
        return lambda: self._state_listeners.remove(listener)

    def _require_connected(self) -> None:
        if self._state is not LinkState.CONNECTED:
            raise Unreachable(self._last_error or "There is no connection.")

    def _do(self, verb: str, subject: str, change: Callable[[], object] | None = None) -> None:
        """One operation: refused, or done and then perhaps never answered."""
        self._require_connected()
        if subject in self.faults.refuse_keys:
            raise Rejected(f"{verb} {subject!r}: Asterisk refused: as the test said.")
        if change is not None:
            change()
        self.operations.append((verb, subject))
        if self.faults.cut_after is not None:
            self.faults.cut_after -= 1
            if self.faults.cut_after <= 0:
                self.faults.cut_after = None
                self.cut()
                raise OutcomeUnknown(f"{verb} {subject!r}: the connection broke; the outcome is unknown.")

    def _move(self, state: LinkState) -> None:
        if state is self._state:
            return
        self._state = state
        for listener in tuple(self._state_listeners):
            listener(state)
