"""Threads that another process builds are those that we build ourselves."""

from __future__ import annotations

import struct
from array import array
from collections.abc import AsyncIterator

import pytest

from imap_gateway.searching import apart
from posthouse.mail.errors import Unavailable


def page(*uids: int) -> bytes:
    """Each message answers the one before."""
    return b"".join(struct.pack(">qqqqiq", uid, uid, uid, uid, 1, uid - 1) for uid in uids)


async def pages(*each: bytes) -> AsyncIterator[bytes]:
    for one in each:
        yield one


@pytest.mark.parametrize("is_by_subject", [True, False])
async def test_another_process_builds_the_same(is_by_subject: bool) -> None:  # noqa: FBT001
    uids, numbers = array("I", [2, 3, 5]), array("I", [1, 2, 4])
    packed = page(2, 3, 4), page(5, 6)
    here = apart.threads(uids, numbers, packed, is_by_subject=is_by_subject)
    there = await apart.threads_apart(uids, numbers, pages(*packed), is_by_subject=is_by_subject)

    assert here == there == (b"(1)(2)(4)" if is_by_subject else b"(1 2)(4)")


async def test_a_process_that_fails_is_an_outage() -> None:
    with pytest.raises(Unavailable):
        await apart.threads_apart(
            array("I", [2]), array("I", [1]), pages(b"rubbish"), is_by_subject=False
        )
