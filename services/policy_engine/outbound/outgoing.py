"""Outgoing: what accounts may send, asked at MAIL, at RCPT and at routing, and counted.

    MAIL ─▶ paused? messages, octets      RCPT ─▶ recipients outside      routing ─▶ held? counted
                                                                              └─ once a second ─▶ alarms

A pod decides by what it knows, which is two seconds old at most; nothing here waits for a common
place but the first mail of an account after a pause.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from policy_engine.admission import RELAYED
from policy_engine.arrival import Arrival
from policy_engine.content.pipeline import Judged
from policy_engine.decisions import Plan
from policy_engine.enquiries import Memory
from policy_engine.outbound.limits import Full, Limits
from posthouse.mail.admission import MailQuestion, Verdict, refuse
from posthouse.mail.envelope import Inbound
from posthouse.mail.networks import Breadth
from posthouse.mail.status import Status
from posthouse.storage.ledger import branches_of
from posthouse.storage.outbound.counting import Count
from posthouse.storage.outbound.pausing import HELD, enter_held
from posthouse.storage.outbound.terms import Terms
from posthouse.storage.pool import Pool
from posthouse.telemetry.logs import get_logger
from posthouse.telemetry.metrics import counter

MAX_ACCOUNTS = 10_000  # counted and not yet told
MAX_STRANGERS = 10_000  # of one account, likewise
MAX_NETWORKS = 100  # likewise
PLACES = Breadth(ipv4_bits=24, ipv6_bits=48)  # one network of a submitter
PAUSED = Status(550, (5, 7, 1))
TOO_MANY_MESSAGES = Status(451, (4, 7, 1))
TOO_MANY_RECIPIENTS = Status(452, (4, 5, 3))
PAUSED_TEXT = "Sending from this account is paused: ask your administrator"

_LIMITED = counter("posthouse_policy_outbound_limited_total", "Refused by a limit.", "thing")
_HELD = counter("posthouse_policy_outbound_held_total", "Messages held: their account is paused.")
log = get_logger()


class Outgoing:
    """Decides by limits and pauses, and counts."""

    def __init__(self, pool: Pool, terms: Memory[Terms], limits: Limits) -> None:
        self._pool = pool
        self._terms = terms
        self._limits = limits
        self._counts: dict[str, Count] = {}

    async def at_mail(self, question: MailQuestion) -> Verdict | None:
        """Return why an account may not send now; None if it may: then a message is counted."""
        account = question.auth.lower()
        if not account:
            return None
        terms = await self._of(account)
        if terms.kind == "pause":
            return refuse(PAUSED, PAUSED_TEXT, "account paused")
        if question.is_trial:
            return None
        full = self._limits.full(account, terms, "octets")
        full = full or self._limits.take(account, terms, "messages")
        if full is not None:
            return _too_many(full, TOO_MANY_MESSAGES)
        self._submits_from(account, question.client)
        return None

    async def __call__(self, arrival: Arrival) -> Verdict | None:
        """Refuse a recipient outside who is one too many; the others are counted."""
        asked, account = arrival.question, arrival.question.auth.lower()
        if not account or asked.is_trial or arrival.verdict.rule not in RELAYED:
            return None
        full = self._limits.take(account, await self._of(account), "recipients")
        if full is not None:
            return _too_many(full, TOO_MANY_RECIPIENTS)
        return structs.replace(arrival.verdict, is_counted=True)

    async def hold(self, batch: Sequence[Inbound], plans: list[Plan]) -> list[Plan]:
        """Return ``plans`` with those messages held whose account is paused."""
        accounts = sorted({mail.auth.lower() for mail in batch if mail.auth})
        if not accounts:
            return plans
        terms = await self._terms.resolve(accounts)
        wanted = [
            (mail.auth.lower(), mail.id)
            for mail, plan in zip(batch, plans, strict=True)
            if mail.auth and terms[mail.auth.lower()].kind and not plan.hold
        ]
        if not wanted:
            return plans
        held = await enter_held(self._pool, wanted)
        _HELD.inc(len(held))
        return [
            replace(plan, hold=HELD) if mail.id in held else plan
            for mail, plan in zip(batch, plans, strict=True)
        ]

    async def count(self, batch: Sequence[Inbound], plans: Sequence[Plan]) -> None:
        """Count what was routed just now."""
        for mail, plan in zip(batch, plans, strict=True):
            if not mail.auth:
                continue
            account = mail.auth.lower()
            self._limits.add(account, await self._of(account), "octets", mail.size)
            count = self._count(account)
            if count is None:
                continue
            outside = _outside(plan)
            count.messages += 1
            count.recipients += len(outside)
            for recipient in outside[: max(0, MAX_STRANGERS - len(count.strangers))]:
                count.strangers.add(_hash(recipient))

    def judged(self, judged: Judged) -> None:
        """Count a message that looks like spam, or carries a virus."""
        if judged.case.auth and judged.judgement.action not in {"accept", "tempfail"}:
            count = self._count(judged.case.auth.lower())
            if count is not None:
                count.spam += 1

    def counted(self) -> list[Count]:
        """Return what was counted since the last call, and begin anew."""
        counts, self._counts = list(self._counts.values()), {}
        return counts

    def uncounted(self, counts: Sequence[Count]) -> None:
        """Take back what could not be told; it is told with the next."""
        for each in counts:
            now = self._count(each.account)
            if now is not None:
                now.messages += each.messages
                now.recipients += each.recipients
                now.spam += each.spam
                now.strangers |= each.strangers
                now.networks |= each.networks

    async def _of(self, account: str) -> Terms:
        return (await self._terms.resolve([account]))[account]

    def _submits_from(self, account: str, client: str) -> None:
        count = self._count(account)
        if count is not None and client and len(count.networks) < MAX_NETWORKS:
            count.networks.add(PLACES.network_of(client))

    def _count(self, account: str) -> Count | None:
        """Return where to count; None while there are too many: PostgreSQL is away for long."""
        found = self._counts.get(account)
        if found is None and len(self._counts) < MAX_ACCOUNTS:
            found = Count(account=account, strangers=set(), networks=set())
            self._counts[account] = found
        return found


def _outside(plan: Plan) -> list[str]:
    """Return the recipients outside of one message."""
    branches = (branch for each in plan.decisions for branch in branches_of(each))
    return [branch.address for branch in branches if branch.road == "remote"]


def _too_many(full: Full, status: Status) -> Verdict:
    _LIMITED.labels(full.thing).inc()
    log.info("limited", what=f"sent {full.thing}", who=full.who)
    return refuse(status, full.text, "sending limit")


def _hash(recipient: str) -> int:
    """Return 63 bits that stand for an address."""
    digest = hashlib.blake2b(recipient.lower().encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
