"""Signs of life of a command that takes long (RFC 9585).

Only for commands that write nothing but whole responses: what comes between the pieces of a literal
would be part of it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from imap_gateway.client import Client
from imap_gateway.protocol import responses

LONG: Final = frozenset({
    "COPY", "UID COPY", "MOVE", "UID MOVE", "EXPUNGE", "UID EXPUNGE", "CLOSE",
    "STORE", "UID STORE", "APPEND", "REPLACE", "UID REPLACE",
    "SEARCH", "UID SEARCH", "SORT", "UID SORT", "THREAD", "UID THREAD", "ESEARCH",
    "SELECT", "EXAMINE", "RENAME", "DELETE",
})  # fmt: skip


class Progress:
    """Of one command: says every few seconds how far it has come, while inside."""

    __slots__ = ("_client", "_every", "_timer")

    def __init__(self, client: Client, every: timedelta) -> None:
        self._client = client
        self._every = every.total_seconds()

    def __enter__(self) -> None:
        self._client.progress = None
        self._timer = self._wait()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _wait(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._every, self._say)

    def _say(self) -> None:
        client = self._client
        self._timer = self._wait()
        if client.is_amid_line:
            return
        state = b"NIL NIL" if client.progress is None else b"%d %d" % client.progress
        code = b"INPROGRESS (%b %b)" % (responses.string(client.tag), state)
        client.wire.write_now(responses.status(b"*", b"OK", "Still at work", code))


def reported(client: Client) -> Progress:
    """Tell of the command while the block runs; for those that are `LONG`."""
    return Progress(client, client.house.limits.progress)
