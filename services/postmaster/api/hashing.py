"""Passwords are hashed off the loop, as many at once as there are cores, and no more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from posthouse.credentials.passwords import hash_for_import, hash_password


class Hasher:
    """Hashes passwords in threads of its own (argon2 lets go of the interpreter's lock)."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def one(self, password: str) -> str:
        """Return the hash of one password at full strength."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, hash_password, password)

    async def many(self, passwords: Sequence[str]) -> list[str]:
        """Return the hashes of many passwords, made for a quick import (decision 0006)."""
        loop = asyncio.get_running_loop()
        share = -(-len(passwords) // self._threads) or 1
        shares = [passwords[at : at + share] for at in range(0, len(passwords), share)]
        done = await asyncio.gather(
            *(loop.run_in_executor(self._pool, _each, hash_for_import, part) for part in shares)
        )
        return [hashed for part in done for hashed in part]


def _each(work: Callable[[str], str], passwords: Sequence[str]) -> list[str]:
    return [work(password) for password in passwords]
