"""What is shown of a large message to who judges it: its header, the beginning of its body, digests."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.authenticity.dkim import digest_bodies
from posthouse.mail.content import BodyDigest
from posthouse.mime.pages import Octets, body_start

WHOLE_OCTETS = 512 * 1024  # a larger message is shown in part
BODY_OCTETS = 256 * 1024  # of its body
STEP_OCTETS = 64 * 1024  # hashed at once


def excerpt(content: Octets) -> tuple[bytes, tuple[BodyDigest, ...]]:
    """Return the header of ``content`` with the beginning of its body, and the body's digests.

    Hashes the whole body: work for a thread. No digests where all of it is shown.
    """
    start = body_start(content)
    if len(content) - start <= BODY_OCTETS:
        return content[:], ()
    digests = digest_bodies(_pieces(content, start), ("simple", "relaxed"))
    return content[: start + BODY_OCTETS], tuple(
        BodyDigest(canon, each.octets, each.size) for canon, each in digests.items()
    )


def _pieces(content: Octets, start: int) -> Iterator[bytes]:
    for at in range(start, len(content), STEP_OCTETS):
        yield content[at : at + STEP_OCTETS]
