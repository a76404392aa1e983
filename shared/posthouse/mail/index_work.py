"""Work for the indexer, as it travels (see `posthouse.bus.indexing`)."""

from __future__ import annotations

from datetime import datetime

import msgspec


class IndexWork(msgspec.Struct, frozen=True, kw_only=True, tag="turns"):
    """A turn for each of some accounts: some of their messages shall be made searchable.

    Attributes:
        accounts: Whose.
        turn: When these turns were given; an account that was given another since has lost this one.
    """

    accounts: tuple[int, ...]
    turn: datetime
