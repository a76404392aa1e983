"""Work for the indexer, as it travels (see `posthouse.bus.indexing`)."""

from __future__ import annotations

import msgspec


class IndexWork(msgspec.Struct, frozen=True, kw_only=True, tag="index"):
    """Messages of one account that shall be made searchable.

    Attributes:
        account: Whose.
        contents: Their contents; those that are gone, or done, are passed over.
    """

    account: int
    contents: tuple[int, ...]
