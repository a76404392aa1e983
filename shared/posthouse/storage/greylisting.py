"""Greylisting: who has come before, shared by all pods.

    first ──▶ waits ──▶ came again, late enough and in time ──▶ passed ──▶ lives on with each use
                                                 └──▶ counts for its network, and for it with its domain

Any number of questions is one statement, by the clock of PostgreSQL alone; what is known already is
only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.ledger.entries import storable
from posthouse.storage.pool import Pool, Queries

BITE = 1000  # rows per statement
DOMAIN_SUCCESSES = 2  # until a network is known with a domain

# Rows are locked in the order of their keys, as by everybody: two pods never wait for each other. A row
# that says nothing new is not written. Of several mails of an hour one counts for its network.
# A plan that was made while all was small must do when there are millions: each row is looked for by
# itself (limit, offset), by whichever index has its recipient or its network.
_ASK = """
    with asked as (
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
                   as a (key, network, sender, recipient, domain)
    ), known as (
        select a.key from asked a
         where (select true from greylist_known k
                 where k.network = a.network and k.domain = '' and k.expires_at > now()
                   and $9 > 0 and k.successes >= $9 limit 1)
            or (select true from greylist_known k
                 where k.network = a.network and k.domain = a.domain and a.domain <> ''
                   and k.expires_at > now() and k.successes >= $10 limit 1)
    ), fresh as (
        select a.key from asked a, lateral (
            select from greylist g
             where g.key = a.key and g.recipient = a.recipient and g.passed_at is not null
               and g.expires_at > now() + $8::interval * 0.9
            offset 0) as found
    ), noted as (
        insert into greylist as g (key, network, sender, recipient, first_at, expires_at)
        select key, network, sender, recipient, now(), now() + $7::interval from asked
         where key not in (select key from known) and key not in (select key from fresh)
         order by key
            on conflict (key) do update set
               first_at = case when g.expires_at <= now() then now() else g.first_at end,
               passed_at = case when g.expires_at <= now() then null
                                when g.passed_at is not null then g.passed_at
                                when g.first_at + $6::interval <= now() then now() end,
               expires_at = case when g.expires_at <= now() then now() + $7::interval
                                 when g.first_at + $6::interval <= now() then now() + $8::interval
                                 else g.expires_at end
        returning g.key, g.first_at, g.passed_at
    ), counted as (
        insert into greylist_known as k (network, domain, successes, counted_at, expires_at)
        select distinct a.network, d.domain, 1, now(), now() + $8::interval
          from noted n join asked a using (key), lateral (values (''), (a.domain)) as d (domain)
         where n.passed_at = now() and $9 > 0
         order by 1, 2
            on conflict (network, domain) do update set
               successes = case when k.expires_at <= now() then 1
                                when k.counted_at < now() - interval '1 hour' or k.domain <> ''
                                then k.successes + 1 else k.successes end,
               counted_at = case when k.counted_at < now() - interval '1 hour' then now()
                                 else k.counted_at end,
               expires_at = excluded.expires_at
    )
    select key, 0::float8 as seconds, true as is_known from known
     union all
    select key, 0, false from fresh where key not in (select key from known)
     union all
    select key, case when passed_at is not null then 0 else
           greatest(extract(epoch from first_at + $6::interval - now()), 1)::float8 end, false
      from noted
"""
_PEEK = """
    select (case when exists (
        select from greylist_known where network = $2 and expires_at > now()
           and (domain = '' and $5 > 0 and successes >= $5
                or domain = $3 and $3 <> '' and successes >= $6)) then 0
      else coalesce((
        select case when passed_at is not null then 0
               else greatest(extract(epoch from first_at + $4::interval - now()), 0) end
          from greylist where key = $1 and expires_at > now()),
        extract(epoch from $4::interval)) end)::float8
"""
_NOTE_GOOD = """
    insert into greylist_known as k (network, domain, successes, counted_at, expires_at)
    select network, domain, $3, now(), now() + $4::interval
      from unnest($1::text[], $2::text[]) as n (network, domain)
     order by network, domain
        on conflict (network, domain) do update
       set successes = greatest(k.successes, excluded.successes), counted_at = now(),
           expires_at = excluded.expires_at
"""
_DOMAINS = "select domain, enabled from greylist_domains where domain = any ($1)"
_SET_DOMAIN = """
    insert into greylist_domains (domain, enabled) select domain, $2 from domains where domain = $1
        on conflict (domain) do update set enabled = excluded.enabled
"""
_RESET_DOMAIN = "delete from greylist_domains where domain = $1"
_LIST_DOMAINS = """
    select domain, enabled from greylist_domains where domain > $1 order by domain limit $2
"""
_LIST = """
    select key, network, sender, recipient, first_at, passed_at, expires_at from greylist
     where (recipient, key) > ($1, $2::uuid) and ($4::text is null or recipient = $4)
       and expires_at > now()
     order by recipient, key limit $3
"""
_FORGET_NETWORK = "delete from greylist_known where network = $1"
_TIDY = """
    delete from greylist where ctid = any (array(
        select ctid from greylist where expires_at <= now() limit $1 for update skip locked))
"""
_TIDY_KNOWN = """
    delete from greylist_known where ctid = any (array(
        select ctid from greylist_known where expires_at <= now() limit $1 for update skip locked))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplet:
    """Who wants to send to whom, from where.

    Attributes:
        network: The client's.
        sender: Without what differs from message to message; empty for the null path.
        recipient: Who.
    """

    network: str
    sender: str
    recipient: str

    @property
    def key(self) -> UUID:
        """Its hash."""
        text = "\n".join((self.network, self.sender, self.recipient))
        return UUID(bytes=hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest())

    @property
    def domain(self) -> str:
        """The sender's domain; empty for the null path."""
        return self.sender.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class GreylistTerms:
    """How long one waits, and for how long that counts.

    Attributes:
        delay: Who comes again sooner is told to wait on.
        window: Who comes again later begins anew.
        lifetime: For so long, since it was last used, nobody waits again.
        successes: So many mails that came again make a network known; 0: none is ever.
    """

    delay: timedelta = timedelta(minutes=5)
    window: timedelta = timedelta(days=2)
    lifetime: timedelta = timedelta(days=36)
    successes: int = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is known of a triplet.

    Attributes:
        seconds: How long it has to wait on; 0: it may pass.
        is_known: The network is, whoever sends to whom.
    """

    seconds: float
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Greylisted:
    """One row, for people; see the table."""

    key: UUID
    network: str
    sender: str
    recipient: str
    first_at: datetime
    passed_at: datetime | None
    expires_at: datetime


async def ask_greylist(
    queries: Queries, triplets: Sequence[Triplet], terms: GreylistTerms
) -> dict[UUID, Waiting]:
    """Note that these want to send; return of each key how long it has to wait."""
    wanted = {each.key: each for each in triplets}
    rows = await queries.fetch(
        _ASK,
        list(wanted),
        [each.network for each in wanted.values()],
        [storable(each.sender) for each in wanted.values()],
        [storable(each.recipient) for each in wanted.values()],
        [storable(each.domain) for each in wanted.values()],
        terms.delay,
        terms.window,
        terms.lifetime,
        terms.successes,
        DOMAIN_SUCCESSES,
    )
    return {row["key"]: Waiting(row["seconds"], row["is_known"]) for row in rows}


async def peek_greylist(queries: Queries, triplet: Triplet, terms: GreylistTerms) -> float:
    """Return how many seconds one would have to wait, and note nothing."""
    seconds = await queries.fetchval(
        _PEEK,
        triplet.key,
        triplet.network,
        storable(triplet.domain),
        terms.delay,
        terms.successes,
        DOMAIN_SUCCESSES,
    )
    return float(str(seconds))


async def note_good(
    queries: Queries, pairs: Sequence[tuple[str, str]], lifetime: timedelta
) -> None:
    """Note that good mail of these domains, proved by signatures, came from these networks."""
    wanted = sorted(set(pairs))
    await queries.execute(
        _NOTE_GOOD,
        [network for network, _ in wanted],
        [storable(domain) for _, domain in wanted],
        DOMAIN_SUCCESSES,
        lifetime,
    )


async def greylisting_of(queries: Queries, domains: Sequence[str]) -> dict[str, bool | None]:
    """Return of each domain whether it is greylisted; None leaves it to the setting."""
    rows = await queries.fetch(_DOMAINS, list(domains))
    found = {row["domain"]: row["enabled"] for row in rows}
    return {domain: found.get(domain) for domain in domains}


async def set_greylisting(queries: Queries, domain: str, *, enabled: bool | None) -> None:
    """Say whether mail to ``domain`` is greylisted; None leaves it to the setting.

    Raises:
        NoSuchEntry: It is no domain of ours, or nothing was said of it.
    """
    if enabled is None:
        done = await queries.execute(_RESET_DOMAIN, domain)
    else:
        done = await queries.execute(_SET_DOMAIN, domain, enabled)
    if not done:
        raise NoSuchEntry(f"nothing to set for {domain}")


async def greylisted_domains(
    queries: Queries, after: str = "", limit: int = 1000
) -> list[tuple[str, bool]]:
    """Return up to ``limit`` domains of which something is said, behind ``after``."""
    rows = await queries.fetch(_LIST_DOMAINS, after, limit)
    return [(row["domain"], row["enabled"]) for row in rows]


async def greylisted(
    queries: Queries,
    after: tuple[str, UUID] = ("", UUID(int=0)),
    limit: int = 1000,
    *,
    recipient: str | None = None,
) -> tuple[Greylisted, ...]:
    """Return up to ``limit`` rows behind the recipient and key of ``after``."""
    rows = await queries.fetch(_LIST, *after, limit, recipient)
    return tuple(Greylisted(**dict(row)) for row in rows)


async def forget_network(queries: Queries, network: str) -> None:
    """Let a network wait again with what is new of it; raise `NoSuchEntry`."""
    if not await queries.execute(_FORGET_NETWORK, network):
        raise NoSuchEntry(f"nothing is known of {network}")


async def tidy_greylist(pool: Pool) -> int:
    """Remove what is over, in small bites; return how many rows went."""
    total = 0
    for statement in (_TIDY, _TIDY_KNOWN):
        while gone := await pool.execute(statement, BITE):
            total += gone
    return total
