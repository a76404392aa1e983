"""How limits and the warden are put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from policy_engine.enquiries import Memory
from policy_engine.outbound.limits import Limits
from policy_engine.outbound.outgoing import Outgoing
from policy_engine.outbound.settings import OutboundSettings, parse_consequences
from policy_engine.outbound.warden import Office, Outbox, Warden
from posthouse.bus.publisher import Publisher
from posthouse.runtime.dkim_keys import SigningKeys
from posthouse.runtime.foundation import Foundation
from posthouse.runtime.rates import SharedRates
from posthouse.storage.outbound.terms import terms_of
from posthouse.storage.pool import Pool


@asynccontextmanager
async def open_outbound(settings: OutboundSettings, pool: Pool) -> AsyncIterator[Outgoing]:
    """Yield what decides of mail that leaves, in step with the other pods."""
    async with SharedRates(pool) as rates:
        limits = Limits(rates.buckets, settings.outbound_defaults)
        yield Outgoing(pool, Memory(partial(terms_of, pool)), limits)


def open_warden(
    settings: OutboundSettings, ground: Foundation, outbox: Outbox, outgoing: Outgoing, to: str
) -> Warden:
    """Return who watches over accounts; ``to`` is told of alarms."""
    keys = SigningKeys(ground.pool, settings)
    office = Office(
        pool=ground.pool,
        blobs=ground.blobs,
        roads=Publisher(ground.broker),
        outbox=outbox,
        hostname=settings.hostname,
        to=to,
        sign=partial(keys.signed, domain=settings.hostname),
        thresholds=settings.outbound_thresholds,
        consequences=parse_consequences(settings.outbound_consequences),
    )
    return Warden(office, outgoing)
