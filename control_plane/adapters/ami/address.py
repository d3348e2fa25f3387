"""Where a node's AMI is, and how long the link waits for what."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class AmiAddress:
    """Where a node's AMI listens and who we are there; `tls` None means plain TCP (loopback only)."""

    host: str
    port: int
    username: str
    secret: SecretStr
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiTiming:
    """How long the link waits for what, in seconds."""

    connect_s: float = 5.0
    answer_s: float = 10.0  # any action; for lists and batches: since the last sign of progress
    boot_s: float = 120.0  # login until FullyBooted; 10 000 endpoints took Asterisk up to 23 s
    reload_s: float = 60.0
    ping_every_s: float = 10.0
    ping_answer_s: float = 5.0
    backoff_first_s: float = 0.25
    backoff_max_s: float = 15.0
    refused_retry_s: float = 60.0  # every refused login is a line in Asterisk's security log
