"""A node: an Asterisk and the link to it over AMI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AmiEvent:
    """One AMI event as it arrived; header names keep Asterisk's spelling, repeated headers keep the last."""

    name: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """One `name = value` (or `name => value`) line of an Asterisk configuration category, in file order.

    `value` is what Asterisk holds, unescaped. `arrow` tells `=>` from `=`; GetConfig does not report it,
    so it takes no part in comparisons.
    """

    name: str
    value: str
    arrow: bool = field(default=True, compare=False)


ConfigFile = Mapping[str, Sequence[ConfigLine]]
"""Category name -> its lines, both in file order."""


class LinkState(StrEnum):
    """How the control plane stands with one node."""

    CONNECTING = "connecting"
    CONNECTED = "connected"  # logged in and FullyBooted seen
    DISCONNECTED = "disconnected"
    LOGIN_REFUSED = "login_refused"


class NodeLink(Protocol):
    """One Asterisk node over AMI, as the push and the observer use it.

    Every method raises Unreachable when nothing was sent, OutcomeUnknown when the action was sent but the
    answer did not come in time or the connection broke, Rejected when Asterisk answered with an error, and
    UnsafeValue (before anything is sent) when a value has CR, LF or NUL or its line exceeds what AMI takes.
    No action is ever sent twice by the link itself.
    """

    @property
    def state(self) -> LinkState: ...

    @property
    def last_error(self) -> str | None:
        """One sentence on why the link is not connected, without secrets; None when it is."""
        ...

    async def connect(self) -> None:
        """Connect, log in and wait for FullyBooted; afterwards the link reconnects by itself with backoff.

        Raises: Unreachable, LoginRefused.
        """
        ...

    async def close(self) -> None: ...

    async def ping(self) -> float:
        """Round trip in seconds."""
        ...

    async def read_rows(self, prefix: str) -> dict[str, str]:
        """AstDB rows under `prefix` ("pbx/auth"), full key without the leading slash -> value. Empty: {}."""
        ...

    async def read_row(self, key: str) -> str | None: ...

    async def put_rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Write AstDB rows (full key, value) in order, pipelined.

        Raises on the first row refused; rows before it are written, rows after it may be.
        """
        ...

    async def delete_rows(self, keys: Iterable[str]) -> None:
        """Delete AstDB rows, pipelined; a row that is already gone is no error."""
        ...

    async def read_config(self, filename: str) -> dict[str, list[ConfigLine]] | None:
        """A configuration file by GetConfig; None when it does not exist."""
        ...

    async def write_config(self, filename: str, content: ConfigFile) -> None:
        """Make `filename` hold exactly `content`: created when missing, old categories dropped, written in
        batches within AMI's 128-line limit. Not atomic in Asterisk: the caller reads back."""
        ...

    async def edit_config(
        self,
        filename: str,
        category: str,
        *,
        delete: Sequence[ConfigLine] = (),
        append: Sequence[ConfigLine] = (),
    ) -> None:
        """Delete and append single lines of one category (created when missing), without touching others."""
        ...

    async def reload(self, module: str) -> None:
        """Reload one module ("pbx_config.so"). The acknowledgement is no evidence: read back.

        "A reload is in progress" is waited out up to a deadline.
        """
        ...

    async def count_endpoints(self) -> int:
        """How many PJSIP endpoints Asterisk can enumerate (a malformed row hides all after it)."""
        ...

    async def has_endpoint(self, name: str) -> bool:
        """Whether Asterisk can make a PJSIP endpoint of the row `pbx/endpoint/<name>`; about 1 ms at any
        number of endpoints, where counting takes seconds at 10 000."""
        ...

    async def contacts(self) -> dict[str, str]:
        """AOR -> contact URI of what is registered now (PJSIPShowContacts)."""
        ...

    async def notify(self, uri: str, event: str) -> None:
        """Send a SIP NOTIFY with this Event header to one contact; whether it was taken, nobody tells."""
        ...

    async def active_channels(self) -> int:
        """Number of channels up (CoreShowChannels/CoreStatus)."""
        ...

    def subscribe(self, listener: Callable[[AmiEvent], None]) -> Callable[[], None]:
        """Call `listener` for every event; returns the unsubscribe function. A listener must not block."""
        ...

    def on_state(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        """Call `listener` after every change of `state`; returns the unsubscribe function."""
        ...
