"""Senders: how the mail of a domain or an account is sent and told of.

What an account does not say, its domain says; what neither says is left to the settings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from posthouse.mail.address import DETAIL_DELIMITER, Address, BadAddress, parse_address
from posthouse.mail.return_path import Style
from posthouse.storage.directory.errors import NoSuchEntry
from posthouse.storage.pool import Queries, Row

_FIELDS = ("language", "return_path", "signed_only", "suppress_after")
_COLUMNS = ", ".join(f"s.{field}" for field in _FIELDS)
# One statement, so that two who change different things at once both have their way.
_CHANGE = "do update set " + ", ".join(
    f"{field} = case when '{field}' = any ($6) then excluded.{field} else senders.{field} end"
    for field in _FIELDS
)
_SET_DOMAIN = f"""
    insert into senders (domain, language, return_path, signed_only, suppress_after)
    select domain, $2, $3, $4, $5 from domains where domain = $1
        on conflict (domain) {_CHANGE}
"""  # noqa: S608 - columns are ours
_SET_ACCOUNT = f"""
    insert into senders (account_id, language, return_path, signed_only, suppress_after)
    select account_id, $2, $3, $4, $5 from accounts where address = $1
        on conflict (account_id) {_CHANGE}
"""  # noqa: S608 - columns are ours
_REMOVE = """
    delete from senders where domain = $1
        or account_id = (select account_id from accounts where address = $1)
"""
_NAMED = f"""
    select coalesce(s.domain, a.address) as whose, {_COLUMNS}
      from senders s left join accounts a using (account_id)
"""  # noqa: S608 - columns are ours
_LIST = f"select * from ({_NAMED}) as named where whose > $1 order by whose limit $2"  # noqa: S608
# An address with a detail (RFC 5233) is its account's; so is one whose account has the detail in it.
_RESOLVE = """
    select k.sender, d.domain is not null as is_ours,
           coalesce(a.language, s.language) as language,
           coalesce(a.return_path, s.return_path) as return_path,
           coalesce(a.signed_only, s.signed_only) as signed_only,
           coalesce(a.suppress_after, s.suppress_after) as suppress_after
      from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as k (sender, exact, base, domain)
      left join domains d on d.domain = k.domain
      left join senders s on s.domain = d.domain
      left join lateral (
        select of.* from accounts c join senders of using (account_id)
         where c.address in (k.exact, k.base) order by c.address = k.exact desc limit 1) a on true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """How mail of a domain or an account is sent and told of; None leaves it open.

    Attributes:
        language: The tag of the language of reports that are sent to it.
        return_path: What servers outside see as its sender; see `posthouse.mail.return_path`.
        signed_only: Mail without a sender is refused at an address that we never gave away.
        suppress_after: So many hard bounces put a recipient on the suppression list; 0 for never.
    """

    language: str | None = None
    return_path: Style | None = None
    signed_only: bool | None = None
    suppress_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSender:
    """What is said of a domain or an account.

    Attributes:
        whose: The domain's name, or the account's address.
        sender: What is said of it.
    """

    whose: str
    sender: Sender


async def set_sender(
    queries: Queries, whose: str, sender: Sender, only: Collection[str] = _FIELDS
) -> None:
    """Say how a domain or an account sends: of what was said, ``only`` these fields change.

    Raises:
        NoSuchEntry: It is not ours.
    """
    sql = _SET_ACCOUNT if "@" in whose else _SET_DOMAIN
    columns = (sender.language, sender.return_path, sender.signed_only, sender.suppress_after)
    if not await queries.execute(sql, whose.lower(), *columns, list(only)):
        raise NoSuchEntry(f"no account or domain {whose}")


async def remove_sender(queries: Queries, whose: str) -> None:
    """Leave it to the domain or the settings again; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE, whose.lower()):
        raise NoSuchEntry(f"nothing is said of {whose}")


async def senders(queries: Queries, after: str = "", limit: int = 1000) -> tuple[NamedSender, ...]:
    """Return up to ``limit`` of them behind the name ``after``."""
    rows = await queries.fetch(_LIST, after.lower(), limit)
    return tuple(NamedSender(whose=row["whose"], sender=_sender_of(row)) for row in rows)


async def resolve_senders(queries: Queries, addresses: Sequence[str]) -> dict[str, Sender | None]:
    """Return of each address what holds for it; None if its domain is not ours."""
    parsed = {each: address for each in addresses if (address := _parsed(each)) is not None}
    rows = await queries.fetch(
        _RESOLVE,
        list(parsed),
        [address.key for address in parsed.values()],
        [_base(address) for address in parsed.values()],
        [address.domain for address in parsed.values()],
    )
    found = {row["sender"]: _sender_of(row) for row in rows if row["is_ours"]}
    return {each: found.get(each) for each in addresses}


def _parsed(text: str) -> Address | None:
    try:
        return parse_address(text)
    except BadAddress:
        return None


def _base(address: Address) -> str:
    return f"{address.detail(DETAIL_DELIMITER)[0].lower()}@{address.domain}"


def _sender_of(row: Row) -> Sender:
    return Sender(
        language=row["language"],
        return_path=row["return_path"],
        signed_only=row["signed_only"],
        suppress_after=row["suppress_after"],
    )
