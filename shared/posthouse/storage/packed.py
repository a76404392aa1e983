"""Megabytes of numbers as the answer of one question, taken from the connection in pieces.

A value comes in whole or not at all, and while one of megabytes is put together nothing else is
done. So PostgreSQL cuts it, and each piece is a row.
"""

from __future__ import annotations

from typing import Final

from posthouse.storage.pool import Queries

PIECE_OCTETS: Final = 256 * 1024

# A question that has one row with one bytea, which may be null.
_PIECES = f"""
    select at, substr(whole.octets, at, {PIECE_OCTETS}) as piece
      from ({{question}}) as whole (octets), generate_series(1, length(whole.octets), {PIECE_OCTETS}) at
"""  # noqa: S608  constants only


async def fetch_packed(queries: Queries, question: str, *arguments: object) -> bytes:
    """Return the only value of the only row of ``question``; nothing for null."""
    rows = await queries.fetch(_PIECES.format(question=question), *arguments)
    return b"".join([row["piece"] for row in sorted(rows, key=lambda row: int(row["at"]))])
