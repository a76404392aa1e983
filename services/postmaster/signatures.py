"""Whose DKIM signature of a mail that came to us holds, asked when the mail is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from posthouse.authenticity.dkim import Signature, digest_bodies, signatures_in, verify
from posthouse.authenticity.dkim.headers import Header
from posthouse.authenticity.dkim.keys import MAIL
from posthouse.authenticity.names import Names
from posthouse.mail.header import header_end

PATIENCE = timedelta(seconds=5)  # other mail waits behind it


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signed a mail.

    Attributes:
        domains: Whose signatures hold.
        is_known: False: DNS could not tell of another one, now.
    """

    domains: tuple[str, ...] = ()
    is_known: bool = True

    def speak_for(self, domain: str) -> bool:
        """True if one of them is ``domain``, or above it."""
        return any(domain == each or domain.endswith(f".{each}") for each in self.domains)


async def signers_of(names: Names, octets: bytes, services: frozenset[str] = MAIL) -> Signers:
    """Return who signed ``octets``, by keys for one of ``services`` (s=, RFC 6376 §3.6.1).

    Mail waits for no stranger's name server: what is not proved in time is not proved.
    """
    start = header_end(octets)
    header = Header(octets[:start])
    found = signatures_in(header)
    canons = {each.body_canon for each in found if isinstance(each, Signature)}
    digests = await asyncio.to_thread(digest_bodies, [octets[start:]], canons)
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            results = await verify(names, header, found, digests, services)
    except TimeoutError:
        return Signers(is_known=False)
    passed = tuple(dict.fromkeys(each.domain for each in results if each.result == "pass"))
    return Signers(passed, all(each.result != "temperror" for each in results))
