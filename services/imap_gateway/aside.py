"""Work on very many messages, done in a thread so that all other sessions are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

INLINE_MESSAGES = 20_000  # some milliseconds for anything that is done to each

P = ParamSpec("P")
R = TypeVar("R")


async def aside(many: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do ``work``, which looks at so many messages; rows stay where they are while flags change."""
    if many <= INLINE_MESSAGES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
