"""Whose DKIM signature of a mail that came to us holds, asked when the mail is read."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from posthouse.authenticity.dkim import Signature, digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.names import Names
from posthouse.mail.errors import Unavailable
from posthouse.mail.header import header_end

PATIENCE = timedelta(seconds=20)


async def signers_of(names: Names, octets: bytes) -> tuple[str, ...]:
    """Return the domains whose signatures of ``octets`` hold; `Unavailable` if DNS cannot tell."""
    start = header_end(octets)
    header = Header(octets[:start])
    found = signatures_in(header)
    canons = {each.body_canon for each in found if isinstance(each, Signature)}
    digests = await asyncio.to_thread(digest_bodies, [octets[start:]], canons)
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            results = await verify(names, header, found, digests)
    except TimeoutError as late:
        raise Unavailable("DNS gave no answer in time") from late
    held = [each.domain for each in results if each.result == "pass"]
    if not held and any(each.result == "temperror" for each in results):
        raise Unavailable("DNS gave no answer on a signature")
    return tuple(dict.fromkeys(held))
