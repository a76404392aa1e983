"""The octets of a case, piece by piece: those that came with it, or all of a large one from the store."""

from __future__ import annotations

from collections.abc import AsyncIterator

from policy_engine.content.case import Case
from posthouse.blobs import Blobs
from posthouse.mail.errors import MissingObject, Unavailable

PIECE_OCTETS = 256 * 1024
# What ingress shows whole at once (its `WHOLE_OCTETS`); more is read from the store.
INLINE_OCTETS = 512 * 1024
READ_OCTETS = 1024 * 1024  # at once from the store


async def pieces(case: Case, blobs: Blobs) -> AsyncIterator[bytes]:
    """Yield all octets of ``case``, at most `READ_OCTETS` in memory besides what came with it.

    Raises:
        Unavailable: If they cannot be read now, or are not there any more: who asked has gone.
    """
    if case.is_whole:
        for start in range(0, case.size, PIECE_OCTETS):
            yield case.octets[start : start + PIECE_OCTETS]
        return
    if not case.blob:
        raise Unavailable("not all of the message can be read")
    for start in range(0, case.size, READ_OCTETS):
        end = min(start + READ_OCTETS, case.size)
        try:
            read = await blobs.get_range(case.blob, start, end)
        except MissingObject as missing:
            raise Unavailable("the message is not there any more") from missing
        if len(read) != end - start:
            raise Unavailable("the message is shorter than was said")
        yield read
