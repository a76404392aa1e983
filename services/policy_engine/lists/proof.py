"""What is proved at the door, where nothing but the envelope is known: a sender by SPF, a client's name."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from posthouse.authenticity.iprev import check_reverse
from posthouse.authenticity.names import Names
from posthouse.authenticity.spf import check_host
from posthouse.mail.access_keys import plain_address
from posthouse.mail.address import is_domain
from posthouse.mail.admission import RcptQuestion

REMEMBER = timedelta(seconds=10)  # all recipients of a message: records may live no second
MAX_REMEMBERED = 5_000


class SenderProof:
    """Asks DNS; what it does not tell in time is no proof."""

    def __init__(
        self,
        names: Names,
        hostname: str,
        patience: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask ``names`` for at most ``patience``; we are ``hostname``."""
        self._names = names
        self._hostname = hostname
        self._patience = patience.total_seconds()
        self._clock = clock
        self._remembered: OrderedDict[tuple[str, str, str], tuple[float, bool]] = OrderedDict()

    async def passes(self, asked: RcptQuestion) -> bool:
        """True if the sender's domain, or the greeting's, says that the client sends for it."""
        domain = (asked.sender.rpartition("@")[2] or asked.helo).lower()
        if asked.is_relay or not is_domain(domain) or plain_address(asked.client) is None:
            return False
        key = asked.client, asked.sender, asked.helo
        known = self._remembered.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        is_proved = await self._asked(asked, domain)
        self._remembered[key] = (self._clock() + REMEMBER.total_seconds(), is_proved)
        self._remembered.move_to_end(key)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return is_proved

    async def _asked(self, asked: RcptQuestion, domain: str) -> bool:
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
