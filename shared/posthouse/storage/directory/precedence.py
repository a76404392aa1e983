"""What goes before what, and who would get no mail by it.

    an alias            before the account of the same address
    anna+lists@ itself  before the detail ``lists`` of anna@ (RFC 5233)
    a domain of ours    before a route for it

Each is of use to somebody who means it, and a riddle to everybody else: mail goes astray without a
fault anywhere. So whoever would lose mail by a change, or would be new and get none, makes it
refused with `Shadowed` unless it is forced. Changes of one domain's addresses come one after the
other (`hold`), so that no two of them together do what neither was asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from posthouse.mail.address import DETAIL_DELIMITER, Address, parse_address
from posthouse.storage.directory.errors import NoSuchEntry, Shadow, Shadowed
from posthouse.storage.pool import Queries, Tx

# Row locks, in one order so that two imports cannot wait for each other. Foreign keys and readers
# do not mind them.
_HOLD = """
    select domain from domains where domain = any($1::text[]) order by domain for no key update
"""
_CLAIMS = """
    select k.key, a.account_id is not null as is_account, l.targets
      from unnest($1::text[]) as k (key)
      left join accounts a on a.address = k.key
      left join aliases l on l.address = k.key
     where a.account_id is not null or l.address is not null
"""
# Routes are few and set by hand; readers do not mind.
_HOLD_ROUTES = "lock table routes in share row exclusive mode"


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an address is already: an account, an alias with these targets, or both."""

    is_account: bool
    targets: tuple[str, ...]  # empty: no alias

    def leaves_none_to(self, key: str) -> bool:
        """True if an alias takes all mail of ``key``: it does not stand for itself, too."""
        return bool(self.targets) and not _stands_for(self.targets, key)


async def hold(tx: Tx, domains: Iterable[str]) -> None:
    """Let nobody else change what addresses in ``domains`` mean until ``tx`` ends.

    Raises `NoSuchEntry`, naming those that are not ours.
    """
    wanted = set(domains)
    rows = await tx.fetch(_HOLD, sorted(wanted))
    missing = sorted(wanted - {row["domain"] for row in rows})
    if missing:
        which = "is not one" if len(missing) == 1 else "are none"
        raise NoSuchEntry(f"{', '.join(missing)} {which} of our domains")


async def hold_routes(tx: Tx) -> None:
    """Let nobody else add a domain or set a route until ``tx`` ends."""
    await tx.execute(_HOLD_ROUTES)


async def shadows_of_accounts(queries: Queries, addresses: Sequence[Address]) -> tuple[Shadow, ...]:
    """Tell which of these accounts, if they were made, would get no mail or take another's."""
    claims = await _claims(queries, addresses)
    shadows = (_of_account(address, claims) for address in addresses)
    return tuple(shadow for shadow in shadows if shadow is not None)


async def shadows_of_alias(
    queries: Queries, address: Address, targets: Sequence[str]
) -> tuple[Shadow, ...]:
    """Tell whose mail an alias at ``address`` would take; what is a target of it loses none."""
    claims = await _claims(queries, [address])
    here = claims.get(address.key)
    if here is None:
        shadow = _of_detail(address, claims)
    elif here.is_account and not _stands_for(targets, address.key):
        shadow = Shadow(address.key, "is an account, which would get no more mail")
    else:
        shadow = None
    return () if shadow is None else (shadow,)


def refuse(shadows: Sequence[Shadow], *, force: bool) -> None:
    """Raise `Shadowed` if there are any, unless it is forced."""
    if shadows and not force:
        raise Shadowed(shadows)


async def _claims(queries: Queries, addresses: Iterable[Address]) -> dict[str, _Claim]:
    keys = {key for address in addresses for key in (address.key, _base(address)) if key}
    return {
        row["key"]: _Claim(row["is_account"], tuple(row["targets"] or ()))
        for row in await queries.fetch(_CLAIMS, sorted(keys))
    }


def _of_account(address: Address, claims: Mapping[str, _Claim]) -> Shadow | None:
    here = claims.get(address.key)
    if here is None:
        return _of_detail(address, claims)
    if here.is_account or not here.leaves_none_to(address.key):
        return None
    return Shadow(address.key, "is an alias, which goes first: the account would get no mail")


def _of_detail(address: Address, claims: Mapping[str, _Claim]) -> Shadow | None:
    """Tell whether the mail of a new address is somebody's already, by plus addressing."""
    base = _base(address)
    if base not in claims:
        return None
    return Shadow(address.key, f"is {base} with a detail, which would get that mail no more")


def _base(address: Address) -> str:
    """Return the key of ``address`` without its detail; empty if it has none."""
    base, detail = address.detail(DETAIL_DELIMITER)
    return f"{base.lower()}@{address.domain}" if detail else ""


def _stands_for(targets: Iterable[str], key: str) -> bool:
    return any(parse_address(target).key == key for target in targets)
