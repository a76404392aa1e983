"""Passwords are hashed off the loop, as many at once as there are cores, and no more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from posthouse.credentials.passwords import NO_SECRETS, Secrets, Wanted, make_secrets


class Hasher:
    """Hashes passwords in threads of its own (argon2 lets go of the interpreter's lock).

    Attributes:
        wanted: Which keys are made beside the hash.
    """

    def __init__(self, wanted: Wanted, threads: int | None = None) -> None:
        self.wanted = wanted
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

    async def one(self, password: SecretStr | None) -> Secrets:
        """Return what is stored of one password, its hash at full strength; of none nothing is."""
        if password is None:
            return NO_SECRETS
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, make_secrets, password.get_secret_value(), self.wanted
        )

    async def many(self, passwords: Sequence[str]) -> list[Secrets]:
        """Return what is stored of many passwords, made for a quick import (decision 0006)."""
        loop = asyncio.get_running_loop()
        share = -(-len(passwords) // self._threads) or 1
        shares = [passwords[at : at + share] for at in range(0, len(passwords), share)]
        work = partial(make_secrets, wanted=self.wanted, light=True)
        done = await asyncio.gather(
            *(loop.run_in_executor(self._pool, _each, work, part) for part in shares)
        )
        return [hashed for part in done for hashed in part]


def _each(work: Callable[[str], Secrets], passwords: Sequence[str]) -> list[Secrets]:
    return [work(password) for password in passwords]
