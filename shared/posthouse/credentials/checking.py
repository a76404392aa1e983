"""Passwords are checked off the event loop, and not twice.

A check is slow on purpose, and a mail client logs in again and again. So an outcome is remembered
for minutes for password and stored hash; the stored hash itself is fetched every time, so a changed
password, a disabled or a removed account counts at once.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import TracebackType
from typing import Self

from posthouse.credentials import passwords
from posthouse.credentials.memory import Memory
from posthouse.credentials.passwords import Secrets, Wanted, hash_password, make_secrets
from posthouse.mail.errors import Unavailable

MAX_WAITING = 256  # checks in line before the next is told to come later
REMEMBER = timedelta(minutes=5)


class Checker:
    """Checks passwords for one service: ``async with Checker() as checker``.

    Args:
        threads: How many checks run at once; each takes 19 MiB and one core.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(
            threads or min(4, os.cpu_count() or 1), thread_name_prefix="argon2"
        )
        self._nobody = ""  # the hash that an unknown name is checked against
        self._memory: Memory[bool] = Memory(REMEMBER)
        self._running: dict[bytes, asyncio.Future[bool]] = {}

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._nobody = await loop.run_in_executor(
            self._pool, hash_password, secrets.token_urlsafe(32)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def check(self, stored: str | None, password: str) -> bool:
        """True if ``stored`` is the hash of ``password``; None for nobody's takes as long as any.

        Answers from memory, from a check that is running, or by a new one. Raises `Unavailable`
        if too many wait.
        """
        stored = stored or self._nobody
        key = self._memory.key(stored, password)
        known = self._memory.recall(key)
        if known is not None:
            return known
        running = self._running.get(key)
        if running is None:
            if len(self._running) >= MAX_WAITING:
                raise Unavailable("Too many logins at once")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._pool, passwords.matches, stored, password)
            self._running[key] = running
            running.add_done_callback(lambda done: self._finished(key, done))
        return await asyncio.shield(running)

    async def secrets(self, password: str, wanted: Wanted) -> Secrets:
        """Return what is to be stored of ``password``."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, make_secrets, password, wanted)

    def _finished(self, key: bytes, done: asyncio.Future[bool]) -> None:
        """Remember the outcome."""
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._memory.keep(key, done.result())
