"""How many recipients a second one core routes: envelopes on the road, until the ledger has all decided."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench import processor
from bench.policy.pod import GREY, Pod, users
from posthouse.bus.connection import connect
from posthouse.bus.publisher import Publisher
from posthouse.bus.topology import INBOUND
from posthouse.mail.envelope import Inbound, InboundRecipient
from posthouse.mail.ids import new_id
from posthouse.mime import scan
from posthouse.storage.ledger import NewMail, NewRecipient, enter
from posthouse.telemetry.probes import Probes

MESSAGES, RECIPIENTS = 2000, 5  # and so many of each
ENTERED_AT_ONCE = 200
LOOK_EVERY_SECONDS = 0.05
_LETTER = b"Subject: bench\r\nFrom: <a@far.test>\r\n\r\nhello\r\n"
_LEFT = "select count(*) from recipients where routed_at is null and settled_at is null"


@dataclass(frozen=True, slots=True)
class Routed:
    """What it took.

    Attributes:
        recipients: How many.
        seconds: Until all were routed.
        processor_seconds: CPU of the pod.
    """

    recipients: int
    seconds: float
    processor_seconds: float


async def route(pod: Pod) -> Routed:
    """Put messages for mailboxes of both domains on the road; delivery rests meanwhile."""
    mails = [_mail(n) for n in range(MESSAGES)]
    local = pod.system.stack.service("delivery-local")
    await pod.system.stack.halt(local)
    for at in range(0, MESSAGES, ENTERED_AT_ONCE):
        await enter(pod.system.pool, mails[at : at + ENTERED_AT_ONCE])
    async with connect(pod.system.broker, Probes(), "bench") as broker:
        before, began = processor.used_exactly({"": pod.pid}), time.perf_counter()
        await Publisher(broker).send(INBOUND, [mail.envelope for mail in mails])
        while await pod.system.pool.fetchval(_LEFT):  # noqa: ASYNC110 - the ledger's own word
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        took = time.perf_counter() - began
    spent = processor.used_exactly({"": pod.pid}) - before
    await pod.system.stack.resume(local)
    return Routed(MESSAGES * RECIPIENTS, took, spent)


def _mail(n: int) -> NewMail:
    people = users(100)
    to = [people[(n * RECIPIENTS + at) % len(people)] for at in range(RECIPIENTS - 1)]
    addresses = [*to, f"u000+detail@{GREY}"]
    inbound = Inbound(
        id=new_id(),
        sender="a@far.test",
        size=len(_LETTER),
        recipients=tuple(InboundRecipient(n=n, address=each) for n, each in enumerate(addresses)),
        summary=scan(_LETTER),
    )
    return NewMail(
        id=inbound.id,
        origin="smtp",
        sender=inbound.sender,
        size=inbound.size,
        recipients=tuple(NewRecipient(n, each) for n, each in enumerate(addresses)),
        envelope=inbound,
    )
