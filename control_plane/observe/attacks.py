"""Failed SIP logins folded into one decision: which addresses Asterisk must refuse, and until when.

Pure: time is an argument, addresses that are exempt or have phones of ours are arguments. The rules, and why
an address with phones behind it is judged differently, are explained for operators in docs/security.md.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

REFUSING_ENDPOINT = "~blocked"
"""Name of the endpoint that blocked addresses are taken for. It sorts behind all others: a row PJSIP cannot
read hides the rows behind it, so counting endpoints against rows still tells."""
REFUSING_ROW = f"pbx/endpoint/{REFUSING_ENDPOINT}"
REFUSED_PREFIX = f"pbx/identify/{REFUSING_ENDPOINT}-"
RECORD_PREFIX = "guard/"

SHARED_ACCOUNT_FACTOR = 4
"""How many times the limit one account may fail from an address that has phones of ours."""
SHARED_TOTAL_FACTOR = 10
"""The same for all unfamiliar accounts of such an address together, in points."""
UNKNOWN_POINTS = 3
"""Points of a failure for an account that does not exist; one for an existing account is 1 point. Names that
do not exist come from scanners; a person who mistypes a password has a name that does."""
BLOCK_MAX_S = 24 * 3600
FORGET_AFTER = timedelta(hours=24)
"""How long after its end a block still makes the next one twice as long."""

MAX_NETWORKS = 400
"""Networks refused at once; PJSIP goes through all of them with every request."""
NETWORKS_PER_ROW = 40
ROW_BYTES = 900  # AMI takes lines of about 1 010 bytes
MERGE_BITS = 24
MERGE_AT = 4
"""From so many blocked addresses on, a /24 is refused whole, when there is no room to list them singly."""

_FAILURES = frozenset({"InvalidAccountID", "InvalidPassword", "ChallengeResponseFailed"})
_IPV6_SITE_BITS = 64  # RFC 4291 section 2.5.1: an attacker has at least a /64 to choose addresses from
_CONTACT_HOST = re.compile(r"^sips?:(?:[^@]*@)?(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?=[:;?>]|$)")


@dataclass(frozen=True, slots=True)
class Policy:
    """When to block and for how long; the settings guard_*."""

    max_failures: int = 5
    window_s: int = 60
    block_s: int = 900


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed login. `known`: the account exists, so it was the password."""

    source: Network
    account: str
    known: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failure as its window remembers it."""

    at: datetime
    account: str
    known: bool


Window = tuple[Attempt, ...]
"""The recent failures of one address, oldest first."""


class BlockReason(StrEnum):
    """Which limit was passed."""

    FAILURES = "failures"  # an address without phones of ours
    ACCOUNT = "account"  # one account, too often, from an address with phones of ours
    SCAN = "scan"  # many unfamiliar accounts from an address with phones of ours


@dataclass(frozen=True, slots=True)
class Block:
    """An address refused from `since` to `until`, for the `times`-th time."""

    source: Network
    since: datetime
    until: datetime
    times: int
    reason: BlockReason

    @property
    def address(self) -> str:
        """For people and row keys: 192.0.2.7, or 2001:db8:: for the /64 of an IPv6 address."""
        return str(self.source.network_address)

    def is_active(self, now: datetime) -> bool:
        return now < self.until


def source_of(address: str) -> Network:
    """What is counted and blocked for an address: itself (IPv4) or its /64 (IPv6).

    Raises:
        ValueError: not an IP address.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    bits = ip.max_prefixlen if ip.version == 4 else _IPV6_SITE_BITS
    return ip_network(f"{ip}/{bits}", strict=False)


def is_within(source: Network, networks: Iterable[Network]) -> bool:
    """Whether `source` and one of `networks` overlap."""
    return any(source.version == n.version and source.overlaps(n) for n in networks)


def observe_failure(name: str, headers: Mapping[str, str]) -> Failure | None:
    """The failed SIP login an AMI security event tells of, else None.

    Logins to the manager interface (Service AMI) are not SIP's business. A wrong answer for an account that
    does not exist comes as two events (22.10.1): InvalidAccountID with the name, which counts, and
    ChallengeResponseFailed for `<unknown>`, which would count the same request again.
    """
    if name not in _FAILURES or headers.get("Service", "").upper() == "AMI":
        return None
    account = headers.get("AccountID", "")
    if name == "ChallengeResponseFailed" and account == "<unknown>":
        return None
    try:
        # "IPV4/UDP/192.0.2.7/5060"
        source = source_of(headers["RemoteAddress"].split("/")[2])
    except (KeyError, IndexError, ValueError):
        return None
    return Failure(source, account[:80], name != "InvalidAccountID")


def contact_source(uri: str) -> Network | None:
    """The address in a contact URI: where the phone is seen from, as endpoints have rewrite_contact on."""
    found = _CONTACT_HOST.match(uri)
    if found is None:
        return None
    try:
        return source_of(found[1] or found[2])
    except ValueError:
        return None


def add_failure(window: Window, failure: Failure, at: datetime, policy: Policy) -> Window:
    """`window` with `failure`, without what is too old or more than any limit needs."""
    oldest = at - timedelta(seconds=policy.window_s)
    kept = tuple(attempt for attempt in window if attempt.at > oldest)
    bound = SHARED_TOTAL_FACTOR * policy.max_failures
    return (*kept, Attempt(at, failure.account, failure.known))[-bound:]


def judge(window: Window, familiar: Collection[str], policy: Policy) -> BlockReason | None:
    """The limit `window` passes, or None.

    Args:
        familiar: accounts registered from this address of late. With none, `max_failures` failures of any
            kind are enough. With some, other people's phones hang on the decision: each account has a limit
            of its own, and only accounts never seen there add up.
    """
    if not familiar:
        return BlockReason.FAILURES if len(window) >= policy.max_failures else None
    per_account = Counter(attempt.account for attempt in window)
    if max(per_account.values(), default=0) >= SHARED_ACCOUNT_FACTOR * policy.max_failures:
        return BlockReason.ACCOUNT
    strangers = (attempt for attempt in window if attempt.account not in familiar)
    points = sum(1 if attempt.known else UNKNOWN_POINTS for attempt in strangers)
    return BlockReason.SCAN if points >= SHARED_TOTAL_FACTOR * policy.max_failures else None


def block(
    source: Network, reason: BlockReason, previous: Block | None, at: datetime, policy: Policy
) -> Block:
    """A block from now on; each one within a day of the end of the last is twice as long, up to a day.

    Times are whole seconds, as the records hold them.
    """
    since = at.replace(microsecond=0)
    repeated = previous is not None and not is_forgotten(previous, at)
    times = previous.times + 1 if previous is not None and repeated else 1
    length_s = min(policy.block_s * 2 ** min(times - 1, 30), max(BLOCK_MAX_S, policy.block_s))
    return Block(source, since, since + timedelta(seconds=length_s), times, reason)


def is_forgotten(past: Block, now: datetime) -> bool:
    """Whether `past` no longer counts for the length of the next block."""
    return now >= past.until + FORGET_AFTER


def refusal_rows(blocks: Iterable[Block], protected: Collection[Network] = ()) -> dict[str, str]:
    """AstDB rows that make PJSIP refuse `blocks`, in the order to write them; to be deleted in the reverse.

    Whoever calls from a blocked address is identified as an endpoint whose own ACL denies everybody. PJSIP
    then answers 401 as to an unknown user, whatever the credentials (22.10.1). ACL objects would do too, but
    PJSIP reads those with every request and cannot keep them in memory: that costs it all of AstDB each time.

    Oldest blocks come first, so that a new one changes the last row alone.

    Args:
        protected: networks that no merged network may touch.
    """
    ordered = sorted(blocks, key=lambda b: (b.since, b.address))
    networks: list[Network] = [b.source for b in ordered]
    if len(networks) > MAX_NETWORKS:
        networks = _fewer(networks, protected)[-MAX_NETWORKS:]
    rows: dict[str, str] = {}
    for number, chunk in enumerate(_chunks(networks)):
        rows[REFUSING_ROW] = _json({"context": "nowhere", "deny": "0.0.0.0/0,::/0"})
        key = f"{REFUSED_PREFIX}{number:02d}"
        rows[key] = _json({"endpoint": REFUSING_ENDPOINT, "match": ",".join(chunk)})
    return rows


def _json(fields: Mapping[str, str]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _chunks(networks: Iterable[Network]) -> list[list[str]]:
    chunks: list[list[str]] = []
    size = ROW_BYTES
    for text in map(str, networks):
        if size + len(text) + 1 > ROW_BYTES or len(chunks[-1]) == NETWORKS_PER_ROW:
            chunks.append([])
            size = len(_json({"endpoint": REFUSING_ENDPOINT, "match": ""}))
        chunks[-1].append(text)
        size += len(text) + 1
    return chunks


def _fewer(networks: list[Network], protected: Collection[Network]) -> list[Network]:
    """`networks` with crowded neighbourhoods as one network, in the order of their newest member."""
    wide = [p for p in protected if p.version == 4 and p.prefixlen < MERGE_BITS]
    narrow = {_neighbourhood(p) for p in protected if p.prefixlen >= MERGE_BITS}
    crowds = Counter(_neighbourhood(n) for n in networks if n.version == 4)
    whole = {
        near
        for near, members in crowds.items()
        if members >= MERGE_AT and near not in narrow and not is_within(near, wide)
    }
    merged: dict[Network, None] = {}
    for network in reversed(networks):
        near = _neighbourhood(network)
        merged.setdefault(near if near in whole else network)
    return [*reversed(merged)]


def _neighbourhood(network: Network) -> Network:
    return network.supernet(new_prefix=MERGE_BITS) if network.version == 4 else network


def record_row(past: Block) -> tuple[str, str]:
    """The AstDB row that lets a block outlive the control plane: key, "until,times,since,reason"."""
    value = f"{past.until.timestamp():.0f},{past.times},{past.since.timestamp():.0f},{past.reason}"
    return f"{RECORD_PREFIX}{past.address}", value


def parse_record(key: str, value: str) -> Block | None:
    """The block of a row written by record_row; None for anything else."""
    try:
        until, times, since, reason = value.split(",")
        return Block(
            source_of(key.removeprefix(RECORD_PREFIX)),
            datetime.fromtimestamp(int(since), UTC),
            datetime.fromtimestamp(int(until), UTC),
            max(1, int(times)),
            BlockReason(reason),
        )
    except (ValueError, OverflowError, OSError):
        return None
