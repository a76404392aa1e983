"""Whose DKIM signature of a mail that came to us holds, asked when the mail is read."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from posthouse.authenticity.dkim import Signature, digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.names import Names
from posthouse.mail.header import header_end

PATIENCE = timedelta(seconds=5)  # other mail waits behind it


async def signers_of(names: Names, octets: bytes) -> tuple[str, ...]:
    """Return the domains whose signatures of ``octets`` hold; nobody if DNS cannot tell now.

    Mail waits for no stranger's name server: what is not proved in time is not proved.
    """
    start = header_end(octets)
    header = Header(octets[:start])
    found = signatures_in(header)
    canons = {each.body_canon for each in found if isinstance(each, Signature)}
    digests = await asyncio.to_thread(digest_bodies, [octets[start:]], canons)
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            results = await verify(names, header, found, digests)
    except TimeoutError:
        return ()
    return tuple(dict.fromkeys(each.domain for each in results if each.result == "pass"))
