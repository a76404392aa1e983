"""The maps at hand: which there are and their patterns, read again after some seconds."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

from policy_engine.maps.looking import NO_MAPS, Maps, maps_of
from posthouse.storage.maps import Shape

CurrentMaps: TypeAlias = Callable[[], Awaitable[Maps]]

REMEMBER = timedelta(seconds=3)


class Book:
    """What `posthouse.storage.maps.shape` says, remembered for `REMEMBER`."""

    def __init__(
        self, read: Callable[[], Awaitable[Shape]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._shape = Shape()
        self._maps = NO_MAPS
        self._until = float("-inf")

    async def current(self) -> Maps:
        """Return the maps, not older than `REMEMBER`; raise `Unavailable`."""
        if self._until < self._clock():
            shape = await self._read()
            if shape != self._shape:
                self._shape, self._maps = shape, maps_of(shape)
            self._until = self._clock() + REMEMBER.total_seconds()
        return self._maps


async def no_maps() -> Maps:
    """Return none."""
    return NO_MAPS
