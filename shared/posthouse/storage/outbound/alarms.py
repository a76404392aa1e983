"""Alarms about accounts: listed, and told to operators by mail once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from posthouse.storage.pool import Queries, Tx

_LIST = """
    select id, account, rule, consequence, detail, at, cleared_at from outbound_alarms
     where ($1::bigint = 0 or id < $1) order by id desc limit $2
"""
# The lock: one process writes the mail.
_UNTOLD = """
    select a.id, a.account, a.rule, a.consequence, a.detail, a.at, a.cleared_at,
           coalesce(t.contact, '') as contact
      from outbound_alarms a
      left join domains d on d.domain = substring(a.account from '@([^@]*)$')
      left join tenants t on t.tenant = d.tenant
     where a.told_at is null order by a.id limit $1 for update of a skip locked
"""
_TOLD = "update outbound_alarms set told_at = now() where id = any($1::bigint[])"
_CONTACT = "update tenants set contact = nullif($2, '') where tenant = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An alarm as it was raised.

    Attributes:
        id: Its number; later ones have higher ones.
        account: Whose mail it is about.
        rule: By name.
        consequence: What was done.
        detail: What was seen.
        at: When (UTC).
        cleared_at: When the account was resumed; None if it was not.
    """

    id: int
    account: str
    rule: str
    consequence: str
    detail: str
    at: datetime
    cleared_at: datetime | None


async def alarms(queries: Queries, before: int = 0, limit: int = 100) -> list[Raised]:
    """Return alarms, the newest first; with ``before`` only older ones."""
    return [Raised(**dict(row)) for row in await queries.fetch(_LIST, before, limit)]


async def untold(tx: Tx, limit: int) -> list[tuple[Raised, str]]:
    """Return alarms that nobody was told of, and who is to be told for the tenant, if anybody.

    They are this transaction's until it ends.
    """
    found = []
    for row in await tx.fetch(_UNTOLD, limit):
        fields = dict(row)
        contact = fields.pop("contact")
        found.append((Raised(**fields), contact))
    return found


async def told(tx: Tx, raised: Sequence[Raised]) -> None:
    """Note that the mails about these are entered."""
    await tx.execute(_TOLD, [each.id for each in raised])


async def set_contact(queries: Queries, tenant: str, address: str) -> bool:
    """Have ``address`` told of a tenant's accounts, nobody if it is empty; False without a tenant."""
    return bool(await queries.execute(_CONTACT, tenant, address))
