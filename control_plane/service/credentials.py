"""Random secrets and names, from the operating system's generator."""

from __future__ import annotations

import hashlib
import secrets
import string

from control_plane.domain.entities import AuthorizationCode

PIN_DIGITS = 6
CODE_DIGITS = 6
DEVICE_ID_LENGTH = 12
PERSON_ID_LENGTH = 12
PASSWORD_LENGTH = 24
"""24 letters and digits are 142 bits: no dictionary holds them, and every handset can take them."""

_LOWER = string.ascii_lowercase
_LOWER_DIGITS = _LOWER + string.digits
_ALPHANUMERIC = string.ascii_letters + string.digits


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def new_device_id() -> str:
    """A SIP user name that tells nothing: a letter and 11 letters or digits."""
    return _random(_LOWER, 1) + _random(_LOWER_DIGITS, DEVICE_ID_LENGTH - 1)


def new_person_id() -> str:
    """What a person is called whom nobody gave an id: it tells nothing about who else there is."""
    return _random(_LOWER, 1) + _random(_LOWER_DIGITS, PERSON_ID_LENGTH - 1)


def new_password() -> str:
    return _random(_ALPHANUMERIC, PASSWORD_LENGTH)


def new_token() -> str:
    """The secret part of a handset's address: 160 bits in hex, for handsets that spell URLs their own way."""
    return secrets.token_hex(20)


def new_http_user() -> str:
    return _random(_LOWER_DIGITS, 12)


def new_window_id() -> str:
    return secrets.token_hex(16)


def new_softphone_id() -> str:
    """What a softphone is called where a handset has its MAC address."""
    return f"s{secrets.token_hex(6)[:11]}"


def new_pin() -> str:
    return _random(string.digits, PIN_DIGITS)


def new_code_digits() -> str:
    return _random(string.digits, CODE_DIGITS)


def authorization_code(digits: str) -> AuthorizationCode:
    """What is kept of an authorization code (A56): a salted digest the dialplan's SHA1() can check."""
    salt = _random(_LOWER_DIGITS, 16)
    # SHA-1 because it is the strongest digest an Asterisk dialplan computes; not a password of an account.
    digest = hashlib.sha1((salt + digits).encode(), usedforsecurity=False).hexdigest()
    return AuthorizationCode(id=_random(_LOWER_DIGITS, 8), salt=salt, digest=digest)
