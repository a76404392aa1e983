"""Our DKIM keys: which domain signs with which, since when, and which are on their way in or out.

    pending ─▶ active ─▶ retiring ─▶ retired
    not yet     signs     published   may leave the zone, and be deleted
    in DNS                still

The private halves come and go sealed; who may open them is `posthouse.runtime.dkim_keys`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from posthouse.authenticity.dkim.making import Algorithm
from posthouse.storage.directory.errors import AlreadyThere, NoSuchEntry
from posthouse.storage.pool import Queries, Row, Tx

State: TypeAlias = Literal["pending", "active", "retiring", "retired"]

MAX_KEYS = 1000  # listed at once; of one domain there are few

_ADD = """
    insert into dkim_keys (domain, selector, algorithm, sealed, record, rotates)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing
"""
_COLUMNS = (
    "domain, selector, algorithm, record, state, rotates, made_at, active_at, retiring_at, "
    "retired_at, checked_at, fault"
)
_LIST = f"""
    select {_COLUMNS} from dkim_keys
     where (domain, selector) > ($1, $2) and ($3::text is null or domain = $3)
       and ($4::text is null or selector = $4)
     order by domain, selector limit $5
"""  # noqa: S608 - our own constant
_SIGNING = """
    select domain, selector, algorithm, sealed from dkim_keys
     where domain = any ($1::text[]) and state = 'active' order by domain, algorithm, selector
"""
_SEALED = """
    select domain, selector, algorithm, sealed from dkim_keys where (domain, selector) > ($1, $2)
     order by domain, selector limit $3
"""
_RESEAL = """
    update dkim_keys set sealed = $3 where domain = $1 and selector = $2 and sealed = $4
"""
_ANY = "select exists (select from dkim_keys where state = 'active')"
_RETIRE_OTHERS = """
    update dkim_keys set state = 'retiring', retiring_at = now()
     where domain = $1 and algorithm = $2 and selector <> $3 and state = 'active'
"""
_ACTIVATE = """
    update dkim_keys set state = 'active', active_at = now(), retiring_at = null, retired_at = null
     where domain = $1 and selector = $2 and state <> 'active' returning algorithm
"""
_CHECKED = "update dkim_keys set checked_at = now(), fault = $3 where domain = $1 and selector = $2"
_REMOVE = "delete from dkim_keys where domain = $1 and selector = $2 and (state <> 'active' or $3)"
_STATE = "select state from dkim_keys where domain = $1 and selector = $2"
_RETIRE_OLD = """
    update dkim_keys set state = 'retired', retired_at = now()
     where state = 'retiring' and retiring_at < now() - $1::interval
"""
_WAITING = f"""
    select {_COLUMNS} from dkim_keys where state = 'pending' and rotates
     order by checked_at nulls first limit $1
"""  # noqa: S608 - our own constant
_UNSEEN = f"""
    select {_COLUMNS} from dkim_keys
     where state = 'active'
       and (checked_at is null
            or checked_at < now() - case when fault = '' then $1::interval else $2::interval end)
     order by checked_at nulls first limit $3
"""  # noqa: S608 - our own constant
_BAD = "select count(*) from dkim_keys where state = 'active' and fault <> ''"
_AGED = f"""
    select {_COLUMNS} from dkim_keys as k where state = 'active' and active_at < now() - $1::interval
       and not exists (select from dkim_keys as p where p.domain = k.domain
                          and p.algorithm = k.algorithm and p.state = 'pending')
     order by active_at limit $2
"""  # noqa: S608 - our own constant


@dataclass(frozen=True, slots=True, kw_only=True)
class DkimKey:
    """A key, without its private half.

    Attributes:
        domain: Whose, d=.
        selector: Under which name it is published, s=.
        algorithm: What it signs by.
        record: What is published of it.
        state: How far it is.
        rotates: Once DNS shows it, it takes over by itself.
        made_at: When it came.
        active_at: Since when it signs.
        retiring_at: Since when it signs no more.
        retired_at: Since when its record is not needed.
        checked_at: When DNS was asked last.
        fault: What was wrong then; empty: nothing.
    """

    domain: str
    selector: str
    algorithm: Algorithm
    record: str
    state: State
    rotates: bool
    made_at: datetime
    active_at: datetime | None
    retiring_at: datetime | None
    retired_at: datetime | None
    checked_at: datetime | None
    fault: str

    @property
    def name(self) -> str:
        """Where it is published (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """A key as it lies in the database.

    Attributes:
        domain: Whose.
        selector: Its name.
        algorithm: What it signs by.
        sealed: The private half, encrypted.
    """

    domain: str
    selector: str
    algorithm: Algorithm
    sealed: bytes


async def add_dkim_key(queries: Queries, key: SealedKey, record: str, *, rotates: bool) -> None:
    """Add a pending key; raise `AlreadyThere` for a selector that is taken."""
    values = (key.domain, key.selector, key.algorithm, key.sealed, record, rotates)
    if not await queries.execute(_ADD, *values):
        raise AlreadyThere(f"{key.selector} of {key.domain} is a key already")


async def dkim_keys(
    queries: Queries,
    after: tuple[str, str] = ("", ""),
    limit: int = MAX_KEYS,
    *,
    domain: str | None = None,
    selector: str | None = None,
) -> tuple[DkimKey, ...]:
    """Return keys by domain and selector, behind ``after``."""
    rows = await queries.fetch(_LIST, *after, domain, selector, limit)
    return tuple(map(_key, rows))


async def dkim_key(queries: Queries, domain: str, selector: str) -> DkimKey:
    """Return one key; raise `NoSuchEntry`."""
    found = await dkim_keys(queries, domain=domain, selector=selector)
    if not found:
        raise NoSuchEntry(f"there is no key {selector} of {domain}")
    return found[0]


async def signing_keys(queries: Queries, domains: Sequence[str]) -> tuple[SealedKey, ...]:
    """Return the active keys of ``domains``; of each domain Ed25519 first."""
    return tuple(map(_sealed, await queries.fetch(_SIGNING, domains)))


async def sealed_keys(
    queries: Queries, after: tuple[str, str], limit: int
) -> tuple[SealedKey, ...]:
    """Return keys as they lie there, by domain and selector, behind ``after``."""
    return tuple(map(_sealed, await queries.fetch(_SEALED, *after, limit)))


async def reseal(queries: Queries, key: SealedKey, before: SealedKey) -> None:
    """Keep ``key`` instead of ``before``, the same otherwise sealed; if nobody was quicker."""
    await queries.execute(_RESEAL, key.domain, key.selector, key.sealed, before.sealed)


async def does_anybody_sign(queries: Queries) -> bool:
    """True if there is an active key at all."""
    return bool(await queries.fetchval(_ANY))


async def activate(tx: Tx, domain: str, selector: str) -> None:
    """Let a key sign; others of its domain and algorithm sign no more. Raises `NoSuchEntry`."""
    row = await tx.fetchrow(_ACTIVATE, domain, selector)
    if row is None:
        await dkim_key(tx, domain, selector)  # it signs already, or is not there
        return
    await tx.execute(_RETIRE_OTHERS, domain, row["algorithm"], selector)


async def note_check(queries: Queries, key: DkimKey, fault: str) -> None:
    """Note what DNS showed of ``key``."""
    await queries.execute(_CHECKED, key.domain, key.selector, fault)


async def remove_dkim_key(tx: Tx, domain: str, selector: str, *, force: bool = False) -> bool:
    """Remove a key; False if it signs, and ``force`` is not given. Raises `NoSuchEntry`."""
    if await tx.execute(_REMOVE, domain, selector, force):
        return True
    if await tx.fetchval(_STATE, domain, selector) is None:
        raise NoSuchEntry(f"there is no key {selector} of {domain}")
    return False


async def retire_old(queries: Queries, published: timedelta) -> int:
    """Let records go of keys that have not signed for ``published``; return how many."""
    return await queries.execute(_RETIRE_OLD, published)


async def waiting_keys(queries: Queries, limit: int) -> tuple[DkimKey, ...]:
    """Return keys that take over once DNS shows them; the longest not looked at first."""
    return tuple(map(_key, await queries.fetch(_WAITING, limit)))


async def unseen_keys(
    queries: Queries, well: timedelta, faulty: timedelta, limit: int
) -> tuple[DkimKey, ...]:
    """Return active keys that nobody has looked at in DNS for so long, the longest first.

    Those that were ``well`` are looked at less often than ``faulty`` ones.
    """
    return tuple(map(_key, await queries.fetch(_UNSEEN, well, faulty, limit)))


async def count_faulty(queries: Queries) -> int:
    """Return how many keys sign that DNS did not show as it should, when it was asked last."""
    return int(str(await queries.fetchval(_BAD)))


async def aged_keys(queries: Queries, age: timedelta, limit: int) -> tuple[DkimKey, ...]:
    """Return active keys that are older than ``age`` and have no successor yet."""
    return tuple(map(_key, await queries.fetch(_AGED, age, limit)))


def _sealed(row: Row) -> SealedKey:
    return SealedKey(**{**dict(row), "sealed": bytes(row["sealed"])})


def _key(row: Row) -> DkimKey:
    return DkimKey(**dict(row))
