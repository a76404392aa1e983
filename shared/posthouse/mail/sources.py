"""Source addresses: from where, and under which name, mail leaves for the world. Pure.

    source   an address of ours with the name that it says in EHLO, in one pool
    pool     sources that stand for each other
    use      which pool mail of a sender to a domain leaves from

A mail keeps its source: senders and domains are spread over a pool by a hash that moves as few of
them as can be when the pool changes, so who has seen an address sees it again (greylisting). An
address that nobody knows yet has a budget for each day, which grows until it is warm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from ipaddress import ip_address

from posthouse.mail.patterns import EVERYTHING, patterns_of, sender_patterns_of
from posthouse.mail.rates import UNLIMITED, Rate

MACHINE = "none"  # the pool without addresses: mail leaves as the machine sends it
USUAL_WARM_UP = (50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000)
PORTIONS = 24  # of a day's budget may leave at once; the rest is spread over the day
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One address of ours.

    Attributes:
        address: IPv4 or IPv6, in its shortest form.
        pool: To which it belongs.
        hostname: What it says in EHLO; the name that its PTR record should have.
        warm_up: Recipients on its first day, its second, and so on; after that as many as come.
        since: Its first day (UTC); before it nothing leaves.
    """

    address: str
    pool: str
    hostname: str
    warm_up: tuple[int, ...] = ()
    since: date = date.min

    @property
    def key(self) -> str:
        """Under which its messages are counted (`posthouse.mail.rates`)."""
        return f"source:{self.address}"

    def budget(self, today: date) -> int | None:
        """Return how many messages may leave on this day; None for as many as come."""
        day = (today - self.since).days
        if day < 0:
            return 0
        return self.warm_up[day] if day < len(self.warm_up) else None

    def rate(self, today: date) -> Rate | None:
        """Return the budget as a rate, which fills the day evenly; None if it is used up at once."""
        budget = self.budget(today)
        if budget is None:
            return UNLIMITED
        if not budget:
            return None
        portion = max(1, budget // PORTIONS)
        return Rate(portion, _DAY * portion / budget)

    def reaches(self, address: str) -> bool:
        """True if it can connect to ``address``: both are of one family."""
        return ip_address(address).version == ip_address(self.address).version


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceUse:
    """Which pool some mail leaves from.

    Attributes:
        sender: Whose mail, as a pattern (`posthouse.mail.patterns`); ``*`` for everybody's.
        domain: To where, as a pattern.
        pool: The pool, or `MACHINE`.
    """

    sender: str
    domain: str
    pool: str


def pool_of(uses: Mapping[tuple[str, str], str], sender: str, domain: str) -> str:
    """Return the pool of mail from ``sender`` to ``domain``; `MACHINE` if nobody chose one.

    The sender counts first: what is said of him, then of his domain, then of everybody; and of
    each the domain, then those above it, then all.

    Args:
        uses: Pools by patterns of sender and domain.
        sender: The reverse path; empty for the null path.
        domain: The recipients'.
    """
    if not uses:
        return MACHINE
    for whose in (*sender_patterns_of(sender), EVERYTHING):
        for where in patterns_of(domain):
            if (whose, where) in uses:
                return uses[whose, where]
    return MACHINE


def ranked(sources: Iterable[Source], sender: str, domain: str) -> tuple[Source, ...]:
    """Return ``sources`` in the order in which mail from ``sender`` to ``domain`` asks for them.

    Rendezvous hashing: without one of them all others keep their order.
    """
    mail = f"{sender.lower()} {domain}"

    def weight(source: Source) -> bytes:
        return hashlib.blake2b(f"{source.address} {mail}".encode(), digest_size=8).digest()

    return tuple(sorted(sources, key=weight))
