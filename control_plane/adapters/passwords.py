"""Passwords of accounts: argon2id (RFC 9106), in threads of its own, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control_plane.errors import TooMany

AT_ONCE: Final = 2
"""Each check takes 64 MiB and a processor for tens of milliseconds: more at once would only be slower."""
WAITING_MAX: Final = 16
"""Beyond this, an answer now is better than one in a second: a flood of log-ins must not fill the memory."""
RETRY_AFTER_S: Final = 2

T = TypeVar("T")


class Argon2Passwords:
    """ports.Passwords with the library's parameters (RFC 9106 section 4, the low-memory choice)."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._under_way = 0
        # What nobody's password is compared with, so that an unknown account takes as long as a known one.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hashed(self, password: str) -> str:
        self._require_room()
        return await self._run(partial(self._hasher.hash, password))

    async def matches(self, password_hash: str, password: str) -> bool:
        self._require_room()
        right = await self._run(partial(self._matches, password_hash or self._nobody, password))
        return right and bool(password_hash)

    def _require_room(self) -> None:
        if self._under_way >= AT_ONCE + WAITING_MAX:
            raise TooMany("Too many people log in at this moment; try again soon.", RETRY_AFTER_S)

    async def _run(self, work: Callable[[], T]) -> T:
        self._under_way += 1
        try:
            # Who went away while it is his turn is not waited for; the thread ends by itself.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False
