"""Addresses that stand for others: aliases, groups, an account's own forwarding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.mail.address import is_domain, parse_address
from posthouse.storage.directory.errors import DirectoryError, NoSuchEntry
from posthouse.storage.directory.precedence import hold, refuse, shadows_of_alias
from posthouse.storage.pool import Pool, Queries, Tx, transaction

MEMBERS = "members"

_SET_ALIAS = """
    insert into aliases (address, domain, targets, owner, posters) values ($1, $2, $3, $4, $5)
        on conflict (address) do update
       set targets = excluded.targets, owner = excluded.owner, posters = excluded.posters
"""
_REMOVE_ALIAS = "delete from aliases where address = $1"
_ALIASES = """
    select address, targets, owner, posters from aliases where address > $1 order by address limit $2
"""
_SET_FORWARD = """
    insert into forwards (account_id, targets, keep_copy)
    select account_id, $2, $3 from accounts where address = $1
        on conflict (account_id) do update
       set targets = excluded.targets, keep_copy = excluded.keep_copy
"""
_REMOVE_FORWARD = """
    delete from forwards f using accounts a where a.account_id = f.account_id and a.address = $1
"""
_FORWARDS = """
    select a.address, f.targets, f.keep_copy from forwards f join accounts a using (account_id)
     where a.address > $1 order by a.address limit $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """An address that stands for others.

    Attributes:
        address: In the form of `Address.key`.
        targets: What it stands for, as written; never empty.
        owner: Of a group: who gets the bounces. None: the original sender does.
        posters: Who may send to it: addresses, ``@domain``, `MEMBERS`; empty: everybody.
    """

    address: str
    targets: tuple[str, ...]
    owner: str | None = None
    posters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """An account's own forwarding.

    Attributes:
        address: The account's address.
        targets: Where its mail goes; never empty.
        keep_copy: Whether its own mailbox gets it too.
    """

    address: str
    targets: tuple[str, ...]
    keep_copy: bool = True


async def set_alias(
    queries: Pool | Tx,
    address: str,
    targets: Sequence[str],
    owner: str | None = None,
    *,
    posters: Sequence[str] = (),
    force: bool = False,
) -> None:
    """Let ``address`` stand for ``targets``, replacing what it stood for; only ``posters`` reach them.

    Raises `NoSuchEntry` if its domain is not ours, `BadAddress`, `DirectoryError` without targets,
    and `Shadowed` if somebody would get no more mail, unless that is meant (``force``).
    """
    parsed, new = parse_address(address), _parsed(targets)
    bounces_to = None if owner is None else str(parse_address(owner))
    async with transaction(queries) as tx:
        await hold(tx, [parsed.domain])
        refuse(await shadows_of_alias(tx, parsed, new), force=force)
        may_post = [_poster(each) for each in posters] or None
        await tx.execute(_SET_ALIAS, parsed.key, parsed.domain, new, bounces_to, may_post)


async def remove_alias(queries: Queries, address: str) -> None:
    """Remove the alias; raise `NoSuchEntry`."""
    if not await queries.execute(_REMOVE_ALIAS, address.lower()):
        raise NoSuchEntry(f"no alias {address}")


async def aliases(queries: Queries, after: str = "", limit: int = 1000) -> tuple[Alias, ...]:
    """Return up to ``limit`` aliases whose address sorts after ``after``."""
    return tuple(
        Alias(
            address=row["address"],
            targets=tuple(row["targets"]),
            owner=row["owner"],
            posters=tuple(row["posters"] or ()),
        )
        for row in await queries.fetch(_ALIASES, after.lower(), limit)
    )


async def set_forward(
    queries: Queries, address: str, targets: Sequence[str], *, keep_copy: bool = True
) -> None:
    """Forward the mail of account ``address``; without targets the forwarding ends.

    Raises `NoSuchEntry` if there is no such account, `BadAddress`.
    """
    if not targets:
        await queries.execute(_REMOVE_FORWARD, address.lower())
    elif not await queries.execute(_SET_FORWARD, address.lower(), _parsed(targets), keep_copy):
        raise NoSuchEntry(f"no account {address}")


async def forwards(queries: Queries, after: str = "", limit: int = 1000) -> tuple[Forward, ...]:
    """Return up to ``limit`` forwardings whose account's address sorts after ``after``."""
    return tuple(
        Forward(address=r["address"], targets=tuple(r["targets"]), keep_copy=r["keep_copy"])
        for r in await queries.fetch(_FORWARDS, after.lower(), limit)
    )


def _poster(text: str) -> str:
    if text.lower() == MEMBERS:
        return MEMBERS
    if text.startswith("@") and is_domain(text[1:]):
        return text.lower()
    return parse_address(text).key


def _parsed(targets: Sequence[str]) -> list[str]:
    if not targets:
        raise DirectoryError("an alias needs at least one target")
    return [str(parse_address(target)) for target in targets]
