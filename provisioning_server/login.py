"""HTTP logins of handsets: Digest (RFC 7616, and without qop as RFC 2069 had it) and Basic (RFC 7617).

A nonce says itself when it was made and that it is ours, so nothing is kept for whoever only asks. What is
kept is which counts of a nonce were used, and only for logins that were right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from enum import StrEnum
from typing import NamedTuple

from provisioning_server.store import Credential

try:
    # Python's own: a few lines for texts this short, where OpenSSL 3 runs through a good deal of its code.
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:  # a Python that was built without
    from hashlib import md5

NONCE_S = 300.0
USED_NONCES = 65_536
_REPLAY_WINDOW = 64
_MAX_HEADER = 2048
_STAMP = 8
_RANDOM = 8
_MAC = 16
_COUNT = re.compile(r"[0-9a-fA-F]{1,8}")
_ONLY = 1 << 32
"""A count above all that fit into eight digits: after it, none is new."""
_ESCAPED = re.compile(r"\\(.)")
_PARAMETERS = re.compile(
    r'([A-Za-z0-9*_-]{1,20})\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s,"]*))\s*(?:,\s*|$)|(.)', re.DOTALL
)
"""Name, value in quotation marks, value without; or, without a name, a character that should not be there."""
_USUAL_PARAMETERS = re.compile(
    r'(?:(?:username="(?(1)(?!))([^"\\]*)"|realm="(?(2)(?!))()[^"\\]*"|nonce="(?(3)(?!))([^"\\]*)"'
    r'|uri="(?(4)(?!))([^"\\]*)"|response="(?(5)(?!))([0-9a-f]*)"|nc=(?(6)(?!))([0-9a-f]{8})'
    r'|qop=(?(7)(?!))("?)auth\7|cnonce="(?(8)(?!))([^"\\]*)"|algorithm=(?(9)(?!))("?)(MD5|SHA-256)\9'
    r'|opaque="(?(11)(?!))()[^"\\]*")(?:, ?|$))+'
)
"""What nearly all handsets write, in any order, in one step. `(?(1)(?!))`: if there was no group 1 yet."""
BASIC_ONLY = re.compile(r"algo|panasonic|aastra|snom|dag\d", re.IGNORECASE)
"""User-Agents of families that cannot do Digest, or fall over when both are offered."""


class Verdict(StrEnum):
    """What a login is worth."""

    RIGHT = "right"
    STALE = "stale"
    """Right, but its nonce has expired or was used: the handset shall try again, not ask a person."""
    WRONG = "wrong"
    NONE = "none"


class DigestLogin(NamedTuple):
    """The parameters of `Authorization: Digest`."""

    user: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    qop: str
    cnonce: str
    nc: str


class BasicLogin(NamedTuple):
    """What `Authorization: Basic` holds."""

    user: str
    password: str


class _Used:
    """Which counts of one nonce were used: the highest, and a bit for each of those just below it."""

    __slots__ = ("bits", "highest", "made")

    def __init__(self, made: float) -> None:
        self.made = made
        self.highest = 0
        self.bits = 0

    def take(self, count: int) -> bool:
        """Whether this count is new; it is not afterwards."""
        if count > self.highest:
            step = min(count - self.highest, _REPLAY_WINDOW)
            self.bits = ((self.bits << step) | 1) & ((1 << _REPLAY_WINDOW) - 1)
            self.highest = count
            return True
        bit = 1 << (self.highest - count)
        if self.highest - count >= _REPLAY_WINDOW or self.bits & bit:
            return False
        self.bits |= bit
        return True


def parse(header: str | None) -> DigestLogin | BasicLogin | None:
    """The login in an Authorization header; None when there is none that can be understood."""
    if not header or len(header) > _MAX_HEADER:
        return None
    if header.startswith("Digest "):
        usual = _USUAL_PARAMETERS.fullmatch(header, len("Digest "))
        if usual is not None:
            return _usual_digest(usual)
    scheme, _, rest = header.partition(" ")
    match scheme.lower():
        case "digest":
            return _unusual_digest(rest.strip())
        case "basic":
            return _parsed_basic(rest.strip())
        case _:
            return None


def _usual_digest(found: re.Match[str]) -> DigestLogin | None:
    user, _, nonce, uri, response, nc, qop, cnonce, _, algorithm, _ = found.groups()
    if user is None or nonce is None or uri is None or response is None:
        return None
    return DigestLogin(
        user, nonce, uri, response, algorithm or "MD5", "" if qop is None else "auth", cnonce or "", nc or ""
    )


def _unusual_digest(text: str) -> DigestLogin | None:
    parameters = _PARAMETERS.findall(text)
    if "\\" in text:
        parameters = [(name, _ESCAPED.sub(r"\1", quoted), *rest) for name, quoted, *rest in parameters]
    found = {name.lower(): quoted or bare for name, quoted, bare, _ in parameters}
    if "" in found or len(found) < len(parameters):
        return None  # of two of one name, whoever stands between us may have read the other
    if not {"username", "nonce", "uri", "response"} <= found.keys():
        return None
    return DigestLogin(
        found["username"],
        found["nonce"],
        found["uri"],
        found["response"].lower(),
        found.get("algorithm", "MD5").upper(),
        found.get("qop", "").lower(),
        found.get("cnonce", ""),
        found.get("nc", ""),
    )


def _parsed_basic(text: str) -> BasicLogin | None:
    try:
        user, colon, password = binascii.a2b_base64(text, strict_mode=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return BasicLogin(user, password) if colon else None


_RIGHT = Verdict.RIGHT
"""A member of an enumeration is looked up slowly (Python 3.11)."""


class Logins:
    """Challenges, and what answers to them are worth. Times are seconds of one clock, the caller's."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._forgotten = float("-inf")

    def challenges(
        self, realm: str, now: float, *, tls: bool, sha256: bool, user_agent: str, stale: bool = False
    ) -> list[bytes]:
        """The values of WWW-Authenticate, best for old handsets first: many read only one."""
        basic = f'Basic realm="{realm}", charset="UTF-8"'.encode()
        if tls and BASIC_ONLY.search(user_agent):
            return [basic]
        nonce = self.nonce(now)
        tail = f'realm="{realm}", nonce="{nonce}", qop="auth"{", stale=true" if stale else ""}'
        algorithms = ("MD5", "SHA-256") if sha256 else ("MD5",)
        offered = [f"Digest {tail}, algorithm={algorithm}".encode() for algorithm in algorithms]
        return [*offered, basic] if tls else offered

    def nonce(self, now: float) -> str:
        """A nonce made now."""
        head = int(now * 1000).to_bytes(_STAMP, "big", signed=True) + secrets.token_bytes(_RANDOM)
        return base64.urlsafe_b64encode(head + self._proof(head)).decode()

    def verdict(
        self,
        login: DigestLogin | BasicLogin | None,
        credentials: tuple[Credential, ...],
        realm: str,
        method: str,
        target: str,
        now: float,
        *,
        tls: bool,
    ) -> Verdict:
        """What a login is worth for one request; `target` is path and query as they came."""
        if login is None:
            return Verdict.NONE
        if isinstance(login, BasicLogin):
            return _RIGHT if tls and _basic_fits(login, credentials, realm) else Verdict.WRONG
        used = self._used.get(login.nonce)
        made = self._made(login.nonce) if used is None else used.made
        is_for = login.uri == target or _is_for(login.uri, target)
        if made is None or not is_for or not _digest_fits(login, credentials, method):
            # A nonce that is not ours may be one from before a restart: then ask again.
            return Verdict.NONE if made is None else Verdict.WRONG
        if now - made > NONCE_S or made <= self._forgotten or not self._take(login, used, made):
            return Verdict.STALE
        return _RIGHT

    def _proof(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:_MAC]

    def _made(self, nonce: str) -> float | None:
        """When a nonce was made; None when it is not one of ours."""
        try:
            raw = base64.b64decode(nonce, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        head, proof = raw[: _STAMP + _RANDOM], raw[_STAMP + _RANDOM :]
        if len(head) != _STAMP + _RANDOM or not hmac.compare_digest(proof, self._proof(head)):
            return None
        return int.from_bytes(head[:_STAMP], "big", signed=True) / 1000

    def _take(self, login: DigestLogin, used: _Used | None, made: float) -> bool:
        """Whether this nonce and count are used for the first time. Without qop a nonce is good for one."""
        if login.qop and _COUNT.fullmatch(login.nc) is None:
            return False
        count = int(login.nc, 16) if login.qop else _ONLY
        if used is None:
            used = self._used[login.nonce] = _Used(made)
            if len(self._used) > USED_NONCES:
                _, gone = self._used.popitem(last=False)
                self._forgotten = max(self._forgotten, gone.made)
        return count > 0 and used.take(count)


def _is_for(uri: str, target: str) -> bool:
    """Whether a login for a full URL was made for this path and query."""
    if uri.lower().startswith(("http://", "https://")):
        return "/" + uri.split("//", 1)[1].partition("/")[2] == target
    return False


def _digest_fits(login: DigestLogin, credentials: tuple[Credential, ...], method: str) -> bool:
    """Whether a login is one of these (RFC 7616 3.4.1; RFC 2069 2.1.2 without qop).

    What cannot be right is compared all the same, with what nobody can know.
    """
    sha256 = login.algorithm == "SHA-256"
    known = (sha256 or login.algorithm == "MD5") and login.qop in ("", "auth")
    hashed = hashlib.sha256 if sha256 else md5
    asked = hashed(f"{method}:{login.uri}".encode(), usedforsecurity=False).hexdigest()
    middle = f"{login.nc}:{login.cnonce}:{login.qop}:" if login.qop else ""
    tail = f":{login.nonce}:{middle}{asked}"
    user, response = login.user.encode(), login.response.encode()
    fits = False
    for credential in credentials:
        ha1 = credential.ha1_sha256 if sha256 else credential.ha1
        text = f"{ha1 if ha1 and known else secrets.token_hex(32)}{tail}"
        expected = hashed(text.encode(), usedforsecurity=False).hexdigest()
        same_user = hmac.compare_digest(user, credential.user.encode())
        fits |= hmac.compare_digest(response, expected.encode()) and same_user
    return fits


def _md5(text: str) -> str:
    digest: str = md5(text.encode(), usedforsecurity=False).hexdigest()  # what handsets do
    return digest


def _basic_fits(login: BasicLogin, credentials: tuple[Credential, ...], realm: str) -> bool:
    given = _md5(f"{login.user}:{realm}:{login.password}")
    fits = False
    for credential in credentials:
        same_user = hmac.compare_digest(login.user.encode(), credential.user.encode())
        fits |= hmac.compare_digest(given.encode(), credential.ha1.encode()) and same_user
    return fits
