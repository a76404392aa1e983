"""What gathers on a road for one next hop goes back to the broker, many at a time.

A road is shared by its next hops (`posthouse.bus.inbox`). Of what waits there for its turn beyond a
few thousand messages, the newest of whoever has most is sent away until about when its turn may
come. Nothing is asked, claimed or written: the ledger says that it was not tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from delivery_remote.delivery import Delivery
from delivery_remote.pace import Site
from delivery_remote.routes import Plan
from posthouse.bus.moves import Move, Wait
from posthouse.mail.envelope import Remote
from posthouse.telemetry.metrics import counter

SHORTLY = timedelta(seconds=5)  # where no site is in the way

_surplus = counter(
    "posthouse_remote_surplus_total", "Mails sent back because much gathered for their next hop"
)


class Surplus:
    """Sends back what is too much: the handler of that of all roads."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    async def __call__(self, envelopes: Sequence[Remote]) -> Sequence[Move]:
        """Send ``envelopes`` back; those whose time is over are brought to their end instead."""
        sites: dict[tuple[str, str, str], Site | None] = {}
        moves: list[Move] = []
        for envelope in envelopes:
            if envelope.verdict or self._delivery.is_over(envelope):
                moves.append(await self._delivery.deliver(envelope))
                continue
            key = envelope.domain, envelope.sender, envelope.via
            if key not in sites:
                sites[key] = await self._site(envelope)
            site = sites[key]
            moves.append(Wait(site.sent_back() if site else SHORTLY))
            _surplus.inc()
        return moves

    async def _site(self, envelope: Remote) -> Site | None:
        way = await self._delivery.way(envelope)
        if not isinstance(way, Plan):
            return None
        destination, _ = await self._delivery.beyond(way, envelope)
        return destination.site
