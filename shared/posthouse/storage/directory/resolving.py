"""What addresses mean here: one round trip for as many as are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import msgspec

from posthouse.storage.directory.accounts import Account, account_of
from posthouse.storage.directory.aliases import Alias, Forward
from posthouse.storage.directory.domains import Domain
from posthouse.storage.pool import Queries, Row

NO_ENTRIES: Mapping[str, tuple[str, ...]] = MappingProxyType({})
_ENTRIES = msgspec.json.Decoder(dict[str, tuple[str, ...]])

_RESOLVE = """
    select k.key, d.domain, d.catch_all, d.delimiters,
           a.account_id, a.address, a.enabled, a.quota_octets,
           (select coalesce(sum(m.octets), 0)::bigint from mailboxes m
             where m.account_id = a.account_id) as used_octets,
           l.targets as alias_targets, l.owner as alias_owner, l.posters,
           f.targets as forward_targets, f.keep_copy,
           (select jsonb_object_agg(m.kind, m.targets) from map_entries m
             where m.key = k.key) as maps
      from unnest($1::text[], $2::text[]) as k (key, domain)
      left join domains d on d.domain = k.domain
      left join accounts a on a.address = k.key
      left join aliases l on l.address = k.key
      left join forwards f on f.account_id = a.account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known here of one address.

    Attributes:
        key: The address that was asked for.
        domain: Its domain if that is ours, with its catch-all; None: the address is not ours.
        account: Who has a mailbox at exactly this address.
        alias: What the address stands for.
        forward: Where its account's mail goes.
        maps: What maps say of exactly this key, by the map's name (`posthouse.mail.maps`).
    """

    key: str
    domain: Domain | None = None
    account: Account | None = None
    alias: Alias | None = None
    forward: Forward | None = None
    maps: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_ENTRIES)


async def resolve(queries: Queries, keys: Sequence[str]) -> dict[str, Found]:
    """Tell of each key (an address in the form of `Address.key`, or a map's key) what it is here.

    Every key is in the answer. The key of plus addressing is asked for as well as its base.
    """
    wanted = list(dict.fromkeys(keys))
    domains = [key.rpartition("@")[2] for key in wanted]
    return {row["key"]: _found(row) for row in await queries.fetch(_RESOLVE, wanted, domains)}


def _found(row: Row) -> Found:
    key, domain, targets, forward = (
        row["key"], row["domain"], row["alias_targets"], row["forward_targets"]
    )  # fmt: skip
    return Found(
        key=key,
        domain=domain
        and Domain(domain=domain, catch_all=row["catch_all"], delimiters=row["delimiters"]),
        account=None if row["account_id"] is None else account_of(row),
        alias=targets and _alias(row),
        forward=forward
        and Forward(address=key, targets=tuple(forward), keep_copy=row["keep_copy"]),
        maps=NO_ENTRIES if row["maps"] is None else _ENTRIES.decode(row["maps"]),
    )


def _alias(row: Row) -> Alias:
    return Alias(
        address=row["key"],
        targets=tuple(row["alias_targets"]),
        owner=row["alias_owner"],
        posters=tuple(row["posters"] or ()),
    )
