"""On which terms accounts send: limits other than the settings', and who is paused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from posthouse.storage.pool import Queries

Scope: TypeAlias = Literal["account", "domain", "tenant"]
Thing: TypeAlias = Literal["messages", "recipients", "octets"]
Kind: TypeAlias = Literal["hold", "pause"]

_TERMS = """
    with asked as materialized (
        select account, substring(account from '@([^@]*)$') as domain
          from unnest($1::text[]) as a (account)
    )
    select a.account, coalesce(d.tenant, '') as tenant, coalesce(p.kind, '') as kind,
           (select json_object_agg(l.scope || ' ' || l.thing, l.rates)::text
              from outbound_limits l
             where (l.scope = 'account' and l.name = a.account)
                or (l.scope = 'domain' and l.name = a.domain)
                or (l.scope = 'tenant' and l.name = d.tenant)) as limits
      from asked a
      left join domains d on d.domain = a.domain
      left join outbound_paused p on p.account = a.account and p.ending is null
"""
_SET = """
    insert into outbound_limits (scope, name, thing, rates) values ($1, $2, $3, $4)
        on conflict (scope, name, thing) do update set rates = excluded.rates
"""
_UNSET = "delete from outbound_limits where scope = $1 and name = $2 and thing = $3"
_LIST = """
    select scope, name, thing, rates from outbound_limits
     where (scope, name, thing) > ($1, $2, $3) order by scope, name, thing limit $4
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms one account sends.

    Attributes:
        tenant: Whose its domain is; empty for nobody's.
        kind: ``pause``: nothing is taken of it; ``hold``: what is taken is held; empty: neither.
        limits: Rates as text, by scope and thing, where they are not those of the settings.
    """

    tenant: str = ""
    kind: str = ""
    limits: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One limit that an operator has set."""

    scope: str
    name: str
    thing: str
    rates: str


async def terms_of(queries: Queries, accounts: Sequence[str]) -> dict[str, Terms]:
    """Return the terms of ``accounts`` (lower case); raise `Unavailable`."""
    rows = await queries.fetch(_TERMS, list(accounts))
    return {
        row["account"]: Terms(
            tenant=row["tenant"],
            kind=row["kind"],
            limits={_pair(key): rates for key, rates in json.loads(row["limits"] or "{}").items()},
        )
        for row in rows
    }


async def set_limit(queries: Queries, override: Override) -> None:
    """Let these rates count instead of the settings'."""
    await queries.execute(_SET, override.scope, override.name, override.thing, override.rates)


async def unset_limit(queries: Queries, scope: Scope, name: str, thing: Thing) -> bool:
    """Let the settings count again; False if they did."""
    return bool(await queries.execute(_UNSET, scope, name, thing))


async def limits(
    queries: Queries, after: tuple[str, str, str] = ("", "", ""), limit: int = 1000
) -> list[Override]:
    """Return up to ``limit`` limits behind ``after``, in order."""
    rows = await queries.fetch(_LIST, *after, limit)
    return [Override(**dict(row)) for row in rows]


def _pair(key: str) -> tuple[str, str]:
    scope, _, thing = key.partition(" ")
    return scope, thing
