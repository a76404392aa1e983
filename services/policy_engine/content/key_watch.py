"""Whether anybody signs here at all: known beforehand, so that nobody asks where nothing is done."""

from __future__ import annotations

import asyncio
from types import TracebackType

from posthouse.mail.errors import Unavailable
from posthouse.runtime.dkim_keys import REMEMBER, SigningKeys
from posthouse.runtime.duties import Duties


class KeyWatch:
    """Looks every few seconds; use it as a context manager.

    Attributes:
        does_anybody_sign: True until it is known.
    """

    def __init__(self, keys: SigningKeys) -> None:
        self.does_anybody_sign = True
        self._keys = keys
        self._duties = Duties()

    async def __aenter__(self) -> KeyWatch:
        await self._look()
        await self._duties.begin(self._keep_looking())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._duties.end(kind, raised, trace)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(REMEMBER.total_seconds())
            await self._look()

    async def _look(self) -> None:
        try:
            self.does_anybody_sign = await self._keys.does_anybody_sign()
        except Unavailable:
            self.does_anybody_sign = True  # who asks will be told that it is away
