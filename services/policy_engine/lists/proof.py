"""What is proved at the door, where nothing but the envelope is known: a sender by SPF, a client's name."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from posthouse.authenticity.iprev import check_reverse
from posthouse.authenticity.names import Names
from posthouse.authenticity.spf import check_host
from posthouse.mail.access_keys import plain_address
from posthouse.mail.address import is_domain
from posthouse.mail.admission import RcptQuestion


class SenderProof:
    """Asks DNS; what it does not tell in time is no proof."""

    def __init__(self, names: Names, hostname: str, patience: timedelta) -> None:
        """Ask ``names`` for at most ``patience``; we are ``hostname``."""
        self._names = names
        self._hostname = hostname
        self._patience = patience.total_seconds()

    async def passes(self, asked: RcptQuestion) -> bool:
        """True if the sender's domain, or the greeting's, says that the client sends for it."""
        domain = (asked.sender.rpartition("@")[2] or asked.helo).lower()
        if asked.is_relay or not is_domain(domain) or plain_address(asked.client) is None:
            return False
        try:
            async with asyncio.timeout(self._patience):
                found = await check_host(
                    self._names,
                    asked.client,
                    domain,
                    sender=asked.sender or f"postmaster@{domain}",
                    hello=asked.helo,
                    receiver=self._hostname,
                )
        except TimeoutError:
            return False
        return found.result == "pass"


async def proved_name(names: Names, client: str, patience: float) -> str:
    """Return the name of a client that is proved both ways within ``patience`` seconds, or nothing."""
    try:
        async with asyncio.timeout(patience):
            return (await check_reverse(names, client)).name
    except TimeoutError:
        return ""
