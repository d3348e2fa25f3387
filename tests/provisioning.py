"""Provisioning servers for tests: on a loopback address of their own, with a store the test fills."""

from __future__ import annotations

import asyncio
import random
import socket
import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from provisioning_server.serve import running
from provisioning_server.settings import Settings
from tests.published import Entry, Publisher

DEADLINE_S = 10.0
_PORTS = (8069, 8443, 8444, 6969)


def free_address() -> str:
    """A loopback address where nothing listens on our ports, whatever the tests' seed."""
    dice = random.SystemRandom()
    for _ in range(20):
        address = f"127.{dice.randrange(64, 250)}.{dice.randrange(1, 250)}.{dice.randrange(1, 250)}"
        try:
            for port in _PORTS:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
        except OSError:
            continue
        return address
    raise OSError("no free loopback address in 20 attempts")


def own_settings(state_dir: Path, **explicit: Any) -> Settings:
    """Settings on an address of its own."""
    return Settings.model_validate({"state_dir": state_dir, "host": free_address(), **explicit})


@dataclass
class Server:
    """A server that runs, and its publisher."""

    settings: Settings
    publisher: Publisher

    @property
    def https(self) -> str:
        return f"https://{self.settings.host}:{self.settings.https_port}"

    @property
    def http(self) -> str:
        return f"http://{self.settings.host}:{self.settings.http_port}"

    @property
    def trust(self) -> ssl.SSLContext:
        """A client that trusts the server's own authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.settings.own_dir / "tls" / "ca.crt"))

    def client(self, **more: Any) -> httpx.AsyncClient:
        """A client over TLS."""
        given: dict[str, Any] = {"base_url": self.https, "verify": self.trust, "timeout": DEADLINE_S}
        return httpx.AsyncClient(**(given | {"trust_env": False} | more))

    def plain(self, **more: Any) -> httpx.AsyncClient:
        """A client without TLS."""
        return self.client(base_url=self.http, **more)

    def journal(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the journal now."""
        with sqlite3.connect(self.settings.journal_path) as connection:
            return list(connection.execute(query))

    async def journalled(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the journal as soon as there are any."""
        async with asyncio.timeout(DEADLINE_S):
            while not (rows := self.journal(query)):  # noqa: ASYNC110 - another process's file
                await asyncio.sleep(0.05)
        return rows


def digest(entry: Entry) -> httpx.DigestAuth:
    """The device's login, by digest."""
    return httpx.DigestAuth(*entry.login)


@asynccontextmanager
async def serving(directory: Path, **explicit: Any) -> AsyncIterator[Server]:
    """A server in this event loop, over real sockets."""
    settings = own_settings(directory / "state", **explicit)
    publisher = Publisher(settings.store_path)
    try:
        async with running(settings):
            yield Server(settings, publisher)
    finally:
        publisher.close()
