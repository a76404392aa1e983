"""The trace of a message ends with its being read: noted once, when it becomes ``Seen``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from posthouse.storage.contents import object_ids
from posthouse.storage.pool import Pool

MAX_NOTED = 1000  # of one command: whoever marks a whole archive as read did not read it


class Reads:
    """Notes "read" for messages; the object's id is the id of the ledger's envelope."""

    def __init__(self, pool: Pool, note: Callable[[UUID], None]) -> None:
        self._pool = pool
        self._note = note

    async def note(self, account: int, contents: Sequence[int]) -> None:
        """Note that the messages with these contents were read; raise `Unavailable`."""
        for ident in await object_ids(self._pool, account, contents[:MAX_NOTED]):
            self._note(ident)
