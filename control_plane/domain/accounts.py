"""Who may log in, as what, and how much of that a token may use (A11)."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What somebody may do (A11). `read_only` is of the whole exchange, or of one organisation."""

    OPERATOR_ADMIN = "operator_admin"
    OCCUPIER_ADMIN = "occupier_admin"
    PERSON = "person"
    CARRIER = "carrier"
    READ_ONLY = "read_only"


class Scope(StrEnum):
    """How much of its account's role a token may use."""

    READ = "read"
    WRITE = "write"
    SECRETS = "secrets"  # SIP passwords, PINs, codes
    PUSH = "push"  # bring changes to a node, lift blocks there
    ACCOUNTS = "accounts"  # accounts and tokens
