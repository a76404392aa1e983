"""What is read of messages before they are asked for: clients ask for one after the other.

Whoever asks for the next message gets it, and twice as many behind it as the last time; who jumps
about gets one. A session keeps what one reading brought and no more.
"""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
Read: TypeAlias = Callable[[Sequence[int]], Awaitable[dict[int, T]]]


class Ahead(Generic[T]):
    """Of the messages of one maildrop, something that never changes."""

    def __init__(self, contents: array[int], read: Read[T], most: int) -> None:
        """Begin with nothing read.

        Args:
            contents: Content ids of the messages, by position.
            read: Returns it of several contents, by id; those behind the first only if they are small.
            most: So many messages are read at once.
        """
        self._contents = contents
        self._read = read
        self._most = most
        self._known: dict[int, T] = {}
        self._next = -1  # the position behind those that are known
        self._span = 1

    async def of(self, at: int) -> T | None:
        """Return it of the message at a position, None if it has none; raise what `read` raises."""
        content = self._contents[at]
        if content not in self._known:
            self._span = min(2 * self._span, self._most) if at == self._next else 1
            self._known = await self._read(self._contents[at : at + self._span])
            self._next = at + self._span
        return self._known.get(content)
